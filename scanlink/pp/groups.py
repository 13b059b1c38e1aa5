"""Groups of cells that a user names, and the clusters (donors) within them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few

__all__ = ["ALL_CELLS", "cluster_codes", "group_members", "group_names", "type_columns"]

log = logging.getLogger("scanlink")

# Name of the one group of a run without groups.
ALL_CELLS = "all"
# What a column of cell types has: so many levels, and cells enough in each.
_FEWEST, _MOST, _CELLS_A_LEVEL = 2, 60, 10
# How its name tends to read, the best first; orig.ident of Seurat is the sample.
_TYPE_NAMES = ("cell.?type", "annot", "predicted", r"(?<!orig\.)ident", "cluster", "leiden", "louvain", "seurat")


def group_names(groups: Iterable[object] | None) -> tuple[str, ...] | None:
    """Turn the groups that a user names into texts, None for all; refuse a text, whose letters would be groups."""
    if isinstance(groups, str):
        raise InputError(f"groups must be a list of names; found the text {groups!r}: write [{groups!r}]")
    return None if groups is None else tuple(map(str, groups))


def type_columns(cells: pd.DataFrame, *, by_name: bool = False) -> list[str]:
    """List the columns that may hold cell types: those whose names say so, the best first, then other texts.

    They have 2 to 60 levels, of ten cells each on average. ``by_name`` leaves out the others.
    """
    likely: list[tuple[int, str]] = []
    possible: list[str] = []
    for column in map(str, cells.columns):
        values = cells[column].dropna()
        place = next((k for k, name in enumerate(_TYPE_NAMES) if re.search(name, column.lower())), None)
        if place is None and (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
            continue
        if _FEWEST <= values.nunique() <= min(_MOST, values.size // _CELLS_A_LEVEL):
            if place is None:
                possible.append(column)
            else:
                likely.append((place, column))
    named = [column for _, column in sorted(likely, key=lambda item: item[0])]
    return named if by_name else named + possible


def group_members(
    cells: pd.DataFrame, groupby: str | None, groups: tuple[str, ...] | None
) -> dict[str, NDArray[np.int32]]:
    """Find the positions of the cells of each group, in the order of the table of links."""
    if groupby is None:
        if groups is not None:
            raise InputError(f"groups {first_few(groups)} were named without the column to find them in: give groupby")
        return {ALL_CELLS: np.arange(len(cells), dtype=np.int32)}
    if groupby not in cells.columns:
        raise MissingKeyError(
            f"no column {groupby!r} in the table of cells to group by; its columns are "
            f"{first_few(cells.columns, most=20)}"
        )
    labels = cells[groupby]
    if labels.isna().any():
        log.warning("%d cells have no %s and are left out", int(labels.isna().sum()), groupby)
    if pd.api.types.is_float_dtype(labels) and (labels.dropna() % 1 == 0).all():
        # Clusters numbered 0, 1, 2 become floats when one is missing.
        labels = labels.astype("Int64")
    text = labels.astype(object).where(labels.notna(), None).map(lambda value: None if value is None else str(value))
    present = sorted(text.dropna().unique())
    wanted = list(dict.fromkeys(map(str, groups))) if groups is not None else present
    if absent := [name for name in wanted if name not in present]:
        raise MissingKeyError(
            f"no cell has {groupby} {first_few(absent)}; the values are {first_few(present, most=40)}"
        )
    if not wanted:
        raise InputError(
            f"no group to analyse: {groupby!r} is empty in every cell, or an empty list of groups was given"
        )
    codes = text.to_numpy()
    return {name: np.flatnonzero(codes == name).astype(np.int32) for name in wanted}


def cluster_codes(cells: pd.DataFrame, column: str, members: dict[str, NDArray[np.int32]]) -> list[NDArray[np.int64]]:
    """Number the cluster (donor) of each cell of each group, from 0, in order of name; each cell needs one."""
    if column not in cells.columns:
        raise MissingKeyError(
            f"no column {column!r} in the table of cells to take clusters from; its columns are "
            f"{first_few(cells.columns, most=20)}"
        )
    clusters = cells[column]
    codes = []
    for name, rows in members.items():
        of_group = clusters.iloc[rows]
        if of_group.isna().any():
            raise InputError(
                f"{int(of_group.isna().sum())} of {of_group.size} cells of group {name!r} have no {column!r}: a cell "
                "without cluster can be neither resampled nor left alone. Remove them or fill it in"
            )
        codes.append(pd.factorize(of_group.astype(str), sort=True)[0].astype(np.int64))
    return codes
