"""Tables of the guides of a screen: the target of each, how well it works, and where the target is."""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few

__all__ = ["GUIDE_COLUMNS", "NON_TARGETING", "find_column", "find_columns", "guide_table", "unplain_controls"]

log = logging.getLogger("scanlink")

NON_TARGETING = "non-targeting"
GUIDE_COLUMNS = ("target", "efficiency", "chrom", "start", "end")

# What tables in the wild call these, in lower case and with _ for whatever separates words; the first found is taken.
# Where the guide binds and where its target is may both be there; the target counts.
_PLACE = ("target_", "intended_target_", "target_site_", "grna_target_", "")
_NAMES = {
    "guide": (
        *("guide", "guide_id", "grna", "grna_id", "sgrna", "sgrna_id", "guide_name", "name", "id", "spacer"),
        *("protospacer", "grna_sequence", "guide_sequence", "protospacer_sequence", "sequence", "barcode"),
    ),
    "target": (
        *("target", "intended_target_name", "target_id", "target_name", "intended_target", "grna_target"),
        *("target_site", "grna_group", "target_gene_id", "target_gene_name", "target_gene", "gene_target"),
    ),
    "efficiency": ("efficiency", "guide_efficiency", "grna_efficiency", "cutting_efficiency", "efficacy"),
    "targeting": ("targeting", "is_targeting"),
    "chrom": tuple(f"{place}{name}" for place in _PLACE for name in ("chrom", "chr", "chromosome", "seqnames")),
    "start": tuple(f"{place}{name}" for place in _PLACE for name in ("start", "chromstart")),
    "end": tuple(f"{place}{name}" for place in _PLACE for name in ("end", "chromend", "stop")),
}
# Labels of controls, in lower case; those of the first kind may have a number behind them, as NTC3 or non-targeting_12.
_NUMBERED = r"(?:non[-_. ]?target(?:ing)?|ntc|neg(?:ative)?[-_. ]?(?:control|ctrl)|scrambled?|safe[-_. ]?targeting)"
_CONTROL = (
    rf"{_NUMBERED}(?:[-_. ]?(?:control|ctrl|guide|grna|sgrna))?s?(?:[-_. ]?\d+)?"
    r"|nt|negative|control|ctrl|safe[-_. ]?harbou?r"
)
_NO_TEXT = ("", ".", "-", "na", "nan", "none", "null", "-9", "-9.0", "-1", "-1.0")
_NO_POSITION = (-9.0, -1.0)
# Guides of one target lie within some hundred bp; a target much wider than any enhancer is probably two.
_WIDEST = 50_000


def find_column(table: pd.DataFrame, kind: str) -> object | None:
    """Find the column of a table that holds ``kind`` under one of its usual names, or None."""
    return next(iter(find_columns(table, kind)), None)


def find_columns(table: pd.DataFrame, kind: str) -> list[object]:
    """Find all columns of a table with a usual name of ``kind``, the likeliest first."""
    columns = {re.sub(r"[^a-z0-9]+", "_", str(name).lower()): name for name in reversed(table.columns)}
    return [columns[name] for name in _NAMES[kind] if name in columns]


def guide_table(table: pd.DataFrame, *, label: str = "the table of guides") -> pd.DataFrame:
    """Find targets, efficiencies and coordinates of guides, whatever the columns of a table are called.

    The table has one row a guide, its name as index; ``targeting`` may tell controls (False). The result has the same
    index: ``target`` (text; ``"non-targeting"`` for controls), ``efficiency`` (0 to 1; NaN: not known), ``chrom``
    (categories), ``start`` and ``end`` of the target (bp, 0-based half-open; NaN: not known), which are the hull of
    what its guides say. Controls have no coordinates; -9 and -1 are none. Raises MissingKeyError if there is no column
    of targets; InputError if a guide has no target, an efficiency is not from 0 to 1, coordinates are impossible, a
    target is on two chromosomes, or all guides are controls.
    """
    guides = pd.DataFrame({"target": _targets(table, label)}, index=table.index)
    guides["efficiency"] = _efficiencies(table, label)
    for name, column in _places(table, guides["target"], label).items():
        guides[name] = column
    return guides


def _text(column: pd.Series) -> pd.Series:
    """Turn values into stripped text, whole numbers without a point; None where there is none."""
    values = column.astype(object)
    if pd.api.types.is_float_dtype(column):
        values = values.map(lambda one: int(one) if pd.notna(one) and float(one).is_integer() else one)
    text = values.where(values.notna(), "").astype(str).str.strip()
    return text.where(~text.str.lower().isin(_NO_TEXT), None).astype(object)


def _is_control(text: pd.Series) -> pd.Series:
    return text.fillna("").str.lower().str.fullmatch(_CONTROL)


def unplain_controls(target: pd.Series) -> NDArray[np.bool_]:
    """Tell which targets are labels of controls other than ``"non-targeting"``."""
    return np.asarray(_is_control(_text(target)) & (target.astype(object) != NON_TARGETING), dtype=bool)


def _targets(table: pd.DataFrame, label: str) -> pd.Series:
    column = find_column(table, "target")
    if column is None:
        raise MissingKeyError(
            f"{label} has no column of targets, found {first_few(table.columns, most=10) or 'none'}: expected "
            "'target', 'intended_target_name' or 'grna_target'. Give a table with the columns "
            "guide and target as guides="
        )
    target = _text(table[column])
    control = _is_control(target)
    said = find_column(table, "targeting")
    if said is not None:
        values = _text(table[said]).fillna("").str.lower()
        odd = ~values.isin(["true", "false", "1", "0", "yes", "no", "targeting"]) & ~_is_control(values)
        if odd.any():
            raise InputError(
                f"{label}: column {said!r} has {first_few(table[said][odd].unique())}; expected True, and False for "
                "controls"
            )
        untargeted = values.isin(["false", "0", "no"]) | _is_control(values)
        named = untargeted & target.notna() & ~control
        if named.any():
            log.warning(
                "%s: %d guides have a target (%s) but are not targeting by column %r; they are taken as controls",
                label,
                int(named.sum()),
                first_few(target[named].unique()),
                said,
            )
        control = control | untargeted
    others = sorted(set(target[control].dropna()) - {NON_TARGETING})
    if others:
        log.info("%s: guides of %s are controls, and called %r", label, first_few(others), NON_TARGETING)
    target = target.where(~control, NON_TARGETING)
    missing = target.isna()
    if missing.any():
        raise InputError(
            f"{label}: {int(missing.sum())} of {len(table)} guides have no target ({first_few(table.index[missing])}): "
            f"name it in column {column!r}, or write {NON_TARGETING!r} for controls"
        )
    if len(table) and (target == NON_TARGETING).all():
        raise InputError(
            f"{label}: all {len(table)} guides are controls ({NON_TARGETING!r}); a screen has guides with a target"
        )
    return target.astype(object)


def _efficiencies(table: pd.DataFrame, label: str) -> NDArray[np.float64]:
    column = find_column(table, "efficiency")
    if column is None:
        return np.full(len(table), np.nan)
    numbers = _numbers(table[column], label, "efficiency, a number from 0 to 1,")
    bad = (numbers < 0) | (numbers > 1)
    if bad.any():
        raise InputError(
            f"{label}: {int(bad.sum())} efficiencies in column {column!r} are not from 0 to 1, such as "
            f"{numbers[bad][0]:g} of guide {table.index[bad][0]!s}. Divide percentages by 100; leave "
            "empty what is not known"
        )
    return numbers


def _places(table: pd.DataFrame, target: pd.Series, label: str) -> dict[str, Any]:
    """Find chromosome, start and end of each guide's target."""
    columns = {name: find_column(table, name) for name in ("chrom", "start", "end")}
    lacking = [name for name, column in columns.items() if column is None]
    present = [str(column) for column in columns.values() if column is not None]
    if lacking and not {"start", "end"} <= set(lacking):
        raise MissingKeyError(
            f"{label} has {first_few(present)} but no column {first_few(lacking)}; all of chrom, start and end were "
            "expected, or none"
        )
    if lacking:
        none = np.full(len(table), np.nan)
        return {"chrom": pd.Categorical([None] * len(table)), "start": none, "end": none.copy()}
    chrom = _text(table[columns["chrom"]])
    start, end = (_numbers(table[columns[name]], label, f"{name}, in bp,") for name in ("start", "end"))
    start, end = (np.where(np.isin(one, _NO_POSITION), np.nan, one) for one in (start, end))
    targeted = (target != NON_TARGETING).to_numpy()
    complete = chrom.notna().to_numpy() & np.isfinite(start) & np.isfinite(end)
    partly = targeted & ~complete & (chrom.notna().to_numpy() | ~np.isnan(start) | ~np.isnan(end))
    bad = partly | (
        targeted & complete & ~((start >= 0) & (start < end) & (start == np.floor(start)) & (end == np.floor(end)))
    )
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{label}: {int(bad.sum())} guides have impossible coordinates ({first_few(table.index[bad])}), the first "
            f"{chrom.iloc[first]}:{start[first]:g}-{end[first]:g}. Expected a chromosome and 0 <= start < end "
            "(0-based, half-open), or nothing (or -9) in all three"
        )
    rows = pd.DataFrame({"target": target, "chrom": chrom, "start": start, "end": end})[targeted & complete]
    hull = rows.groupby("target", sort=False).agg(
        n=("chrom", "nunique"), chrom=("chrom", "first"), start=("start", "min"), end=("end", "max")
    )
    if (hull["n"] > 1).any():
        several = hull.index[hull["n"] > 1]
        raise InputError(
            f"{label}: guides of one target are on different chromosomes: {first_few(several)}. Expected a target in "
            "one place: give each place a name of its own"
        )
    wide = hull.index[hull["end"] - hull["start"] > _WIDEST]
    if len(wide):
        log.warning(
            "%s: guides of one target lie more than %s bp apart: %s. Are these several targets of one name?",
            label,
            f"{_WIDEST:,}",
            first_few(wide),
        )
    placeless = target[targeted & ~target.isin(hull.index).to_numpy()].unique()
    if len(placeless):
        log.warning("%s: %d targets have no coordinates: %s", label, len(placeless), first_few(placeless))
    place = hull.reindex(target.to_numpy())
    return {
        "chrom": pd.Categorical(place["chrom"].to_numpy(dtype=object)),
        "start": place["start"].to_numpy(dtype=float),
        "end": place["end"].to_numpy(dtype=float),
    }


def _numbers(column: pd.Series, label: str, what: str) -> NDArray[np.float64]:
    text = _text(column) if not pd.api.types.is_numeric_dtype(column) else column
    numbers = pd.to_numeric(text, errors="coerce")
    bad = (numbers.isna() & text.notna()).to_numpy()
    if bad.any():
        raise InputError(
            f"{label}: {int(bad.sum())} values in column {column.name!r} are not numbers: {first_few(column[bad])}. "
            f"{what[0].upper()}{what[1:]} was expected"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)
