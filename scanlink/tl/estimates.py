"""P-values of one estimate that need no replicates, the same for every test of counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanlink.stats import bootstrap_tail
from scanlink.tl.cells import two_sided

__all__ = ["Regression", "p_values"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """A regression of which one coefficient is tested.

    Attributes
    ----------
    counts
        Counts of the gene. Shape ``(n_cells,)``.
    design
        Terms of the regression. Shape ``(n_cells, n_terms)``.
    target
        Index of the column that is tested.
    coef
        Coefficients at the maximum. Shape ``(n_terms,)``.
    offset
        Known part of the log expected count. Shape ``(n_cells,)``.
    theta
        Inverse dispersion of a negative binomial; None for Poisson counts.
    clusters
        Cluster of each cell; None takes cells for independent. Shape ``(n_cells,)``.
    """

    counts: Floats
    design: Floats
    target: int
    coef: Floats
    offset: Floats
    theta: float | None
    clusters: NDArray[np.int64] | None


def p_values(
    estimate: float, se: float, se_robust: float, p_robust: float, regression: Regression | None
) -> dict[str, float]:
    """Compute all p-values of an estimate but those by resampling, and the errors behind them.

    Parameters
    ----------
    estimate
        The coefficient, natural log.
    se, se_robust
        Model-based and sandwich standard error.
    p_robust
        Robust p-value, which every test has in a form of its own.
    regression
        The regression whose coefficient it is; None where it is no coefficient of one.

    Returns
    -------
    dict
        By the names of columns.
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
