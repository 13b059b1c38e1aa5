"""What a worker does with a block of a screen: test its rows one by one, and resample or permute them together."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.screen_options import InteractionOptions
from scanlink.stats import (
    GeneReplicates,
    GeneScore,
    Perturbed,
    PoissonFit,
    climb,
    interaction_permutation_p,
    permutation_p,
)
from scanlink.stats.bootstrap import ResampledPair
from scanlink.tl.cells import Fit, theta_of
from scanlink.tl.context import ScanContext, opener
from scanlink.tl.refits import refitted
from scanlink.tl.screen_cells import Perturbation, ScreenCells, ScreenGene
from scanlink.tl.screen_rows import ScreenPlan
from scanlink.tl.screen_tests import INTERACTION, SINGLE, single_design, test_target, test_two, two_design

__all__ = ["screen_block", "screen_schema"]

Floats = NDArray[np.float64]

# What a group keeps of perturbations between genes.
_CACHE_BYTES = 2**27


def screen_schema(n_targets: int) -> pa.Schema:
    """Columns of a part."""
    numbers, end = (SINGLE, "") if n_targets == 1 else (INTERACTION, "_interaction")
    whole = ["n_perturbed"] if n_targets == 1 else ["n_00", "n_10", "n_01", "n_11"]
    return pa.schema(
        [
            ("group", pa.int32()),
            ("row", pa.int64()),
            *((name, pa.int64()) for name in [*whole, f"n_boot{end}", f"n_perm{end}"]),
            *((name, pa.float64()) for name in numbers),
            ("theta_converged", pa.bool_()),
            *([("outlier", pa.bool_())] if n_targets > 1 else []),
            ("status", pa.string()),
        ]
    )


def screen_block(context: ScanContext, block: Block) -> pa.Table:
    """Test the rows of one block.

    Parameters
    ----------
    context
        Data and plan.
    block
        Rows of the plan, in one group.

    Returns
    -------
    pyarrow.Table
        A row a test, columns of :func:`screen_schema`.
    """
    plan, group = _open(context, block.group)
    kept, rows = _Kept(group), []
    resampled, permuted = _Resampled(group), _Permuted(group)
    gene: ScreenGene | None = None
    for number in range(block.first, block.last):
        if gene is None or gene.number != plan.rows.gene[number]:
            gene = group.gene(int(plan.rows.gene[number]))
        names = [(int(target), int(plan.rows.shuffle[number])) for target in plan.rows.targets[number]]
        own = [kept(*name) for name in names]
        row, fit = test_target(group, gene, *own) if len(own) == 1 else test_two(group, gene, *own)
        rows.append({"group": block.group, "row": number, **row})
        if fit is not None and group.options.p_value == "bootstrap":
            resampled.add(gene, own, fit, rows[-1])
        elif fit is not None and group.options.p_value == "permutation":
            permuted.add(gene, own, rows[-1])
    resampled.climb()
    permuted.climb()
    return pa.Table.from_pylist(rows, schema=screen_schema(plan.rows.targets.shape[1]))


class _Kept:
    """Perturbations that were asked for, the latest of them kept."""

    def __init__(self, group: ScreenCells) -> None:
        self._group, self._kept = group, OrderedDict[tuple[int, int], Perturbation]()

    def __call__(self, target: int, shuffle: int) -> Perturbation:
        name = (target, shuffle)
        if name not in self._kept:
            while self._kept and (len(self._kept) + 1) * next(iter(self._kept.values())).nbytes > _CACHE_BYTES:
                self._kept.popitem(last=False)
            self._kept[name] = self._group.perturbed(target, shuffle)
        self._kept.move_to_end(name)
        return self._kept[name]


class _Resampled:
    """Tests of one gene that wait for the bootstrap: they share its moments."""

    def __init__(self, group: ScreenCells) -> None:
        self.group = group
        self.gene: ScreenGene | None = None
        self.replicates: GeneReplicates | None = None
        self.waiting: list[tuple[ResampledPair, dict[str, Any]]] = []

    def add(self, gene: ScreenGene, targets: list[Perturbation], fit: Fit, row: dict[str, Any]) -> None:
        """Let a row wait; it gets its p-value."""
        group, options = self.group, self.group.options
        if gene is not self.gene or self.replicates is None:
            self.climb()
            self.gene, self.replicates = gene, GeneReplicates(group.covariates, gene.counts)
        x = [target.x for target in targets]
        pair: ResampledPair
        calls = len(x) == 1 and bool(((x[0] == 0) | (x[0] == 1)).all())
        if isinstance(fit, PoissonFit) and calls and not options.pseudocount:
            pair = self.replicates.pair(x[0], fit=fit, target=group.first)
        else:
            design, place = (single_design, group.first) if len(x) == 1 else (two_design, fit.coef.size - 1)
            pair = refitted(
                fit,
                gene.counts,
                partial(design, group, *x),
                target=place,
                offset=group.offset,
                reestimate=options.theta == "estimated",
                pseudocount=options.pseudocount,
            )
        self.waiting.append((pair, row))

    def climb(self) -> None:
        """Climb the ladder with all that wait."""
        if self.replicates is None:
            return
        pairs = [pair for pair, _ in self.waiting]
        (found,) = climb([(self.replicates, pairs)], self.group.ladder, self.group.weights)
        end = "_interaction" if isinstance(self.group.options, InteractionOptions) else ""
        for (_, row), (p, n) in zip(self.waiting, found, strict=True):
            row[f"p_boot{end}"], row[f"n_boot{end}"] = p, n
        self.gene, self.replicates, self.waiting = None, None, []


class _Permuted:
    """Tests of one gene that wait for permutation: they share its running sums over permuted cells."""

    def __init__(self, group: ScreenCells) -> None:
        self.group = group
        self.gene: ScreenGene | None = None
        self.waiting: list[tuple[Perturbed, dict[str, Any]]] = []

    def add(self, gene: ScreenGene, targets: list[Perturbation], row: dict[str, Any]) -> None:
        """Let a row wait; it gets its p-value."""
        if gene is not self.gene:
            self.climb()
            self.gene = gene
        cells = [target.cells for target in targets]
        self.waiting.append((cells[0] if len(cells) == 1 else Perturbed.pair(*cells), row))

    def climb(self) -> None:
        """Climb the ladder with all that wait."""
        if self.gene is None:
            return
        group, fit = self.group, self.gene.fit
        score = GeneScore.of(
            self.gene.counts + group.options.pseudocount, group.design, mu=fit.fitted, theta=theta_of(fit) or np.inf
        )
        of_two = isinstance(group.options, InteractionOptions)
        test, end = (interaction_permutation_p, "_interaction") if of_two else (permutation_p, "")
        found = test(score, [cells for cells, _ in self.waiting], group.permuted, group.permutations)
        for (_, row), p, n in zip(self.waiting, found.p, found.n, strict=True):
            row[f"p_perm{end}"], row[f"n_perm{end}"] = float(p), int(n)
        self.waiting, self.gene = [], None


_open = opener(ScreenPlan, ScreenCells)
