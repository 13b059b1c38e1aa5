"""Cells that are kept, by a query of their columns."""

from __future__ import annotations

import difflib
import logging
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.disk import select
from scanlink.io.opening import quiet
from scanlink.io.sparse_structure import check_adata
from scanlink.pp.column_names import OTHER_NAMES, by_other_name
from scanlink.pp.query import And, Column, Compare, Node, Not, Or, Value, parse_query

__all__ = ["chosen_cells", "filter_cells"]

log = logging.getLogger("scanlink")

Mask = NDArray[np.bool_]

_SIGNS: Mapping[str, Any] = {
    "==": operator.eq,
    "in": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def filter_cells(mdata: MuData, query: str) -> MuData:
    """Keep the cells of which a query is true.

    Parameters
    ----------
    mdata
        The dataset. It is changed in place, and counts on disk stay there.
    query
        Comparisons of columns of ``mdata.obs``, or of one of its modalities, with numbers, with texts in quotes, with
        ``True`` and ``False``, or with each other, joined by ``and``, ``or`` and ``not``:
        ``"percent.mito < 20 and not doublet and celltype in ['B', 'T']"``. Names with other signs stand in backticks.
        Cells in which a missing value leaves it open whether it is true are not kept, and told. It is read as these
        words say, and never run.

    Returns
    -------
    mudata.MuData
        The same object. ``uns["scanlink"]["cells"]`` tells how many cells were kept and lost.

    Raises
    ------
    OptionError
        If the query cannot be read, or compares numbers with texts.
    MissingKeyError
        If a column is not there.
    InputError
        If no cell is left, or ``mdata`` is a view or no MuData.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=200, n_genes=10, n_peaks=60, n_links=8, n_interactions=2).mdata
    >>> filter_cells(mdata, "nUMI > 2000 and celltype == 'B-Memory'") is mdata
    True
    >>> mdata.obs["celltype"].unique().tolist()
    ['B-Memory']
    """
    node = parse_query(query)
    if not isinstance(mdata, MuData):
        raise InputError(f"mdata is a {type(mdata).__name__}, expected a MuData; tables are filtered by themselves")
    if mdata.is_view:
        raise InputError("the data are a view of another MuData, and would be filtered for nothing: call .copy() first")
    keep = chosen_cells(mdata, node)
    kept = int(keep.sum())
    if not kept:
        raise InputError(f"the query {query!r} is true of none of {keep.size:,} cells: look at the columns it names")
    log.info("kept %d of %d cells, of which %r is true", kept, keep.size, query)
    names, columns, tables = mdata.obs_names[keep], mdata.obs.loc[keep].copy(), dict(mdata.obsm)
    inner = {name: values[keep] for name, values in tables.items() if name not in mdata.mod}
    with quiet():
        for name, adata in list(mdata.mod.items()):
            check_adata(adata, name)
            mdata.mod[name] = select(adata, cells=adata.obs_names.isin(names))
    for name in inner:
        del mdata.obsm[name]
    with quiet():
        mdata.update()
    order = pd.Index(mdata.obs_names)
    mdata.obs = columns.reindex(order)
    for name, values in inner.items():
        place = names.get_indexer(order)
        mdata.obsm[name] = values.iloc[place] if isinstance(values, pd.DataFrame) else values[place]
    said = {"query": query, "kept": kept, "lost": int(keep.size) - kept}
    mdata.uns["scanlink"] = {**mdata.uns.get("scanlink", {}), "cells": said}
    return mdata


def chosen_cells(mdata: MuData, node: Node) -> Mask:
    """Tell of which cells a query is true. Shape ``(n_cells,)``."""
    return _Cells(mdata).answers(node)[0]


class _Cells:
    """Columns of cells, as the query names them."""

    def __init__(self, mdata: MuData) -> None:
        self._mdata = mdata
        self._columns: dict[str, pd.Series] = {}

    def answers(self, node: Node) -> tuple[Mask, Mask]:
        """Tell where a node is true, and where it is false; it is neither where what it needs is missing."""
        if isinstance(node, Not):
            true, false = self.answers(node.part)
            return false, true
        if isinstance(node, And | Or):
            trues, falses = zip(*(self.answers(part) for part in node.parts), strict=True)
            every, some = np.logical_and.reduce, np.logical_or.reduce
            return (every(trues), some(falses)) if isinstance(node, And) else (some(trues), every(falses))
        if isinstance(node, Compare):
            known = self._known(node.left)
            holds = np.zeros(known.size, dtype=bool)
            for right in node.right:
                # Not in place: what pandas 3 gives out is read-only.
                known = known & self._known(right)
                holds |= self._compared(node.left, node.sign, right)
            return holds & known, ~holds & known
        column = self.column(node.name)
        values = _flags(column)
        if values is None:
            raise OptionError(
                f"the query names {node.name} alone, which is not True or False but {_described(column)}: compare it"
            )
        known = values.notna().to_numpy()
        holds = values.where(known, False).to_numpy(dtype=bool)
        return holds & known, ~holds & known

    def _known(self, side: Column | Value) -> Mask:
        """Tell in which cells a side has a value."""
        if isinstance(side, Column):
            return np.asarray(self.column(side.name).notna())
        return np.ones(self._mdata.n_obs, dtype=bool)

    def column(self, name: str) -> pd.Series:
        """Find a column, also by the name that another program gives it, and say what is missing in it."""
        if name not in self._columns:
            column = _plain(self._found(name))
            if missing := int(column.isna().sum()):
                log.warning(
                    "%s is missing in %d of %d cells: no comparison with it is true", name, missing, len(column)
                )
            self._columns[name] = column
        return self._columns[name]

    def _found(self, name: str) -> pd.Series:
        mdata = self._mdata
        if name in mdata.obs:
            return mdata.obs[name]
        for adata in mdata.mod.values():
            if name in adata.obs:
                return adata.obs[name].reindex(mdata.obs_names)
        for ours, (_, names) in OTHER_NAMES.items():
            if name in names and ours in mdata.obs:
                log.warning("%s is missing: %s is taken for it", name, ours)
                return mdata.obs[ours]
        if (values := by_other_name(mdata, name)) is not None:
            return values
        known = list(dict.fromkeys([*mdata.obs, *(column for part in mdata.mod.values() for column in part.obs)]))
        close = difflib.get_close_matches(name, map(str, known), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise MissingKeyError(
            f"the query names {name!r}, which is no column of cells{hint}. The columns are "
            f"{first_few(known, most=20)}. Texts stand in quotes"
        )

    def _compared(self, left: Column | Value, sign: str, right: Column | Value) -> Mask:
        if isinstance(left, Value) and isinstance(right, Column):
            mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            return self._compared(right, mirrored.get(sign, sign), left)
        if isinstance(left, Value):
            raise OptionError(f"the query compares {left.value!r} with no column")
        column = self.column(left.name)
        if isinstance(right, Column):
            return _by_sign(column, sign, self.column(right.name), f"{left.name} and {right.name}")
        return _with_value(column, sign, right.value, left.name)


def _with_value(column: pd.Series, sign: str, value: float | str | bool, name: str) -> Mask:
    """Compare a column with a value of its kind."""
    flags = _flags(column)
    if isinstance(value, bool):
        if flags is None:
            raise OptionError(f"the query compares {name} with {value}, but it is {_described(column)}")
        return _by_sign(flags, sign, value, name)
    if isinstance(value, str):
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            raise OptionError(f"the query compares {name} with the text {value!r}, but it is {_described(column)}")
        if sign in ("==", "!=", "in") and not (column == value).any():
            close = difflib.get_close_matches(value, map(str, column.dropna().unique()), n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            log.warning("no cell has %s %r%s", name, value, hint)
    elif not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        raise OptionError(
            f"the query compares {name} with the number {value:g}, but it is {_described(column)}: write '{value:g}'"
        )
    return _by_sign(column, sign, value, name)


def _by_sign(left: pd.Series, sign: str, right: Any, names: str) -> Mask:
    text = not (pd.api.types.is_numeric_dtype(left) or pd.api.types.is_bool_dtype(left))
    if isinstance(right, pd.Series):
        other = not (pd.api.types.is_numeric_dtype(right) or pd.api.types.is_bool_dtype(right))
        if text != other:
            raise OptionError(f"the query compares {names}, one of which holds numbers and the other texts")
    if text and sign not in ("==", "!=", "in") and not _flags_only(left):
        raise OptionError(f"the query compares {names} by {sign}, but texts have no order: ==, != or in was expected")
    left, right = (side.astype(object) if isinstance(side, pd.Series) and text else side for side in (left, right))
    return np.asarray(_SIGNS[sign](left, right), dtype=bool)


def _flags_only(column: pd.Series) -> bool:
    return bool(column.notna().any() and column.dropna().map(lambda value: isinstance(value, bool | np.bool_)).all())


def _plain(column: pd.Series) -> pd.Series:
    """Give numbers as numbers and texts as texts, whatever the type of the column."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype if column.notna().all() else object)
    if pd.api.types.is_bool_dtype(column.dtype) and not column.isna().any():
        return column.astype(bool)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    plain = column.astype(object).where(column.notna(), None)
    known = plain.dropna()
    if len(known) and known.map(lambda value: isinstance(value, int | float) and not isinstance(value, bool)).all():
        return plain.astype(float)
    return plain.map(lambda value: value if value is None or isinstance(value, bool | np.bool_) else str(value))


def _flags(column: pd.Series) -> pd.Series | None:
    """Give a column of True and False, however it was written; None if it holds anything else."""
    if pd.api.types.is_bool_dtype(column):
        return column
    words = {"true": True, "false": False, "1.0": True, "0.0": False}
    values = column.map(lambda value: None if pd.isna(value) else words.get(str(value).lower(), value))
    known = values.dropna()
    if len(known) and known.map(lambda value: isinstance(value, bool | np.bool_)).all():
        return values
    return None


def _described(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "True or False"
    if pd.api.types.is_numeric_dtype(column):
        return f"a number, from {column.min():g} to {column.max():g}"
    return f"a text, such as {first_few(column.dropna().unique(), most=3)}"
