"""Which rows of a table belong to which guides of a matrix."""

from __future__ import annotations

import logging

import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.io.guides import GUIDE_COLUMNS, find_column, find_columns, guide_table
from scanlink.io.obs import plain_dtypes

__all__ = ["match_guides"]

log = logging.getLogger("scanlink")

_LABEL = "the table of guides"


def match_guides(var: pd.DataFrame, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Describe the guides of a matrix, from a table or from the columns that the matrix came with.

    The index of ``var`` has their names, and ``gene_ids`` perhaps a second name of each (as of 10x). A table has the
    guide's name in any column or as index. The result has the index of ``var`` and the columns of
    :func:`scanlink.io.guides.guide_table`, then what else the table and ``var`` have. Raises InputError if guides of
    the matrix are not in the table, or are there twice; and as ``guide_table``.
    """
    if table is None:
        guides, more = guide_table(var, label="guide.var"), pd.DataFrame(index=var.index)
    else:
        rows = _rows(var, table)
        used = [find_column(table, kind) for kind in ("target", "efficiency", "chrom", "start", "end", "targeting")]
        guides = guide_table(rows, label=_LABEL)
        more = plain_dtypes(rows.drop(columns=[name for name in used if name is not None]))
        more = more.drop(columns=[name for name in more if name in GUIDE_COLUMNS])
    rest = var.drop(columns=[name for name in var if name in guides or name in more])
    return pd.concat([guides, more, rest], axis=1)


def _rows(var: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Find the table's row of each guide, in the order of the matrix, without the column of names."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{_LABEL} is a {type(table).__name__}, expected a table with the columns guide and target")
    ours = [var.index.astype(str)]
    if "gene_ids" in var:
        ours.append(pd.Index(var["gene_ids"].astype(str)))
    columns: list[object] = [*find_columns(table, "guide"), None]
    columns += [name for name in table.columns if name not in columns and not pd.api.types.is_float_dtype(table[name])]
    best, names, column = 0, ours[0], columns[0]
    for candidate in columns:
        values = _names(table, candidate)
        for mine in ours:
            match = int(mine.isin(values).sum())
            if match > best:
                best, names, column = match, mine, candidate
    values = _names(table, column)
    where = "the index" if column is None else f"column {column!r}"
    if not best:
        raise InputError(
            f"{_LABEL}: none of the {len(var):,} guides of the matrix is in it: the matrix has such as "
            f"{first_few(names[:2])}, {where} such as {first_few(values[:2])}; columns found: "
            f"{first_few(table.columns, most=20)}. Expected the names of the matrix in a column 'guide'"
        )
    absent = names[~names.isin(values)]
    if len(absent):
        raise InputError(
            f"{_LABEL}: {len(absent):,} of {len(names):,} guides of the matrix are not in it ({first_few(absent)}): "
            "add a row for each, with the target 'non-targeting' for controls, or take them out of the matrix"
        )
    used = values[values.isin(names)]
    twice = used[used.duplicated()].unique()
    if len(twice):
        raise InputError(
            f"{_LABEL}: {len(twice):,} guides are there more than once in {where} ({first_few(twice)}); one row for "
            "each was expected, as a guide has one target"
        )
    more = values[~values.isin(names)]
    if len(more):
        log.warning(
            "%s: %s of %s guides are not in the matrix and left out: %s",
            _LABEL,
            f"{len(more):,}",
            f"{len(values):,}",
            first_few(more),
        )
    rows = table.iloc[values.get_indexer_for(names)].set_axis(var.index, axis=0)
    return rows if column is None else rows.drop(columns=[column])


def _names(table: pd.DataFrame, column: object | None) -> pd.Index:
    values = table.index if column is None else table[column]
    return pd.Index(values.astype(str).str.strip().to_numpy(dtype=object), dtype=object)
