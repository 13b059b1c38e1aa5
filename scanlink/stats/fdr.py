"""False discovery rates over the pairs that were tested; the others stay missing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError, OptionError
from scanlink.stats._types import Floats

__all__ = ["FdrMethod", "adjust", "checked_p_values", "expected_by_chance"]

FdrMethod = Literal["bh", "by", "storey"]


def adjust(p_values: ArrayLike, *, method: FdrMethod = "bh") -> Floats:
    """Adjust p-values for false discoveries (q-values); NaN where the p-value is NaN.

    Parameters
    ----------
    p_values
        P-values, NaN for pairs that were not tested and do not count. Shape ``(n,)``.
    method
        ``"bh"``: Benjamini and Hochberg 1995; ``"by"``: Benjamini and Yekutieli 2001, for any dependence;
        ``"storey"``: Storey 2002, with the share of true nulls estimated.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``.

    Raises
    ------
    InputError
        If a p-value lies outside 0 to 1.
    OptionError
        If the method is unknown.

    Notes
    -----
    BH: ``q_(i) = min_{j >= i} p_(j) m / j`` (J R Stat Soc B 57:289). BY multiplies by ``sum 1 / j`` (Ann Stat
    29:1165). Storey (J R Stat Soc B 64:479) multiplies by ``pi0 = (1 + #{p > lambda}) / (m (1 - lambda))``, with lambda
    from .05 to .95 chosen by the bootstrap criterion of Storey, Taylor and Siegmund 2004 in closed form, at most 1,
    and 1 where there are fewer than 100 p-values, too few to estimate it from.

    Examples
    --------
    >>> import numpy as np
    >>> adjust([0.01, np.nan, 0.04, 0.03])
    array([0.03,  nan, 0.04, 0.04])
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(p)
    values = checked_p_values(p[tested])
    if method not in ("bh", "by", "storey"):
        raise OptionError(f"method {method!r} is not known; expected 'bh', 'by' or 'storey'")
    q = np.full(p.shape, np.nan)
    m = values.size
    if m == 0:
        return q
    factor = 1.0
    if method == "by":
        factor = float(np.sum(1.0 / np.arange(1, m + 1)))
    elif method == "storey":
        factor = _null_share(values)
    order = np.argsort(values, kind="stable")
    raw = values[order] * (factor * m) / np.arange(1, m + 1)
    monotone = np.minimum.accumulate(raw[::-1])[::-1]
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(monotone, 1.0)
    q[tested] = adjusted
    return q


def checked_p_values(p_values: Floats) -> Floats:
    """Return p-values as they are, or raise an InputError if one lies outside 0 to 1."""
    if ((p_values < 0) | (p_values > 1)).any():
        raise InputError(f"p-values run from {p_values.min()} to {p_values.max()}, expected 0 to 1")
    return p_values


def _null_share(values: Floats) -> float:
    """Estimate the share of true null hypotheses, by the criterion of Storey, Taylor and Siegmund 2004."""
    m = values.size
    if m < 100:
        return 1.0
    grid = np.arange(0.05, 0.951, 0.05)
    above = np.array([np.count_nonzero(values > level) for level in grid], dtype=np.float64)
    share = (above + 1.0) / (m * (1.0 - grid))
    reference = np.quantile(share, 0.1)
    # Variance of the binomial count plus squared distance to the reference: what the bootstrap would estimate.
    error = above / (m**2 * (1.0 - grid) ** 2) * (1.0 - above / m) + (share - reference) ** 2
    return min(1.0, float(share[int(np.argmin(error))]))


def expected_by_chance(n_tests: int, alpha: float, *, method: str = "bh") -> tuple[float, float]:
    """Compute how many of independent tests a false discovery rate calls, and how often any, where none has an effect.

    Of Benjamini and Hochberg, and by it of Storey, who finds no effects there; of Benjamini and Yekutieli with their
    smaller level. Finner and Roters 2002, Ann Stat 30:220: ``alpha / (1 - alpha)^2`` in the limit of many tests.

    Examples
    --------
    >>> expected_by_chance(1, 0.1)
    (0.1, 0.1)
    >>> round(expected_by_chance(10_000, 0.1)[0], 4)
    0.1235
    """
    level = alpha / float(np.sum(1.0 / np.arange(1, n_tests + 1))) if method == "by" else alpha
    # Of the sum over j of (j + 1) level^(j + 1) (n - 1) ... (n - j) / n^j.
    total, term, j = 0.0, level, 0
    while j < n_tests and (j + 1) * term > 1e-12 * total:
        total += (j + 1) * term
        j += 1
        term *= level * (n_tests - j) / n_tests
    return total, level
