"""Compiled fits of two perturbations that multiply, or add up, and of theta beside them.

``mu = exp(offset + covariates) * g``, with ``g = exp(a x1 + b x2)`` or ``g = 1 + a x1 + b x2``, by Newton's method on
``log mu``, whose slope along ``a`` is ``x1``, or ``x1 / g``; where the likelihood curves up, with some of Fisher's
scoring. ``alpha = 1 / theta``.
"""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._negbin import log_likelihood
from scanlink.stats._newton import _ETA_MAX, CONVERGED, NOT_CONVERGED, factor, solve_factored
from scanlink.stats._types import Bools, Floats, Ints
from scanlink.stats._vector import dot, exponential, linear_predictor, weighted_products

# Sums stay above this, and a step takes none to less than this part of itself: to the bound the slope is not defined.
FLOOR = 1e-9
_PART = 0.05
# What a step promises to add to the log likelihood when it is the last.
_PROMISE, _ROUNDS = 1e-12, 50


@compiled
def _expect(
    counts: Floats, terms: Floats, offset: Floats, alpha: float, additive: bool, coef: Floats, g: Floats, work: Floats
) -> float:
    """Fill in expected counts (``work[1]``) and sums (``g``); return the log likelihood but for what theta adds."""
    eta, mu, scratch = work[0], work[1], work[2]
    p = coef.size - (2 if additive else 0)
    linear_predictor(terms[:p], offset, coef[:p], eta)
    if additive:
        a, b, x1, x2 = coef[p], coef[p + 1], terms[p], terms[p + 1]
        for i in range(g.size):
            g[i] = 1.0 + a * x1[i] + b * x2[i]
            if g[i] != 1.0:
                if not g[i] > 0.0:
                    return -np.inf
                eta[i] += math.log(g[i])
    if not eta.max() <= _ETA_MAX:
        return -np.inf
    exponential(eta, mu, scratch, scratch.view(np.int64))
    total = 0.0
    for i in range(eta.size):
        if alpha > 0.0:
            total += counts[i] * eta[i] - (counts[i] + 1.0 / alpha) * math.log1p(alpha * mu[i])
        else:
            total += counts[i] * eta[i] - mu[i]
    return total


@compiled
def _tightest(terms: Floats, g: Floats, touched: Ints, step: Floats) -> tuple[int, float]:
    """Find the cell whose sum a step takes furthest below its bound, and how far, as part of the way; -1: none."""
    p = step.size - 2
    worst, share = -1, 1.0 + 1e-9
    for i in touched:
        room = g[i] - max(_PART * g[i], FLOOR)
        fall = -(step[p] * terms[p, i] + step[p + 1] * terms[p + 1, i])
        if fall > share * room and fall > 1e-12:
            worst, share = i, fall / max(room, 1e-12)
    return worst, share


@compiled
def _bounded(terms: Floats, g: Floats, touched: Ints, factored: Floats, aliased: Bools, step: Floats) -> None:
    """Shorten a step to the best one that keeps all sums above their bounds (Lagrange).

    It goes along one bound, or into the corner of two. Where efficiencies make many bounds, whatever is left to bound
    is bounded by shortening the step.
    """
    size = step.size
    free, room = step.copy(), np.empty(2)
    bounds, inverse = np.empty((2, size)), np.empty((2, size))
    n_bounds = 0
    while n_bounds < 2:
        cell, _ = _tightest(terms, g, touched, step)
        if cell < 0:
            return
        bounds[n_bounds] = 0.0
        for k in range(size - 2, size):
            bounds[n_bounds, k] = 0.0 if aliased[k] else terms[k, cell]
        inverse[n_bounds] = bounds[n_bounds]
        solve_factored(factored, inverse[n_bounds], aliased)
        room[n_bounds] = -(g[cell] - max(_PART * g[cell], FLOOR)) - dot(bounds[n_bounds], free)
        n_bounds += 1
        m00 = dot(bounds[n_bounds - 1], inverse[n_bounds - 1])
        if n_bounds == 1:
            step[:] = free + room[0] / m00 * inverse[0]
            continue
        first, m01 = dot(bounds[0], inverse[0]), dot(bounds[0], inverse[1])
        determinant = first * m00 - m01 * m01
        multiplier_1, multiplier_2 = room[0] * m00 - room[1] * m01, room[1] * first - room[0] * m01
        if not (determinant > 1e-9 * first * m00) or multiplier_1 < 0.0:
            # The second bound implies the first.
            step[:] = free + room[1] / m00 * inverse[1]
        elif multiplier_2 > 0.0:
            step[:] = free + (multiplier_1 * inverse[0] + multiplier_2 * inverse[1]) / determinant
    cell, share = _tightest(terms, g, touched, step)
    if cell >= 0:
        step /= share


@compiled
def _curve(
    counts: Floats,
    alpha: float,
    additive: bool,
    observed: bool,
    touched: Ints,
    g: Floats,
    work: Floats,
    slopes: Floats,
    information: Floats,
) -> None:
    """Fill in the lower triangle of the observed or Fisher's information, and each cell's score (``work[3]``)."""
    mu, residual, weight = work[1], work[3], work[4]
    for i in range(mu.size):
        shrink = 1.0 / (1.0 + alpha * mu[i])
        residual[i] = (counts[i] - mu[i]) * shrink
        weight[i] = mu[i] * shrink * ((1.0 + alpha * counts[i]) * shrink if observed else 1.0)
    weighted_products(slopes, weight, work[2], information)
    if additive and observed:
        size = slopes.shape[0]
        for k in range(size - 2, size):
            for m in range(size - 2, k + 1):
                # log(1 + a x1 + b x2) has a curvature of its own.
                total = 0.0
                for i in touched:
                    y, spread = counts[i], 1.0 + alpha * mu[i]
                    curvature = (y + alpha * mu[i] * (2.0 * y - mu[i])) / (spread * spread)
                    total += curvature * slopes[k, i] * slopes[m, i]
                information[k, m] = total


@compiled
def fit_coefficients(
    counts: Floats,
    terms: Floats,
    offset: Floats,
    touched: Ints,
    alpha: float,
    additive: bool,
    coef: Floats,
    aliased: Bools,
    g: Floats,
    work: Floats,
    slopes: Floats,
) -> tuple[int, int]:
    """Fit the coefficients at a given theta, in place, as far as they go; return state and steps.

    ``terms`` has a row a term, those of the perturbations last; ``slopes`` begins as its copy. ``work[1]`` gets the
    expected counts.
    """
    size = coef.size
    gradient, step, trial = np.empty(size), np.empty(size), np.empty(size)
    observed, fisher, factored = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    dependent = np.zeros(size, dtype=np.bool_)
    best = _expect(counts, terms, offset, alpha, additive, coef, g, work)
    for iteration in range(1, _ROUNDS + 1):
        if additive:
            for k in range(size - 2, size):
                for i in touched:
                    slopes[k, i] = terms[k, i] / g[i]
        _curve(counts, alpha, additive, True, touched, g, work, slopes, observed)
        for k in range(size):
            gradient[k] = dot(work[3], slopes[k])
        factored[:] = observed
        factor(factored, aliased)
        if aliased.any():
            # Columns that others explain, or a likelihood that curves up, as it may far from its maximum and on a
            # bound: Fisher's information tells which, and as little of it as serves is mixed in.
            _curve(counts, alpha, additive, False, touched, g, work, slopes, fisher)
            factored[:] = fisher
            factor(factored, dependent)
            for share in (0.0, 1e-3, 1e-2, 1e-1, 1.0):
                factored[:] = (1.0 - share) * observed + share * fisher
                factor(factored, aliased)
                if (aliased == dependent).all():
                    break
        step[:] = gradient
        solve_factored(factored, step, aliased)
        if additive:
            _bounded(terms, g, touched, factored, aliased, step)
        promise = dot(step, gradient)
        if not np.isfinite(promise):
            return NOT_CONVERGED, iteration
        scale = 1.0
        for _ in range(40):
            for k in range(size):
                trial[k] = coef[k] + scale * step[k]
            likelihood = _expect(counts, terms, offset, alpha, additive, trial, g, work)
            # Rounding alone may lower the likelihood next to the optimum.
            if likelihood >= best + 1e-4 * scale * promise - 1e-12 * (1.0 + abs(best)):
                break
            scale *= 0.5
        else:
            likelihood = _expect(counts, terms, offset, alpha, additive, coef, g, work)
            return (CONVERGED if promise < 1e-8 else NOT_CONVERGED), iteration
        best = likelihood
        coef[:] = trial
        if promise < _PROMISE:
            return CONVERGED, iteration
    return NOT_CONVERGED, _ROUNDS


@compiled
def fit_alpha(counts: Floats, mu: Floats, times: Floats, alpha: float) -> float:
    """Maximise the likelihood of ``alpha = 1 / theta`` at given expected counts, from ``alpha``.

    Newton's method in log theta, within bounds that close in. 0 where the likelihood falls from Poisson on.
    """
    slope, squares = 0.0, 0.0
    for i in range(counts.size):
        slope += (counts[i] - mu[i]) * (counts[i] - mu[i]) - counts[i]
        squares += mu[i] * mu[i]
    if not slope > 0.0:
        return 0.0
    log_theta = -math.log(alpha if alpha > 0.0 else slope / squares)
    low, high = -30.0, 30.0
    log_theta = min(max(log_theta, low), high)
    for _ in range(100):
        theta = math.exp(log_theta)
        score, information, first, second = 0.0, 0.0, 0.0, 0.0
        for y in range(1, times.size):
            r = 1.0 / (theta + (y - 1))
            first += r
            second += r * r
            score += times[y] * first
            information += times[y] * second
        for i in range(counts.size):
            r = 1.0 / (mu[i] + theta)
            lag = (mu[i] - counts[i]) * r
            relative = mu[i] / theta
            score += lag - math.log1p(relative)
            information += r * (lag - relative)
        if score > 0.0:
            low = log_theta
        else:
            high = log_theta
        curvature = theta * theta * information - theta * score
        move = theta * score / curvature if curvature > 0.0 else math.copysign(1.0, score)
        proposed = log_theta + min(max(move, -2.0), 2.0)
        if not low < proposed < high:
            proposed = 0.5 * (low + high)
        change = abs(proposed - log_theta)
        log_theta = proposed
        if change < 1e-9:
            break
    return math.exp(-log_theta)


@compiled
def maximise(
    counts: Floats,
    terms: Floats,
    offset: Floats,
    times: Floats,
    overdispersed: bool,
    additive: bool,
    alpha: float,
    coef: Floats,
    aliased: Bools,
    mu: Floats,
) -> tuple[int, int, float, float, float]:
    """Fit coefficients and theta in turn until neither moves.

    Returns state, steps, alpha, log likelihood and the least sum. ``coef`` (its sums above their bounds) is where to
    start, and becomes the fit; ``mu`` gets the expected counts.
    """
    n, size = counts.size, coef.size
    touched = np.flatnonzero((terms[size - 2] != 0.0) | (terms[size - 1] != 0.0))
    g = np.ones(n)
    work = np.empty((5, n))
    slopes = terms.copy()
    ones = np.ones(n)
    likelihood = -np.inf
    steps = 0
    state = NOT_CONVERGED
    for _ in range(_ROUNDS):
        state, new_steps = fit_coefficients(
            counts, terms, offset, touched, alpha, additive, coef, aliased, g, work, slopes
        )
        steps += new_steps
        previous, previous_alpha = likelihood, alpha
        if overdispersed:
            alpha = fit_alpha(counts, work[1], times, alpha)
        likelihood = log_likelihood(counts, ones, work[1], alpha, times, 0.0)
        alpha_stays = abs(alpha - previous_alpha) <= 1e-8 * alpha + 1e-10
        if not overdispersed or (alpha_stays and abs(likelihood - previous) < 1e-9 * (1.0 + abs(likelihood))):
            break
    else:
        state = NOT_CONVERGED
    mu[:] = work[1]
    return state, steps, alpha, likelihood, g.min()
