"""What pictures take from tables: columns by what they mean, rows that were tested; and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.p_values import PERMUTED_KINDS
from scanlink.tables import ASKED

__all__ = [
    "KINDS",
    "LEAST",
    "as_text",
    "asked_rows",
    "checked",
    "checked_level",
    "exact_interval",
    "group_title",
    "minus_log10",
    "of_group",
    "tested_rows",
    "titled",
    "usable",
]

Floats = NDArray[np.float64]

# Column of each kind of p-value, by the name that p_value= of a scan has for it.
KINDS = {name: kind.column for name, kind in PERMUTED_KINDS.items()}
# What a double holds below this has lost its digits.
LEAST = 1e-300
# Columns that say what a row is of.
_NAMES = (
    *("group", "gene", "peak", "enhancer_1", "enhancer_2", "enhancer_3", "enhancer_4", "target", "target_1"),
    *("target_2", "fdr"),
)


def checked(table: pd.DataFrame, columns: Iterable[str], *, name: str) -> pd.DataFrame:
    """Return the table, if it has the columns and a row.

    Raises
    ------
    InputError, MissingKeyError
        If it is no table, is empty, or lacks a column.
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{name} is a {type(table).__name__}, expected a table (pandas.DataFrame)")
    needed = list(dict.fromkeys(columns))
    if absent := [column for column in needed if column not in table.columns]:
        raise MissingKeyError(f"the table {name} has no column {first_few(absent)}; expected {needed}")
    if not len(table):
        raise InputError(f"the table {name} is empty: nothing to draw")
    return table


def of_group(table: pd.DataFrame, group: str | None, *, name: str) -> pd.DataFrame:
    """Return the rows of one group; None: all."""
    if group is None:
        return table
    if "group" not in table.columns:
        raise MissingKeyError(f"the table {name} has no column 'group' to find {group!r} in: leave group out")
    rows = table[table["group"].astype(str) == str(group)]
    if not len(rows):
        raise MissingKeyError(
            f"no row of the table {name} has group {group!r}; its groups are "
            f"{first_few(table['group'].unique(), most=40)}"
        )
    return rows


def asked_rows(table: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """Return rows without the negative controls of a screen; other tables as they are.

    Raises
    ------
    InputError
        If nothing is left.
    """
    if "kind" not in table.columns or not ("target" in table.columns or "target_1" in table.columns):
        return table
    rows = table[table["kind"].isin(ASKED)]
    if not len(rows):
        raise InputError(f"the table {name} holds negative controls only: nothing to draw")
    return rows


def usable(table: pd.DataFrame, columns: Sequence[str], *, group: str | None = None, name: str) -> pd.DataFrame:
    """Return rows of one group, or all, that were tested: status ``ok`` and no number of ``columns`` missing.

    Of the columns only these, the names of things and ``fdr`` are kept: a table has dozens.

    Raises
    ------
    InputError
        If there is none; says what the statuses are.
    """
    rows = of_group(table, group, name=name)
    is_tested = rows["status"] == "ok" if "status" in rows.columns else pd.Series(True, index=rows.index)
    for column in columns:
        is_tested &= pd.to_numeric(rows[column], errors="coerce").notna()
    if not is_tested.any():
        of_which = "" if group is None else f" of group {group!r}"
        why = f"{first_few(columns)} is missing in all of them"
        if "status" in rows.columns and not (rows["status"] == "ok").any():
            counts = rows["status"].value_counts().items()
            why = "status " + ", ".join(f"{status} {count:,}" for status, count in counts)
        raise InputError(
            f"none of the {len(rows):,} rows{of_which} of the table {name} was tested ({why}): nothing to draw"
        )
    columns_kept = [*columns, *(name for name in _NAMES if name in rows.columns and name not in columns)]
    return rows.loc[is_tested, columns_kept]


def tested_rows(table: pd.DataFrame, columns: Sequence[str], *, group: str | None, name: str) -> pd.DataFrame:
    """Return the tested rows of a table that has the columns, without the negative controls of a screen."""
    return usable(asked_rows(checked(table, columns, name=name), name=name), columns, group=group, name=name)


def as_text(values: pd.Series) -> pd.Series:
    """Turn names into a categorical of text: of millions of rows, each name is made text once."""
    categorical = values.astype("category")
    # Another name may have the same text.
    texts, code = np.unique(
        np.array([str(name) for name in categorical.cat.categories], dtype=object), return_inverse=True
    )
    codes = np.append(code, -1)[categorical.cat.codes.to_numpy()].astype(np.int64)
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(texts)), index=values.index)


def checked_level(value: float, *, name: str = "fdr") -> float:
    """Return a false discovery rate, if it is one.

    Raises
    ------
    OptionError
        If it is no number above 0 and up to 1.
    """
    if not (isinstance(value, (int, float)) and 0 < value <= 1):
        raise OptionError(f"{name}: expected a number above 0 and at most 1; found {value!r}")
    return float(value)


def group_title(rows: pd.DataFrame, group: str | None) -> str:
    """Say what the rows are of: the group, or how many groups; empty where there are none."""
    if group is not None:
        return str(group)
    names = list(rows["group"].unique()) if "group" in rows.columns else []
    return str(names[0]) if len(names) == 1 else f"{len(names)} groups" if names else ""


def titled(rows: pd.DataFrame, group: str | None, text: str) -> str:
    """Write a title that begins with what the rows are of.

    Examples
    --------
    >>> titled(pd.DataFrame({"group": ["T", "T"]}), None, "2 pairs"), titled(pd.DataFrame(), None, "no pair")
    ('T: 2 pairs', 'no pair')
    """
    name = group_title(rows, group)
    return f"{name}{name and ': '}{text}"


def minus_log10(p: ArrayLike, *, column: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Compute ``-log10`` of p-values, and which are below 1e-300, where the result is 300.

    Raises
    ------
    InputError
        If one lies outside 0 to 1.
    """
    values = np.asarray(p, dtype=float)
    if values.size and not ((values >= 0) & (values <= 1)).all():
        raise InputError(
            f"column {column!r} runs from {np.nanmin(values)} to {np.nanmax(values)}, expected p-values from 0 to 1"
        )
    below = values < LEAST
    return -np.log10(np.where(below, LEAST, values)), below


def exact_interval(k: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Compute the 95 % interval of a share of k in n (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, 0.025), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 0.975), 1.0)
    return low, high
