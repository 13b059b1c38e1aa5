"""The tail of the case bootstrap without resampling: a saddlepoint approximation of P(b* >= 2 b)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import DesignError, InputError
from scanlink.stats._checks import checked_regression, checked_theta
from scanlink.stats._compile import compiled
from scanlink.stats._newton import factor
from scanlink.stats._saddle_step import quadratic, saddle_step
from scanlink.stats._strata import in_plain_terms, split_strata
from scanlink.stats._tail import Data, log_normal_tail, make_work, saddle_pass
from scanlink.stats._types import Floats, Ints
from scanlink.stats.negbin import fit_negbin
from scanlink.stats.poisson import fit_poisson

__all__ = ["TailP", "bootstrap_tail", "tail_log_p"]

# How a path ended: at the boundary; short of it; where it began, because the boundary is next to the estimate.
REACHED, STOPPED, NEAR = 0, 1, 2
_MAX_PASSES, _SHORTEST = 400, 1e-3
# Newton steps are measured in standard deviations of the bootstrap; K is right to the square of the last one.
_CLOSE, _NEAR = 2e-5, 0.05
# A smaller log(u / r) is that of weights which leave out all cells that tell of the term: no saddle point.
_LEAST_RATIO = -5.0
# Nearer to the estimate than this r, the tail is interpolated between boundaries at r of about +-_APART.
_SMALL_R, _APART = 0.02, 0.1


@dataclass(frozen=True)
class TailP:
    """Two-sided p-value of the case bootstrap with infinitely many replicates.

    Attributes
    ----------
    p
        The p-value; 0 only where it is below 1e-307.
    log_p
        Natural logarithm of the p-value.
    deviate
        Standard normal deviate of the boundary: P(b* >= 2 b) = P(Z > deviate).
    reached
        False where no reweighting of the cells was found that takes the estimate to 2 b. ``p`` is then an upper limit,
        2 exp(n K) of the furthest point on the way; 1 where the coefficient has no variance, or no meaning because the
        gene is 0 at one of the two levels of the term.
    """

    p: float
    log_p: float
    deviate: float
    reached: bool


def bootstrap_tail(
    counts: ArrayLike,
    design: ArrayLike,
    *,
    target: int,
    estimate: float,
    offset: ArrayLike | None = None,
    start: ArrayLike | None = None,
    theta: float | None = None,
    clusters: ArrayLike | None = None,
) -> TailP:
    """Compute the p-value that SCENT's bootstrap tends to, without a seed and without a floor.

    Parameters
    ----------
    counts, design, offset
        As in :func:`fit_poisson`.
    target
        Column of ``design`` whose coefficient is tested.
    estimate
        Coefficient b of that column in the unweighted fit, natural logarithm.
    start
        Coefficients of the unweighted fit, NaN for terms left out. Shape ``(n_terms,)``. Fitted when left out.
    theta
        Inverse dispersion of a negative binomial, held in every replicate; None for Poisson counts.
    clusters
        Whole numbers that name the donors which are drawn instead of cells. Shape ``(n_cells,)``.

    Returns
    -------
    TailP
        The p-value, and whether it is one or an upper limit.

    Raises
    ------
    InputError
        If shapes differ, counts are negative or not finite, or clusters are not whole numbers.
    DesignError
        If the term has no coefficient, because others explain it.
    OptionError
        If ``theta`` is not above 0.

    Warnings
    --------
    The bootstrap itself is too liberal far out in sparse or small groups (section 2 of the association notes), and this
    is its p-value, not a better one. With fewer than ten donors neither means much; here it may be off by half.

    Notes
    -----
    Section 5 of the association notes. P(b* >= c) at c = 2 b is the chance that the resampled profile score is positive
    at c. With u_i(gamma) the score of cell i at (c, gamma), K(t, gamma) = log mean exp(t'u_i) is made stationary in
    both t and gamma: the resampled cells then have tilted probabilities p_i proportional to exp(t'u_i), under which the
    maximum-likelihood coefficient is c, and of all such probabilities they are the nearest to 1/n. With Laplace's
    method for gamma, r = sign(t_x) sqrt(-2 n K) and u = t_x sqrt(n |det K''|) / det(sum p_i v_i C_i C_i'), v_i being
    the information, P = P(Z > r + log(u / r) / r). It is never below the chance that no (or only) open cells with a
    count are drawn, which makes b* infinite. A replicate without any open cell counts as in SCENT, b* < 2 b.

    Robinson, Ronchetti and Young 2003, Bernoulli 9:909 (tilting of M-estimates); Davison, Hinkley and Worton 1995,
    Biometrika 82:15 (determinants); Barndorff-Nielsen 1986, Biometrika 73:307 (r*).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> opened = (rng.random(400) < 0.2).astype(float)
    >>> counts, design = rng.poisson(1 + opened), np.column_stack([np.ones(400), opened])
    >>> estimate = np.log(counts[opened > 0].mean() / counts[opened == 0].mean())
    >>> bootstrap_tail(counts, design, target=1, estimate=estimate).p < 1e-6
    True
    """
    y, z, o = checked_regression(counts, design, offset)
    codes, n_units = _codes(clusters, y.size)
    n_terms, size = z.shape[1], np.inf if theta is None else checked_theta(theta)
    if start is None:
        start = (
            fit_poisson(y, z, offset=o, path="newton") if size == np.inf else fit_negbin(y, z, offset=o, theta=size)
        ).coef
    coef = np.array(start, dtype=np.float64)
    if coef.shape != (n_terms,) or not 0 <= target < n_terms:
        raise InputError(f"start has shape {coef.shape} and target is {target}, but the design has {n_terms} terms")
    if not (np.isfinite(estimate) and np.isfinite(coef[target])):
        raise DesignError(f"term {target} has no coefficient: leave out the terms that explain it, or the pair")
    order = np.append(np.flatnonzero(~np.isnan(coef) & (np.arange(n_terms) != target)), target)
    rest, strata, coef = np.ascontiguousarray(z[:, order]), None, coef[order]
    if clusters is None:
        rest, strata = split_strata(rest, apart=[order.size - 1])
        if strata is not None:
            strata, coef = in_plain_terms(strata, coef)
    terms = np.ascontiguousarray(rest.T)
    if infinite_chances(y, terms[-1], codes, n_units)[2]:
        return TailP(1.0, 0.0, 0.0, False)
    data = (y, terms, strata, o, size, codes, n_units, make_work(terms.shape[0]))
    log_p, deviate, state, _ = tail_log_p(data, coef, float(estimate))
    return TailP(math.exp(log_p), log_p, deviate, state == REACHED)


def _codes(clusters: ArrayLike | None, n: int) -> tuple[Ints, int]:
    """Number the clusters from 0; return the number of each cell, and how many units are drawn."""
    if clusters is None:
        return np.empty(0, dtype=np.int64), n
    labels = np.asarray(clusters)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"clusters have shape {labels.shape} and type {labels.dtype}, expected {n} whole numbers")
    # Donors without a cell cannot be drawn.
    distinct, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), distinct.size


@compiled
def tail_log_p(data: Data, coef: Floats, estimate: float) -> tuple[float, float, int, int]:
    """Compute :func:`bootstrap_tail` on prepared arrays: log p, deviate, state, and passes over the cells.

    ``data`` is ``(counts, terms, strata, offset, theta, clusters, n_units, work)``: a row of ``terms`` a term that
    ``strata`` (or None) leave, the wanted one last; ``theta`` infinite for Poisson counts; ``clusters`` empty and
    ``n_units`` the number of cells where cells are drawn; ``work`` from ``make_work(terms.shape[0])``. ``coef`` are the
    coefficients of the unweighted fit, the wanted one last. Whether the estimate exists is left to the caller.
    """
    counts, terms, _, _, _, clusters, n_units, _ = data
    deviate, state, passes, _, _ = saddle_deviate(data, coef, 2.0 * estimate)
    # Where the path stops, exp(n K) bounds what lies beyond.
    log_p = log_normal_tail(abs(deviate)) if state == REACHED else -0.5 * deviate * deviate
    if (deviate > 0.0) == (estimate > 0.0):
        high, low, _ = infinite_chances(counts, terms[-1], clusters, n_units)
        log_p = max(log_p, high if estimate > 0.0 else low)
    return min(0.0, math.log(2.0) + log_p), deviate, state, passes


@compiled
def infinite_chances(counts: Floats, level: Floats, clusters: Ints, n_units: int) -> tuple[float, float, bool]:
    """Compute log chances that b* is +inf, and -inf, for a term of two levels; and whether b is so itself."""
    low, high = level.min(), level.max()
    # Whether a unit has counts at the high level, at the low one.
    has_count = np.zeros((n_units, 2), dtype=np.bool_)
    for i in range(level.size):
        if low == high or (level[i] != low and level[i] != high):
            return -np.inf, -np.inf, False
        if counts[i] > 0.0:
            has_count[clusters[i] if clusters.size > 0 else i, 0 if level[i] == high else 1] = True
    at_high = at_low = anywhere = 0
    for g in range(n_units):
        at_high += has_count[g, 0]
        at_low += has_count[g, 1]
        anywhere += has_count[g, 0] or has_count[g, 1]
    # Replicates without any count have no coefficient.
    no_count = n_units * math.log1p(-anywhere / n_units)
    only_high, only_low = n_units * math.log1p(-at_low / n_units), n_units * math.log1p(-at_high / n_units)
    if no_count > -np.inf:
        only_high += math.log1p(-math.exp(no_count - only_high))
        only_low += math.log1p(-math.exp(no_count - only_low))
    return only_high, only_low, at_high == 0 or at_low == 0


@compiled
def saddle_deviate(data: Data, coef: Floats, boundary: float) -> tuple[float, int, int, Floats, Floats]:
    """Compute r* = r + log(u / r) / r, for which P(b* >= boundary) = P(Z > r*), or r where the path stops.

    Returns it with state and passes, the fit to the tilted weights, and t: the weights are proportional to exp(t'u_i).
    """
    state, r, ratio, passes, end, t = _path(data, coef, boundary)
    if state != NEAR:
        return r + ratio / r if state == REACHED else r, state, passes, end, t
    # Next to the estimate the correction is 0 / 0, but smooth: take it a little way off on both sides. Such a path
    # returns the standard deviations of b* to a unit of the coefficient.
    apart = _APART / ratio
    share, total, difference, bend, lean = (boundary - coef[-1]) / apart, 0.0, 0.0, 0.0, 0.0
    for side in (-1.0, 1.0):
        state, r, ratio, new_passes, _, _ = _path(data, coef, coef[-1] + side * apart)
        passes += new_passes
        if state != REACHED:
            return 0.0, STOPPED, passes, end, t
        total += 0.5 * r
        difference += 0.5 * side * r
        lean += 0.5 * ratio / r
        bend += 0.5 * side * ratio / r
    return share * (difference + share * total) + lean + share * bend, REACHED, passes, end, t


@compiled
def _path(data: Data, start: Floats, boundary: float) -> tuple[int, float, float, int, Floats, Floats]:
    """Follow the saddle point from the unweighted fit, where t = 0, to ``boundary``.

    Returns state, r, log(u / r), passes, coefficients and t; those of the last point where the path stops short.
    """
    n_units, p = data[6], start.size
    q = p - 1
    coef, t, first, second = start.copy(), np.zeros(p), np.empty((2, p)), np.empty((4, p, p))
    dt, dgamma, aliased = np.zeros(p), np.zeros(q), np.zeros(q, dtype=np.bool_)
    saddle_pass(data, coef, t, first, second)
    size, _, _ = saddle_step(first, second, n_units, 1.0, dt, dgamma)
    slope = math.sqrt(n_units * max(0.0, quadratic(dt, second[0])))
    position, r, ratio, passes = coef[q], 0.0, 0.0, 1
    if not (size < np.inf and slope > 0.0):
        return STOPPED, r, ratio, passes, coef, t
    if slope * abs(boundary - position) < _SMALL_R:
        return NEAR, r, slope, passes, coef, t
    stride = distance = boundary - position
    while position != boundary:
        target = boundary if stride == boundary - position else position + stride
        last_point = (coef.copy(), t.copy(), first.copy(), second.copy())
        size, logdet, change = saddle_step(first, second, n_units, target - position, dt, dgamma)
        arrived, previous_size, value, r_now, ratio_now = False, np.inf, 0.0, 0.0, 0.0
        coef[q] = target
        for _ in range(12):
            _add(t, dt)
            _add(coef, dgamma)
            value = saddle_pass(data, coef, t, first, second)
            passes += 1
            # K is below 0 at every saddle point.
            if not value < 1.0:
                break
            size, logdet, change = saddle_step(first, second, n_units, 0.0, dt, dgamma)
            close = _CLOSE if target == boundary else _NEAR
            arrived = size < close * min(1.0, math.sqrt(max(0.0, -2.0 * n_units * value)))
            if arrived or not size < 0.9 * previous_size:
                break
            previous_size = size
        if arrived:
            information = second[3, :q, :q].copy()
            factor(information, aliased)
            r_now = math.copysign(math.sqrt(max(0.0, -2.0 * n_units * (value + 0.5 * change))), t[q])
            ratio_now = 0.5 * logdet + math.log(math.sqrt(n_units) * abs(t[q] + dt[q]) / abs(r_now))
            for k in range(q):
                ratio_now -= 2.0 * math.log(information[k, k])
            arrived = ratio_now > _LEAST_RATIO
        if arrived:
            position, r, ratio = target, r_now, ratio_now
            stride = boundary - position if abs(2.0 * stride) >= abs(boundary - position) else 2.0 * stride
        else:
            coef, t, first, second = last_point
            stride *= 0.5
            if abs(stride) < _SHORTEST * abs(distance) or passes > _MAX_PASSES:
                return STOPPED, r, ratio, passes, coef, t
    _add(t, dt)
    _add(coef, dgamma)
    return REACHED, r, ratio, passes, coef, t


@compiled
def _add(values: Floats, steps: Floats) -> None:
    """Add steps to the first values, in place."""
    for k in range(steps.size):
        values[k] += steps[k]
