"""Effects and their p-values in tables of results, as pictures take them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from scanlink.adjustment import adjust_table
from scanlink.errors import OptionError
from scanlink.pl._tables import KINDS, asked_rows, checked, minus_log10, usable

__all__ = ["Effects", "contrast_of", "effect_name", "effect_rows", "p_column"]


def contrast_of(table: pd.DataFrame, contrast: str | None) -> tuple[str | None, str]:
    """Find which effect of a table is meant, None where it has but one (links, a screen); and the table's name.

    Raises OptionError if the table does not have the contrast, InputError if it is no table, or empty.
    """
    checked(table, [], name="given")
    pairs, two = "enhancer_1" in table.columns, "target_1" in table.columns
    if not (pairs or two):
        if contrast is not None:
            raise OptionError(
                f"contrast {contrast!r} is of a table of enhancer pairs, and this one has no column 'enhancer_1': "
                "leave it out"
            )
        return None, "screen" if "target" in table.columns else "links"
    contrast = "interaction" if contrast is None else str(contrast)
    states = [name[5:] for name in table.columns if re.fullmatch(r"beta_[01]+", str(name))]
    contrasts, name = (
        (["interaction", *states, "reri"], "epi") if pairs else (["interaction", "1", "2"], "interactions")
    )
    if contrast not in contrasts:
        raise OptionError(f"contrast {contrast!r} is not in the table {name}; expected {', '.join(contrasts)}")
    return contrast, name


def effect_name(contrast: str | None) -> str:
    """Name an effect as on an axis, such as "effect of 10 against 00 (natural log)"."""
    if contrast is None:
        return "effect (natural log)"
    if contrast == "reri":
        return "interaction, additive scale (RERI)"
    if contrast == "interaction":
        return "interaction (natural log)"
    if len(contrast) == 1:
        return f"effect of target {contrast} alone (natural log)"
    return f"effect of {contrast} against {'0' * len(contrast)} (natural log)"


def p_column(kind: str, contrast: str | None) -> str:
    """Name the column of a kind of p-value; OptionError if the kind is not known."""
    if kind not in KINDS:
        raise OptionError(f"kind {kind!r} is not known; expected {', '.join(KINDS)}")
    return KINDS[kind] if contrast is None else f"{KINDS[kind]}_{contrast}"


@dataclass(frozen=True)
class Effects:
    """Tested rows of a table, with the columns of one effect and its p-value; ``fdr`` is of that p-value."""

    rows: pd.DataFrame
    effect: str
    p: str
    effect_name: str
    p_name: str


def effect_rows(table: pd.DataFrame, *, contrast: str | None, kind: str | None, group: str | None) -> Effects:
    """Select links, a screen without its controls, or pairs, with one of their effects; of pairs else the interaction.

    Without a ``kind`` of p-value these are ``p_value`` and ``fdr`` as they are, but for another contrast than the
    interaction ``"robust"``, or ``"wald"`` for that of one target. With one, ``fdr`` is that of Benjamini and Hochberg
    within groups.
    """
    contrast, name = contrast_of(table, contrast)
    table = asked_rows(table, name=name)
    effect = "beta" if contrast is None else "reri" if contrast == "reri" else f"beta_{contrast}"
    title = effect_name(contrast)
    if kind is None and contrast in (None, "interaction"):
        checked(table, ["gene", effect, "p_value", "fdr"], name=name)
        rows = usable(table, [effect, "p_value"], group=group, name=name)
        return Effects(rows, effect, "p_value", title, "p-value")
    if kind is None:
        # Of one target alone there is no robust error.
        kind = "wald" if contrast is not None and len(contrast) == 1 else "robust"
    column = p_column(kind, contrast)
    checked(table, ["gene", effect, column], name=name)
    rows = usable(table, [effect, column], group=group, name=name)
    minus_log10(rows[column], column=column)
    p = rows[column].astype(float)
    groups = rows["group"].astype(str) if "group" in rows.columns else pd.Series("", index=rows.index)
    return Effects(rows.assign(fdr=p.groupby(groups).transform(adjust_table)), effect, column, title, f"{kind} p-value")
