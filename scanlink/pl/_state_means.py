"""Means of the states of a pair of enhancers, fitted, for their picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import DesignError, OptionError
from scanlink.pp.formula import parse_formula
from scanlink.stats import StatesFit, fit_states, rescale, sandwich_se, state_names

if TYPE_CHECKING:
    pass


__all__ = ["DEPTH", "WIDTH", "Means", "fit_means", "means_of"]

Floats = NDArray[np.float64]

# Counts are shown as if every cell had this many.
DEPTH = 10_000
# Half a 95 % interval, in standard errors.
WIDTH = 1.959963984540054


@dataclass(frozen=True)
class Means:
    """Means of the four states by the fit, and what 11 would be if the effects multiplied; each with 95 % interval.

    Shapes ``(4, 3)`` and ``(3,)``: mean, lower and upper end; NaN where there is none.
    """

    fitted: Floats
    expected: Floats
    interaction: Floats


def fit_means(
    counts: Floats, depth: Floats, state: NDArray[np.int64], cells: pd.DataFrame, name: str, formula: str, family: str
) -> tuple[Means | None, str]:
    """Compute means by the joint model; or return None, and why."""
    if family not in ("poisson", "negbin"):
        raise OptionError(f"family {family!r} is not known; expected 'poisson' or 'negbin'")
    model = parse_formula(formula, cells.columns)
    for number, state_name in enumerate(state_names(2)):
        of_state = counts[state == number]
        if not of_state.sum() > 0:
            return None, f"not fitted: no {'count' if of_state.size else 'cell'} in state {state_name}"
    design = model.design(cells, group=name)
    if counts.size < design.matrix.shape[1] + 4:
        return None, f"not fitted: {counts.size} cells for {design.matrix.shape[1] + 3} terms"
    if problem := design.problem():
        raise DesignError(f"the covariates of group {name!r} cannot be used: {problem}")
    fit = fit_states(counts, state, rescale(design.matrix), offset=design.offset, family=family)
    if np.isnan(fit.coef).any():
        return None, "not fitted: covariates explain a state"
    if not fit.converged:
        return None, "not fitted: the fit did not converge"
    return means_of(fit, depth), ""


def means_of(fit: StatesFit, depth: Floats) -> Means:
    """Compute the means of a fit with their intervals, by the delta method."""
    regression = fit.parts[0]
    targets = list(regression.targets)
    coef = np.nan_to_num(regression.fit.coef)
    covariate_coef = coef.copy()
    covariate_coef[targets] = 0.0
    # Of each cell in state 00, whatever its own.
    base = np.exp(regression.offset + np.einsum("ij,j->i", regression.design, covariate_coef)) * (DEPTH / depth)
    gradient = np.einsum("i,ij->j", base, regression.design) / base.sum()

    def log_mean(states: list[float]) -> Floats:
        direction = gradient.copy()
        direction[targets] = states
        middle = float(np.log(base.mean()) + np.sum(coef[targets] * states))
        half = WIDTH * _error(fit, direction)
        return np.array([middle, middle - half, middle + half])

    contrast = np.zeros(coef.size)
    contrast[targets] = [-1.0, -1.0, 1.0]
    middle, half = float(np.sum(contrast * coef)), WIDTH * _error(fit, contrast)
    unit = np.vstack([np.zeros(3), np.eye(3)]).tolist()
    return Means(
        np.exp(np.vstack([log_mean(states) for states in unit])),
        np.exp(log_mean([1.0, 1.0, 0.0])),
        np.array([middle, middle - half, middle + half]),
    )


def _error(fit: StatesFit, direction: Floats) -> float:
    """Compute the sandwich error of a sum of coefficients of the one regression."""
    regression = fit.parts[0]
    return sandwich_se(
        regression.counts,
        regression.fit.fitted,
        regression.design,
        regression.fit.covariance,
        target=direction,
        theta=regression.theta,
    )
