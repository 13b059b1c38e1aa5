"""Tables of pairs that a user brings, checked."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, first_few

__all__ = ["checked_pairs"]

log = logging.getLogger("scanlink")


def checked_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs as a scan takes them: ``gene``, ``peak``, ``distance`` (bp, NaN if not known), genes together.

    Raises
    ------
    InputError, MissingKeyError
        If it is no table, lacks a column, is empty, or a distance is no whole number.
    """
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs is a {type(pairs).__name__}, expected a table with columns gene and peak")
    missing = [name for name in ("gene", "peak") if name not in pairs.columns]
    if missing:
        raise MissingKeyError(
            f"the table of pairs has no column {first_few(missing)}; found {first_few(pairs.columns, most=10)}. "
            "Expected gene and peak, and distance if known"
        )
    if not len(pairs):
        raise InputError(
            "the table of pairs is empty: widen the window, or check that genes and peaks share a genome build"
        )
    table = pairs[["gene", "peak"]].astype(str)
    table["distance"] = pd.to_numeric(pairs["distance"], errors="coerce") if "distance" in pairs.columns else np.nan
    given = pairs["distance"].notna() if "distance" in pairs.columns else pd.Series(False, index=pairs.index)
    values = table["distance"].astype(np.float64).where(given, 0.0)
    wrong = ~(np.isfinite(values) & (values == np.round(values)))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} distances of the pairs are no whole number of bp "
            f"({first_few(pairs.loc[wrong, 'distance'])}): correct them, or leave the column out"
        )
    repeated = table.duplicated(["gene", "peak"])
    if repeated.any():
        log.warning("%d pairs were given more than once; each is tested once", int(repeated.sum()))
        table = table[~repeated]
    # Pairs of a gene stand together, genes in the order in which they first occur.
    order = np.argsort(pd.factorize(table["gene"])[0], kind="stable")
    return table.iloc[order].reset_index(drop=True)
