"""Rejection rates of a permuted scan, against what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from scanlink.pl._looks import STYLES, draw_marks, new_axes
from scanlink.pl._tables import KINDS, checked

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["calibration"]

# A fifth more or less than promised, on the log scale.
_FIFTH = (0.8, 1.25)
# Intervals reach to 0 where nothing was rejected; the axis does not.
_LOWEST, _HIGHEST = 0.1, 100.0


class Calibration(Protocol):
    """What is drawn of a :class:`scanlink.tl.Calibration`."""

    @property
    def table(self) -> pd.DataFrame:
        """Rejections of each group, kind of p-value and level."""


def calibration(calibration: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw observed over expected rejections, by level and kind of p-value.

    Above 1 a p-value promises more than it keeps: at 2, twice as many pairs without a link are called as should be.

    Parameters
    ----------
    calibration
        Result of :func:`scanlink.tl.calibrate`; of several groups, all together are drawn.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``. Both axes are logarithmic, with stricter levels to the right. Bars are 95 %
        intervals; the grey band is one fifth to either side of 1. Where nothing was rejected, an arrow at the lower
        edge stands for the ratio of 0.

    Raises
    ------
    InputError
        If the calibration holds no table.

    Examples
    --------
    >>> import pandas as pd
    >>> import scanlink as sl
    >>> table = pd.DataFrame(
    ...     {"group": "T", "kind": "wald", "level": [0.05, 0.01], "n_tests": 1000, "ratio": [1.1, 1.5],
    ...      "ratio_low": [0.9, 0.8], "ratio_high": [1.4, 2.5]}
    ... )
    >>> calibration(sl.tl.Calibration(table, pd.DataFrame())).get_title()
    'T: 1,000 tests'
    """
    table = checked(calibration.table, [], name="of the calibration")
    names = table["group"].unique()
    group = "all" if "all" in names else names[0]
    table = table[table["group"] == group]
    levels = np.sort(table["level"].unique())
    bounds = table.loc[table["ratio"] > 0, "ratio_low"]
    low = max(_LOWEST, min(0.4, 0.8 * bounds.min() if len(bounds) else 0.4))
    high = min(_HIGHEST, max(2.5, 1.25 * table["ratio_high"].max()))
    ax = new_axes(ax, size=(5.6, 4.2))
    ax.axhspan(*_FIFTH, color="#E6E6E6", linewidth=0, zorder=0, label="within a fifth")
    ax.axhline(1, color="black", linewidth=0.8, zorder=1)
    kinds = [kind for kind in KINDS if (table["kind"] == kind).any()]
    # Side by side within a level, so that intervals do not cover each other.
    widest = np.log10(levels[1:] / levels[:-1]).min() if len(levels) > 1 else 1.0
    for number, kind in enumerate(kinds):
        of_kind = table[table["kind"] == kind].sort_values("level")
        color, marker = STYLES[list(KINDS).index(kind)]
        x = of_kind["level"].to_numpy() * 10 ** (-0.11 * widest * (number - (len(kinds) - 1) / 2))
        ratio = of_kind["ratio"].to_numpy()
        ends = np.clip(of_kind[["ratio_low", "ratio_high"]].to_numpy().T, low, None)
        ax.vlines(x, *ends, color=color, linewidth=1.2, linestyle=("-", "--", "-.", ":")[number % 4], zorder=2)
        is_rejected = ratio > 0
        inside, at_edge = x[is_rejected], x[~is_rejected]
        draw_marks(ax, inside, ratio[is_rejected], marker, color, size=6, face="white", markeredgewidth=1.4, label=kind)
        ax.scatter(at_edge, np.full(at_edge.size, 1.15 * low), s=90, marker=r"$\downarrow$", color=color, zorder=3)
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(low, high),
        xlim=(levels[-1] * 2, levels[0] / 2),
        xlabel="nominal level",
        ylabel="observed / expected share of p ≤ level",
        title=f"{group}: {table['n_tests'].max():,} tests",
    )
    ax.set_xticks(levels, [f"{level:g}" for level in levels])
    ax.minorticks_off()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.legend(frameon=False, loc="best")
    return ax
