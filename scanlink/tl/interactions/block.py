"""What a worker does with a block of pairs of targets: do two perturbations act together on a gene?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import compare_links, cooks_distance, interaction_permutation_p, score_p
from scanlink.tl.cells import Fit, theta_of, two_sided
from scanlink.tl.estimates import coefficient_columns
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
    """Test the pairs of targets of one block."""
    return run_tests(_TEST, plan, block)


def _state(a: Floats, b: Floats) -> NDArray[np.int64]:
    """Number the state of each cell: 0 neither perturbation, 1 the first, 2 the second, 3 both."""
    return (a > 0).astype(np.int64) + 2 * (b > 0)


def _count(row: dict[str, Any], gene: PerturbedGene, a: Floats, b: Floats) -> str | None:
    assert isinstance(gene.cells.options, InteractionOptions)
    state = _state(a, b)
    n = np.bincount(state, minlength=4)
    row |= {f"n_{name}": int(number) for name, number in zip(("00", "10", "01", "11"), n, strict=True)}
    if n[3] < gene.cells.options.min_both:
        return "too_few_11"
    return "separated" if (np.bincount(state, gene.counts, minlength=4) == 0).any() else None


def _design(cells: PerturbedCells, a: Floats, b: Floats) -> Floats:
    """Make the design: intercept, perturbations, covariates, product of the perturbations. Shape ``(n_cells, k)``."""
    k = cells.first
    return np.column_stack([cells.design[:, :k], a, b, cells.design[:, k:], a * b])


def _places(cells: PerturbedCells) -> list[int]:
    return [cells.first, cells.first + 1, cells.design.shape[1] + 2]


def _fill(
    row: dict[str, Any], gene: PerturbedGene, design: Floats, fit: Fit, first: Perturbation, second: Perturbation
) -> None:
    cells, counts, a, b = gene.cells, gene.counts, first.x, second.x
    assert isinstance(cells.options, InteractionOptions)
    *single, last = _places(cells)
    for name, place in zip(("1", "2"), single, strict=True):
        beta, se = float(fit.coef[place]), float(fit.se[place])
        row |= {f"beta_{name}": beta, f"se_{name}": se, f"p_{name}": two_sided(beta / se)}
    values = coefficient_columns(
        cells,
        counts + cells.options.pseudocount,
        design,
        fit,
        last,
        robust=cells.options.robust,
        p_robust=lambda: score_p(counts, a * b, design[:, :-1], offset=cells.offset),
    )
    error = values["se" if cells.options.p_value == "wald" else "se_robust"]
    values["ci_low"], values["ci_high"] = cells.interval(values["beta"], error)
    row |= {f"{name}_interaction": value for name, value in values.items()}
    row["min_interaction"] = cells.least_effect(fit, design, last, values["se_robust"])
    row |= _outlier(gene, design, fit, np.flatnonzero(_state(a, b) == 3))
    if cells.options.additive:
        # Of perturbed or not: exp(a x) and 1 + a x differ for shares x even where effects do not meet.
        in_a, in_b = ((x > 0).astype(np.float64) for x in (a, b))
        models = compare_links(counts, in_a, in_b, cells.design, offset=cells.offset, family=cells.options.family)
        row |= {"aic_multiplicative": models.aic_multiplicative, "aic_additive": models.aic_additive}


def _outlier(gene: PerturbedGene, design: Floats, fit: Fit, both: NDArray[np.intp]) -> dict[str, Any]:
    """Say how far the interaction hangs on one cell with both perturbations, and its p-value without that cell."""
    cells, counts = gene.cells, gene.counts
    distance = cooks_distance(
        counts + cells.options.pseudocount, fit.fitted, design, fit.covariance, rows=both, theta=theta_of(fit)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(distance.max() / distance.mean())
    columns: dict[str, Any] = {"cook_ratio": ratio, "outlier": bool(ratio > _OUTLIER)}
    foremost = both[int(np.argmax(distance))]
    rest = np.delete(np.arange(counts.size), foremost)
    if both.size > 1 and counts[both].sum() > counts[foremost]:
        trimmed = cells.fit(counts[rest], design[rest], offset=cells.offset[rest])
        if unusable(trimmed, [design.shape[1] - 1]) is None:
            columns["p_trimmed_interaction"] = two_sided(float(trimmed.coef[-1] / trimmed.se[-1]))
    return columns


_TEST = PerturbationTest(
    INTERACTIONS_TABLE,
    count=_count,
    design=_design,
    places=_places,
    fill=_fill,
    permute=interaction_permutation_p,
    end="_interaction",
)
