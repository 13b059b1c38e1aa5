"""Tables of gene-peak pairs that a user brings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..errors import InputError, first_few
from .files import PathLikeStr, existing_file, reading

__all__ = ["read_pairs"]


def read_pairs(path: PathLikeStr) -> pd.DataFrame:
    """Read a table of pairs.

    Parameters
    ----------
    path
        ``.parquet``, or text with a header, whose separator is found.

    Returns
    -------
    The table, with at least the columns ``gene`` and ``peak``.

    Raises
    ------
    InputError
        If the file does not exist, cannot be read, lacks a column or has no rows.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
    ...     _ = file.write("gene\\tpeak\\nNOC2L\\tchr1:10-20\\n")
    ...     file.flush()
    ...     read_pairs(file.name)
        gene        peak
    0  NOC2L  chr1:10-20
    """
    what = "a table of pairs with columns gene and peak"
    file = existing_file(path, what)
    with reading(file, what):
        table = pd.read_parquet(file) if file.suffix == ".parquet" else _read_text(file)
    missing = [name for name in ("gene", "peak") if name not in table.columns]
    if missing:
        raise InputError(
            f"{file}: no column {first_few(missing)}; found {first_few(table.columns, most=10)}. "
            "Expected gene and peak, and distance if known"
        )
    if not len(table):
        raise InputError(f"{file}: the table has a header but no rows; {what} was expected")
    return table


def _read_text(file: Path) -> pd.DataFrame:
    table: pd.DataFrame = pd.read_csv(file, sep=None, engine="python")
    return table
