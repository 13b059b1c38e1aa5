"""False discovery rates of tables, by statsmodels; Storey's, which it does not have, by :mod:`scanlink.stats`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.stats import adjust
from scanlink.stats.fdr import FdrMethod, checked_p_values

__all__ = ["adjust_table", "expected_by_chance"]


def adjust_table(p_values: ArrayLike, *, method: FdrMethod = "bh") -> NDArray[np.float64]:
    """Adjust the p-values of a table; NaN where the p-value is NaN, the row of a pair that was not tested.

    The methods and errors are those of :func:`scanlink.stats.adjust`, from which BH and BY differ by rounding.

    Examples
    --------
    >>> adjust_table([0.01, np.nan, 0.04, 0.03])
    array([0.03,  nan, 0.04, 0.04])
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(p)
    if method not in ("bh", "by") or not tested.any():
        return adjust(p, method=method)
    # Imports scipy.stats, which takes longer than the rest of a worker's imports and serves the driver alone.
    from statsmodels.stats.multitest import multipletests

    rates = np.full(p.shape, np.nan)
    rates[tested] = multipletests(checked_p_values(p[tested]), method=f"fdr_{method}")[1]
    return rates


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
