"""Compiled inner loops of the calibrated test: null fits of the gene and of the peak, and the saddlepoint of a pair.

Numbers of equations are those of :func:`calibrated_p`.
"""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled, inlined
from scanlink.stats._newton import CONVERGED, factor, newton, solve_factored
from scanlink.stats._types import Bools, Floats
from scanlink.stats._vector import linear_predictor

# Stop when a Newton step would change the log likelihood by less than half of this: of a pair, and of a peak.
_TOLERANCE, _TOLERANCE_PEAK = 1e-9, 1e-14
_MAX_STEPS = 60
# Below this distance from its mean the tail of S is that at this distance: r* is 0 / 0 at the mean itself.
_NEAR = 2e-3


@compiled
def gene_residuals(
    counts: Floats, covariates: Floats, offset: Floats, residual: Floats, signal: Floats
) -> tuple[bool, float]:
    """Fill in residuals (1) of the null Poisson fit and weighted counts; return whether it converged, and phi."""
    n, q = covariates.shape
    coef, factored, aliased = np.zeros(q), np.empty((q, q)), np.zeros(q, dtype=np.bool_)
    state, _, _ = newton((counts, covariates, offset), np.ones(n), coef, -1, 1e-12, 60, factored, aliased)
    excess = square = 0.0
    linear_predictor(covariates.T, offset, coef, signal)
    for i in range(n):
        mu = math.exp(signal[i])
        residual[i] = counts[i] - mu
        signal[i] = mu
        excess += residual[i] * residual[i] - counts[i]
        square += mu * mu
    dispersion = max(0.0, excess / square)
    for i in range(n):
        weight = 1.0 / (1.0 + dispersion * signal[i])
        residual[i] *= weight
        signal[i] = counts[i] * weight
    return state == CONVERGED, dispersion


@inlined
def _moments(u: float, base: Floats) -> tuple[float, float, float]:
    """Sum ``h_k u^k``, ``k h_k u^k`` and ``k^2 h_k u^k`` over the levels."""
    a = b = c = 0.0
    for j in range(base.size):
        k = base.size - 1 - j
        a = a * u + base[k]
        b = b * u + k * base[k]
        c = c * u + k * k * base[k]
    return a, b, c


@inlined
def _add(row: Floats, error: float, weight: float, gradient: Floats, hessian: Floats) -> None:
    """Add one cell's part to a score and to the lower triangle of its information."""
    for k in range(row.size):
        gradient[k] += error * row[k]
        weighted = weight * row[k]
        for m in range(k + 1):
            hessian[k, m] += weighted * row[m]


@compiled
def propensity(level: Floats, covariates: Floats, base: Floats, odds: Floats, mean: Floats, variance: Floats) -> bool:
    """Maximise the likelihood of (2): Newton steps for ``a`` and, beyond two levels, proportional scaling of ``h``.

    ``base`` starts at the share of each level. Returns whether it converged; a peak that is never open at one value of
    a covariate counts as converged once its odds there are negligible.
    """
    n, q = covariates.shape
    top = base.size
    share = base.copy()
    expected = np.empty(top)
    coef, trial, step = np.zeros(q), np.zeros(q), np.zeros(q)
    gradient, hessian = np.empty(q), np.empty((q, q))
    aliased = np.zeros(q, dtype=np.bool_)
    best = -np.inf
    for _ in range(20 * _MAX_STEPS):
        likelihood = 0.0
        gradient[:] = 0.0
        hessian[:] = 0.0
        expected[:] = 0.0
        for i in range(n):
            theta = 0.0
            for k in range(q):
                theta += trial[k] * covariates[i, k]
            u = math.exp(theta)
            a, b, c = _moments(u, base)
            odds[i] = u
            mean[i] = b / a
            variance[i] = c / a - mean[i] * mean[i]
            likelihood += level[i] * theta - math.log(a)
            if top > 2:
                power = 1.0 / (a * n)
                for k in range(top):
                    expected[k] += base[k] * power
                    power *= u
            _add(covariates[i], level[i] - mean[i], variance[i], gradient, hessian)
        if not likelihood >= best - 1e-9 * (1.0 + abs(best)):
            step *= 0.5
            trial[:] = coef + step
            continue
        best = likelihood
        factor(hessian, aliased)
        decrement = 0.0
        coef[:] = trial
        step[:] = gradient
        solve_factored(hessian, step, aliased)
        for k in range(q):
            decrement += step[k] * gradient[k]
        distance = 0.0
        for k in range(top if top > 2 else 0):
            if share[k] > 0:
                distance = max(distance, abs(share[k] / expected[k] - 1.0))
        if decrement < _TOLERANCE_PEAK and distance < 1e-5:
            return True
        if decrement >= _TOLERANCE_PEAK:
            trial[:] = coef + step
        else:
            for k in range(top):
                if share[k] > 0:
                    base[k] *= share[k] / expected[k]
            best = -np.inf
    return False


@compiled
def orthonormal(covariates: Floats, variance: Floats, basis: Floats) -> Bools:
    """Fill in a basis with ``sum_i v_i q_i q_i' = 1``; return which columns earlier ones explain: they are left 0."""
    n, q = covariates.shape
    hessian, unused = np.zeros((q, q)), np.zeros(q)
    aliased = np.zeros(q, dtype=np.bool_)
    for i in range(n):
        _add(covariates[i], 0.0, variance[i], unused, hessian)
    factor(hessian, aliased)
    for i in range(n):
        for k in range(q):
            value = covariates[i, k]
            for m in range(k):
                value -= hessian[k, m] * basis[i, m]
            basis[i, k] = 0.0 if aliased[k] else value / hessian[k, k]
    return aliased


@compiled
def tail(target: float, skew: float, enough: float, tilt: Floats, null: Floats, basis: Floats, base: Floats) -> float:
    """Compute P(S beyond target | sum x C), by (4).

    ``tilt`` is the projected residual, scaled so that S has variance 1. ``skew`` is the third cumulant of S, which only
    serves to start near the solution. Once the tail is known to be below ``enough`` it is returned as 0.
    """
    n, q = basis.shape
    odds, normal, mean = null[0], null[1], null[2]
    size = q + 1
    lam, trial, step = np.zeros(size), np.zeros(size), np.zeros(size)
    gradient, hessian = np.empty(size), np.empty((size, size))
    aliased = np.zeros(size, dtype=np.bool_)
    row = np.empty(size)
    # Where K'(t) = t + skew t^2 / 2 meets the target.
    trial[q] = 2.0 * target / (1.0 + math.sqrt(max(1.0 + 2.0 * skew * target, 0.0)))
    # No tilt at all has likelihood 0: a start that is worse is given up for it.
    best = 0.0
    for _ in range(_MAX_STEPS):
        gradient[:] = 0.0
        gradient[q] = target
        hessian[:] = 0.0
        cumulant = 0.0
        product = 1.0
        for i in range(n):
            delta = trial[q] * tilt[i]
            row[q] = tilt[i]
            for k in range(q):
                row[k] = basis[i, k]
                delta += trial[k] * row[k]
            a, b, c = _moments(odds[i] * math.exp(delta), base)
            inverse = 1.0 / a
            tilted = b * inverse
            # One logarithm for many cells; the mean enters so that S is centred.
            ratio = a * normal[i]
            if 1e-100 < ratio < 1e100:
                product *= ratio
                if not 1e-100 < product < 1e100:
                    cumulant += math.log(product)
                    product = 1.0
            else:
                cumulant += math.log(ratio)
            cumulant -= delta * mean[i]
            _add(row, mean[i] - tilted, c * inverse - tilted * tilted, gradient, hessian)
        likelihood = float(trial[q]) * target - cumulant - math.log(product)
        if not likelihood >= best - 1e-10 * (1.0 + abs(best)):
            step *= 0.5
            trial[:] = lam + step
            continue
        best = likelihood
        # Chernoff: no tilt makes the bound wrong, only wide.
        if math.exp(-best) < enough:
            return 0.0
        factor(hessian, aliased)
        decrement = 0.0
        lam[:] = trial
        step[:] = gradient
        solve_factored(hessian, step, aliased)
        for k in range(size):
            decrement += step[k] * gradient[k]
        if decrement < _TOLERANCE:
            root = 1.0
            for k in range(size):
                if not aliased[k]:
                    root *= hessian[k, k]
            t = lam[q] + step[q]
            r = math.sqrt(max(2.0 * best + decrement, 0.0))
            ratio = abs(t) * root / r
            if ratio > 0.0:
                r += math.log(ratio) / r
            return 0.5 * math.erfc(r / math.sqrt(2.0))
        trial[:] = lam + step
    # No tilt reaches the target, which is at the edge of what S can be: the Chernoff bound holds there too.
    return math.exp(-max(best, 0.0))


@compiled
def pair(
    residual: Floats, signal: Floats, unit: float, level: Floats, null: Floats, basis: Floats, base: Floats
) -> tuple[float, float]:
    """Compute the score statistic z and the two-sided p-value (5) of one pair.

    ``unit`` is the mean weight of a count; the rows of ``null`` are those of :class:`PeakNull`.
    """
    n, q = basis.shape
    mean, variance = null[2], null[3]
    along = np.zeros(q)
    for i in range(n):
        weighted = variance[i] * residual[i]
        for k in range(q):
            along[k] += weighted * basis[i, k]
    tilt = np.empty(n)
    statistic = square = size = 0.0
    signal_open = signal_total = 0.0
    for i in range(n):
        value = residual[i]
        for k in range(q):
            value -= along[k] * basis[i, k]
        tilt[i] = value
        statistic += value * (level[i] - mean[i])
        square += variance[i] * value * value
        size += variance[i] * residual[i] * residual[i]
        signal_open += level[i] * signal[i]
        signal_total += signal[i]
    if not square > 1e-12 * size:
        return np.nan, np.nan
    sd = math.sqrt(square)
    skew = 0.0
    for i in range(n):
        tilt[i] /= sd
        # Third central moment of a two-level x; near enough for more levels.
        skew += variance[i] * (1.0 - 2.0 * min(mean[i], 0.5)) * tilt[i] * tilt[i] * tilt[i]
    z = statistic / sd
    one_sided = tail(z if abs(z) > _NEAR else math.copysign(_NEAR, z), skew, 0.0, tilt, null, basis, base)
    if one_sided > 0.5:
        return z, 2.0 * (1.0 - one_sided)
    # The least that S can be on the other side while the pair is not separated: one count in open, or closed, cells.
    if z > 0.0:
        edge = z - (signal_open - unit) / sd
    elif base.size == 2:
        edge = z + (signal_total - signal_open - unit) / sd
    else:
        return z, 2.0 * one_sided
    if edge * z < 0.0 and (
        abs(edge) > 2.0 * abs(z) + 1.0 or tail(edge, skew, one_sided, tilt, null, basis, base) <= one_sided
    ):
        return z, 2.0 * one_sided
    # Half a count further is where untested pairs begin.
    border = edge - math.copysign(0.5 * unit / sd, z)
    tail_beyond = tail(border, skew, 0.0, tilt, null, basis, base)
    return z, min(1.0, one_sided / (1.0 - tail_beyond if border * z < 0.0 else tail_beyond))
