"""Negative binomial regression of one gene's counts, in agreement with ``glm.nb`` of R's MASS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import InputError, OptionError
from scanlink.stats._checks import checked_regression, checked_replicates, checked_start, checked_theta, checked_weights
from scanlink.stats._negbin import (
    THETA_FOUND,
    alternate,
    count_times,
    first_predictor,
    irls,
    log_likelihood,
    refit_alternate,
)
from scanlink.stats._newton import CONVERGED, inverse_information
from scanlink.stats._refit import refit, two_levels
from scanlink.stats._strata import split_strata
from scanlink.stats._types import Floats

__all__ = ["NegbinFit", "fit_negbin", "refit_negbin"]

# Theta is fitted by way of a table of this many counts at most.
_MOST = 1_000_000


@dataclass(frozen=True)
class NegbinFit:
    """A fitted negative binomial regression: variance ``mu + mu^2 / theta``.

    Attributes
    ----------
    coef, fitted
        As of :class:`PoissonFit`.
    covariance
        Inverse Fisher information of the coefficients, theta taken as known, as in R's ``summary``. Shape
        ``(n_terms, n_terms)``.
    theta
        Inverse dispersion. NaN where there is none, and the rest is the Poisson fit: no cell has a count, or the steps
        of R break down, on outliers mostly, where R stops with an error; then ``converged`` is False.
    se_theta
        Standard error of ``theta``, NaN where ``theta`` was given or the likelihood does not curve down.
    deviance
        Twice the distance of the log likelihood from that of the saturated model. As in R, at the theta for which
        ``coef`` was last fitted.
    loglik
        Log likelihood at ``fitted`` and ``theta``, with all constants.
    n_iter
        Rounds between coefficients and theta; iterations of the one fit where ``theta`` was given.
    converged
        Whether the last fit of the coefficients met its stopping rule.
    theta_converged
        Whether theta was found, or given. False where R warns: ``theta`` is then no estimate but a point on the way
        to infinity (the data are not overdispersed), and the coefficients are those of a Poisson fit in all but name.
    """

    coef: Floats
    covariance: Floats
    fitted: Floats
    theta: float
    se_theta: float
    deviance: float
    loglik: float
    n_iter: int
    converged: bool
    theta_converged: bool

    @property
    def se(self) -> Floats:
        """Return model-based standard errors. Shape ``(n_terms,)``."""
        return np.sqrt(np.diag(self.covariance))


def fit_negbin(
    counts: ArrayLike,
    design: ArrayLike,
    *,
    offset: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    theta: float | None = None,
    pseudocount: float = 0.0,
) -> NegbinFit:
    """Fit a negative binomial regression with a log link by maximum likelihood.

    Parameters
    ----------
    counts, design, offset, weights
        As in :func:`fit_poisson`.
    theta
        Inverse dispersion, if known; ``inf`` is Poisson. Estimated by maximum likelihood when left out.
    pseudocount
        Added to the count of every cell, as GLiMMIRS adds 0.01. For comparisons with such fits only: it draws effects
        towards 0 and hides overdispersion, most in rare genes.

    Returns
    -------
    NegbinFit
        The fit. A column that the columns before it explain is left out, as in R: NaN.

    Raises
    ------
    InputError
        If shapes differ, or counts are negative, not whole numbers or above a million.
    DesignError
        If the design has more columns than rows, or values that are not finite.
    OptionError
        If ``theta`` is not above 0, or ``pseudocount`` is below 0.

    Warnings
    --------
    Where counts vary no more than Poisson counts, theta has no maximum-likelihood estimate: see ``theta_converged``.

    Notes
    -----
    Section 1 of the association notes, negative binomial variant: ``Var y_i = mu_i + mu_i^2 / theta``. Coefficients
    and theta are fitted in turn with the starts, the steps and the stopping rules of ``MASS::glm.nb`` (Venables and
    Ripley 2002, Modern Applied Statistics with S, section 7.4), and standard errors come from the working weights of
    the last step, so that all agree with R. Weights stand for repeated rows throughout; R's own ``weights`` differ
    in the degrees of freedom of one stopping rule. With a given theta it is R's ``glm`` with that family, and
    dispersion 1.

    With a pseudocount ``c`` the likelihood is that of R for counts that are not whole, with gamma functions in place
    of factorials, and ``deviance`` is R's, in which counts below 1 add a constant.

    Examples
    --------
    >>> import numpy as np
    >>> open_ = np.repeat([0, 1], 5)
    >>> fit = fit_negbin([0, 0, 1, 1, 8, 0, 2, 2, 6, 20], np.column_stack([np.ones(10), open_]))
    >>> fit.coef.round(4), round(fit.theta, 3)  # log 2 and log(6 / 2), as with Poisson
    (array([0.6931, 1.0986]), 0.615)
    >>> fit.se.round(3)
    array([0.652, 0.885])
    """
    y, z, o, added = checked_whole(counts, design, offset, pseudocount)
    n, p = z.shape
    w = checked_weights(weights, n)
    coef, fitted = np.zeros(p), np.zeros(n)
    factored, aliased = np.empty((p, p)), np.zeros(p, dtype=np.bool_)
    rest, strata = split_strata(z)
    if theta is None:
        state, theta_state, n_iter, theta_fitted, se_theta, loglik, deviance = alternate(
            (y, rest, o), strata, w, coef, -1, fitted, factored, aliased, added
        )
    else:
        theta_fitted, se_theta, theta_state = checked_theta(theta), np.nan, THETA_FOUND
        first_predictor(y, fitted)
        state, n_iter, deviance = irls((y, rest, o), strata, w, 1.0 / theta_fitted, fitted, coef, -1, factored, aliased)
        fitted = np.exp(fitted)
        loglik = log_likelihood(y, w, fitted, 1.0 / theta_fitted, count_times(y, w, added), added)
    covariance = inverse_information(factored, aliased, lambda a, b: np.einsum("ij,jk->ik", a, b))
    coef[aliased] = np.nan
    return NegbinFit(
        coef,
        covariance,
        fitted,
        float(theta_fitted),
        float(se_theta),
        float(deviance),
        float(loglik),
        int(n_iter),
        state == CONVERGED,
        theta_state == THETA_FOUND,
    )


def refit_negbin(
    counts: ArrayLike,
    design: ArrayLike,
    weights: NDArray[np.uint16],
    *,
    target: int,
    offset: ArrayLike | None = None,
    start: ArrayLike | None = None,
    theta: float | None = None,
    reestimate: bool = False,
    pseudocount: float = 0.0,
) -> Floats:
    """Fit one term's coefficient to each of many rows of weights: weights in, coefficients out.

    Parameters
    ----------
    counts, design, weights, target, offset, start
        As in :func:`refit_poisson`.
    theta
        Inverse dispersion, the same for all replicates; that of the unweighted fit when left out.
    reestimate
        Estimate theta in every replicate, by the path of ``glm.nb``, as R's ``boot`` does: ``start`` and ``theta``
        are not used then. Some 25 times slower.
    pseudocount
        Added to the count of every cell, as in :func:`fit_negbin`.

    Returns
    -------
    numpy.ndarray
        As of :func:`refit_poisson`.

    Raises
    ------
    InputError
        If shapes differ, or counts are negative, not whole numbers or above a million; if ``theta`` is left out and
        the unweighted fit has none.
    OptionError
        If ``theta`` is not above 0, ``pseudocount`` is below 0, or ``target`` is no column.

    Notes
    -----
    With a held theta every replicate goes to its maximum, to about 1e-10 standard errors. A replicate without a
    maximum (the gene is 0 in all of its open cells, say) follows the path of R's ``glm`` with the same theta, and
    gets the large value at which that stops. Where a replicate has no theta (no count was drawn, say; there R stops
    with an error), its coefficient is that of the Poisson fit.

    Examples
    --------
    >>> import numpy as np
    >>> design = np.column_stack([np.ones(4), [0, 0, 1, 1]])
    >>> weights = np.array([[1, 1, 2, 0], [2, 0, 0, 2]], dtype=np.uint16)
    >>> refit_negbin([1, 1, 2, 4], design, weights, target=1, theta=1.5).round(4)
    array([0.6931, 1.3863])
    """
    y, z, o, added = checked_whole(counts, design, offset, pseudocount)
    w = checked_replicates(weights, target, z)
    if reestimate:
        rest, strata = split_strata(z)
        return refit_alternate((y, rest, o), strata, z.shape[1], w, target, added)
    if theta is None:
        unweighted = fit_negbin(counts, z, offset=o, pseudocount=added)
        theta, start = unweighted.theta, unweighted.coef if start is None else start
        if np.isnan(theta):
            raise InputError("the counts have no theta (all are 0, or nearly): give one, or use refit_poisson")
    held = checked_theta(theta)
    if start is None:
        start = fit_negbin(counts, z, offset=o, theta=held, pseudocount=added).coef
    first_coef = np.nan_to_num(checked_start(start, z.shape[1]))
    return refit((y, z, o), w, 1.0 / held, first_coef, np.array([target]), *two_levels(z[:, target]))[:, 0]


def checked_whole(
    counts: ArrayLike, design: ArrayLike, offset: ArrayLike | None, pseudocount: float
) -> tuple[Floats, Floats, Floats, float]:
    """Return counts with the pseudocount, design, offset and pseudocount, once they are found to be sound."""
    y, z, o = checked_regression(counts, design, offset)
    if (y != np.floor(y)).any():
        bad = y[y != np.floor(y)][0]
        raise InputError(f"counts must be whole numbers for a negative binomial fit, found {bad:g}: use raw UMI counts")
    if y.max() > _MOST:
        raise InputError(f"the largest count is {y.max():.0f}, more than a negative binomial fit takes ({_MOST:,})")
    if not 0.0 <= pseudocount < np.inf:
        raise OptionError(f"pseudocount is {pseudocount!r}, expected a number of at least 0, such as 0.01")
    return (y + pseudocount if pseudocount else y), z, o, float(pseudocount)
