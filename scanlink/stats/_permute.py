"""Sums over the cells that stand in for the perturbed ones, where they are read, and the base test: compiled loops.

Sums go along the permuted cells of a stratum from the first on. What is read off a running sum does not depend on what
else is read off it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._compile import compiled
from scanlink.stats._newton import factor
from scanlink.stats._types import Bools, Floats, Ints
from scanlink.stats._vector import weighted_products
from scanlink.stats.images import Images, Perturbed

# Columns of a table that are added up together.
LANES = 4
# A column that the covariates leave less than this share of has no variance of its own.
_NOTHING = 1e-10


class Plan(NamedTuple):
    """Where running sums are read, and what of them makes up each target."""

    # First read of each stratum (n_strata + 1,), and the cells of the stratum after which its sums are read (n_reads,).
    read_of: Ints
    reads: Ints
    # Rows of the sums between which a run of cells lies (0: none yet), and its level. Shape (n_pieces, 3).
    pieces: Ints
    # First piece and first level of each target. Shape (n_targets + 1,).
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


@compiled
def orthonormal_terms(terms: Floats, weight: Floats) -> Bools:
    """Make rows orthonormal with these weights, in place; return which ones earlier ones explain (left 0)."""
    q = terms.shape[0]
    root, aliased = np.zeros((q, q)), np.zeros(q, dtype=np.bool_)
    weighted_products(terms, weight, np.empty(weight.size), root)
    factor(root, aliased)
    for k in range(q):
        row = terms[k]
        for m in range(k):
            earlier, slope = terms[m], root[k, m]
            for i in range(row.size):
                row[i] -= slope * earlier[i]
        scale = 0.0 if aliased[k] else 1.0 / root[k, k]
        for i in range(row.size):
            row[i] *= scale
    return aliased


@compiled
def running_sums(
    table: Floats, image: NDArray[np.unsignedinteger], begins: Ints, read_of: Ints, reads: Ints, sums: Floats
) -> None:
    """Sum the columns of a table over the first ``reads[u]`` cells of a stratum, into row u + 1; row 0 is left alone.

    ``table`` has shape ``(n_groups, n_cells, 4)``; the reads of a stratum rise.
    """
    for group in range(table.shape[0]):
        column = LANES * group
        for s in range(read_of.size - 1):
            position = begins[s]
            a0 = a1 = a2 = a3 = 0.0
            for u in range(read_of[s], read_of[s + 1]):
                end = begins[s] + reads[u]
                for j in range(position, end):
                    i = image[j]
                    a0 += table[group, i, 0]
                    a1 += table[group, i, 1]
                    a2 += table[group, i, 2]
                    a3 += table[group, i, 3]
                position = end
                sums[u + 1, column] = a0
                sums[u + 1, column + 1] = a1
                sums[u + 1, column + 2] = a2
                sums[u + 1, column + 3] = a3


@compiled
def base_statistics(table: Floats, intercept: float, permuted: Images, plan: Plan, values: Floats, out: Floats) -> None:
    """Compute equation 1 of :func:`scanlink.stats.permutation_p` for each row of images and each target.

    A piece is a run of cells of one stratum and one of ``values``. Columns of the table are residual, weight and the
    rest of the covariates' basis, the intercept left out: it is the weight's sum times ``sqrt(intercept)``. ``out``
    has shape ``(n_images, n_targets)``.
    """
    images, begins = permuted
    read_of, reads, pieces, piece_of, _ = plan
    width = LANES * table.shape[0]
    sums = np.zeros((reads.size + 1, width))
    total = np.empty(width)
    for r in range(images.shape[0]):
        running_sums(table, images[r], begins, read_of, reads, sums)
        for t in range(piece_of.size - 1):
            total[:] = 0.0
            square = 0.0
            for k in range(piece_of[t], piece_of[t + 1]):
                start, stop, value = pieces[k, 0], pieces[k, 1], values[pieces[k, 2], 0]
                for f in range(width):
                    total[f] += value * (sums[stop, f] - sums[start, f])
                square += value * value * (sums[stop, 1] - sums[start, 1])
            variance = square - intercept * total[1] * total[1]
            for f in range(2, width):
                variance -= total[f] * total[f]
            out[r, t] = total[0] / math.sqrt(variance) if variance > _NOTHING * square else np.nan
