"""Tables of gene-peak and gene-target pairs that a user brings."""

from __future__ import annotations

import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.io.opening import PathLikeStr, existing_file, open_text, reading
from scanlink.io.text_tables import MISSING, NO_NUMBER, as_written

__all__ = ["read_pairs", "read_target_pairs"]

# Names that others give to the columns of a screen's pairs.
_ALIASES = {
    "gene": ("gene_id", "response_id", "gene_name"),
    "target": ("intended_target_name", "grna_target", "target_id", "grna_group", "perturbation"),
    "kind": ("pair_type",),
}


def read_pairs(path: PathLikeStr) -> pd.DataFrame:
    """Read a table of pairs with at least ``gene`` and ``peak``: ``.parquet``, or text with a header and any separator.

    Raises InputError if the file does not exist, cannot be read, lacks a column or has no rows.
    """
    return _read(path, ("gene", "peak"))


def read_target_pairs(path: PathLikeStr) -> pd.DataFrame:
    """Read a table of the pairs of a screen.

    Parameters
    ----------
    path
        ``.parquet``, or text with a header, whose separator is found.

    Returns
    -------
    The table, with at least the columns ``gene`` and ``target``; ``kind`` (``discovery`` or ``positive_control``) if
    the file says so. Names of sceptre and of IGVF are known: ``gene_id``, ``response_id``, ``intended_target_name``,
    ``grna_target``, ``pair_type``.

    Raises
    ------
    InputError
        If the file does not exist, cannot be read, lacks a column or has no rows.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("gene_id,intended_target_name,pair_type\\nENSG1,e1,discovery\\n")
    ...     file.flush()
    ...     read_target_pairs(file.name).columns.tolist()
    ['gene', 'target', 'kind']
    """
    return _read(path, ("gene", "target"))


def _read(path: PathLikeStr, columns: tuple[str, str]) -> pd.DataFrame:
    what = f"a table of pairs with columns {columns[0]} and {columns[1]}"
    file = existing_file(path, what)
    with reading(file, what):
        if file.suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            with open_text(file) as text:
                table = pd.read_csv(text, sep=None, engine="python", dtype=str, keep_default_na=False, na_values=[""])
            # A gene may be called NA, and a target 007: names are text, whatever they look like.
            rest = table.columns[~table.columns.isin([*columns, *_ALIASES["gene"], *_ALIASES["target"]])]
            table[rest] = table[rest].mask(table[rest].isin(MISSING))
            if "distance" in table:
                table["distance"] = table["distance"].mask(table["distance"].isin(NO_NUMBER))
            table[rest] = as_written(table[rest])
    if "target" in columns:
        for name, others in _ALIASES.items():
            aliases = [other for other in others if other in table.columns]
            if name not in table.columns and aliases:
                table = table.rename(columns={aliases[0]: name})
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(
            f"{file}: no column {first_few(missing)}; found {first_few(table.columns, most=10)}. "
            f"Expected {columns[0]} and {columns[1]}, and distance if known"
        )
    if not len(table):
        raise InputError(f"{file}: the table has a header but no rows; {what} was expected")
    return table
