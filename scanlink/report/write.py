"""One offline HTML file that tells what a run was asked, what it tested, and what came out."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import jinja2

from scanlink.files import replace_file
from scanlink.report import multiome, screen
from scanlink.report.folder import read_run
from scanlink.report.screen_folder import is_screen, read_screen_run
from scanlink.run.progress import duration

__all__ = ["write_report"]


def write_report(folder: Path, *, rows: int = 5_000) -> Path:
    """Write report.html and the pictures in plots/ from what lies in a run folder.

    Parameters
    ----------
    folder
        Run folder of a run that has come to its links, or of a screen that has come to its effects.
    rows
        Most rows in the tables that can be searched.

    Returns
    -------
    pathlib.Path
        report.html in the folder. It holds all that it shows, and asks nothing of a network.

    Raises
    ------
    InputError
        If the folder holds no results, or a file in it is damaged.
    RunError
        If the folder cannot be written.
    """
    folder = Path(folder)
    if is_screen(folder):
        page = _template("screen.html.j2").render(screen.context(read_screen_run(folder), rows))
    else:
        page = _template("links.html.j2").render(multiome.context(read_run(folder), rows))
    path = folder / "report.html"
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def _template(name: str) -> jinja2.Template:
    texts = files("scanlink.report") / "page"
    loader = jinja2.FunctionLoader(lambda name: (texts / name).read_text(encoding="utf-8"))
    surroundings = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    surroundings.filters |= {
        "count": "{:,}".format,
        "sign": _sign,
        "duration": duration,
        "number": _number,
        "percent": _percent,
    }
    return surroundings.get_template(name)


def _sign(text: str) -> str:
    """A number in the typography of the page: with a true minus, and commas in whole numbers."""
    shown = f"{int(text):,}" if text.lstrip("-").isdigit() else text
    return shown.replace("-", "−")


def _number(value: float) -> str:
    """Three digits; nothing where there is no number."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else "∞"
    return f"{value:,.0f}" if 1e3 <= value < 1e6 else _sign(f"{value:.3g}")


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
