"""Compiled inner loops of negative binomial regression: coefficients at a given theta, theta, and both in turn.

The family enters as ``alpha = 1 / theta``,
so that ``alpha = 0`` is Poisson. Counts enter the likelihood of theta through ``times[y]``, how many cells have ``y``:
``digamma(y + theta) - digamma(theta)`` is the sum of ``1 / (theta + j)`` over ``j < y``, with nothing to cancel.
A pseudocount ``added`` to all counts is a first step from ``theta`` to ``theta + added``, the same for all cells; then
``times[k]`` are the cells with ``k + added``.
"""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._gamma import log_rise, slope_rise
from scanlink.stats._newton import _MU_MIN, ALIASED, CONVERGED, NOT_CONVERGED, Data, factor, glm_path, solve_factored
from scanlink.stats._strata import Strata, drawn_strata, predict, products, scores
from scanlink.stats._types import Bools, Floats, Repeats

# THETA_LIMIT: some loop ended by its limit, where R warns. THETA_UNDEFINED: no count at all, or theta fell to 0.
THETA_FOUND, THETA_LIMIT, THETA_UNDEFINED = 0, 1, 2

# The rounds of every loop in glm.nb, the relative change that ends it, and the step that ends theta.ml.
_ROUNDS = 25
_EPSILON = 1e-8
_THETA_STEP = 2.220446049250313e-16**0.25


@compiled
def log_likelihood(counts: Floats, weights: Repeats, mu: Floats, alpha: float, times: Floats, added: float) -> float:
    """Compute the log likelihood, with all its constants."""
    total = rising = 0.0
    for y in range(1, times.size):
        # log gamma(theta + y) - log gamma(theta) - log gamma(y + 1) - y log(theta), which stays small for any theta.
        rising += math.log1p((y - 1 + added) * alpha) - math.log(y + added)
        total += times[y] * rising
    if added > 0.0:
        total += times.sum() * (log_rise(1.0 / alpha, added) - math.lgamma(1.0 + added))
    for i in range(counts.size):
        if weights[i] > 0:
            spread = math.log1p(mu[i] * alpha)
            value = -spread / alpha if alpha > 0 else -mu[i]
            if counts[i] > 0:
                value += counts[i] * (math.log(mu[i]) - spread)
            total += weights[i] * value
    return total


@compiled
def theta_newton(counts: Floats, weights: Repeats, mu: Floats, times: Floats, added: float) -> tuple[int, float, float]:
    """Maximise the likelihood of theta at given expected counts, by the steps of R's ``theta.ml``.

    Newton's method from the moment estimate, until a step is below ``eps ** 0.25``. In underdispersed data the
    likelihood rises without end; R stops after the 24th step, and the value is no estimate. Returns state, theta and
    its standard error.
    """
    n = spread = 0.0
    for i in range(counts.size):
        if weights[i] > 0:
            n += weights[i]
            relative = counts[i] / mu[i] - 1.0
            spread += weights[i] * relative * relative
    if times[0] == n and added == 0.0:
        return THETA_UNDEFINED, np.nan, np.nan
    theta = n / spread
    step = 1.0
    information = np.nan
    iteration = 1
    while iteration < _ROUNDS and abs(step) > _THETA_STEP:
        theta = abs(theta)
        inverse = 1.0 / theta
        score = information = first = second = 0.0
        for y in range(1, times.size):
            r = 1.0 / (theta + (y - 1 + added))
            first += r
            second += r * r
            score += times[y] * first
            information += times[y] * second
        if added > 0.0:
            first, second = slope_rise(theta, added)
            score += n * first
            information += n * second
        for i in range(counts.size):
            if weights[i] > 0:
                r = 1.0 / (mu[i] + theta)
                residual = (mu[i] - counts[i]) * r
                relative = mu[i] * inverse
                score += weights[i] * (residual - math.log1p(relative))
                information += weights[i] * r * (residual - relative)
        step = score / information
        theta += step
        if not np.isfinite(theta):
            return THETA_UNDEFINED, np.nan, np.nan
        iteration += 1
    if theta <= 0.0:
        return THETA_UNDEFINED, np.nan, np.nan
    return (THETA_LIMIT if iteration == _ROUNDS else THETA_FOUND), theta, np.sqrt(1.0 / information)


@compiled
def irls(
    data: Data,
    strata: Strata | None,
    weights: Repeats,
    alpha: float,
    eta: Floats,
    coef: Floats,
    target: int,
    factored: Floats,
    aliased: Bools,
) -> tuple[int, int, float]:
    """Follow the path of R's ``glm`` from the linear predictor ``eta``, in place, as ``_newton.glm_path`` does.

    Returns state, iterations and deviance; ``factored`` holds the factor of the last working weights.
    """
    counts, design, offset = data
    n, p = counts.size, coef.size
    right = np.empty(p)
    rows, response, working_weight = np.ascontiguousarray(design.T), np.zeros(n), np.zeros(n)
    previous = deviance(counts, weights, alpha, eta)
    for iteration in range(1, _ROUNDS + 1):
        for k in range(p):
            right[k] = 0.0
            for m in range(k + 1):
                factored[k, m] = 0.0
        for i in range(n):
            if weights[i] == 0:
                continue
            mu = max(np.exp(eta[i]), _MU_MIN)
            working = eta[i] - offset[i] + (counts[i] - mu) / mu
            weight = weights[i] * mu / (1.0 + alpha * mu)
            if strata is None:
                for k in range(p):
                    zw = weight * design[i, k]
                    right[k] += zw * working
                    for m in range(k + 1):
                        factored[k, m] += zw * design[i, m]
            else:
                response[i], working_weight[i] = weight * working, weight
        if strata is not None:
            scores(rows, strata, response, right)
            products(rows, strata, working_weight, eta, factored)
        factor(factored, aliased)
        if target >= 0 and aliased[target]:
            return ALIASED, iteration, previous
        solve_factored(factored, right, aliased)
        for k in range(p):
            coef[k] = right[k]
        predict(rows, strata, offset, coef, eta)
        current = deviance(counts, weights, alpha, eta)
        if not np.isfinite(current):
            return NOT_CONVERGED, iteration, current
        if abs(current - previous) / (abs(current) + 0.1) < _EPSILON:
            return CONVERGED, iteration, current
        previous = current
    return NOT_CONVERGED, _ROUNDS, previous


@compiled
def first_predictor(counts: Floats, eta: Floats) -> None:
    """Fill in where R starts a negative binomial fit: ``mu = y``, or 1/6 for no count."""
    for i in range(counts.size):
        eta[i] = np.log(counts[i] if counts[i] > 0 else 1.0 / 6.0)


@compiled
def count_times(counts: Floats, weights: Repeats, added: float) -> Floats:
    """Count how many cells, repeated by their weights, have each count, apart from what was added."""
    times = np.zeros(int((counts.max() if counts.size > 0 else 0.0) - added + 0.5) + 1)
    for i in range(counts.size):
        times[int(counts[i] - added + 0.5)] += weights[i]
    return times


@compiled
def expected(design: Floats, strata: Strata | None, offset: Floats, coef: Floats, eta: Floats, mu: Floats) -> None:
    """Fill in the linear predictor and the expected count of every cell, ``eta`` and ``mu``."""
    predict(design.T, strata, offset, coef, eta)
    for i in range(eta.size):
        mu[i] = max(np.exp(eta[i]), _MU_MIN)


@compiled
def deviance(counts: Floats, weights: Repeats, alpha: float, eta: Floats) -> float:
    """Compute twice the distance of the log likelihood from that of the saturated model at the same theta.

    As in R, counts below 1 are taken for 1 in one of its logarithms, which adds a constant.
    """
    total = 0.0
    for i in range(counts.size):
        if weights[i] == 0:
            continue
        y = counts[i]
        mu = max(np.exp(eta[i]), _MU_MIN)
        value = y * np.log(max(y, 1.0) / mu) if y > 0 else 0.0
        if alpha > 0:
            value -= (y + 1.0 / alpha) * math.log1p(alpha * (y - mu) / (1.0 + alpha * mu))
        else:
            value -= y - mu
        total += 2.0 * weights[i] * value
    return total


@compiled
def alternate(
    data: Data,
    strata: Strata | None,
    weights: Repeats,
    coef: Floats,
    target: int,
    mu: Floats,
    factored: Floats,
    aliased: Bools,
    added: float,
) -> tuple[int, int, int, float, float, float, float]:
    """Fit coefficients and theta in turn, by the rounds of R's ``glm.nb``, every cell ``weights`` times in the data.

    The first coefficients are those of Poisson. Each round fits the coefficients at the last theta, and takes theta
    anew at the expected counts of the round before. Returns state of the coefficients, state of theta (the worst of
    all rounds), rounds, theta, its standard error, log likelihood and deviance; ``coef`` and ``mu`` in place.
    """
    counts, design, offset = data
    eta = np.empty(counts.size)
    times = count_times(counts, weights, added)
    state, _, dev = glm_path(data, strata, weights, coef, target, factored, aliased)
    if state == ALIASED:
        return state, THETA_UNDEFINED, 0, np.nan, np.nan, np.nan, dev
    expected(design, strata, offset, coef, eta, mu)
    worst, theta, error = theta_newton(counts, weights, mu, times, added)
    if worst == THETA_UNDEFINED:
        return state, worst, 0, theta, error, np.nan, dev
    scale = np.sqrt(2.0 * max(1.0, times.sum() - np.count_nonzero(~aliased)))
    likelihood = log_likelihood(counts, weights, mu, 1.0 / theta, times, added)
    previous = likelihood + 2.0 * scale
    change = 1.0
    rounds = 0
    while rounds < _ROUNDS and abs(previous - likelihood) / scale + abs(change) > _EPSILON:
        rounds += 1
        for i in range(eta.size):
            eta[i] = np.log(mu[i])
        state, _, dev = irls(data, strata, weights, 1.0 / theta, eta, coef, target, factored, aliased)
        theta_state, following, error = theta_newton(counts, weights, mu, times, added)
        expected(design, strata, offset, coef, eta, mu)
        worst = max(worst, theta_state)
        change = theta - following
        theta = following
        previous = likelihood
        likelihood = log_likelihood(counts, weights, mu, 1.0 / theta, times, added)
        if state == ALIASED:
            return state, worst, rounds, theta, error, likelihood, dev
        if not np.isfinite(dev + likelihood):
            # Steps too long for these data, or theta at 0, where R stops with an error: the Poisson fit stands in.
            _, _, dev = glm_path(data, strata, weights, coef, target, factored, aliased)
            expected(design, strata, offset, coef, eta, mu)
            return NOT_CONVERGED, THETA_UNDEFINED, rounds, np.nan, np.nan, np.nan, dev
    if rounds == _ROUNDS:
        worst = max(worst, THETA_LIMIT)
    return state, worst, rounds, theta, error, likelihood, dev


@compiled
def refit_alternate(
    data: Data, strata: Strata | None, n_terms: int, weights: Repeats, target: int, added: float
) -> Floats:
    """Fit coefficient ``target`` to every row of ``weights``, theta estimated in each; NaN where it is undefined."""
    counts, design, offset = data
    p = n_terms
    result, coef, mu = np.empty(weights.shape[0]), np.empty(p), np.empty(counts.size)
    factored, aliased = np.empty((p, p)), np.zeros(p, dtype=np.bool_)
    for r in range(weights.shape[0]):
        # A third of the cells are not drawn: worth leaving out once for the many passes.
        drawn_cells = np.flatnonzero(weights[r])
        drawn = (counts[drawn_cells], design[drawn_cells], offset[drawn_cells])
        outcome = alternate(
            drawn,
            drawn_strata(strata, drawn_cells),
            weights[r][drawn_cells],
            coef,
            target,
            mu,
            factored,
            aliased,
            added,
        )
        result[r] = np.nan if outcome[0] == ALIASED else coef[target]
    return result
