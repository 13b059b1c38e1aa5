"""Compiled loops of the permutation test of an interaction: main effects and score from sums by level."""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled, inlined
from scanlink.stats._permute import LANES, Plan, running_sums
from scanlink.stats._types import Floats
from scanlink.stats.images import Images

# A share that counts as nothing.
_NOTHING = 1e-10
# Main effects have arrived when the next step would change the log likelihood by less than half of this.
_ARRIVED = 1e-10
# So many standard deviations from the score its tilted mean is near enough.
_CLOSE = 1e-7
# Nearer to its mean than so many standard deviations, the score is taken as normal: the correction is 0 / 0 there.
_CENTRE = 1e-3
_MOST_STEPS = 60


@compiled
def interaction_statistics(
    table: Floats, totals: Floats, phi: float, permuted: Images, plan: Plan, values: Floats, out: Floats
) -> None:
    """Compute equations 2 to 4 of :func:`scanlink.stats.interaction_permutation_p`, a row of images a row.

    Columns of the table are ``v y``, ``v m``, ``v^2 m`` and ``v^2 m^2`` with counts y, expected counts m without
    perturbation, and weights v; ``totals`` are their sums.
    """
    images, begins = permuted
    read_of, reads, pieces, piece_of, value_of = plan
    max_levels = 1
    for t in range(value_of.size - 1):
        max_levels = max(max_levels, value_of[t + 1] - value_of[t] + 1)
    sums = np.zeros((reads.size + 1, LANES))
    level_sums = np.zeros((max_levels, LANES))
    x = np.zeros((max_levels, 2))
    mu, size, g, denominator = np.empty(max_levels), np.empty(max_levels), np.empty(max_levels), np.empty(max_levels)
    for r in range(images.shape[0]):
        running_sums(table, images[r], begins, read_of, reads, sums)
        for t in range(piece_of.size - 1):
            n = value_of[t + 1] - value_of[t] + 1
            level_sums[:] = 0.0
            for k in range(piece_of[t], piece_of[t + 1]):
                level = pieces[k, 2] - value_of[t] + 1
                for f in range(LANES):
                    level_sums[level, f] += sums[pieces[k, 1], f] - sums[pieces[k, 0], f]
            # The cells that neither reaches are level 0.
            for f in range(LANES):
                untouched = totals[f]
                for level in range(1, n):
                    untouched -= level_sums[level, f]
                level_sums[0, f] = untouched
            for level in range(1, n):
                x[level, 0] = values[value_of[t] + level - 1, 0]
                x[level, 1] = values[value_of[t] + level - 1, 1]
            out[r, t] = _statistic(level_sums[:n], x[:n], phi, mu[:n], size[:n], g[:n], denominator[:n])


@compiled
def _statistic(sums: Floats, x: Floats, phi: float, mu: Floats, size: Floats, g: Floats, denominator: Floats) -> float:
    """Compute the normal deviate of the product's score from the table's sums by level; NaN where it is undefined."""
    n = mu.size
    for level in range(n):
        if not (sums[level, 1] > 0.0 and sums[level, 3] > 0.0):
            return np.nan
    binary = n == 4
    for level in range(n):
        # In this order: neither, the second, the first, both.
        binary = binary and x[level, 0] == (level >> 1) and x[level, 1] == (level & 1)
    score = _two_by_two(sums, mu, g) if binary else _by_newton(sums, x, mu, g)
    if math.isnan(score):
        return score
    for level in range(n):
        # A weighted sum of counts as a multiple of one negative binomial count with the same mean and variance.
        unit = sums[level, 2] / sums[level, 1]
        mu[level] /= unit
        g[level] *= unit
        size[level] = sums[level, 1] * sums[level, 1] / (phi * sums[level, 3]) if phi > 0.0 else np.inf
    return _deviate(score, g, mu, size, denominator)


@compiled
def _two_by_two(sums: Floats, mu: Floats, g: Floats) -> float:
    """Fit main effects (2) in closed form: a table of four with given margins and cross ratio. NaN: there are none."""
    y0, y1, y2, y3 = sums[0, 0], sums[1, 0], sums[2, 0], sums[3, 0]
    apart, together = sums[1, 1] * sums[2, 1], sums[0, 1] * sums[3, 1]
    first, second, rest = y2 + y3, y1 + y3, y0 - y3
    if not (first > 0.0 and second > 0.0):
        return np.nan
    # (rest + t) t apart = (first - t) (second - t) together, of which one root leaves all four above 0.
    square = apart - together
    linear = apart * rest + together * (first + second)
    constant = together * first * second
    root = math.sqrt(max(linear * linear + 4.0 * square * constant, 0.0))
    t = 2.0 * constant / (linear + root) if linear >= 0.0 else (root - linear) / (2.0 * square)
    mu[0], mu[1], mu[2], mu[3] = rest + t, second - t, first - t, t
    total = y0 + y1 + y2 + y3
    information = 0.0
    for level in range(4):
        if not mu[level] > _NOTHING * total:
            return np.nan
        information += 1.0 / mu[level]
    for level in range(4):
        g[level] = (1.0 if level == 0 or level == 3 else -1.0) / (mu[level] * information)
    return y3 - t


@compiled
def _by_newton(sums: Floats, x: Floats, mu: Floats, g: Floats) -> float:
    """Fit main effects (2) for any values: Newton's method over the levels. NaN where it does not arrive."""
    n = mu.size
    total = expected = first = second = 0.0
    for level in range(n):
        total += sums[level, 0]
        expected += sums[level, 1]
        first += x[level, 0] * sums[level, 0]
        second += x[level, 1] * sums[level, 0]
    if not (total > 0.0 and first > 0.0 and second > 0.0):
        return np.nan
    # Coefficients of the constant, the first and the second, and the step that led to them.
    a, b, c = math.log(total / expected), 0.0, 0.0
    u = v = w = 0.0
    best = -np.inf
    for _ in range(_MOST_STEPS):
        likelihood = 0.0
        s0 = s1 = s2 = h00 = h10 = h11 = h20 = h21 = h22 = 0.0
        for level in range(n):
            p, q = x[level, 0], x[level, 1]
            eta = a + b * p + c * q
            m = sums[level, 1] * math.exp(min(eta, 300.0))
            mu[level] = m
            likelihood += sums[level, 0] * eta - m
            off = sums[level, 0] - m
            s0 += off
            s1 += off * p
            s2 += off * q
            h00 += m
            h10 += m * p
            h11 += m * p * p
            h20 += m * q
            h21 += m * p * q
            h22 += m * q * q
        if not likelihood >= best - 1e-10 * (1.0 + abs(best)):
            u, v, w = 0.5 * u, 0.5 * v, 0.5 * w
            a, b, c = a - u, b - v, c - w
            continue
        best = likelihood
        # The information as L D L'.
        if not h00 > 0.0:
            return np.nan
        l10, l20 = h10 / h00, h20 / h00
        d1 = h11 - l10 * h10
        if not d1 > _NOTHING * h11:
            return np.nan
        l21 = (h21 - l20 * h10) / d1
        d2 = h22 - l20 * h20 - l21 * l21 * d1
        if not d2 > _NOTHING * h22:
            return np.nan
        u, v, w = _solved(s0, s1, s2, l10, l20, l21, h00, d1, d2)
        if u * s0 + v * s1 + w * s2 < _ARRIVED:
            return _projected(sums, x, mu, g, l10, l20, l21, h00, d1, d2)
        a, b, c = a + u, b + v, c + w
    return np.nan


@inlined
def _solved(
    s0: float, s1: float, s2: float, l10: float, l20: float, l21: float, d0: float, d1: float, d2: float
) -> tuple[float, float, float]:
    """Solve ``L D L' r = s`` for three unknowns."""
    f1 = s1 - l10 * s0
    f2 = s2 - l20 * s0 - l21 * f1
    w = f2 / d2
    v = f1 / d1 - l21 * w
    return s0 / d0 - l10 * v - l20 * w, v, w


@compiled
def _projected(
    sums: Floats, x: Floats, mu: Floats, g: Floats, l10: float, l20: float, l21: float, d0: float, d1: float, d2: float
) -> float:
    """Project the product on what main effects leave, with expected counts as weights; return the score along it."""
    n = mu.size
    s0 = s1 = s2 = square = 0.0
    for level in range(n):
        weighted = mu[level] * x[level, 0] * x[level, 1]
        s0 += weighted
        s1 += weighted * x[level, 0]
        s2 += weighted * x[level, 1]
        square += weighted * x[level, 0] * x[level, 1]
    u, v, w = _solved(s0, s1, s2, l10, l20, l21, d0, d1, d2)
    score = residual_square = 0.0
    for level in range(n):
        g[level] = x[level, 0] * x[level, 1] - u - v * x[level, 0] - w * x[level, 1]
        residual_square += mu[level] * g[level] * g[level]
        # Main effects that are not quite at their maximum do not change this.
        score += g[level] * (sums[level, 0] - mu[level])
    return score if residual_square > _NOTHING * square else np.nan


@inlined
def _tilt(t: float, g: Floats, mu: Floats, size: Floats, denominator: Floats) -> tuple[float, float]:
    """Compute derivatives of the score's cumulant generating function, less its first at 0, and its ``denominator``."""
    first = second = 0.0
    for level in range(mu.size):
        grown = math.exp(t * g[level])
        share = mu[level] / size[level]
        denominator[level] = 1.0 - share * (grown - 1.0)
        tilted = mu[level] * grown / denominator[level]
        if not denominator[level] > 0.0:
            first = np.inf
        first += g[level] * (tilted - mu[level])
        second += g[level] * g[level] * tilted * (1.0 + tilted / size[level])
    return first, second


@compiled
def _deviate(score: float, g: Floats, mu: Floats, size: Floats, denominator: Floats) -> float:
    """Compute the standard normal deviate of P(S >= score), equation 4."""
    variance = skew = 0.0
    for level in range(mu.size):
        share = mu[level] / size[level]
        level_variance = g[level] * g[level] * mu[level] * (1.0 + share)
        variance += level_variance
        skew += level_variance * g[level] * (1.0 + 2.0 * share)
    spread = math.sqrt(variance)
    plain = score / spread
    if not abs(plain) > _CENTRE:
        return plain
    # Where the first derivative would be the score, were there no more than three cumulants.
    t = 2.0 * score / (variance * (1.0 + math.sqrt(max(1.0 + 2.0 * skew * score / (variance * variance), 0.0))))
    first, second = _tilt(t, g, mu, size, denominator)
    if not abs(first - score) < abs(score):
        t, first, second = 0.0, 0.0, variance
    for _ in range(_MOST_STEPS):
        if abs(score - first) < _CLOSE * spread:
            break
        step = (score - first) / second
        off = abs(first - score)
        for _ in range(_MOST_STEPS):
            first, second = _tilt(t + step, g, mu, size, denominator)
            if abs(first - score) < off:
                break
            step *= 0.5
        t += step
    squared = t * score
    for level in range(mu.size):
        if size[level] < np.inf:
            squared += size[level] * math.log(denominator[level]) + t * g[level] * mu[level]
        else:
            squared += t * g[level] * mu[level] - mu[level] * math.expm1(t * g[level])
    squared *= 2.0
    # What is left of the way changes the exponent by its square.
    t += (score - first) / second
    if not squared > 0.0:
        return plain
    w = math.copysign(math.sqrt(squared), t)
    return w + math.log(t * math.sqrt(second) / w) / w
