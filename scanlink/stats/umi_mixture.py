"""From how many UMIs on a guide is in a cell: a mixture of ambient counts and those of cells that express it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError
from scanlink.stats._compile import compiled, inlined
from scanlink.stats._types import Floats

__all__ = ["UmiMixture", "fit_umi_mixture"]

_MAX_ITERATIONS = 2_000
_TOLERANCE = 1e-10
# Counts up to these are ambient where the iterations begin; the best of their ends is taken.
_STARTS = (1, 2, 4, 8)
_ROOT_2 = math.sqrt(2.0)
# Narrower than any guide's counts are; a component on a single count would have an infinite likelihood.
_NARROWEST = 0.25


@dataclass(frozen=True)
class UmiMixture:
    """A fit of :func:`fit_umi_mixture`, of cells with a positive count."""

    # Least UMIs from which on a count is rather signal than background; None if there are no two components.
    threshold: int | None
    # Rate of the Poisson background, UMIs per cell.
    background: float
    # Mean and standard deviation of the natural logarithm of the signal's counts, and its share of the positive counts.
    mean: float
    sd: float
    share: float
    n_cells: int
    # "mixture", or "background" or "signal" where that alone describes the counts better (BIC).
    kind: str


def fit_umi_mixture(counts: ArrayLike, n: ArrayLike | None = None) -> UmiMixture:
    """Separate the UMI counts of a guide into ambient ones and those of cells that express it.

    ``counts`` are positive whole numbers: of each cell, or those that occur, each in ``n`` cells. Raises InputError if
    there are none, or they are not whole numbers of at least 1.

    Background: Poisson, truncated at zero, because only positive counts are looked at. Signal: log-normal, rounded.
    After Replogle et al. (2022, Cell 185:2559), who fit a Poisson and a normal distribution to logarithms of counts,
    and call a guide where the posterior probability of the second is above 1/2; Braunger et al. (2024, Bioinformatics
    40:btae535) compare such rules. The threshold is the least count from which on that is so for every count up to the
    largest. By expectation and maximisation from four starts, without chance, where mean and standard deviation of the
    signal are those of the logarithms of its counts. A mixture has to be better than either component alone by the
    Bayesian information criterion.

    >>> fit = fit_umi_mixture([1, 2, 3, 8, 10, 12, 15, 20, 30], [900, 60, 4, 60, 90, 90, 80, 50, 20])
    >>> fit.threshold, round(fit.share, 2)
    (4, 0.29)
    """
    y, w = _count_table(counts, n)
    background, signal, rate, mean, sd = _fit_single(y, w)
    penalty, n_cells = math.log(w.sum()), round(float(w.sum()))
    alone = {"background": 2.0 * background - penalty, "signal": 2.0 * signal - 2.0 * penalty}
    kind = max(alone, key=lambda name: alone[name])
    ends = [_maximise(y, w, cut) for cut in _STARTS if (y <= cut).any() and (y > cut).any()]
    best = max(ends, key=lambda end: end[0], default=None)
    if best is not None and 2.0 * best[0] - 4.0 * penalty > alone[kind]:
        _, share, low, middle, width = best
        threshold = _least_signal(int(y[-1]), share, low, middle, width)
        # Below the mean of the signal has to be both the border and the background.
        if threshold <= math.exp(middle) and low < math.exp(middle):
            return UmiMixture(threshold, low, middle, width, share, n_cells, "mixture")
    return UmiMixture(None, rate, mean, sd, 1.0 if kind == "signal" else 0.0, n_cells, kind)


def _count_table(counts: ArrayLike, n: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return the different counts, increasing, and in how many cells each occurs."""
    values = np.asarray(counts, dtype=np.float64).ravel()
    times = np.ones(values.size) if n is None else np.asarray(n, dtype=np.float64).ravel()
    if not values.size or times.shape != values.shape:
        raise InputError(
            f"found {values.size} counts and {times.size} numbers of cells; expected one for each, and some"
        )
    if not ((values >= 1) & (values == np.floor(values)) & np.isfinite(values)).all():
        raise InputError("expected positive whole counts of UMIs: leave out zeros, and take counts, not calls")
    if not ((times >= 0) & np.isfinite(times)).all() or not times.sum() > 0:
        raise InputError("the numbers of cells must be finite, at least 0, and not all 0")
    y, index = np.unique(values, return_inverse=True)
    return y, np.bincount(index.ravel(), weights=times, minlength=y.size).astype(np.float64)


@compiled
def _maximise(y: Floats, w: Floats, cut: int) -> tuple[float, float, float, float, float]:
    """Return log likelihood, share of signal, rate, mean and sd where expectation and maximisation end."""
    signal = (y > cut).astype(np.float64)
    total, likelihood, previous = w.sum(), -np.inf, -np.inf
    share = rate = mean = sd = 0.0
    for _ in range(_MAX_ITERATIONS):
        n_signal = n_background = umis = 0.0
        for k in range(y.size):
            n_signal += w[k] * signal[k]
            n_background += w[k] * (1.0 - signal[k])
            umis += w[k] * (1.0 - signal[k]) * y[k]
        share = min(max(n_signal / total, 1e-9), 1.0 - 1e-9)
        rate = _truncated_rate(umis / max(n_background, 1e-300))
        mean, sd = _moments(y, w * signal)
        likelihood = 0.0
        for k in range(y.size):
            high = math.log(share) + _log_signal(y[k], mean, sd)
            low = math.log1p(-share) + _log_background(y[k], rate)
            log_density = max(high, low) + math.log1p(math.exp(-abs(high - low)))
            signal[k] = math.exp(high - log_density)
            likelihood += w[k] * log_density
        if likelihood - previous < _TOLERANCE * abs(likelihood):
            break
        previous = likelihood
    return likelihood, share, rate, mean, sd


@compiled
def _fit_single(y: Floats, w: Floats) -> tuple[float, float, float, float, float]:
    """Return log likelihoods of the background alone and of the signal alone; rate, mean and sd."""
    rate = _truncated_rate((w * y).sum() / w.sum())
    mean, sd = _moments(y, w)
    background = signal = 0.0
    for k in range(y.size):
        background += w[k] * _log_background(y[k], rate)
        signal += w[k] * _log_signal(y[k], mean, sd)
    return background, signal, rate, mean, sd


@compiled
def _least_signal(largest: int, share: float, rate: float, mean: float, sd: float) -> int:
    """Find the least count from which on all are rather signal; one more than the largest if there is none."""
    y = largest
    while y >= 1:
        odds = math.log(share / (1.0 - share)) + _log_signal(y, mean, sd) - _log_background(y, rate)
        if not odds > 0.0:
            break
        y -= 1
    return y + 1


@inlined
def _moments(y: Floats, w: Floats) -> tuple[float, float]:
    """Return weighted mean and standard deviation of the logarithms."""
    total = max(w.sum(), 1e-300)
    mean = (w * np.log(y)).sum() / total
    return mean, max(_NARROWEST, math.sqrt((w * (np.log(y) - mean) ** 2).sum() / total))


@compiled
def _log_signal(y: float, mean: float, sd: float) -> float:
    """Compute the log probability of a positive count of the signal."""
    # Of what rounds to this count, among what does not round to 0; from the nearer tail, where differences are exact.
    low, high = (math.log(y - 0.5) - mean) / sd, (math.log(y + 0.5) - mean) / sd
    if low > 0.0:
        low, high = -high, -low
    share = 0.5 * (math.erfc(-high / _ROOT_2) - math.erfc(-low / _ROOT_2))
    if share < 1e-200:
        z = (math.log(y) - mean) / sd
        return max(-0.5 * z * z - math.log(y) - math.log(sd), -1e6)
    return math.log(share) - math.log(0.5 * math.erfc((math.log(0.5) - mean) / sd / _ROOT_2))


@inlined
def _log_background(y: float, rate: float) -> float:
    """Compute the log probability of a positive count of the background."""
    return y * math.log(rate) - rate - math.lgamma(y + 1.0) - math.log(-math.expm1(-rate))


@compiled
def _truncated_rate(mean: float) -> float:
    """Solve ``rate / (1 - exp(-rate)) = mean``: the rate at which positive Poisson counts have this mean."""
    if mean <= 1.0 + 1e-6:
        return 2e-6
    rate = mean
    # Comes from above: the right-hand side rises in the rate with a slope below 1.
    for _ in range(500):
        last = rate
        rate = -mean * math.expm1(-last)
        if abs(rate - last) < 1e-12 * rate:
            break
    return rate
