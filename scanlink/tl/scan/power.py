"""How strong a link would have to be for a scan to call it."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few

__all__ = ["power"]

log = logging.getLogger("scanlink")


def power(links: pd.DataFrame, *, power: float = 0.8, alpha: float | None = None, fdr: float = 0.1) -> pd.DataFrame:
    """Find the smallest effect with which each pair would have been called, with a given probability.

    It tells pairs without a link from pairs about which the data say nothing.

    Parameters
    ----------
    links
        The links table of a scan: ``group``, ``gene``, ``peak``, ``se`` and, if there is one, ``se_robust`` (natural
        log); ``p_value`` and ``fdr`` unless ``alpha`` is given.
    power
        Probability with which a link of that effect is called.
    alpha
        P-value up to which a pair is called, two-sided. None takes what the scan did: in each group the largest
        ``p_value`` of the pairs called at ``fdr``. In a group where nothing is called it is ``fdr`` / number of tests,
        up to which a single link would have been called, and a line in the log names those groups.
    fdr
        False discovery rate below which a pair counts as called, if ``alpha`` is None.

    Returns
    -------
    pandas.DataFrame
        A row a row of ``links``: group, gene, peak, ``se`` (the robust one where there is one), ``alpha``,
        ``min_effect`` (absolute, natural log), ``min_fold`` (its exponential). NaN for pairs that were not tested.

    Raises
    ------
    MissingKeyError
        If the table lacks a column.
    InputError
        If no pair was tested.
    OptionError
        If ``power``, ``alpha`` or ``fdr`` is no probability, or ``power`` is not above ``alpha``.

    Warnings
    --------
    An approximation of Wald's kind: the estimate is taken to be normal with the standard error that was found, whatever
    the effect. It is good where many cells are open and express the gene. A strong negative link leaves few counts in
    open cells and has a larger error than this, a strong positive one a smaller; a sparse pair may miss the power by
    far. The threshold of Benjamini and Hochberg itself would move if there were more links.

    Notes
    -----
    ``min_effect = (z_{1 - alpha / 2} + z_power) se`` (Lachin 1981, Control Clin Trials 2:93), which leaves out the
    chance to be called with the wrong sign.

    Examples
    --------
    >>> links = pd.DataFrame({"group": "T", "gene": "g", "peak": ["a", "b"], "se": [0.1, float("nan")]})
    >>> power(links, alpha=0.05)[["peak", "min_effect", "min_fold"]].round(3).values.tolist()
    [['a', 0.28, 1.323], ['b', nan, nan]]
    """
    needed = ["group", "gene", "peak", "se", *(["p_value", "fdr"] if alpha is None else [])]
    if absent := [name for name in needed if name not in links.columns]:
        raise MissingKeyError(f"the table links has no column {first_few(absent)}; expected {needed}")
    for name, value in (("power", power), ("fdr", fdr), *([("alpha", alpha)] if alpha is not None else [])):
        if not 0 < value < 1:
            raise OptionError(f"{name}: expected a number between 0 and 1; found {value!r}")
    se = links["se"].to_numpy(dtype=float)
    if "se_robust" in links.columns:
        robust = links["se_robust"].to_numpy(dtype=float)
        se = np.where(robust > 0, robust, se)
    tested = np.isfinite(se)
    if "status" in links.columns:
        tested &= (links["status"] == "ok").to_numpy()
    if len(links) and not tested.any():
        raise InputError("no pair of the table links was tested: there is no standard error to take the power from")
    threshold = np.full(len(links), alpha) if alpha is not None else _thresholds(links, fdr)
    tested &= np.isfinite(threshold)
    if (threshold[tested] >= power).any():
        raise OptionError(
            f"power: expected a number above alpha, the chance of a call without a link ({threshold[tested].max():g}); "
            f"found {power!r}"
        )
    out = links[["group", "gene", "peak"]].copy()
    out["se"] = np.where(tested, se, np.nan)
    out["alpha"] = np.where(tested, threshold, np.nan)
    out["min_effect"] = (ndtri(power) - ndtri(out["alpha"] / 2)) * out["se"]
    out["min_fold"] = np.exp(out["min_effect"])
    return out


def _thresholds(links: pd.DataFrame, fdr: float) -> NDArray[np.float64]:
    """P-value up to which pairs of each row's group were called; NaN in groups without tests. Shape ``(n,)``."""
    out = np.full(len(links), np.nan)
    p_values, called = links["p_value"].to_numpy(dtype=float), (links["fdr"] < fdr).to_numpy()
    empty = []
    for group, rows in links.groupby("group", sort=False).indices.items():
        p = p_values[rows]
        n_tests = int(np.count_nonzero(~np.isnan(p)))
        if not n_tests:
            continue
        largest = p[called[rows]].max(initial=0.0)
        if not called[rows].any():
            empty.append(group)
        # P-values so small that they are 0 leave no threshold either.
        out[rows] = largest if largest > 0 else fdr / n_tests
    if empty:
        log.warning(
            "nothing is called at FDR %g in %d groups (%s): alpha is %g / number of tests there",
            fdr,
            len(empty),
            first_few(empty),
            fdr,
        )
    return out
