"""How a picture comes before the eyes of who asked for it: shown in a notebook, kept in a file, or given back."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanlink.errors import EmptyTableError, InputError, OptionError
from scanlink.pl._looks import new_axes, with_windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["not_shown", "shown"]

_FOR_A_PAGE: ContextVar[bool] = ContextVar("for a page", default=False)
_WORDS = """\
show
    Whether the picture is shown: in a notebook below the cell, elsewhere in a window. None shows it in a notebook,
    unless it is drawn into ``ax`` or asked for with ``return_fig``.
save
    File that the picture is written to, of a format that matplotlib knows by its ending, such as ``"links.pdf"``.
return_fig
    Return the figure instead of the axes.
"""
_KEYWORDS = ("show", "save", "return_fig")


def shown(picture: Callable[..., Any]) -> Callable[..., Any]:
    """Give a picture the keywords ``show``, ``save`` and ``return_fig``, and an empty picture of an empty table."""

    @functools.wraps(picture)
    def draw(
        *args: Any,
        show: bool | None = None,
        save: str | os.PathLike[str] | None = None,
        return_fig: bool = False,
        **options: Any,
    ) -> Any:
        _check(show, save, return_fig)
        own = options.get("ax") is None
        in_window = bool(show) and own and _shell() is None
        with with_windows(in_window):
            made = _made(picture, args, options)
        figure = _figure_of(made)
        if save is not None:
            _write(figure, Path(save))
        wanted = show or (show is None and own and not return_fig and not _FOR_A_PAGE.get())
        if wanted and _shell() is not None:
            _display(figure)
        elif show:
            import matplotlib.pyplot as plt

            plt.show()
        return figure if return_fig else made

    signature = inspect.signature(picture)
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, default, kind in zip(
            _KEYWORDS, (None, None, False), ("bool | None", "str | os.PathLike[str] | None", "bool"), strict=True
        )
    ]
    draw.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *extra])  # type: ignore[attr-defined]
    before, heading, after = inspect.cleandoc(picture.__doc__ or "").partition("\n\nReturns\n")
    draw.__doc__ = f"{before}\n{_WORDS.rstrip()}{heading}{after}" if heading else before
    return draw


@contextmanager
def not_shown() -> Iterator[None]:
    """Draw for a page: nothing is shown, also in a notebook, and a table without rows is an error that says so."""
    token = _FOR_A_PAGE.set(True)
    try:
        yield
    finally:
        _FOR_A_PAGE.reset(token)


def _check(show: object, save: object, return_fig: object) -> None:
    if not (show is None or isinstance(show, bool)) or not isinstance(return_fig, bool):
        found = f"show={show!r}, return_fig={return_fig!r}"
        raise OptionError(f"expected True, False or None as show, and True or False as return_fig; found {found}")
    if save is not None and (isinstance(save, bool) or not isinstance(save, str | os.PathLike)):
        raise OptionError(f'save: expected the name of a file, such as save="picture.pdf"; found {save!r}')


def _made(picture: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Draw a picture, or of a table without rows axes that say so."""
    try:
        return picture(*args, **options)
    except EmptyTableError as error:
        if _FOR_A_PAGE.get():
            raise
        ax = options.get("ax")
        ax = new_axes(ax if ax is None or hasattr(ax, "get_xlim") else next(iter(ax)), size=(4.8, 3.2))
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, str(error), ha="center", va="center", wrap=True, color="#555555", transform=ax.transAxes)
        # A picture of two panels is one figure.
        return ax.figure if "ax" not in inspect.signature(picture).parameters else ax


def _figure_of(made: Any) -> Figure:
    figure: Any = made if hasattr(made, "savefig") else made.figure
    while not hasattr(figure, "savefig"):
        # Of a part of a figure.
        figure = figure.figure
    return figure  # type: ignore[no-any-return]


def _write(figure: Figure, path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(f"save: there is no folder {path.parent}; make it first")
    try:
        figure.savefig(path)
    except ValueError as error:
        known = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise OptionError(f"save: {path} cannot be written ({error}); endings that are known: {known}") from None


def _shell() -> Any:
    """Give the shell of a notebook, whose output shows pictures; None elsewhere, in a terminal too."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _display(figure: Figure) -> None:
    """Show a figure as the notebook shows those of pyplot: in the formats that the user chose, else as PNG."""
    from IPython.display import display
    from matplotlib.figure import Figure

    formatters = _shell().display_formatter.formatters.values()
    if not any(Figure in formatter.type_printers for formatter in formatters if formatter.format_type != "text/plain"):
        # Who never imported pyplot has none.
        from IPython.core.pylabtools import select_figure_formats

        select_figure_formats(_shell(), {"png"}, bbox_inches="tight")
    display(figure)
