"""P-values of interactions, and of any column, that keep their level in few cells: the efficient score's tail."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from scanlink.errors import InputError
from scanlink.stats._checks import checked_regression
from scanlink.stats._compile import compiled
from scanlink.stats._types import Floats
from scanlink.stats.poisson import fit_poisson

__all__ = ["interaction_p", "score_p"]

# Nearer to its mean than so many standard deviations, the score is taken as normal: the correction is 0 / 0 there.
_CENTRE = 1e-3
_MAX_STEPS = 200


def interaction_p(
    counts: ArrayLike, state: ArrayLike, design: ArrayLike, *, n_enhancers: int = 2, offset: ArrayLike | None = None
) -> float:
    """Test "the effects of the enhancers multiply", without resampling and without a seed.

    Parameters
    ----------
    counts, state, design, offset
        As in :func:`fit_states`.
    n_enhancers
        k: the interaction of all of them is tested, with everything below it in the model.

    Returns
    -------
    float
        Two-sided. NaN where the model without interaction does not converge, or explains the interaction's column.

    Raises
    ------
    InputError
        If shapes differ, or counts are negative or not finite.
    DesignError
        If there are fewer cells than terms, or values that are not finite.

    Warnings
    --------
    Counts are taken to vary as ``mu + phi mu^2`` with one phi for all cells, and cells as independent: cells of few
    donors are not. With about two counts expected where all enhancers are open, the lower tail cannot be small, and
    the test rejects half as often as it says.

    Notes
    -----
    :func:`score_p` of the product of all enhancers, with covariates and all other products as its design. Where Wald's
    test of Zhou et al. 2024 (Cell Genomics 4:100672) takes the estimate for normal, this takes the skewness of few
    counts as it is. ``benchmarks/epistasis.py`` prints the rejection rates of both.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> state = rng.choice(4, size=2000, p=[0.7, 0.13, 0.13, 0.04])
    >>> multiplies, synergy = np.array([1.0, 1.5, 1.5, 2.25]), np.array([1.0, 1.5, 1.5, 6.0])
    >>> p = [interaction_p(rng.poisson(0.5 * effect[state]), state, np.ones((2000, 1)))
    ...      for effect in (multiplies, synergy)]
    >>> p[0] > 0.05, p[1] < 1e-6
    (True, True)
    """
    y, c, o = checked_regression(counts, design, offset)
    level = np.asarray(state)
    if level.shape != y.shape:
        raise InputError(f"state has shape {level.shape}, expected {y.shape}")
    top = 2**n_enhancers - 1
    # Products of some enhancers, but not of all.
    products = [((level & subset) == subset).astype(np.float64) for subset in range(1, top)]
    return _score_p(y, (level == top).astype(np.float64), np.ascontiguousarray(np.column_stack([c, *products])), o)


def score_p(counts: ArrayLike, tested: ArrayLike, design: ArrayLike, *, offset: ArrayLike | None = None) -> float:
    """Test "one column has no effect, given the others", without resampling and without a seed.

    Parameters
    ----------
    counts, offset
        As in :func:`fit_poisson`.
    tested
        The column, any numbers: of two perturbations' interaction the product of both. Shape ``(n_cells,)``.
    design
        Intercept, covariates and, for an interaction, its main effects. Shape ``(n_cells, n_terms)``.

    Returns
    -------
    float
        Two-sided. NaN where the model without the column does not converge, or explains the column.

    Raises
    ------
    InputError
        If shapes differ, counts are negative or not finite, or the column is not finite.
    DesignError
        If there are fewer cells than terms, or values that are not finite.

    Warnings
    --------
    Counts are taken to vary as ``mu + phi mu^2`` with one phi for all cells, and cells as independent: cells of few
    donors are not. Of two targets without interaction, each in 160 of 4,000 cells, 16 with both, more often in one
    batch, with main effects of -1 and -0.7, it rejected 4.8 to 5.7 % at .05 and 0.8 % at .01 with a mean count of 1
    or 5, and 1.9 % and 0.3 % with one of 0.2 (``benchmarks/permutation.py``; standard errors 0.7 and 0.3).

    Notes
    -----
    With ``mu`` fitted by Poisson regression on the design ``Z``, ``x`` the column, and ``M = diag(mu)``::

        phi = max(0, sum((y_i - mu_i)^2 - y_i) / sum mu_i^2)
        g = x - Z (Z'MZ)^-1 Z'M x
        S = sum g_i (y_i - mu_i)
        K(t) = sum_i -log(1 - phi mu_i (exp(t g_i) - 1)) / phi - t g_i mu_i

    ``g`` makes S insensitive to errors of the fitted coefficients (the efficient score), and K is its cumulant
    generating function under negative binomial counts. With ``K'(t) = s``, ``w = sign(t) sqrt(2 (t s - K))`` and
    ``u = t sqrt(K''(t))``, ``P(S >= s) = 1 - Phi(w + log(u / w) / w)`` (Barndorff-Nielsen 1986, Biometrika 73:307;
    of score tests in genetics Dey et al. 2017, Am J Hum Genet 101:37).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.choice([0.0, 0.4, 0.8], size=(2, 3000), p=[0.85, 0.05, 0.1])
    >>> design = np.column_stack([np.ones(3000), a, b])
    >>> p = [score_p(rng.poisson(np.exp(-a - 0.7 * b + interaction * a * b)), a * b, design)
    ...      for interaction in (0.0, 2.0)]
    >>> p[0] > 0.05, p[1] < 1e-3
    (True, True)
    """
    y, z, o = checked_regression(counts, design, offset)
    x = np.ascontiguousarray(tested, dtype=np.float64)
    if x.shape != y.shape or not np.isfinite(x).all():
        raise InputError(f"the tested column has shape {x.shape}, expected {y.size} finite numbers, one for each cell")
    return _score_p(y, x, z, o)


def _score_p(y: Floats, x: Floats, z: Floats, o: Floats) -> float:
    """Compute :func:`score_p` of what was checked."""
    fit = fit_poisson(y, z, offset=o, path="newton")
    mu, estimable = fit.fitted, ~np.isnan(fit.coef)
    if not (fit.converged and np.isfinite(mu).all() and (mu > 0).all()):
        return float("nan")
    phi = max(0.0, float(np.sum((y - mu) ** 2 - y) / np.sum(mu * mu)))
    # As in Poisson regression. Weights that depend on phi would set shallow cells of the state against deep ones.
    z = z[:, estimable]
    # einsum sums in a fixed order, where a BLAS product depends on its number of threads.
    slope = np.einsum("jk,k->j", fit.covariance[np.ix_(estimable, estimable)], np.einsum("ij,i->j", z, mu * x))
    g = x - np.einsum("ij,j->i", z, slope)
    variance = float(np.sum(g * g * mu * (1.0 + phi * mu)))
    if not variance > 1e-10 * float(np.sum(x * x * mu)):
        return float("nan")
    score = float(np.sum(g * (y - mu)))
    deviate = _deviate(score, g, mu, phi)
    if math.isnan(deviate):
        return float("nan")
    # Next to the mean, skewness may take the deviate to the other side of 0.
    return min(1.0, 2.0 * float(ndtr(-deviate if score > 0 else deviate)))


@compiled
def _cumulants(t: float, g: Floats, mu: Floats, phi: float) -> tuple[float, float, float]:
    """Compute K and its first two derivatives; infinite beyond its domain."""
    value = first = second = 0.0
    for i in range(g.size):
        grown = math.exp(t * g[i])
        if phi > 0.0:
            denominator = 1.0 - phi * mu[i] * (grown - 1.0)
            if not denominator > 0.0:
                return np.inf, np.inf, np.inf
            value -= math.log(denominator) / phi
            tilted = mu[i] * grown / denominator
        else:
            tilted = mu[i] * grown
            value += tilted - mu[i]
        value -= t * g[i] * mu[i]
        first += g[i] * (tilted - mu[i])
        second += g[i] * g[i] * tilted * (1.0 + phi * tilted)
    return value, first, second


@compiled
def _deviate(score: float, g: Floats, mu: Floats, phi: float) -> float:
    """Compute the standard normal deviate of P(S >= score); NaN where no tilt reaches it."""
    value, first, second = _cumulants(0.0, g, mu, phi)
    spread = math.sqrt(second)
    if abs(score) < _CENTRE * spread:
        return score / spread
    t = 0.0
    for _ in range(_MAX_STEPS):
        if abs(score - first) < 1e-9 * spread:
            break
        step = (score - first) / second
        improved = False
        # K' rises, so that a step is too long where it takes K' further off than it was.
        for _ in range(60):
            trial = _cumulants(t + step, g, mu, phi)
            if trial[1] < np.inf and abs(trial[1] - score) < abs(first - score):
                improved = True
                break
            step *= 0.5
        if not improved:
            return np.nan
        t += step
        value, first, second = trial
    squared = 2.0 * (t * score - value)
    if not squared > 0.0:
        return score / spread
    w = math.copysign(math.sqrt(squared), t)
    return w + math.log(t * math.sqrt(second) / w) / w
