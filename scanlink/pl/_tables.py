"""What pictures take from tables: columns by what they mean, rows that were tested; and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import EmptyTableError, InputError, MissingKeyError, OptionError, first_few
from scanlink.p_values import PERMUTED_KINDS
from scanlink.tables import ASKED

__all__ = [
    "KINDS",
    "LEAST",
    "Floats",
    "as_text",
    "asked_rows",
    "checked",
    "checked_level",
    "counted_pairs",
    "exact_interval",
    "group_title",
    "minus_log10",
    "of_group",
    "tested_rows",
    "titled",
    "usable",
    "wanted_groups",
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
# Columns of the joint table of a screen and links without which its rows cannot be counted.
_JOINT = (
    *("group", "group_screen", "gene_screen", "target", "kind", "beta_link", "p_link", "fdr_link", "status_link"),
    *("beta_screen", "p_screen", "fdr_screen", "status_screen"),
)


def checked(table: pd.DataFrame, columns: Iterable[str], *, name: str) -> pd.DataFrame:
    """Return the table, if it has the columns and a row; or else raise InputError or MissingKeyError."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{name} is a {type(table).__name__}, expected a table (pandas.DataFrame)")
    needed = list(dict.fromkeys(columns))
    if absent := [column for column in needed if column not in table.columns]:
        raise MissingKeyError(f"the table {name} has no column {first_few(absent)}; expected {needed}")
    if not len(table):
        raise EmptyTableError(f"the table {name} is empty: nothing to draw")
    return table


def of_group(table: pd.DataFrame, group: str | None, *, name: str) -> pd.DataFrame:
    """Return the rows of one group; None: all."""
    if group is None or (isinstance(table, pd.DataFrame) and table.empty):
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


def wanted_groups(groups: str | Sequence[str], existing: list[str], *, name: str) -> list[str]:
    """Return one group or several as a list, if the table has all of them."""
    wanted = [groups] if isinstance(groups, str) else [str(group) for group in groups]
    if absent := [group for group in wanted if group not in existing]:
        raise MissingKeyError(
            f"no row of the table {name} has group {first_few(absent)}; its groups are {first_few(existing, most=40)}"
        )
    return wanted


def asked_rows(table: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """Return rows without the negative controls of a screen, InputError if none is left; other tables as they are."""
    if "kind" not in table.columns or not ("target" in table.columns or "target_1" in table.columns):
        return table
    rows = table[table["kind"].isin(ASKED)]
    if not len(rows):
        raise InputError(f"the table {name} holds negative controls only: nothing to draw")
    return rows


def usable(table: pd.DataFrame, columns: Sequence[str], *, group: str | None = None, name: str) -> pd.DataFrame:
    """Return rows of one group, or all, that were tested: status ``ok`` and no number of ``columns`` missing.

    Of the columns only these, the names of things and ``fdr`` are kept: a table has dozens. Where no row was tested the
    InputError says what the statuses are.
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
    """Return a false discovery rate, if it is a number above 0 and up to 1; or else raise OptionError."""
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
    """Write a title that begins with what the rows are of, as ``"T: 2 pairs"``."""
    name = group_title(rows, group)
    return f"{name}{name and ': '}{text}"


def minus_log10(p: ArrayLike, *, column: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Compute ``-log10`` of p-values, and which are below 1e-300, where it is 300; InputError if one is not 0 to 1."""
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


def counted_pairs(table: pd.DataFrame, *, kinds: Sequence[str]) -> pd.DataFrame:
    """Select rows tested on both sides, one a target-gene pair and groups: that of the smallest p-value of the link.

    The table is the joint one of :func:`scanlink.tl.screen_links`; ``kinds`` are those of its rows of the screen that
    count. Raises MissingKeyError if a column is missing, OptionError if a kind is not known.
    """
    if absent := [name for name in _JOINT if name not in table.columns]:
        raise MissingKeyError(
            f"the table has no column {first_few(absent)}; expected one of scanlink.tl.screen_links, all of it"
        )
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    if unknown := [name for name in wanted if name not in ASKED]:
        raise OptionError(f"kinds: {first_few(unknown)} not known; expected {' or '.join(ASKED)}")
    usable = table["kind"].isin(wanted)
    for end in ("link", "screen"):
        usable &= (table[f"status_{end}"] == "ok") & np.isfinite(table[f"beta_{end}"].astype(float))
    rows = table[usable]
    # Larger effects first among equal p-values.
    order = np.lexsort([-rows["beta_link"].abs().to_numpy(dtype=float), rows["p_link"].to_numpy(dtype=float)])
    return rows.iloc[order].drop_duplicates(["group", "group_screen", "gene_screen", "target"])
