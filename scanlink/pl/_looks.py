"""How pictures look: axes, colours and marks, and fewer points where there are too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import InputError, OptionError
from scanlink.pl._tables import LEAST, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType

__all__ = [
    "BLUE",
    "GREY",
    "MANY",
    "ORANGE",
    "SIGNS",
    "STYLES",
    "Ranges",
    "called_points",
    "checked_whole",
    "draw_legend",
    "draw_marks",
    "grey_points",
    "limits",
    "name_points",
    "new_axes",
    "new_figure",
    "open_frame",
    "smallest_shown",
    "thinned",
    "two_axes",
    "with_windows",
]

# Whether new figures are pyplot's, which has windows for them.
_WINDOWS: ContextVar[bool] = ContextVar("windows", default=False)

# Limits of the x and the y axis.
Ranges = tuple[tuple[float, float], tuple[float, float]]

# Colour-blind safe (Okabe and Ito 2008), and told apart by shape without colour. The first four are those of the kinds
# of p-values.
STYLES = (
    ("#D55E00", "o"),
    ("#0072B2", "s"),
    ("#000000", "^"),
    ("#009E73", "D"),
    ("#CC79A7", "v"),
    ("#E69F00", "X"),
    ("#56B4E9", "P"),
    ("#777777", "*"),
)
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#AAAAAA"
# Looks of effects above and below 0: colour, marker, and line of arcs.
SIGNS: dict[int, tuple[str, str, LineStyleType]] = {1: (BLUE, "^", "-"), -1: (ORANGE, "v", (0, (3.5, 1.5)))}
# Above this many, points are gathered on a grid before they are drawn, and drawn as pixels in vector files.
MANY = 5_000
# Up to this many are drawn larger.
_FEW = 30
# Axes end this far beyond the 1st and 99th percentile, in their distance; few points are farther out.
_FAR = 1.5


def checked_whole(value: int, *, name: str, minimum: int) -> int:
    """Return a whole number of at least ``minimum``, if it is one."""
    if isinstance(value, bool) or not (isinstance(value, int) and value >= minimum):
        raise OptionError(f"{name}: expected a whole number of at least {minimum}; found {value!r}")
    return value


def smallest_shown(top: float | None) -> float:
    """Return the p-value at the highest place of an axis, ``-log10`` of it ``top``; None: as small as they come."""
    if top is not None and not (isinstance(top, (int, float)) and top > 0):
        raise OptionError(f"top: expected a number above 0; found {top!r}")
    return LEAST if top is None else max(LEAST, 10.0**-top)


@contextmanager
def with_windows(wanted: bool) -> Iterator[None]:
    """Let pyplot make the figures meanwhile, so that it can show them in a window."""
    token = _WINDOWS.set(wanted)
    try:
        yield
    finally:
        _WINDOWS.reset(token)


def new_figure(size: tuple[float, float]) -> Figure:
    """Make a figure of ``size`` (inches): without pyplot, so that nothing has to be closed, unless it has a window."""
    if _WINDOWS.get():
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def new_axes(ax: Axes | None, *, size: tuple[float, float]) -> Axes:
    """Return the axes given, or those of a new figure of ``size`` (inches), with an open frame."""
    if ax is None:
        ax = new_figure(size).subplots()
    if not hasattr(ax, "get_xlim"):
        raise InputError(f"ax is a {type(ax).__name__}, expected matplotlib axes: give one of those that subplots made")
    return open_frame(ax)


def two_axes(
    ax: Axes | Sequence[Axes] | None, *, size: tuple[float, float], ratio: tuple[float, float], beside: bool
) -> tuple[Axes, Axes]:
    """Return a pair of axes: the pair given; or the axes given, cut in two; or those of a new figure.

    ``ratio`` is that of the two widths, if the second is ``beside`` the first, to the right, or else heights.
    """
    if ax is not None and not hasattr(ax, "get_xlim"):
        pair = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(pair) != 2:
            raise InputError(f"ax holds {len(pair)} axes, expected one or a pair: give two of those that subplots made")
        return new_axes(pair[0], size=size), new_axes(pair[1], size=size)
    first = new_axes(cast("Axes | None", ax), size=size)
    spec, figure = first.get_subplotspec(), first.figure
    if spec is None:
        # Placed by hand: cut by hand.
        x, y, width, height = first.get_position().bounds
        share, gap = ratio[0] / sum(ratio), 0.06
        if beside:
            first.set_position((x, y, width * (share - gap), height))
            rest = (x + width * (share + gap), y, width * (1 - share - gap), height)
        else:
            first.set_position((x, y + height * (1 - share + gap), width, height * (share - gap)))
            rest = (x, y, width, height * (1 - share - gap))
        return first, open_frame(figure.add_axes(rest))
    grid = spec.subgridspec(1, 2, width_ratios=ratio) if beside else spec.subgridspec(2, 1, height_ratios=ratio)
    first.set_subplotspec(grid[0])
    return first, open_frame(figure.add_subplot(grid[1]))


def open_frame(ax: Axes) -> Axes:
    """Leave the frame open above and to the right."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_legend(ax: Axes, **options: Any) -> None:
    """Draw the legend of a crowded picture, through which points can be seen; ``options`` go to matplotlib."""
    ax.legend(**{"loc": "best", "fontsize": "small", "framealpha": 0.85, "edgecolor": "none", **options})


def limits(values: Floats, *, margin: float, always: Floats | None = None) -> tuple[float, float]:
    """Compute limits of an axis that few values lie beyond, and none of ``always``.

    ``margin`` is the share of the range that is left free at either end.
    """
    first, last = np.quantile(values, [0.01, 0.99])
    reach = _FAR * (last - first)
    low, high = max(values.min(), first - reach), min(values.max(), last + reach)
    if always is not None:
        low, high = always.min(initial=low), always.max(initial=high)
    free = margin * (high - low) or 0.5
    return float(low - free), float(high + free)


def name_points(ax: Axes, names: list[str], xy: Floats) -> None:
    """Write names at the first of some points, clear of the others. Shape of ``xy``: ``(n, 2)``, the foremost first."""
    if names:
        from scanlink.pl._labels import add_labels

        # Beyond some thousands no name has room among the points, and looking for it would take long.
        add_labels(ax, names, xy[: len(names)], avoid=xy[:2_000])


def draw_marks(
    ax: Axes, x: ArrayLike, y: ArrayLike, marker: str, color: str, *, size: float, face: str = "", **options: Any
) -> None:
    """Draw points, without a line between them; they are filled unless ``face`` is another colour."""
    looks = {"linestyle": "none", "markersize": size, "markerfacecolor": face or color, "zorder": 3}
    ax.plot(x, y, marker=marker, color=color, **{**looks, **options})


def thinned(x: Floats, y: Floats, ranges: Ranges, *, steps: int = 320) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return points as they are, or where they are many the cells of a grid that hold some, fewest first.

    The third is how many points each stands for. No point lies outside ``ranges``, whose axes are about as many points
    of 1/72 inch long as there are ``steps``. The result does not depend on the order of the points.
    """
    if x.size <= MANY:
        return x, y, np.ones(x.size, dtype=np.int64)
    column, row = (
        np.clip(((values - low) * (steps / (high - low))).astype(np.int64), 0, steps - 1)
        for values, (low, high) in zip((x, y), ranges, strict=True)
    )
    counts = np.bincount(row * steps + column, minlength=steps * steps)
    cells = np.flatnonzero(counts)
    cells = cells[np.argsort(counts[cells], kind="stable")]
    row, column = np.divmod(cells, steps)
    middle_x, middle_y = (
        np.asarray(low + (index + 0.5) * ((high - low) / steps), dtype=np.float64)
        for index, (low, high) in zip((column, row), ranges, strict=True)
    )
    return middle_x, middle_y, counts[cells].astype(np.int64)


def grey_points(ax: Axes, x: Floats, y: Floats, ranges: Ranges, *, text: str) -> None:
    """Draw points that are background; where there are many, the darker the more stand in a place."""
    xs, ys, counts = thinned(x, y, ranges)
    dense = xs.size < x.size
    shade = 0.78 - 0.5 * np.log(counts) / max(np.log(counts.max(initial=1)), 1.0)
    size = 3 if dense else 12 if x.size > _FEW else 30
    color = np.repeat(shade[:, None], 3, axis=1) if dense else GREY
    ax.scatter(xs, ys, s=size, c=color, linewidth=0, zorder=1, rasterized=dense, label="_points")
    # The legend shows one point of the size of the others.
    draw_marks(ax, [], [], "o", GREY, size=4, markeredgewidth=0, label=text)


def called_points(
    ax: Axes,
    x: Floats,
    y: Floats,
    looks: tuple[str, str],
    ranges: Ranges,
    *,
    text: str,
    sizes: tuple[float, float, float] = (10, 26, 40),
    zorder: float = 2,
) -> None:
    """Draw points that are called, in a colour and a marker; ``sizes`` are those of many of them, some, and few."""
    xs, ys, _ = thinned(x, y, ranges)
    size = sizes[0 if xs.size < x.size else 1 if x.size > _FEW else 2]
    (color, marker), many = looks, x.size > MANY
    ax.scatter(xs, ys, s=size, marker=marker, color=color, linewidth=0, zorder=zorder, rasterized=many, label=text)
