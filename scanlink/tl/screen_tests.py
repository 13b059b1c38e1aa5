"""The tests of a screen but those by resampling: does a target, or do two together, change a gene?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanlink.screen_options import InteractionOptions, ScreenOptions
from scanlink.stats import NegbinFit, bootstrap_tail, compare_links, cooks_distance, robust_p, sandwich_se, score_p
from scanlink.tl.cells import Fit, theta_of, two_sided
from scanlink.tl.screen_cells import Perturbation, ScreenCells, ScreenGene

__all__ = ["INTERACTION", "SINGLE", "single_design", "test_target", "test_two", "two_design"]

Floats = NDArray[np.float64]

SINGLE = (
    *("frac_gene", "beta", "se", "z", "p", "se_robust", "p_robust", "p_boot", "p_tail", "p_perm"),
    *("theta", "min_effect"),
)
INTERACTION = (
    *("beta_1", "se_1", "p_1", "beta_2", "se_2", "p_2", "beta_interaction", "se_interaction", "p_interaction"),
    *("se_robust_interaction", "p_robust_interaction", "p_boot_interaction", "p_tail_interaction"),
    *("p_perm_interaction", "ci_low_interaction", "ci_high_interaction", "theta", "min_interaction", "cook_ratio"),
    *("p_trimmed_interaction", "aic_multiplicative", "aic_additive"),
)
# Zhou et al. 2024 take an interaction for that of an outlier where Cook's largest distance is so many times the mean.
_OUTLIER = 5.0


def test_target(group: ScreenCells, gene: ScreenGene, target: Perturbation) -> tuple[dict[str, Any], Fit | None]:
    """All columns of a target-gene pair but those of resampling, and the fit if there is one."""
    assert isinstance(group.options, ScreenOptions)
    x, counts, least = target.x, gene.counts, group.options.min_perturbed
    n_perturbed = int(np.count_nonzero(x))
    row: dict[str, Any] = dict.fromkeys(SINGLE, np.nan)
    row |= {"n_perturbed": n_perturbed, "n_boot": 0, "n_perm": 0, "theta_converged": None}
    if group.n:
        row["frac_gene"] = np.count_nonzero(counts) / group.n
    row["status"] = group.about.status
    if row["status"] is None:
        if group.rare(counts):
            row["status"] = "gene_rare"
        elif n_perturbed < least or group.n - n_perturbed < least:
            row["status"] = "few_perturbed"
        elif not counts[x > 0].any() or not counts[x == 0].any():
            row["status"] = "separated"
    if row["status"] is not None:
        return row, None
    design, place = single_design(group, x), group.first
    fit = group.fit(counts, design)
    row["status"] = _unusable(fit, [place])
    if row["status"] is not None:
        return row, None
    beta, se, theta = float(fit.coef[place]), float(fit.se[place]), theta_of(fit)
    se_robust = sandwich_se(
        counts + group.options.pseudocount,
        fit.fitted,
        design,
        fit.covariance,
        target=place,
        kind=group.options.robust,
        theta=theta,
        clusters=group.clusters,
    )
    row |= {"beta": beta, "se": se, "z": beta / se, "p": two_sided(beta / se), "se_robust": se_robust, "status": "ok"}
    row["min_effect"] = group.least_effect(fit, design, place, se_robust)
    if isinstance(fit, NegbinFit):
        row |= {"theta": fit.theta, "theta_converged": fit.theta_converged}
    row["p_robust"] = robust_p(gene.null, target.null) if group.clusters is None else group.robust_wald(beta, se_robust)
    row["p_tail"] = bootstrap_tail(
        counts + group.options.pseudocount,
        design,
        target=place,
        estimate=beta,
        offset=group.offset,
        start=fit.coef,
        theta=theta,
        clusters=group.clusters,
    ).p
    return row, fit


def test_two(
    group: ScreenCells, gene: ScreenGene, first: Perturbation, second: Perturbation
) -> tuple[dict[str, Any], Fit | None]:
    """All columns of two targets and a gene but those of resampling, and the fit if there is one.

    The design that the fit is of has the perturbations after the intercept and their product as its last column.
    """
    assert isinstance(group.options, InteractionOptions)
    a, b, counts = first.x, second.x, gene.counts
    state = (a > 0).astype(np.int64) + 2 * (b > 0)
    n = np.bincount(state, minlength=4)
    row: dict[str, Any] = dict.fromkeys(INTERACTION, np.nan)
    row |= {"n_boot_interaction": 0, "n_perm_interaction": 0, "theta_converged": None, "outlier": None}
    row |= {f"n_{name}": int(number) for name, number in zip(("00", "10", "01", "11"), n, strict=True)}
    row["status"] = group.about.status
    if row["status"] is None:
        if group.rare(counts):
            row["status"] = "gene_rare"
        elif n[3] < group.options.min_both:
            row["status"] = "too_few_11"
        elif (np.bincount(state, counts, minlength=4) == 0).any():
            row["status"] = "separated"
    if row["status"] is not None:
        return row, None
    design = two_design(group, a, b)
    fit, places = group.fit(counts, design), [group.first, group.first + 1, design.shape[1] - 1]
    row["status"] = _unusable(fit, places)
    if row["status"] is not None:
        return row, None
    for name, place in zip(("1", "2", "interaction"), places, strict=True):
        beta, se = float(fit.coef[place]), float(fit.se[place])
        row |= {f"beta_{name}": beta, f"se_{name}": se, f"p_{name}": two_sided(beta / se)}
    theta, y, last = theta_of(fit), counts + group.options.pseudocount, places[-1]
    se_robust = sandwich_se(
        y,
        fit.fitted,
        design,
        fit.covariance,
        target=last,
        kind=group.options.robust,
        theta=theta,
        clusters=group.clusters,
    )
    beta = row["beta_interaction"]
    low, high = group.interval(beta, row["se_interaction"] if group.options.p_value == "wald" else se_robust)
    row |= {
        "se_robust_interaction": se_robust,
        "ci_low_interaction": low,
        "ci_high_interaction": high,
        "min_interaction": group.least_effect(fit, design, last, se_robust),
        "status": "ok",
    }
    if isinstance(fit, NegbinFit):
        row |= {"theta": fit.theta, "theta_converged": fit.theta_converged}
    if group.clusters is None:
        row["p_robust_interaction"] = score_p(counts, a * b, design[:, :-1], offset=group.offset)
    else:
        row["p_robust_interaction"] = group.robust_wald(beta, se_robust)
    row["p_tail_interaction"] = bootstrap_tail(
        y, design, target=last, estimate=beta, offset=group.offset, start=fit.coef, theta=theta, clusters=group.clusters
    ).p
    row |= _outlier(group, counts, design, fit, state)
    if group.options.additive:
        # Of perturbed or not: exp(a x) and 1 + a x differ for shares x even where effects do not meet.
        found = compare_links(
            counts,
            (a > 0).astype(np.float64),
            (b > 0).astype(np.float64),
            group.design,
            offset=group.offset,
            family=group.options.family,
        )
        row |= {"aic_multiplicative": found.aic_multiplicative, "aic_additive": found.aic_additive}
    return row, fit


def single_design(group: ScreenCells, x: Floats) -> Floats:
    """Intercept, perturbation, covariates. Shape ``(n_cells, n_terms)``."""
    return np.insert(group.design, group.first, x, axis=1)


def two_design(group: ScreenCells, a: Floats, b: Floats) -> Floats:
    """Intercept, both perturbations, covariates, and the product of the perturbations. Shape ``(n_cells, n_terms)``."""
    k = group.first
    return np.column_stack([group.design[:, :k], a, b, group.design[:, k:], a * b])


def _outlier(group: ScreenCells, counts: Floats, design: Floats, fit: Fit, state: NDArray[np.int64]) -> dict[str, Any]:
    """How far the interaction hangs on one cell with both perturbations, and its p-value without that cell."""
    cells = np.flatnonzero(state == 3)
    distance = cooks_distance(
        counts + group.options.pseudocount, fit.fitted, design, fit.covariance, rows=cells, theta=theta_of(fit)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(distance.max() / distance.mean())
    found: dict[str, Any] = {"cook_ratio": ratio, "outlier": bool(ratio > _OUTLIER)}
    rest = np.delete(np.arange(counts.size), cells[int(np.argmax(distance))])
    if cells.size > 1 and counts[cells].sum() > counts[cells[int(np.argmax(distance))]]:
        trimmed = group.fit(counts[rest], design[rest], offset=group.offset[rest])
        if _unusable(trimmed, [design.shape[1] - 1]) is None:
            found["p_trimmed_interaction"] = two_sided(float(trimmed.coef[-1] / trimmed.se[-1]))
    return found


def _unusable(fit: Fit, places: list[int]) -> str | None:
    if np.isnan(fit.coef).any():
        return "collinear"
    estimates = np.concatenate([fit.coef[places], fit.se[places]])
    return None if fit.converged and np.isfinite(estimates).all() else "not_converged"
