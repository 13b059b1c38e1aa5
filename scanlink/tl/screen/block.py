"""What a worker does with a block of a screen: does a target change a gene?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import NegbinFit, permutation_p, robust_p, sandwich_se
from scanlink.tl.cells import Fit, theta_of
from scanlink.tl.estimates import Regression, p_values
from scanlink.tl.perturbations.block import PerturbationTest, run_tests, unusable
from scanlink.tl.perturbations.cells import Perturbation, PerturbedCells, PerturbedGene
from scanlink.tl.screen.options import ScreenOptions
from scanlink.tl.screen.rows import ScreenPlan
from scanlink.tl.screen.table import SCREEN_TABLE

__all__ = ["screen_block"]

Floats = NDArray[np.float64]


def screen_block(plan: ScreenPlan, block: Block) -> pa.Table:
    """Test the target-gene pairs of one block.

    Parameters
    ----------
    plan
        Plan of the screen.
    block
        Rows of the plan, in one group.
    """
    return run_tests(_TEST, plan, block)


def _fit_target(row: dict[str, Any], cells: PerturbedCells, gene: PerturbedGene, target: Perturbation) -> Fit | None:
    """Fill the row of a target-gene pair but for what is resampled, and return its fit if there is one."""
    assert isinstance(cells.options, ScreenOptions)
    x, counts, least = target.x, gene.counts, cells.options.min_perturbed
    n_perturbed = row["n_perturbed"] = int(np.count_nonzero(x))
    if cells.n:
        row["frac_gene"] = np.count_nonzero(counts) / cells.n
    row["status"] = cells.group.status
    if row["status"] is None:
        if cells.rare(counts):
            row["status"] = "gene_rare"
        elif n_perturbed < least or cells.n - n_perturbed < least:
            row["status"] = "few_perturbed"
        elif not counts[x > 0].any() or not counts[x == 0].any():
            row["status"] = "separated"
    if row["status"] is not None:
        return None
    design, place = _design(cells, x), cells.first
    fit = cells.fit(counts, design)
    row["status"] = unusable(fit, [place])
    if row["status"] is not None:
        return None
    beta, se, theta = float(fit.coef[place]), float(fit.se[place]), theta_of(fit)
    y = counts + cells.options.pseudocount
    se_robust = sandwich_se(
        y,
        fit.fitted,
        design,
        fit.covariance,
        target=place,
        kind=cells.options.robust,
        theta=theta,
        clusters=cells.clusters,
    )
    p_robust = robust_p(gene.null, target.null) if cells.clusters is None else cells.robust_wald(beta, se_robust)
    regression = Regression(y, design, place, fit.coef, cells.offset, theta=theta, clusters=cells.clusters)
    row |= {"beta": beta, "z": beta / se, "status": "ok"}
    row |= p_values(beta, se, se_robust, p_robust, regression)
    row["min_effect"] = cells.least_effect(fit, design, place, se_robust)
    if isinstance(fit, NegbinFit):
        row |= {"theta": fit.theta, "theta_converged": fit.theta_converged}
    return fit


def _design(cells: PerturbedCells, x: Floats) -> Floats:
    """Make the design: intercept, perturbation, covariates. Shape ``(n_cells, n_terms)``."""
    return np.insert(cells.design, cells.first, x, axis=1)


_TEST = PerturbationTest(
    SCREEN_TABLE, fit=_fit_target, design=_design, place=lambda cells, fit: cells.first, permute=permutation_p
)
