"""False discovery rates of tables, by statsmodels; Storey's, which it does not have, by :mod:`scanlink.stats`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.stats import adjust
from scanlink.stats.fdr import FdrMethod, checked_p_values

__all__ = ["adjust_table"]


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
