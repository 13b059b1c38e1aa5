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
