"""What is refused of the tables and options from which pairs are made."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few

__all__ = ["check_intervals", "check_options", "refuse_equal_names"]

_LONGEST = 10**12  # bp; no chromosome has more, and sums of a few are far from what a number can be


def refuse_equal_names(names: pd.Index, what: str, modality: str) -> None:
    """Refuse names of features that occur twice."""
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        raise InputError(
            f"{len(twice)} {what} names occur more than once: {first_few(twice)}. Expected unique names: call "
            f"mdata[{modality!r}].var_names_make_unique()"
        )


def check_options(window: int, anchor: str, overlap: str) -> None:
    """Refuse options of pairs that have an impossible value."""
    is_number = isinstance(window, Real) and not isinstance(window, bool)
    if not is_number or not 0 <= window <= _LONGEST or window != int(window):
        raise OptionError(f"window is {window!r}, expected a whole number of bp, from 0 to {_LONGEST:,}")
    if anchor not in ("body", "tss"):
        raise OptionError(f"anchor is {anchor!r}, expected 'body' or 'tss'")
    if overlap not in ("any", "center"):
        raise OptionError(f"overlap is {overlap!r}, expected 'any' or 'center'")


def check_intervals(table: pd.DataFrame, *, what: str) -> pd.DataFrame:
    """Take the columns chrom, start, end, strand of a table, with plain types; impossible intervals are refused."""
    if lacking := [name for name in ("chrom", "start", "end") if name not in table]:
        raise MissingKeyError(
            f"{what} has no column {first_few(lacking)}, found {first_few(table.columns, most=8) or 'none'}: "
            "scanlink.io reads them from peak names such as 'chr1:100-600' and from GTF or BED"
        )
    bounds = {name: pd.to_numeric(table[name], errors="coerce") for name in ("start", "end")}
    bad = bounds["start"].isna() | bounds["end"].isna() | (bounds["start"] < 0) | (bounds["start"] >= bounds["end"])
    bad |= table["chrom"].isna() | (bounds["end"] > _LONGEST) | (bounds["start"] % 1 != 0) | (bounds["end"] % 1 != 0)
    if bad.any():
        row = table[bad].iloc[0]
        raise InputError(
            f"{what}: {int(bad.sum())} of {len(table)} intervals are impossible, the first {row['chrom']}:"
            f"{row['start']}-{row['end']}. Expected a chromosome and 0 <= start < end, whole numbers (0-based, "
            "half-open)"
        )
    strand = table["strand"].astype(str) if "strand" in table else pd.Series(".", index=table.index)
    return pd.DataFrame(
        {
            "chrom": table["chrom"].astype(str).to_numpy(dtype=object),
            "start": bounds["start"].to_numpy(dtype=np.int64),
            "end": bounds["end"].to_numpy(dtype=np.int64),
            "strand": strand.to_numpy(dtype=object),
        }
    )
