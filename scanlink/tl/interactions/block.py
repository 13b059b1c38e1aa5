"""What a worker does with a block of pairs of targets: do two perturbations act together on a gene?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import NegbinFit, compare_links, cooks_distance, interaction_permutation_p, sandwich_se, score_p
from scanlink.tl.cells import Fit, theta_of, two_sided
from scanlink.tl.estimates import Regression, p_values
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.interactions.rows import InteractionPlan
from scanlink.tl.interactions.table import INTERACTIONS_TABLE
from scanlink.tl.perturbations.block import PerturbationTest, run_tests, unusable
from scanlink.tl.perturbations.cells import Perturbation, PerturbedCells, PerturbedGene

__all__ = ["interaction_block"]

Floats = NDArray[np.float64]

# Zhou et al. 2024 take an interaction for that of an outlier where Cook's largest distance is so many times the mean.
_OUTLIER = 5.0


def interaction_block(plan: InteractionPlan, block: Block) -> pa.Table:
    """Test the pairs of targets of one block.

    Parameters
    ----------
    plan
        Plan of the interactions.
    block
        Rows of the plan, in one group.
    """
    return run_tests(_TEST, plan, block)


def _fit_two(
    row: dict[str, Any], cells: PerturbedCells, gene: PerturbedGene, first: Perturbation, second: Perturbation
) -> Fit | None:
    """Fill the row of two targets and a gene but for what is resampled, and return its fit if there is one.

    The design of the fit has the perturbations after the intercept, and their product as its last column.
    """
    assert isinstance(cells.options, InteractionOptions)
    a, b, counts = first.x, second.x, gene.counts
    state = (a > 0).astype(np.int64) + 2 * (b > 0)
    n = np.bincount(state, minlength=4)
    row |= {f"n_{name}": int(number) for name, number in zip(("00", "10", "01", "11"), n, strict=True)}
    row["status"] = cells.group.status
    if row["status"] is None:
        if cells.rare(counts):
            row["status"] = "gene_rare"
        elif n[3] < cells.options.min_both:
            row["status"] = "too_few_11"
        elif (np.bincount(state, counts, minlength=4) == 0).any():
            row["status"] = "separated"
    if row["status"] is not None:
        return None
    design = _design(cells, a, b)
    fit, places = cells.fit(counts, design), [cells.first, cells.first + 1, design.shape[1] - 1]
    row["status"] = unusable(fit, places)
    if row["status"] is not None:
        return None
    for name, place in zip(("1", "2"), places[:2], strict=True):
        beta, se = float(fit.coef[place]), float(fit.se[place])
        row |= {f"beta_{name}": beta, f"se_{name}": se, f"p_{name}": two_sided(beta / se)}
    theta, y, last = theta_of(fit), counts + cells.options.pseudocount, places[-1]
    beta, se = float(fit.coef[last]), float(fit.se[last])
    se_robust = sandwich_se(
        y,
        fit.fitted,
        design,
        fit.covariance,
        target=last,
        kind=cells.options.robust,
        theta=theta,
        clusters=cells.clusters,
    )
    if cells.clusters is None:
        p_robust = score_p(counts, a * b, design[:, :-1], offset=cells.offset)
    else:
        p_robust = cells.robust_wald(beta, se_robust)
    low, high = cells.interval(beta, se if cells.options.p_value == "wald" else se_robust)
    regression = Regression(y, design, last, fit.coef, cells.offset, theta=theta, clusters=cells.clusters)
    values = {"beta": beta, "ci_low": low, "ci_high": high}
    values |= p_values(beta, se, se_robust, p_robust, regression)
    row |= {f"{name}_interaction": value for name, value in values.items()}
    row |= {"min_interaction": cells.least_effect(fit, design, last, se_robust), "status": "ok"}
    if isinstance(fit, NegbinFit):
        row |= {"theta": fit.theta, "theta_converged": fit.theta_converged}
    row |= _outlier(cells, counts, design, fit, state)
    if cells.options.additive:
        # Of perturbed or not: exp(a x) and 1 + a x differ for shares x even where effects do not meet.
        models = compare_links(
            counts,
            (a > 0).astype(np.float64),
            (b > 0).astype(np.float64),
            cells.design,
            offset=cells.offset,
            family=cells.options.family,
        )
        row |= {"aic_multiplicative": models.aic_multiplicative, "aic_additive": models.aic_additive}
    return fit


def _design(cells: PerturbedCells, a: Floats, b: Floats) -> Floats:
    """Make the design: intercept, perturbations, covariates, product of the perturbations. Shape ``(n_cells, k)``."""
    k = cells.first
    return np.column_stack([cells.design[:, :k], a, b, cells.design[:, k:], a * b])


def _outlier(
    cells: PerturbedCells, counts: Floats, design: Floats, fit: Fit, state: NDArray[np.int64]
) -> dict[str, Any]:
    """Say how far the interaction hangs on one cell with both perturbations, and its p-value without that cell."""
    both = np.flatnonzero(state == 3)
    distance = cooks_distance(
        counts + cells.options.pseudocount, fit.fitted, design, fit.covariance, rows=both, theta=theta_of(fit)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(distance.max() / distance.mean())
    columns: dict[str, Any] = {"cook_ratio": ratio, "outlier": bool(ratio > _OUTLIER)}
    rest = np.delete(np.arange(counts.size), both[int(np.argmax(distance))])
    if both.size > 1 and counts[both].sum() > counts[both[int(np.argmax(distance))]]:
        trimmed = cells.fit(counts[rest], design[rest], offset=cells.offset[rest])
        if unusable(trimmed, [design.shape[1] - 1]) is None:
            columns["p_trimmed_interaction"] = two_sided(float(trimmed.coef[-1] / trimmed.se[-1]))
    return columns


_TEST = PerturbationTest(
    INTERACTIONS_TABLE,
    fit=_fit_two,
    design=_design,
    place=lambda cells, fit: fit.coef.size - 1,
    permute=interaction_permutation_p,
    end="_interaction",
)
