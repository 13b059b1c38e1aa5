"""P-values of one estimate that need no replicates, the same for every test of counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanlink.options import Robust
from scanlink.stats import bootstrap_tail, sandwich_se
from scanlink.tl.cells import Cells, Fit, theta_of, two_sided

__all__ = ["Regression", "coefficient_columns", "p_values"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """A regression of which one coefficient is tested."""

    counts: Floats  # Of the gene. Shape ``(n_cells,)``.
    design: Floats  # Shape ``(n_cells, n_terms)``.
    target: int  # Index of the column that is tested.
    coef: Floats  # Coefficients at the maximum. Shape ``(n_terms,)``.
    offset: Floats  # Known part of the log expected count. Shape ``(n_cells,)``.
    theta: float | None  # Inverse dispersion of a negative binomial; None for Poisson counts.
    clusters: NDArray[np.int64] | None  # Cluster of each cell; None takes cells for independent. Shape ``(n_cells,)``.


def p_values(
    estimate: float, se: float, se_robust: float, p_robust: float, regression: Regression | None
) -> dict[str, float]:
    """Compute all p-values of an estimate but those by resampling, and the errors behind them, by the names of columns.

    ``p_robust`` has a form of its own in every test. ``regression`` is that whose coefficient the estimate (natural
    log) is; without one there is no tail.
    """
    tail = np.nan
    if regression is not None:
        tail = bootstrap_tail(
            regression.counts,
            regression.design,
            target=regression.target,
            estimate=float(regression.coef[regression.target]),
            offset=regression.offset,
            start=regression.coef,
            theta=regression.theta,
            clusters=regression.clusters,
        ).p
    return {"se": se, "p": two_sided(estimate / se), "se_robust": se_robust, "p_robust": p_robust, "p_tail": tail}


def coefficient_columns(
    cells: Cells,
    counts: Floats,
    design: Floats,
    fit: Fit,
    target: int,
    *,
    robust: Robust,
    p_robust: Callable[[], float],
) -> dict[str, float]:
    """Compute ``beta`` (natural log) and the columns of :func:`p_values` of one coefficient of a fit.

    ``robust`` is the form of the sandwich error. ``p_robust`` is asked where cells have no clusters; with them it is
    the t test of the robust error.
    """
    beta, se, theta = float(fit.coef[target]), float(fit.se[target]), theta_of(fit)
    se_robust = sandwich_se(
        counts, fit.fitted, design, fit.covariance, target=target, kind=robust, theta=theta, clusters=cells.clusters
    )
    p = p_robust() if cells.clusters is None else cells.robust_wald(beta, se_robust)
    regression = Regression(counts, design, target, fit.coef, cells.offset, theta=theta, clusters=cells.clusters)
    return {"beta": beta, **p_values(beta, se, se_robust, p, regression)}
