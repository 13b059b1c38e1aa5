"""Effects against their p-values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanlink.errors import InputError
from scanlink.pl._effects import effect_rows
from scanlink.pl._looks import (
    MANY,
    SIGNS,
    called_points,
    checked_whole,
    draw_legend,
    grey_points,
    name_points,
    new_axes,
    smallest_shown,
)
from scanlink.pl._tables import checked_level, minus_log10, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["volcano"]

# Effects beyond this many times the 99th percentile are drawn at the edge, or they would squeeze all others.
_FAR = 4.0


def volcano(
    table: pd.DataFrame,
    *,
    contrast: str | None = None,
    kind: str | None = None,
    group: str | None = None,
    fdr: float = 0.1,
    labels: int = 10,
    top: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw effects against p-values, with what is called marked and the foremost named.

    Parameters
    ----------
    table
        A links table, the table of enhancer pairs of :func:`scanlink.tl.epistasis`, or one of a screen or its
        interactions, of which the negative controls are left out.
    contrast
        Effect that is drawn. Of enhancer pairs: ``"interaction"`` (the default), a state such as ``"10"``, or
        ``"reri"``; of interactions of a screen: ``"interaction"``, ``"1"`` or ``"2"``.
    kind
        Kind of p-value: ``"wald"``, ``"robust"``, ``"bootstrap"``, ``"tail"`` or ``"permutation"``. None: for links, a
        screen and the interaction the columns ``p_value`` and ``fdr`` of the table; for another contrast ``"robust"``,
        or ``"wald"`` for that of one target.
    group
        Group of cells whose pairs are drawn; None: all together.
    fdr
        False discovery rate below which a pair is called. Where a kind or a contrast is named, the rate is that of
        Benjamini and Hochberg over the tested pairs of each group.
    labels
        Number of called pairs that are named by their gene, the smallest p-values first; those for which there is no
        room are left out.
    top
        Highest place of the axis: smaller p-values than ``10**-top`` are arrows at the upper edge, so that a few of
        them do not squeeze all others. None: as far as the p-values go.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``.

    Raises
    ------
    InputError
        If nothing was tested, or a p-value lies outside 0 to 1.
    MissingKeyError
        If a column or the group is not there.
    OptionError
        If an option has an impossible value.

    Notes
    -----
    Called effects are triangles that point up above 0 and down below it; the others are grey points, and the darker the
    more pairs there are in a place. A dotted line is the largest p-value that was called, where one line parts
    the called from the others. P-values below 1e-300 or ``10**-top``, and effects beyond four times the 99th
    percentile, are drawn at the edge and counted in the legend. Pairs whose effect is not finite are counted there too.

    Examples
    --------
    >>> links = pd.DataFrame({"gene": ["A", "B", "C"], "beta": [0.5, -0.4, 0.1], "p_value": [1e-6, 1e-4, 0.5],
    ...                       "fdr": [3e-6, 1.5e-4, 0.5]})
    >>> [text.get_text() for text in volcano(links).get_legend().get_texts()]
    ['not called (1)', 'called, above 0 (1)', 'called, below 0 (1)']
    """
    level = checked_level(fdr)
    checked_whole(labels, name="labels", minimum=0)
    smallest = smallest_shown(top)
    effects = effect_rows(table, contrast=contrast, kind=kind, group=group)
    rows, effect, p_column = effects.rows, effects.effect, effects.p
    x = rows[effect].to_numpy(dtype=float)
    finite = np.isfinite(x)
    if not finite.any():
        raise InputError(f"no effect in column {effect!r} is finite: nothing to draw")
    rows, x = rows[finite], x[finite]
    y, is_below = minus_log10(rows[p_column], column=p_column)
    is_below |= y > -np.log10(smallest)
    called = rows["fdr"].to_numpy(dtype=float) < level
    reach = min(np.abs(x).max(), _FAR * float(np.quantile(np.abs(x), 0.99))) or np.abs(x).max() or 1.0
    height = max(y[~is_below].max(initial=0.0), 1.0)
    is_far = np.abs(x) > reach
    x, y = np.clip(x, -1.04 * reach, 1.04 * reach), np.where(is_below, 1.07 * height, y)
    ranges = (-1.12 * reach, 1.12 * reach), (-0.02 * height, 1.14 * height)
    ax = new_axes(ax, size=(5.6, 4.6))
    ax.axvline(0, color="black", linewidth=0.8, zorder=0.5)
    edge = is_far | is_below
    not_called = ~called & ~edge
    grey_points(ax, x[not_called], y[not_called], ranges, text=f"not called ({(~called).sum():,})")
    for sign, (color, marker, _) in SIGNS.items():
        of_sign = called & (np.sign(x) == sign)
        text = f"called, {'above' if sign > 0 else 'below'} 0 ({of_sign.sum():,})"
        called_points(ax, x[of_sign & ~edge], y[of_sign & ~edge], (color, marker), ranges, text=text)
    for at_edge, sign_text, text in (
        (is_below, r"$\uparrow$", f"{is_below.sum():,} below {smallest:.1g}"),
        (is_far & ~is_below & (x > 0), r"$\rightarrow$", f"{(is_far & (x > 0)).sum():,} beyond the edge"),
        (is_far & ~is_below & (x < 0), r"$\leftarrow$", f"{(is_far & (x < 0)).sum():,} beyond the edge"),
    ):
        if at_edge.any():
            colors = np.where(~called[at_edge], "#777777", np.where(x[at_edge] > 0, SIGNS[1][0], SIGNS[-1][0]))
            arrows = ax.scatter(x[at_edge], y[at_edge], s=60, marker=sign_text, color=colors, linewidth=0, label=text)
            arrows.set(zorder=2, rasterized=bool(at_edge.sum() > MANY))
    if not finite.all():
        ax.plot([], [], linestyle="none", label=f"{(~finite).sum():,} without a finite effect")
    p = rows[p_column].to_numpy(dtype=float)
    if called.any() and p[called].max() < p[~called].min(initial=1.0):
        ax.axhline(y[called].min(), color="black", linewidth=0.8, linestyle=":", zorder=0.5)
    title = titled(rows, group, f"{len(rows):,} tested, {called.sum():,} called at FDR {level:g}")
    ax.set(xlabel=effects.effect_name, ylabel=f"{effects.p_name} (−log10)", xlim=ranges[0], ylim=ranges[1], title=title)
    draw_legend(ax, handletextpad=0.4)
    # Smallest p-values first, larger effects first among equal ones.
    numbers = np.flatnonzero(called)
    order = numbers[np.lexsort((-np.abs(x[numbers]), p[numbers]))]
    genes = rows["gene"].iloc[order[:labels]].astype(str)
    if "group" in rows.columns and rows["group"].nunique() > 1:
        genes = genes + " (" + rows["group"].iloc[order[:labels]].astype(str) + ")"
    name_points(ax, genes.tolist(), np.column_stack([x, y])[order])
    return ax
