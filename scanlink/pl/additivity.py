"""Sums of single effects of two enhancers against their joint effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanlink.errors import InputError
from scanlink.pl._looks import SIGNS, called_points, draw_legend, draw_marks, grey_points, limits, two_axes
from scanlink.pl._tables import Floats, asked_rows, checked, checked_level, tested_rows, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["additivity"]

_EFFECTS = ("beta_10", "beta_01", "beta_11")
_OF_TARGETS = ("beta_1", "beta_2", "beta_interaction")


def additivity(
    epi: pd.DataFrame, *, group: str | None = None, fdr: float = 0.1, ax: Axes | Sequence[Axes] | None = None
) -> Axes:
    """Draw the sum of two enhancers' single effects against their joint effect, pair by pair.

    On the identity line effects multiply (on this, the natural log scale, they add); above it the pair does more
    (synergy), below it less (redundancy).

    Parameters
    ----------
    epi
        Table of enhancer pairs: ``beta_10``, ``beta_01`` and ``beta_11``, each against cells in which both are closed.
        Or interactions of a screen: ``beta_1``, ``beta_2``, and their sum with ``beta_interaction``, each against
        cells with neither perturbation; negative controls are left out.
    group
        Group of cells whose pairs are drawn; None: all together.
    fdr
        False discovery rate: pairs with ``fdr`` of the interaction below this are marked, where the table has it.
    ax
        A pair of axes, for the scatter and the box plot; or one, which is cut in two; None makes a figure, without
        pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        That of the scatter; the box plot is the second of the pair given, or the last of ``ax.figure.axes``.

    Raises
    ------
    InputError
        If nothing was tested.
    MissingKeyError
        If a column or the group is not there.

    Warnings
    --------
    The sum has the errors of two estimates and the joint effect that of one, so that points scatter about the line
    where every pair multiplies. With ``coding="dosage"`` the joint effect is half of what it should be, and most pairs
    seem to lie below the line.

    Notes
    -----
    The box holds the middle half of the differences ``beta_11 - beta_10 - beta_01``, its line is the median, and the
    whiskers reach from the 5 % to the 95 % quantile; what lies beyond is not drawn.

    Examples
    --------
    >>> epi = pd.DataFrame({"beta_10": [0.2, 0.3, 0.1], "beta_01": [0.1, 0.3, 0.4], "beta_11": [0.4, 0.5, 0.6]})
    >>> additivity(epi).get_title().splitlines()
    ['3 pairs', '2 above the line, 1 below']
    """
    level = checked_level(fdr)
    two = isinstance(epi, pd.DataFrame) and "target_1" in epi.columns
    table_name = "interactions" if two else "epi"
    if two:
        epi = _joint(asked_rows(checked(epi, _OF_TARGETS, name=table_name), name=table_name))
    rows = tested_rows(epi, _EFFECTS, group=group, name=table_name)
    b10, b01, joint = (rows[column].to_numpy(dtype=float) for column in _EFFECTS)
    total = b10 + b01
    finite = np.isfinite(total) & np.isfinite(joint)
    if not finite.any():
        raise InputError("no pair has three finite effects: nothing to draw")
    rows, total, joint = rows[finite], total[finite], joint[finite]
    difference = joint - total
    called = rows["fdr"].to_numpy(dtype=float) < level if "fdr" in rows.columns else np.zeros(len(rows), dtype=bool)
    scatter_ax, box_ax = two_axes(ax, size=(6.6, 4.6), ratio=(3.6, 1), beside=True)
    low, high = limits(np.concatenate([total, joint]), margin=0.06)
    outside = (np.minimum(total, joint) < low) | (np.maximum(total, joint) > high)
    scatter_ax.plot([low, high], [low, high], color="black", linewidth=0.9, zorder=2.5)
    scatter_ax.axhline(0, color="#CCCCCC", linewidth=0.7, zorder=0.4)
    scatter_ax.axvline(0, color="#CCCCCC", linewidth=0.7, zorder=0.4)
    n_above, n_below = int((difference > 0).sum()), int((difference < 0).sum())
    n_on = len(rows) - n_above - n_below
    words = (", targets 1 + 2", " of both") if two else (", 10 + 01", ", 11")
    sides = f"{n_above:,} above the line, {n_below:,} below" + (f", {n_on:,} on it" if n_on else "")
    ranges = (low, high), (low, high)
    not_called = ~called & ~outside
    grey_points(scatter_ax, total[not_called], joint[not_called], ranges, text="_pairs")
    for sign, (color, marker, _) in SIGNS.items():
        of_sign = called & (np.sign(difference) == sign)
        if of_sign.any():
            text = f"{'more' if sign > 0 else 'less'} than multiplied ({of_sign.sum():,})"
            inside = of_sign & ~outside
            called_points(scatter_ax, total[inside], joint[inside], (color, marker), ranges, text=text)
    if outside.any():
        scatter_ax.plot([], [], linestyle="none", label=f"{outside.sum():,} outside the axes")
    scatter_ax.set(
        xlim=(low, high),
        ylim=(low, high),
        aspect="equal",
        xlabel=f"sum of single effects{words[0]} (natural log)",
        ylabel=f"joint effect{words[1]} (natural log)",
    )
    scatter_ax.set_title(titled(rows, group, f"{len(rows):,} pairs\n{sides}"), fontsize="medium")
    if scatter_ax.get_legend_handles_labels()[0]:
        heading = {"title": f"FDR {level:g}" if called.any() else None, "title_fontsize": "small", "alignment": "left"}
        draw_legend(scatter_ax, handletextpad=0.4, borderaxespad=0.1, **heading)
    _box(box_ax, difference, "joint − sum" if two else "11 − (10 + 01)")
    return scatter_ax


def _joint(table: pd.DataFrame) -> pd.DataFrame:
    """Add the effects by state to interactions of a screen."""
    first, second, interaction = (table[name].astype(float) for name in _OF_TARGETS)
    return table.assign(beta_10=first, beta_01=second, beta_11=first + second + interaction)


def _box(ax: Axes, difference: Floats, name: str) -> None:
    """Draw a box plot of the differences, from their quantiles, so that millions of outliers are no matter."""
    whisker_low, q1, median, q3, whisker_high = np.quantile(difference, [0.05, 0.25, 0.5, 0.75, 0.95])
    ax.axhline(0, color="black", linewidth=0.9, zorder=0.5)
    ax.bxp(
        [{"med": median, "q1": q1, "q3": q3, "whislo": whisker_low, "whishi": whisker_high, "fliers": []}],
        widths=0.5,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#DDDDDD"},
        medianprops={"color": "black", "linewidth": 2},
    )
    reach = 1.15 * max(abs(whisker_low), abs(whisker_high), 1e-3)
    if difference.size <= 10:
        draw_marks(ax, np.ones(difference.size), difference, "o", "#555555", size=4, zorder=2)
        reach = max(reach, 1.15 * float(np.abs(difference).max()))
    # Adding 0 makes -0 positive.
    text = f"median {round(float(median), 3) + 0.0:+.3f}".replace("-", "−")
    ax.set(xlim=(0.5, 1.5), ylim=(-reach, reach), ylabel=f"{name} (natural log)")
    ax.set_xticks([1], [text])
