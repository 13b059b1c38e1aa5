"""The templates of the page: shared ones, and those that sections have of their own."""

from __future__ import annotations

import math
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

import jinja2
from markupsafe import Markup, escape

from scanlink.run.progress import duration

__all__ = ["environment", "section_template"]


def environment() -> jinja2.Environment:
    """Make what loads the shared templates by name, with the filters that all have."""
    texts = files("scanlink.report") / "page"
    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (texts / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters |= {
        "code": _code,
        "count": "{:,}".format,
        "duration": duration,
        "number": _number,
        "percent": _percent,
        "sign": _sign,
    }
    return templates


def section_template(templates: jinja2.Environment, own: Traversable | None) -> jinja2.Template:
    """Give the template of a section: its own, or that of all sections."""
    if own is None:
        return templates.get_template("section.html.j2")
    return templates.from_string(own.read_text(encoding="utf-8"))


def _code(text: str) -> Markup:
    """Show what stands between backticks as code."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))


def _sign(text: str) -> str:
    """Write a number in the typography of the page: with a true minus, and commas in whole numbers."""
    shown = f"{int(text):,}" if text.lstrip("-").isdigit() else text
    return shown.replace("-", "−")


def _number(value: float) -> str:
    """Write three digits; nothing where there is no number."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else "∞"
    return f"{value:,.0f}" if 1e3 <= value < 1e6 else _sign(f"{value:.3g}")


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
