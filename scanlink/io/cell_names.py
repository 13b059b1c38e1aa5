"""What cells are called: barcodes, also where a table kept them in a column and has row numbers as its index."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.io.barcodes import BARCODE_COLUMNS, NUCLEOTIDES, are_unlike, text_index

__all__ = ["are_row_numbers", "cell_names", "names_now", "own_names", "renamed"]

log = logging.getLogger("scanlink")


def are_row_numbers(names: pd.Index | pd.Series) -> bool:
    """Tell whether names of cells only count them, from 0 or from 1."""
    numbers = text_index(names).to_numpy()
    return len(numbers) > 1 and any(
        numbers[0] == str(first) and np.array_equal(numbers, np.arange(first, first + len(numbers)).astype(str))
        for first in (0, 1)
    )


def own_names(table: pd.DataFrame, side: str) -> pd.Index:
    """Give the names of the cells of one table, or where those are row numbers, the column that holds barcodes.

    Without such a column they stay what they are; InputError if several differ.
    """
    names = text_index(table.index)
    column = _barcodes(table, side) if are_row_numbers(names) else None
    return names if column is None else text_index(table[column])


def cell_names(sides: Mapping[str, pd.DataFrame], *, say: bool = False) -> dict[str, pd.Index]:
    """Name the cells of all sides, from their tables of cells, so that equal names are of the same cell.

    Row numbers give way to barcodes, as of :func:`own_names`. Where sides have the same row numbers, the barcodes of
    the first that has any serve all, if the others have none, or those of another list. InputError where numbers that
    are not of the same cells are all that a side has. ``say`` logs what is done.
    """
    names = {side: text_index(table.index) for side, table in sides.items()}
    numbered = [side for side, own in names.items() if are_row_numbers(own)] if len(names) > 1 else []
    columns = {side: column for side in numbered if (column := _barcodes(sides[side], side)) is not None}
    barcodes = {side: text_index(sides[side][column]) for side, column in columns.items()}
    first = next(iter(barcodes), "")
    served = all(names[side].equals(names[numbered[0]]) for side in numbered) and all(
        own.equals(barcodes[first]) or are_unlike({first: barcodes[first], side: own}) for side, own in barcodes.items()
    )
    if not served:
        _doubt_numbers({side: names[side] for side in numbered}, tuple(barcodes), say=say)
    for side in numbered:
        if side in barcodes and (not served or barcodes[side].equals(barcodes[first])):
            names[side] = barcodes[side]
            place = f"{'cells' if side == 'cells' else 'obs'}[{columns[side]!r}]"
            text = f"{side}: cells are called by row numbers; their barcodes are taken from {place}"
        elif served and barcodes:
            names[side] = barcodes[first]
            text = f"{side}: cells are called by the row numbers of {first}, and get its barcodes"
            if side in barcodes:
                text += (
                    f": their own in {columns[side]!r}, such as {first_few(barcodes[side][:2])}, are none of those "
                    f"({first_few(barcodes[first][:2])}), as where barcodes of ATAC were not translated to those of RNA"
                )
        else:
            continue
        if say:
            log.warning("%s", text)
    return names


def _doubt_numbers(numbers: Mapping[str, pd.Index], with_barcodes: Collection[str], *, say: bool) -> None:
    """Refuse row numbers that differ, or warn of them where no side has barcodes, and all count from the same."""
    bare = [side for side in numbers if side not in with_barcodes]
    if not bare:
        return
    counted = "; ".join(f"{side} has {len(own):,}, from {own[0]}" for side, own in numbers.items())
    text = (
        f"cells of {' and '.join(numbers)} are called by row numbers ({counted}), and {' and '.join(bare)} "
        f"{'has' if len(bare) == 1 else 'have'} no column of barcodes"
    )
    if with_barcodes or len({own[0] for own in numbers.values()}) > 1:
        raise InputError(f"{text}, so which cells are the same is not known. Set the barcodes as obs_names of each")
    if say:
        log.warning(
            "%s. Equal numbers are taken for the same cell; where cells were left out before they were numbered, that "
            "is wrong: set the barcodes as obs_names of each",
            text,
        )


def _barcodes(table: pd.DataFrame, side: str) -> object | None:
    """Find the column of barcodes; None if there is none, InputError if several differ. Digits are the last choice."""
    columns = {name: text_index(table[name]) for name in table if _holds_barcodes(table[name], name)}
    if not columns:
        return None
    # Such as the column index that a table has which was numbered anew twice.
    columns = {name: values for name, values in columns.items() if not values.str.isdecimal().all()} or columns
    (chosen, barcodes), *others = columns.items()
    different = [name for name, values in others if not values.equals(barcodes)]
    if different:
        raise InputError(
            f"{side}: cells are called by row numbers ({first_few(table.index[:2])}), and several columns of obs may "
            f"hold barcodes: {first_few([chosen, *different])}. Set the right one as obs_names"
        )
    return chosen


def _holds_barcodes(column: pd.Series, name: object) -> bool:
    """Tell whether a column has a text of its own for each cell, and a name or letters that barcodes have."""
    if pd.api.types.is_numeric_dtype(column.dtype) or column.isna().any() or not column.is_unique:
        return False
    called = str(name).lower() in BARCODE_COLUMNS and not are_row_numbers(column)
    return called or bool(column.astype(str).str.contains(NUCLEOTIDES).mean() > 0.9)


def names_now(called: pd.Index, sides: Mapping[str, pd.DataFrame], names: Mapping[str, pd.Index]) -> pd.Series:
    """Give the names of cells, as of :func:`cell_names`, by what they are ``called`` in the tables of these sides.

    InputError where the sides call two cells the same.
    """
    pairs = pd.concat(
        [pd.DataFrame({"was": text_index(table.index), "now": names[side]}) for side, table in sides.items()]
    ).drop_duplicates()
    pairs = pairs[pairs["was"].isin(text_index(called))]
    if (twice := pairs["was"].duplicated(keep=False)).any():
        was = pairs.loc[twice, "was"].iloc[0]
        raise InputError(
            f"row numbers of {' and '.join(sides)} are not of the same cells: {pairs.loc[twice, 'was'].nunique():,} "
            f"differ, such as {was!r}, which is {first_few(pairs.loc[pairs['was'] == was, 'now'])}. Set the barcodes "
            "as obs_names of each, and then join them"
        )
    return pairs.set_index("was")["now"]


def renamed(table: pd.DataFrame, now: pd.Series) -> pd.DataFrame:
    """Call the cells of a table by their names of :func:`names_now`; others stay. Rows that become one are joined."""
    names = text_index(table.index)
    known = now.reindex(names)
    new = text_index(known.where(known.notna(), names.to_numpy()))
    if new.equals(names):
        return table
    table = table.set_axis(new, axis=0)
    return table if new.is_unique else table.groupby(level=0, sort=False).first()
