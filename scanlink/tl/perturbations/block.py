"""What a worker does with a block of tests of perturbed targets: test its rows, then resample or permute them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import GeneScore, Ladder, Perturbed
from scanlink.tables import Table
from scanlink.tl.cells import Fit, opener, theta_of
from scanlink.tl.perturbations.cells import Perturbation, PerturbedCells, PerturbedGene
from scanlink.tl.perturbations.rows import PerturbationPlan
from scanlink.tl.resampling import Bootstrap

__all__ = ["PerturbationTest", "run_tests", "unusable"]

Floats = NDArray[np.float64]

# What a group keeps of perturbations between genes.
_CACHE_BYTES = 2**27


@dataclass(frozen=True)
class PerturbationTest:
    """A test of one perturbation, or of several together.

    Attributes
    ----------
    table
        Table of its results.
    fit
        Called as ``fit(row, cells, gene, *targets)``: fills the row but for what is resampled, and returns the fit if
        there is one.
    design
        Called as ``design(cells, *x)``: the design with the perturbations. Shape ``(n_cells, n_terms)``.
    place
        Called as ``place(cells, fit)``: the index of the coefficient that is tested.
    permute
        Permutation test of the perturbations.
    end
        What follows ``p_boot`` and the like in the names of columns.
    """

    table: Table
    fit: Callable[..., Fit | None]
    design: Callable[..., Floats]
    place: Callable[[PerturbedCells, Fit], int]
    permute: Callable[..., Any]
    end: str = ""


def run_tests(test: PerturbationTest, plan: PerturbationPlan, block: Block) -> pa.Table:
    """Test the rows of one block.

    Parameters
    ----------
    test
        The test.
    plan
        Plan of the rows.
    block
        Rows of the plan, in one group.

    Returns
    -------
    pyarrow.Table
        A row a test, with the columns of the table that are computed.
    """
    plan, cells = _opened(plan, block.group)
    options, blank = plan.options, test.table.blank(plan.options)
    perturbed, rows = _Kept(cells), []
    bootstrap = Bootstrap(
        cells,
        Ladder.of(options.ladder),
        reestimate=options.theta == "estimated",
        pseudocount=options.pseudocount,
        end=test.end,
    )
    permuted = _Permuted(test, cells, Ladder.of(options.permutations))
    gene: PerturbedGene | None = None
    for number in range(block.first, block.last):
        if gene is None or gene.number != plan.rows.gene[number]:
            gene = cells.gene(int(plan.rows.gene[number]))
        shuffle = int(plan.rows.shuffle[number])
        targets = [perturbed(int(target), shuffle) for target in plan.rows.targets[number]]
        row: dict[str, Any] = {"group": block.group, "row": number, **blank}
        fit = test.fit(row, cells, gene, *targets)
        rows.append(row)
        if fit is not None and options.p_value == "bootstrap":
            x = [target.x for target in targets]
            called = len(x) == 1 and bool(((x[0] == 0) | (x[0] == 1)).all())
            bootstrap.add(
                gene.counts,
                row,
                fit,
                target=test.place(cells, fit),
                tested=x[0] if called else None,
                design=partial(test.design, cells, *x),
            )
        elif fit is not None and options.p_value == "permutation":
            permuted.add(gene, targets, row)
    bootstrap.climb()
    permuted.climb()
    return pa.Table.from_pylist(rows, schema=test.table.schema(options))


def unusable(fit: Fit, places: list[int]) -> str | None:
    """Say why a fit cannot be used, as a status; None where it can.

    Parameters
    ----------
    fit
        The fit.
    places
        Indices of the coefficients that are tested.
    """
    if np.isnan(fit.coef).any():
        return "collinear"
    estimates = np.concatenate([fit.coef[places], fit.se[places]])
    return None if fit.converged and np.isfinite(estimates).all() else "not_converged"


class _Kept:
    """Perturbations that were used, the latest of them kept."""

    def __init__(self, cells: PerturbedCells) -> None:
        self._cells, self._kept = cells, OrderedDict[tuple[int, int], Perturbation]()

    def __call__(self, target: int, shuffle: int) -> Perturbation:
        name = (target, shuffle)
        if name not in self._kept:
            while self._kept and (len(self._kept) + 1) * next(iter(self._kept.values())).nbytes > _CACHE_BYTES:
                self._kept.popitem(last=False)
            self._kept[name] = self._cells.perturbed(target, shuffle)
        self._kept.move_to_end(name)
        return self._kept[name]


class _Permuted:
    """Tests of one gene that wait for permutation: they share its running sums over permuted cells."""

    def __init__(self, test: PerturbationTest, cells: PerturbedCells, ladder: Ladder) -> None:
        self._test, self._cells, self._ladder = test, cells, ladder
        self._gene: PerturbedGene | None = None
        self._waiting: list[tuple[Perturbed, dict[str, Any]]] = []

    def add(self, gene: PerturbedGene, targets: list[Perturbation], row: dict[str, Any]) -> None:
        """Let a row wait; it gets its p-value."""
        if gene is not self._gene:
            self.climb()
            self._gene = gene
        images = [target.cells for target in targets]
        self._waiting.append((images[0] if len(images) == 1 else Perturbed.pair(*images), row))

    def climb(self) -> None:
        """Climb the ladder with all that wait, and write down their p-values."""
        if self._gene is None:
            return
        cells, fit, end = self._cells, self._gene.fit, self._test.end
        score = GeneScore.of(
            self._gene.counts + cells.options.pseudocount, cells.design, mu=fit.fitted, theta=theta_of(fit) or np.inf
        )
        result = self._test.permute(score, [image for image, _ in self._waiting], self._ladder, cells.permutations)
        for (_, row), p, n in zip(self._waiting, result.p, result.n, strict=True):
            row[f"p_perm{end}"], row[f"n_perm{end}"] = float(p), int(n)
        self._waiting, self._gene = [], None


_opened = opener(PerturbedCells)
