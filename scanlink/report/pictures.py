"""The pictures of a report: each is drawn, kept in plots/, and put into the page with words that say how to read it."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.errors import ScanlinkError
from scanlink.files import replace_file
from scanlink.report.picture_plans import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "draw", "legible"]

log = logging.getLogger("scanlink")

_DPI = 160
# Inches above which a picture takes a row of its own.
_WIDE = 6.4
# Letters of a name; layouts break down where labels are wider than the picture.
_LONG = 28


@dataclass(frozen=True)
class Picture:
    """A picture in the page.

    Attributes
    ----------
    name
        Of the file in plots/, without suffix.
    section
        Part of the page, such as ``"links"``.
    title, alt, caption
        A heading; what is to be seen, for those who do not see it; and how it is read.
    wide
        Takes the whole width of the page.
    data
        The PNG in base64, "" if there was nothing to draw.
    width, height
        In pixels of the page.
    reason
        Why there is no picture.
    """

    name: str
    section: str
    title: str
    alt: str
    caption: str
    data: str = ""
    wide: bool = False
    width: int = 0
    height: int = 0
    reason: str = ""


def draw(plans: Iterable[Plan], folder: Path) -> list[Picture]:
    """Draw every picture that there is a plan for, into plots/.

    Parameters
    ----------
    plans
        In the order of the page; where there is nothing to draw, the picture says so instead.
    folder
        Run folder.

    Returns
    -------
    list of Picture
        In the same order.
    """
    return [_drawn(plan, folder / "plots") for plan in plans]


def legible(tables: Sequence[pd.DataFrame | None]) -> tuple[list[Any], dict[str, str]]:
    """Tables with names of genes and groups as pictures can hold them, and what stands for the genes.

    Parameters
    ----------
    tables
        With columns ``group`` and ``gene``; None are passed over.
    """
    there = [table for table in tables if table is not None]
    names = {key: _short_names(pd.concat([table[key] for table in there])) for key in ("group", "gene")}
    shown = [
        None if table is None else table.assign(**{key: table[key].map(short) for key, short in names.items()})
        for table in tables
    ]
    return shown, names["gene"]


def _short_names(names: pd.Series) -> dict[str, str]:
    """Names by what stands for them: the same, but for those that are long or hold the sign of formulas."""
    short: dict[str, str] = {}
    taken: set[str] = set()
    for name in names.dropna().unique():
        text = str(name)
        if len(text) > _LONG:
            # Names of one family differ at their end.
            text = f"{text[: _LONG // 2]}…{text[-(_LONG // 2 - 1) :]}"
        number = 1
        while text in taken:
            number += 1
            text = f"{text[: _LONG - 4]}… {number}"
        taken.add(text)
        # Between two signs of a dollar Matplotlib would read a formula.
        short[name] = text.replace("$", r"\$")
    return short


def _drawn(plan: Plan, folder: Path) -> Picture:
    words = {name: getattr(plan, name) for name in ("name", "section", "title", "alt", "caption")}
    path = folder / f"{plan.name}.png"
    try:
        made = plan.make()
    except ScanlinkError as error:
        # A picture of an earlier run with other results must not stay.
        path.unlink(missing_ok=True)
        log.info("no picture %s: %s", plan.name, error)
        return Picture(**words, reason=str(error))
    figure: Figure = made if hasattr(made, "savefig") else made.figure
    size = figure.get_size_inches()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, format="png", facecolor="white")
    replace_file(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))
    return Picture(
        **words,
        data=base64.b64encode(buffer.getvalue()).decode(),
        wide=size[0] > _WIDE,
        width=round(96 * size[0]),
        height=round(96 * size[1]),
    )
