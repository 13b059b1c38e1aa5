"""The pictures of a report: each is drawn, kept in plots/, and put into the page with words that say how to read it."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.errors import ScanlinkError
from scanlink.files import replace_file
from scanlink.report.sections import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scanlink.report.folder import Run

__all__ = ["Drawn", "draw", "in_rows_of_two", "legible", "plain", "remove_old"]

log = logging.getLogger("scanlink")

_DPI = 160
# Inches above which a picture takes a row of its own.
_WIDE = 6.4
# Letters of a name; layouts break down where labels are wider than the picture.
_LONG = 28


@dataclass(frozen=True)
class Drawn:
    """Holds a picture in the page: the PNG in base64, or why there is none; sizes are in pixels of the page."""

    picture: Picture
    data: str = ""
    wide: bool = False
    width: int = 0
    height: int = 0
    reason: str = ""


def draw(picture: Picture, folder: Path) -> Drawn:
    """Draw a picture and keep it in the folder; where there is nothing to draw, the page says so instead."""
    from scanlink.pl._show import not_shown

    try:
        with not_shown():
            made = picture.make()
    except ScanlinkError as error:
        log.info("no picture %s: %s", picture.name, error)
        return Drawn(picture, reason=str(error))
    figure: Figure = made if hasattr(made, "savefig") else made.figure
    size = figure.get_size_inches()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, format="png", facecolor="white")
    replace_file(folder / f"{picture.name}.png", lambda temporary: temporary.write_bytes(buffer.getvalue()))
    return Drawn(
        picture,
        data=base64.b64encode(buffer.getvalue()).decode(),
        wide=size[0] > _WIDE,
        width=round(96 * size[0]),
        height=round(96 * size[1]),
    )


def remove_old(page: Path, pictures: Iterable[Drawn]) -> None:
    """Remove the pictures that an earlier page has and the new one has not; what else lies in plots/ is left alone."""
    if page.is_file():
        earlier = set(re.findall(r'<figure id="(\w+)"', page.read_text(encoding="utf-8", errors="replace")))
        for name in earlier - {drawn.picture.name for drawn in pictures if drawn.data}:
            (page.parent / "plots" / f"{name}.png").unlink(missing_ok=True)


def in_rows_of_two(pictures: Iterable[Drawn], part: str) -> list[tuple[Drawn, str]]:
    """Place the pictures of a part of a section: "wide", "alone" in a row, or "" beside another."""
    own = [picture for picture in pictures if picture.picture.part == part]
    placed: list[tuple[Drawn, str]] = []
    left = False
    for picture, following in zip_longest(own, own[1:]):
        if picture.wide:
            place, left = "wide", False
        elif left:
            place, left = "", False
        else:
            left = following is not None and not following.wide
            place = "" if left else "alone"
        placed.append((picture, place))
    return placed


def legible(run: Run) -> Run:
    """Give the tables of a run the names of genes and groups that pictures can hold, the same in all.

    Tables without ``group`` and ``gene`` stay as they are. Where a gene has a ``symbol``, that is its name.
    """
    named = {
        name: table.assign(gene=table["symbol"]) if "symbol" in table else table
        for name, table in run.tables.items()
        if {"group", "gene"} <= set(table)
    }
    short = {
        column: _short_names(pd.concat([table[column] for table in named.values()])) for column in ("group", "gene")
    }
    shown = {
        name: table.assign(**{column: table[column].map(names) for column, names in short.items()})
        for name, table in named.items()
    }
    return replace(run, tables={**run.tables, **shown}, gene_names=short["gene"])


def plain(name: Any) -> str:
    """Give a name of :func:`legible` as the words around a picture have it."""
    return str(name).replace(r"\$", "$")


def _short_names(names: pd.Series) -> dict[str, str]:
    """Map names to what stands for them: the same, but for those that are long or hold the sign of formulas."""
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
