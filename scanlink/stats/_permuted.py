"""The statistics of many targets from one running sum: where it is read, and what the reads are put together to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scanlink.stats._permute import base_statistics
from scanlink.stats._permute_pair import interaction_statistics
from scanlink.stats._types import Floats, Ints
from scanlink.stats.gene_score import GeneScore
from scanlink.stats.images import Images, Perturbed, Runs

__all__ = ["Plan", "levels", "observed_statistics", "statistics"]


class Plan(NamedTuple):
    """Where running sums are read, and what of them makes up each target.

    Attributes
    ----------
    read_of
        First read of each stratum. Shape ``(n_strata + 1,)``.
    reads
        Cells of the stratum after which its sums are read. Shape ``(n_reads,)``.
    pieces
        Rows of the sums between which a run of cells lies (0: none yet), and its level. Shape ``(n_pieces, 3)``.
    piece_of
        First piece of each target. Shape ``(n_targets + 1,)``.
    level_of
        First level of each target. Shape ``(n_targets + 1,)``.
    """

    read_of: Ints
    reads: Ints
    pieces: Ints
    piece_of: Ints
    level_of: Ints

    @classmethod
    def of(cls, targets: Sequence[Perturbed], runs: Sequence[Ints], n_strata: int) -> Plan:
        """Make the plan for some targets with their :attr:`Runs.runs`."""
        all_runs = np.concatenate(list(runs))
        sizes = np.array([len(target_runs) for target_runs in runs])
        piece_of = np.append(0, np.cumsum(sizes))
        level_of = np.append(0, np.cumsum([len(target.values) for target in targets]))
        base = int(all_runs[:, 2].max()) + 1
        codes, stop = np.unique(all_runs[:, 0] * base + all_runs[:, 2], return_inverse=True)
        # Where its stratum begins there is nothing to take away.
        start = np.where(all_runs[:, 1] > 0, np.searchsorted(codes, all_runs[:, 0] * base + all_runs[:, 1]) + 1, 0)
        pieces = np.column_stack([start, stop.reshape(-1) + 1, all_runs[:, 3] + np.repeat(level_of[:-1], sizes)])
        read_of = np.searchsorted(codes, np.arange(n_strata + 1) * base)
        return cls(read_of, codes % base, np.ascontiguousarray(pieces), piece_of, level_of)


def statistics(gene: GeneScore, values: Floats, plan: Plan, images: Images) -> Floats:
    """Compute the statistic of each target, or pair, in each permutation. Shape ``(n_images, n_targets)``.

    ``values`` are those of :func:`levels`. NaN where the statistic is undefined.
    """
    cells, begins = images
    read_of, reads, pieces, piece_of, level_of = plan
    out = np.empty((cells.shape[0], piece_of.size - 1))
    if values.shape[1] == 1:
        table, intercept = gene.base
        base_statistics(table, intercept, cells, begins, read_of, reads, pieces, piece_of, values, out)
    else:
        table, totals, phi = gene.pair
        interaction_statistics(
            table, totals, phi, cells, begins, read_of, reads, pieces, piece_of, values, level_of, out
        )
    return out


def observed_statistics(gene: GeneScore, targets: Sequence[Perturbed], runs: Sequence[Runs]) -> Floats:
    """Compute the statistic of each target with its own cells: as a permutation, each in strata of its own."""
    n_strata = runs[0].begins.size - 1
    cells = np.concatenate([target_runs.cells for target_runs in runs])
    offsets = np.cumsum([0] + [target_runs.cells.size for target_runs in runs])
    begins = np.append(
        np.concatenate([target_runs.begins[:-1] + offset for target_runs, offset in zip(runs, offsets, strict=False)]),
        offsets[-1],
    )
    shifted = [target_runs.runs + np.array([t * n_strata, 0, 0, 0]) for t, target_runs in enumerate(runs)]
    plan = Plan.of(targets, shifted, n_strata * len(runs))
    return statistics(gene, levels(targets), plan, Images(cells[None, :], begins))[0]


def levels(targets: Sequence[Perturbed]) -> Floats:
    """Join the levels of all targets, one after the other. Shape ``(n_levels, 1)`` or ``(n_levels, 2)``."""
    return np.concatenate([target.values for target in targets])
