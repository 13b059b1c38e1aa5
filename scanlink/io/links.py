"""Tables of links, ours and SCENT's."""

from __future__ import annotations

import csv
import logging

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype

from scanlink.errors import InputError, first_few
from scanlink.io.opening import PathLikeStr, existing_file, open_text, reading, suffix_of
from scanlink.io.text_tables import NO_NUMBER
from scanlink.p_values import KINDS
from scanlink.tables import p_value_columns

__all__ = ["LINK_COLUMNS", "read_links"]

log = logging.getLogger("scanlink")

LINK_COLUMNS = {
    "group": "object",
    "gene": "object",
    "peak": "object",
    "distance": "Int64",
    "n_cells": "Int64",
    "frac_gene": "float64",
    "frac_peak": "float64",
    "beta": "float64",
    "se": "float64",
    "z": "float64",
    **{column.name: "Int64" if column.type == "count" else "float64" for column in p_value_columns(KINDS)},
    "p_value": "float64",
    "fdr": "float64",
    "status": "object",
}
_SCENT = {"boot_basic_p": "p_boot"}
_NEEDED = ("gene", "peak", "beta", "p")


def read_links(path: PathLikeStr, *, group: str | None = None) -> pd.DataFrame:
    """Read a table of gene-peak links.

    Parameters
    ----------
    path
        ``links.parquet`` of scanlink; or the text of SCENT, with columns ``gene``, ``peak``, ``beta``, ``se``, ``z``,
        ``p`` and ``boot_basic_p``, separated by tabs, commas or blanks, perhaps ``.gz``.
    group
        What the column ``group`` says where the file has none: SCENT writes one file per cell type.

    Returns
    -------
    For parquet the table as it was written. For text the columns of scanlink's links: ``p_boot`` is SCENT's
    ``boot_basic_p``, ``p_value`` the same or, where there is none, ``p``; ``status`` is ``"ok"``; what SCENT does not
    have is missing (NaN or NA). Coefficients on the natural log scale.

    Raises
    ------
    InputError
        If the file is damaged, is no table of links, or a number cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("gene peak beta se z p boot_basic_p\\nNOC2L chr1-10-20 0.5 0.1 5 5.7e-07 0.002\\n")
    ...     file.flush()
    ...     read_links(file.name)[["gene", "peak", "beta", "p_boot", "status"]]
        gene        peak  beta  p_boot status
    0  NOC2L  chr1-10-20   0.5   0.002     ok
    """
    what = "a table of links as .parquet, .txt, .tsv or .csv"
    file = existing_file(path, what)
    with reading(file, what):
        if suffix_of(file) == ".parquet":
            table = pd.read_parquet(file)
            _need(table, file)
            return table
        with open_text(file) as text:
            separator = _separator(text.readline())
        with open_text(file) as text:
            table = pd.read_csv(
                text, sep=separator, dtype=str, keep_default_na=False, na_values=[""], quoting=csv.QUOTE_MINIMAL
            )
    table = table.rename(columns=_SCENT)
    _need(table, file)
    if "group" not in table:
        table["group"] = pd.NA if group is None else group
    if "status" not in table:
        table["status"] = "ok"
    if "p_value" not in table:
        table["p_value"] = table["p_boot"] if "p_boot" in table else table["p"]
    unknown = [name for name in table if name not in LINK_COLUMNS]
    if unknown:
        log.info("%s: columns that links do not have are left out: %s", file, first_few(unknown))
    links = {}
    for name, dtype in LINK_COLUMNS.items():
        column = table[name] if name in table else pd.Series(np.nan, index=table.index)
        links[name] = column.astype(object) if dtype == "object" else _numbers(column, file).astype(pandas_dtype(dtype))
    return pd.DataFrame(links).reset_index(drop=True)


def _separator(header: str) -> str:
    if "\t" in header:
        return "\t"
    return "," if "," in header else r"\s+"


def _need(table: pd.DataFrame, file: PathLikeStr) -> None:
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise InputError(
            f"{file}: no column {first_few(missing)}; found {first_few(table.columns, most=20)}. A table of links was "
            "expected, with gene, peak, beta, se, z, p and, of SCENT, boot_basic_p"
        )


def _numbers(column: pd.Series, file: PathLikeStr) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = numbers.isna() & column.notna() & ~column.isin(NO_NUMBER)
    if bad.any():
        raise InputError(
            f"{file}: {bad.sum():,} values in column {column.name!r} are not numbers: {first_few(column[bad])}"
        )
    return numbers
