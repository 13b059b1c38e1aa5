"""Poisson regression of one gene's counts, with model-based standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import OptionError
from scanlink.stats._checks import checked_regression, checked_replicates, checked_start, checked_weights
from scanlink.stats._newton import CONVERGED, glm_path, inverse_information, newton, refit_like_r
from scanlink.stats._refit import refit, two_levels
from scanlink.stats._strata import split_strata
from scanlink.stats._types import Floats

__all__ = ["PoissonFit", "fit_poisson", "refit_poisson"]

Path = Literal["glm", "newton"]


@dataclass(frozen=True)
class PoissonFit:
    """A fitted Poisson regression.

    Attributes
    ----------
    coef
        Coefficients, natural logarithm. Shape ``(n_terms,)``; NaN for a term that the others explain.
    covariance
        Inverse Fisher information at ``coef``. Shape ``(n_terms, n_terms)``.
    fitted
        Expected counts. Shape ``(n_cells,)``.
    deviance
        Twice the distance of the log likelihood from that of the saturated model.
    n_iter
        Iterations.
    converged
        Whether the stopping rule was met.
    """

    coef: Floats
    covariance: Floats
    fitted: Floats
    deviance: float
    n_iter: int
    converged: bool

    @property
    def se(self) -> Floats:
        """Return model-based standard errors. Shape ``(n_terms,)``."""
        return np.sqrt(np.diag(self.covariance))


def fit_poisson(
    counts: ArrayLike,
    design: ArrayLike,
    *,
    offset: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    path: Path = "glm",
) -> PoissonFit:
    """Fit a Poisson regression with a log link by maximum likelihood.

    Parameters
    ----------
    counts
        Raw UMI counts of one gene. Shape ``(n_cells,)``.
    design
        Intercept, peak and covariates. Shape ``(n_cells, n_terms)``.
    offset
        Known part of the log expected count. Shape ``(n_cells,)``; none when left out.
    weights
        How many times each cell counts, as in a bootstrap resample. Shape ``(n_cells,)``; 1 when left out.
    path
        ``"glm"`` stops where R's ``glm`` does and takes the standard errors from the same working weights, so that
        both agree with R to rounding. ``"newton"`` goes on to the maximum.

    Returns
    -------
    PoissonFit
        The fit. A column that the columns before it explain is left out, as in R: NaN.

    Raises
    ------
    InputError
        If shapes differ, or counts are negative or not finite.
    DesignError
        If the design has more columns than rows, or values that are not finite.

    Notes
    -----
    Section 1 of the association notes: ``log mu_i = o_i + C_i gamma + x_i beta``. The R path starts at
    ``mu = y + 0.1`` and ends when ``|dev - dev_old| / (|dev| + 0.1) < 1e-8``; from there to the maximum, estimates of
    ordinary pairs move by less than 1e-7 standard errors, and standard errors by up to 1e-5, relative.

    Examples
    --------
    >>> import numpy as np
    >>> open_ = np.array([0, 0, 0, 1, 1, 1])
    >>> fit = fit_poisson([1, 2, 3, 4, 4, 4], np.column_stack([np.ones(6), open_]))
    >>> fit.coef.round(6)  # log 2 and log(4 / 2)
    array([0.693147, 0.693147])
    """
    y, z, o = checked_regression(counts, design, offset)
    n, p = z.shape
    w = checked_weights(weights, n)
    if path not in ("glm", "newton"):
        raise OptionError(f"path {path!r} is not known; expected 'glm' or 'newton'")
    coef, factored, aliased = np.zeros(p), np.empty((p, p)), np.zeros(p, dtype=np.bool_)
    rest, strata = split_strata(z)
    state, n_iter, _ = glm_path((y, rest, o), strata, w, coef, -1, factored, aliased)
    if path == "newton":
        state, steps, _ = newton((y, rest, o), strata, w, coef, -1, 1e-18, 50, factored, aliased)
        n_iter += steps
    # einsum sums in a fixed order, where a BLAS product depends on its number of threads.
    fitted = np.exp(np.einsum("ij,j->i", z, coef) + o)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviance = 2.0 * float(np.sum(w * (np.where(y > 0, y * np.log(y / fitted), 0.0) - (y - fitted))))
    covariance = inverse_information(factored, aliased, np.matmul)
    coef[aliased] = np.nan
    return PoissonFit(coef, covariance, fitted, deviance, int(n_iter), state == CONVERGED)


def refit_poisson(
    counts: ArrayLike,
    design: ArrayLike,
    weights: NDArray[np.uint16],
    *,
    target: int,
    offset: ArrayLike | None = None,
    start: ArrayLike | None = None,
    path: Path = "newton",
) -> Floats:
    """Fit one term's coefficient to each of many rows of weights: weights in, coefficients out.

    Parameters
    ----------
    counts, design, offset
        As in :func:`fit_poisson`.
    weights
        How often each replicate drew each cell. Shape ``(n_replicates, n_cells)``.
    target
        Column of ``design`` whose coefficient is wanted.
    start
        Coefficients of the unweighted fit, from which every replicate starts. Shape ``(n_terms,)``.
    path
        ``"newton"`` takes every replicate to its maximum, to about 1e-14 standard errors; ``"glm"`` follows R's
        ``glm``, several times slower.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_replicates,)``. NaN where the replicate leaves the term undefined (peak open, or closed, in every
        cell that was drawn), as in R.

    Raises
    ------
    InputError, DesignError
        As :func:`fit_poisson`.
    OptionError
        If ``target`` is no column.

    Notes
    -----
    A replicate without a maximum (the gene is 0 in all of its open cells, say) always follows R's path, so that it
    gets the large value which R would give it.

    Examples
    --------
    >>> import numpy as np
    >>> design = np.column_stack([np.ones(4), [0, 0, 1, 1]])
    >>> refit_poisson([1, 1, 2, 4], design, np.array([[1, 1, 2, 0], [2, 0, 0, 2]], dtype=np.uint16), target=1).round(4)
    array([0.6931, 1.3863])
    """
    y, z, o = checked_regression(counts, design, offset)
    w = checked_replicates(weights, target, z)
    first_coef = fit_poisson(y, z, offset=o).coef if start is None else checked_start(start, z.shape[1])
    if path == "glm":
        return refit_like_r((y, z, o), w, target)
    return refit((y, z, o), w, 0.0, np.nan_to_num(first_coef), np.array([target]), *two_levels(z[:, target]))[:, 0]
