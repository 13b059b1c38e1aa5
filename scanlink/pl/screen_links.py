"""Effects of perturbations against those of multiome links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanlink.errors import InputError
from scanlink.pl._looks import (
    GREY,
    STYLES,
    Ranges,
    called_points,
    checked_whole,
    draw_legend,
    grey_points,
    limits,
    name_points,
    new_axes,
)
from scanlink.pl._tables import checked, checked_level, counted_pairs, of_group, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["screen_links"]

# Up to so many points each has its intervals; above, none of the grey ones, and above the second none at all.
_INTERVALS, _MOST_INTERVALS = 60, 300
_NORMAL = 1.959964


def screen_links(
    table: pd.DataFrame,
    *,
    group: str | None = None,
    link_fdr: float = 0.1,
    screen_fdr: float = 0.1,
    kinds: tuple[str, ...] = ("discovery", "positive_control"),
    labels: int = 8,
    ax: Axes | None = None,
) -> Axes:
    """Draw effects of perturbing targets against those of the links on them, with intervals on both axes.

    CRISPRi lowers what an enhancer raises, so that both agree where their signs are opposite: upper left and lower
    right, which are shaded.

    Parameters
    ----------
    table
        Joint table of :func:`scanlink.tl.screen_links`. Of a target on several peaks the one with the smallest p-value
        of the link is drawn, as :func:`scanlink.tl.screen_links_summary` counts them.
    group
        Group of the links that is drawn; None: all together.
    link_fdr, screen_fdr
        False discovery rates below which a pair is a link, and below which the screen has found it.
    kinds
        Kinds of pairs of the screen that are drawn.
    labels
        Number of pairs that are named by their gene, those on which both agree first; those for which there is no room
        are left out.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``. Bars are 95 % intervals; they are left out where there are too many points.

    Raises
    ------
    InputError
        If no pair was tested on both sides.
    MissingKeyError
        If a column or the group is not there.
    OptionError
        If an option has an impossible value.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"group": "T", "group_screen": "all", "gene": list("AB"), "gene_screen": list("AB"), "target": list("uv"),
    ...      "kind": "discovery", "beta_link": [0.5, 0.1], "se_link": 0.1, "p_link": [0.0, 0.5], "fdr_link": [0.0, 0.5],
    ...      "status_link": "ok", "beta_screen": [-0.9, 0.2], "se_screen": 0.2, "p_screen": [0.0, 0.3],
    ...      "fdr_screen": [0.0, 0.3], "status_screen": "ok"})
    >>> screen_links(table).get_title()
    'T: 2 pairs, 1 with opposite signs'
    """
    levels = checked_level(link_fdr, name="link_fdr"), checked_level(screen_fdr, name="screen_fdr")
    checked_whole(labels, name="labels", minimum=0)
    checked(table, ["gene", "se_link", "se_screen"], name="table")
    rows = counted_pairs(of_group(table, group, name="table"), kinds=kinds)
    if not len(rows):
        raise InputError(f"none of the {len(table):,} rows of the table was tested on both sides: nothing to draw")
    x, y = (rows[f"beta_{end}"].to_numpy(dtype=float) for end in ("link", "screen"))
    linked = rows["fdr_link"].to_numpy(dtype=float) < levels[0]
    in_screen = rows["fdr_screen"].to_numpy(dtype=float) < levels[1]
    ax = new_axes(ax, size=(5.6, 5.0))
    called = linked | in_screen
    # Effects that are called, and 0, are always within the axes.
    x_range, y_range = (limits(values, margin=0.08, always=np.append(values[called], 0.0)) for values in (x, y))
    ranges = x_range, y_range
    outside = (x < x_range[0]) | (x > x_range[1]) | (y < y_range[0]) | (y > y_range[1])
    _quadrants(ax, ranges)
    not_called = ~called & ~outside
    if len(rows) <= _INTERVALS:
        _intervals(ax, rows[not_called], GREY)
    grey_points(ax, x[not_called], y[not_called], ranges, text=f"neither ({(~called).sum():,})")
    for selected, looks, text in (
        (linked & ~in_screen, STYLES[3], "link only"),
        (in_screen & ~linked, STYLES[0], "screen only"),
        (linked & in_screen, STYLES[1], "link and screen"),
    ):
        if not selected.any():
            continue
        if called.sum() <= _MOST_INTERVALS:
            _intervals(ax, rows[selected], looks[0])
        text = f"{text} ({selected.sum():,})"
        called_points(ax, x[selected], y[selected], looks, ranges, text=text, sizes=(12, 30, 30), zorder=3)
    if outside.any():
        ax.plot([], [], linestyle="none", label=f"{outside.sum():,} outside the axes")
    opposite = int((np.sign(x) * np.sign(y) < 0).sum())
    ax.set(
        xlim=x_range,
        ylim=y_range,
        xlabel="effect of the link (natural log)",
        ylabel="effect of the perturbation (natural log)",
    )
    title = titled(rows, group, f"{len(rows):,} pairs, {opposite:,} with opposite signs")
    ax.set_title(title, fontsize="medium")
    draw_legend(ax, handletextpad=0.4)
    # Those that both sides call, then those that the screen has found, smallest p-values first.
    hits = np.flatnonzero(in_screen)
    order = hits[np.lexsort((rows["p_screen"].to_numpy(dtype=float)[hits], ~linked[hits]))]
    name_points(ax, rows["gene"].iloc[order[:labels]].astype(str).tolist(), np.column_stack([x, y])[order])
    return ax


def _quadrants(ax: Axes, ranges: Ranges) -> None:
    """Shade where signs are opposite."""
    for x_end, y_end in zip(ranges[0], reversed(ranges[1]), strict=True):
        ax.fill_between([min(0.0, x_end), max(0.0, x_end)], 0, y_end, color="#EEF3F7", linewidth=0, zorder=0)
    ax.axhline(0, color="black", linewidth=0.8, zorder=0.5)
    ax.axvline(0, color="black", linewidth=0.8, zorder=0.5)


def _intervals(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    """Draw the 95 % intervals of some pairs on both axes."""
    x, y = rows["beta_link"].to_numpy(dtype=float), rows["beta_screen"].to_numpy(dtype=float)
    wide, high = (_NORMAL * rows[f"se_{end}"].to_numpy(dtype=float) for end in ("link", "screen"))
    for draw, position, start, end in ((ax.hlines, y, x - wide, x + wide), (ax.vlines, x, y - high, y + high)):
        draw(position, start, end, color=color, linewidth=0.8, alpha=0.7, zorder=1.5)
