"""Metadata of cells: one table with plain names, and the barcodes that it goes by."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.assays import Whole
from scanlink.io.barcodes import BARCODE_COLUMNS, text_index
from scanlink.io.cell_names import cell_names
from scanlink.io.releases import is_text

__all__ = ["cells_by_barcode", "lift_obs", "plain_dtypes"]

log = logging.getLogger("scanlink")


def lift_obs(
    kept: pd.Index, *, cells: pd.DataFrame | None, both: pd.DataFrame | None, modalities: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Gather all that is known of the cells in one table with plain names.

    In the order of the arguments, the first that has a column keeps its plain name: a table of cells, a file as a whole
    (``both``), each modality. A column that an earlier one has with the same values is left out; with other values it
    becomes ``rna:NAME``, ``atac:NAME``, ``guide:NAME`` or ``obs:NAME`` (of the file as a whole).
    """
    columns: dict[str, pd.Series] = {}
    later: list[tuple[str, str, pd.Series]] = []
    for prefix, table in {"cells": cells, "obs": both, **modalities}.items():
        if table is None:
            continue
        aligned = table.reindex(kept)
        for name in aligned.columns:
            # mudata before 0.4 wrote copies of the columns of a modality as 'rna:NAME' beside the global ones.
            owner, _, plain = str(name).partition(":")
            if prefix == "obs" and plain and owner in modalities:
                later.append((owner, plain, aligned[name]))
            else:
                _place(columns, str(name), prefix, aligned[name])
    for owner, plain, column in later:
        _place(columns, plain, owner, column)
    return plain_dtypes(pd.DataFrame(columns, index=kept))


def _place(columns: dict[str, pd.Series], name: str, prefix: str, column: pd.Series) -> None:
    for label in (name, f"{prefix}:{name}"):
        if label not in columns:
            columns[label] = column
            if label != name:
                log.info("column %r of %s differs from the one that is kept, and becomes %r", name, prefix, label)
            return
        if _same(columns[label], column):
            return


def _same(first: pd.Series, second: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(first.dtype) and pd.api.types.is_numeric_dtype(second.dtype):
        return bool(np.array_equal(first.to_numpy(dtype=float), second.to_numpy(dtype=float), equal_nan=True))
    missing = first.isna().to_numpy()
    if not np.array_equal(missing, second.isna().to_numpy()):
        return False
    ours, theirs = (column.astype(object).to_numpy()[~missing] for column in (first, second))
    return bool(np.array_equal(ours.astype(str), theirs.astype(str)))


def plain_dtypes(table: pd.DataFrame) -> pd.DataFrame:
    """Give columns the types that every part of scanlink, and the .h5mu format, understands.

    Text becomes categories, nullable numbers plain ones (missing: NaN); the rest stays as it is.
    """
    result = {}
    for name in table.columns:
        column = table[name]
        if is_text(column):
            values = column.dropna()
            if len(values) == len(column) and all(isinstance(value, bool) for value in values):
                column = column.astype(bool)
            else:
                text = column.astype(object).where(column.isna(), column.astype(str))
                column = text.astype("category")
                # Categories of pandas' string type cannot be written to HDF5 by every version of anndata.
                column = column.cat.rename_categories(list(column.cat.categories.astype(str).astype(object)))
        elif pd.api.types.is_extension_array_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype):
            if pd.api.types.is_bool_dtype(column.dtype) and not column.isna().any():
                column = column.astype(bool)
            elif pd.api.types.is_numeric_dtype(column.dtype):
                whole = pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any()
                column = column.astype("int64" if whole else "float64")
        result[name] = column
    return pd.DataFrame(result, index=table.index)


def cells_by_barcode(
    whole: Whole,
    cells: pd.DataFrame | None,
    barcode: str | None,
    *,
    second: str = "atac",
    label: str = "table of cells",
) -> pd.DataFrame | None:
    """Find the column of barcodes in a table of cells, if there is one, and make it the index.

    None tries ``barcode``, ``cell`` and the like, the index, then every other column. Raises MissingKeyError if there
    is no column ``barcode``, InputError if no column holds barcodes of the matrices, or if several do that differ.
    """
    if cells is None:
        return None
    if barcode is not None:
        if barcode not in cells:
            raise MissingKeyError(f"{label}: no column {barcode!r}; columns found: {first_few(cells.columns, most=20)}")
        return _by(cells, barcode, label)
    lower = {str(name).lower(): name for name in reversed(cells.columns)}
    named = [lower[name] for name in BARCODE_COLUMNS if name in lower]
    others = [name for name in cells.columns if name not in named and not pd.api.types.is_float_dtype(cells[name])]
    sides = tuple(cell_names({"rna": whole.rna.obs, second: whole.second.obs}).values())
    best: tuple[int, object] = (0, None)
    matches: dict[object, int] = {}
    for name in (*named, None, *others):
        values = _texts(cells, name)
        matches[name] = match = max(int(values.isin(names).sum()) for names in sides)
        if match > best[0]:
            best = (match, name)
        if match == len(cells) and name not in others:
            break
    match, column = best
    if column in others:
        _refuse_rivals(cells, column, [name for name in others if 2 * matches[name] > match], label)
    if match == 0:
        tried = named[0] if named else (others[0] if others else None)
        values = pd.Index(cells.index if tried is None else cells[tried])
        if named or tried is None:
            return _by(
                cells, tried, label
            )  # the join will explain how these barcodes differ from those of the matrices
        raise InputError(
            f"{label}: no column holds barcodes of the matrices (rna has such as {first_few(sides[0][:2])}, column "
            f"{tried!r} such as {first_few(values[:2])}); columns found: {first_few(cells.columns, most=20)}. "
            "Pass barcode= with the name of the column"
        )
    if column is not None and column not in named:
        log.info("%s: barcodes are taken from column %r", label, column)
    return _by(cells, column, label)


def _refuse_rivals(cells: pd.DataFrame, column: object, rivals: list[object], label: str) -> None:
    """Refuse a choice between columns that all hold barcodes of the matrices, but of other cells in a row."""
    names = _texts(cells, column)
    differing = [name for name in rivals if not _texts(cells, name).equals(names)]
    if differing:
        rows = (f"{name!r} ({first_few(_texts(cells, name)[:2])})" for name in (column, *differing))
        raise InputError(
            f"{label}: {1 + len(differing)} columns hold barcodes of the matrices, and differ: {', '.join(rows)}. Pass "
            "barcode= with the name of the right one"
        )


def _texts(table: pd.DataFrame, name: object) -> pd.Index:
    return text_index(table.index if name is None else table[name])


def _by(table: pd.DataFrame, name: object, label: str) -> pd.DataFrame:
    missing = np.asarray((table.index if name is None else table[name]).isna())
    if missing.any():
        log.warning(
            "%s: %s of %s rows have no barcode and are left out", label, f"{missing.sum():,}", f"{len(table):,}"
        )
        table = table[~missing]
    barcodes = _texts(table, name)
    return (table if name is None else table.drop(columns=[name])).set_axis(barcodes, axis=0)
