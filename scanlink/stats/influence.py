"""How much a fit hangs on single cells: Cook's distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._types import Floats

__all__ = ["cooks_distance"]


def cooks_distance(
    counts: Floats,
    fitted: Floats,
    design: Floats,
    covariance: Floats,
    *,
    rows: NDArray[np.integer] | None = None,
    theta: float | None = None,
) -> Floats:
    """Compute Cook's distance of cells in a Poisson or negative binomial regression.

    Parameters
    ----------
    counts
        Raw UMI counts of one gene. Shape ``(n_cells,)``.
    fitted
        Expected counts. Shape ``(n_cells,)``.
    design
        Intercept and covariates. Shape ``(n_cells, n_terms)``.
    covariance
        Inverse Fisher information; NaN for terms left out. Shape ``(n_terms, n_terms)``.
    rows
        Positions of the cells that are wanted; all when left out. Shape ``(n_rows,)``.
    theta
        Inverse dispersion of a negative binomial; None for Poisson counts.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_rows,)``.

    Notes
    -----
    ``D_i = r_i^2 h_i / (p (1 - h_i)^2)`` with Pearson residuals ``r_i``, leverages ``h_i`` and p terms, as
    ``cooks.distance`` of R has it with dispersion 1 (Cook 1977, Technometrics 19:15).

    Examples
    --------
    Two cells and their mean: leverages 1/2, residuals 1/2.

    >>> cooks_distance(np.array([1.0, 3.0]), np.array([2.0, 2.0]), np.ones((2, 1)), np.array([[0.25]]))
    array([1., 1.])
    """
    estimable = ~np.isnan(np.diag(covariance))
    cells = np.arange(fitted.size) if rows is None else rows
    z, mu = design[cells][:, estimable], fitted[cells]
    shrink = 1.0 if theta is None else 1.0 / (1.0 + mu / theta)
    leverage = mu * shrink * np.einsum("ij,jk,ik->i", z, covariance[np.ix_(estimable, estimable)], z)
    residual = (counts[cells] - mu) ** 2 / mu * shrink
    with np.errstate(divide="ignore", invalid="ignore"):
        distance: Floats = residual * leverage / (np.count_nonzero(estimable) * (1.0 - leverage) ** 2)
    return distance
