"""How large effects and interactions had to be to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanlink.errors import InputError
from scanlink.pl._looks import BLUE, draw_marks, new_axes
from scanlink.pl._tables import tested_rows, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["screen_power"]

# Steps of the curve, where there are more rows.
_STEPS = 400
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Factors on the upper axis.
_FACTORS = (1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 4.0, 10.0, 100.0)


def screen_power(table: pd.DataFrame, *, group: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw in which share of the tests an effect, or interaction, of a given size would have been seen.

    Parameters
    ----------
    table
        A screen (``min_effect``), its interactions, or enhancer pairs (``min_interaction``): the smallest absolute
        effect with an 80 % chance of p < .05 at the test's own standard error, natural log. Negative controls are left
        out.
    group
        Group of cells whose tests are drawn; None: all together.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``. Below the effect as natural log, above as a factor; the dotted line is the median.

    Raises
    ------
    InputError
        If nothing was tested.
    MissingKeyError
        If a column or the group is not there.

    Notes
    -----
    Where the curve is at 30 % at an interaction of 0.7, a doubling or halving would have been seen, with a chance of
    80 % or more and without any correction for the number of tests, in 30 % of the tests; of the others "no
    interaction" says nothing about effects of this size. It is power at the errors that were observed, not from the
    effects that were: these would say no more than the p-values.

    Examples
    --------
    >>> table = pd.DataFrame({"min_interaction": [0.5, 1.0, 2.0], "status": "ok"})
    >>> screen_power(table).get_title()
    '3 tests: half could show 1 or more'
    """
    two = isinstance(table, pd.DataFrame) and "min_interaction" in table.columns
    column = "min_interaction" if two else "min_effect"
    rows = tested_rows(table, [column], group=group, name="given")
    sizes = np.sort(rows[column].to_numpy(dtype=float))
    finite = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not finite.size:
        raise InputError(f"column {column!r} has no finite number above 0: nothing to draw")
    ax = new_axes(ax, size=(5.6, 4.2))
    # Those whose effects are without bound count in the shares.
    share = 100 * np.arange(1, finite.size + 1) / sizes.size
    steps = np.unique(np.linspace(0, finite.size - 1, _STEPS).round().astype(int))
    low, high = finite[0] / 1.25, finite[-1] * 1.25
    x = np.concatenate([[low], finite[steps], [high]])
    y = np.concatenate([[0.0], share[steps], [share[-1]]])
    ax.step(x, y, where="post", color=BLUE, linewidth=1.6, zorder=3)
    if finite.size <= 30:
        draw_marks(ax, finite, share, "o", BLUE, size=5)
    middle = float(np.median(sizes))
    if np.isfinite(middle):
        ax.vlines(middle, 0, 50, color="black", linewidth=0.9, linestyle=":", zorder=2)
        ax.hlines(50, low, middle, color="black", linewidth=0.9, linestyle=":", zorder=2)
    noun = "interaction" if two else "effect"
    half = f"half could show {middle:.2g} or more" if np.isfinite(middle) else "less than half could show any"
    ax.set(
        xscale="log",
        xlim=(low, high),
        ylim=(0, 104),
        xlabel=f"smallest {noun} seen with 80 % power (natural log)",
        ylabel="tests (%)",
    )
    ax.set_title(titled(rows, group, f"{sizes.size:,} tests: {half}"), fontsize="medium")
    ax.minorticks_off()
    ticks = [tick for tick in _TICKS if low <= tick <= high] or [middle]
    ax.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    factors = [factor for factor in _FACTORS if low <= np.log(factor) <= high]
    if factors:
        upper = ax.secondary_xaxis("top")
        upper.set_xticks(np.log(factors), [f"×{factor:g}" for factor in factors])
        upper.minorticks_off()
        upper.set_xlabel("as a factor", fontsize="small")
        upper.tick_params(labelsize="small")
    return ax
