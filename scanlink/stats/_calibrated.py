"""Compiled inner loops of the calibrated test: the saddlepoint of a pair. Equations are those of `calibrated_p`."""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._calibrated_null import add_cells, level_moments
from scanlink.stats._compile import compiled
from scanlink.stats._newton import factor, solve_factored
from scanlink.stats._strata import Strata, predict, scores
from scanlink.stats._types import Floats
from scanlink.stats._vector import linear_predictor

# Stop when a Newton step would change the log likelihood by less than half of this.
_TOLERANCE = 1e-9
_MAX_STEPS = 60
# Below this distance from its mean the tail of S is that at this distance: r* is 0 / 0 at the mean itself.
_NEAR = 2e-3


@compiled
def tail(
    target: float,
    skew: float,
    enough: float,
    tilt: Floats,
    null: Floats,
    basis: Floats,
    strata: Strata | None,
    base: Floats,
) -> float:
    """Compute P(S beyond target | sum x C), by (4).

    ``tilt`` is the projected residual, scaled so that S has variance 1. ``skew`` is the third cumulant of S, which only
    serves to start near the solution. Once the tail is known to be below ``enough`` it is returned as 0. With strata
    the terms are those of their values, the columns of ``basis``, and ``tilt``.
    """
    n, d = basis.shape
    q = d if strata is None else d + strata.values.shape[1]
    rows, predictor, error, weight = np.empty((d + 1, n)), np.empty(n), np.empty(n), np.empty(n)
    rows[:d] = basis.T
    rows[d] = tilt
    terms, nothing = np.ascontiguousarray(rows.T) if strata is None else rows, np.zeros(n)
    odds, normal, mean = null[0], null[1], null[2]
    size = q + 1
    lam, trial, step = np.zeros(size), np.zeros(size), np.zeros(size)
    gradient, hessian = np.empty(size), np.empty((size, size))
    aliased = np.zeros(size, dtype=np.bool_)
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
        if strata is None:
            linear_predictor(rows[:q], trial[q] * tilt, trial[:q], predictor)
        else:
            predict(rows, strata, nothing, trial, predictor)
        for i in range(n):
            delta = predictor[i]
            a, b, c = level_moments(odds[i] * math.exp(delta), base)
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
            error[i], weight[i] = mean[i] - tilted, c * inverse - tilted * tilted
        add_cells(terms, rows, strata, error, weight, gradient, hessian)
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
    residual: Floats,
    signal: Floats,
    unit: float,
    level: Floats,
    null: Floats,
    basis: Floats,
    strata: Strata | None,
    base: Floats,
) -> tuple[float, float]:
    """Compute the score statistic z and the two-sided p-value (5) of one pair.

    ``unit`` is the mean weight of a count; the rows of ``null`` are those of :class:`PeakNull`.
    """
    n, q = basis.shape
    mean, variance = null[2], null[3]
    tilt = np.empty(n)
    if strata is None:
        along = np.zeros(q)
        for i in range(n):
            weighted = variance[i] * residual[i]
            for k in range(q):
                along[k] += weighted * basis[i, k]
    else:
        along = np.zeros(strata.values.shape[1] + q)
        scores(basis.T, strata, variance * residual, along)
    predict(basis.T, strata, residual, -along, tilt)
    statistic = square = size = 0.0
    signal_open = signal_total = 0.0
    for i in range(n):
        value = tilt[i]
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
    one_sided = tail(z if abs(z) > _NEAR else math.copysign(_NEAR, z), skew, 0.0, tilt, null, basis, strata, base)
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
        abs(edge) > 2.0 * abs(z) + 1.0 or tail(edge, skew, one_sided, tilt, null, basis, strata, base) <= one_sided
    ):
        return z, 2.0 * one_sided
    # Half a count further is where untested pairs begin.
    border = edge - math.copysign(0.5 * unit / sd, z)
    tail_beyond = tail(border, skew, 0.0, tilt, null, basis, strata, base)
    return z, min(1.0, one_sided / (1.0 - tail_beyond if border * z < 0.0 else tail_beyond))
