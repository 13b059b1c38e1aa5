"""What a worker does with a block of a screen: does a target change a gene?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import permutation_p, robust_p
from scanlink.tl.cells import Fit
from scanlink.tl.estimates import coefficient_columns
from scanlink.tl.perturbations.block import PerturbationTest, run_tests
from scanlink.tl.perturbations.cells import Perturbation, PerturbedCells, PerturbedGene
from scanlink.tl.screen.options import ScreenOptions
from scanlink.tl.screen.rows import ScreenPlan
from scanlink.tl.screen.table import SCREEN_TABLE

__all__ = ["screen_block"]

Floats = NDArray[np.float64]


def screen_block(plan: ScreenPlan, block: Block) -> pa.Table:
    """Test the target-gene pairs of one block."""
    return run_tests(_TEST, plan, block)


def _count(row: dict[str, Any], gene: PerturbedGene, x: Floats) -> str | None:
    cells, counts = gene.cells, gene.counts
    assert isinstance(cells.options, ScreenOptions)
    n_perturbed, least = int(np.count_nonzero(x)), cells.options.min_perturbed
    row["n_perturbed"] = n_perturbed
    if cells.n:
        row["frac_gene"] = np.count_nonzero(counts) / cells.n
    if n_perturbed < least or cells.n - n_perturbed < least:
        return "few_perturbed"
    return None if counts[x > 0].any() and counts[x == 0].any() else "separated"


def _design(cells: PerturbedCells, x: Floats) -> Floats:
    """Make the design: intercept, perturbation, covariates. Shape ``(n_cells, n_terms)``."""
    return np.insert(cells.design, cells.first, x, axis=1)


def _fill(row: dict[str, Any], gene: PerturbedGene, design: Floats, fit: Fit, target: Perturbation) -> None:
    cells = gene.cells
    row |= coefficient_columns(
        cells,
        gene.counts + cells.options.pseudocount,
        design,
        fit,
        cells.first,
        robust=cells.options.robust,
        p_robust=lambda: robust_p(gene.null, target.null),
    )
    row["z"] = row["beta"] / row["se"]
    row["min_effect"] = cells.least_effect(fit, design, cells.first, row["se_robust"])


_TEST = PerturbationTest(
    SCREEN_TABLE, count=_count, design=_design, places=lambda cells: [cells.first], fill=_fill, permute=permutation_p
)
