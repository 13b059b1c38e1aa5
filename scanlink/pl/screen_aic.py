"""Do the effects of two perturbations multiply or add up?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanlink.errors import InputError
from scanlink.pl._looks import BLUE, ORANGE, draw_legend, new_axes
from scanlink.pl._tables import tested_rows, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["screen_aic"]

_COLUMNS = ("aic_additive", "aic_multiplicative")
# A difference that is commonly taken for one (Burnham and Anderson 2002).
_CLEAR = 2.0
_WIDEST = 20.0
# Of bars that differ by more than this factor the smaller could not be seen.
_SPREAD = 40


def screen_aic(table: pd.DataFrame, *, group: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the difference of AIC between effects that add and effects that multiply, pair by pair.

    Parameters
    ----------
    table
        Interactions of a screen with ``aic_additive`` and ``aic_multiplicative``; negative controls are left out.
    group
        Group of cells whose pairs are drawn; None: all together.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``. To the right of 0 effects multiply; bars beyond 2 are coloured and hatched, and
        counted in the legend. The last bar on either side holds all that lies farther out.

    Raises
    ------
    InputError
        If nothing was tested.
    MissingKeyError
        If a column or the group is not there.

    Notes
    -----
    Both models have the same number of parameters and no interaction, so that the difference is twice that of their
    log likelihoods. Only cells with both perturbations tell them apart: where these are few it is near 0, whatever is
    true.

    Examples
    --------
    >>> table = pd.DataFrame({"aic_additive": [105.0, 100.5, 99.0], "aic_multiplicative": 100.0})
    >>> [text.get_text() for text in screen_aic(table).get_legend().get_texts()]
    ['multiply (1)', 'cannot be told (2)', 'add (0)']
    """
    rows = tested_rows(table, _COLUMNS, group=group, name="interactions")
    difference = (rows[_COLUMNS[0]] - rows[_COLUMNS[1]]).to_numpy(dtype=float)
    difference = difference[np.isfinite(difference)]
    if not difference.size:
        raise InputError("no pair has a finite AIC of both models: nothing to draw")
    farthest = float(np.abs(difference).max())
    reach = min(_WIDEST, max(4.0, 2 * np.ceil(min(farthest, 3 * float(np.quantile(np.abs(difference), 0.99))) / 2)))
    width = 0.5 if reach <= 10 else 1.0
    n_bars = round(2 * reach / width)
    bar_of = np.clip(np.floor((difference + reach) / width), 0, n_bars - 1).astype(int)
    counts = np.bincount(bar_of, minlength=n_bars)
    middle = -reach + width * (np.arange(n_bars) + 0.5)
    ax = new_axes(ax, size=(5.6, 4.2))
    frame: dict[str, Any] = {"width": width, "edgecolor": "white", "linewidth": 0.6}
    for in_bars, color, hatch, text, number in (
        (middle > _CLEAR, BLUE, "//", "multiply", int((difference > _CLEAR).sum())),
        (np.abs(middle) < _CLEAR, "#BBBBBB", "", "cannot be told", int((np.abs(difference) <= _CLEAR).sum())),
        (middle < -_CLEAR, ORANGE, "\\\\", "add", int((difference < -_CLEAR).sum())),
    ):
        label = f"{text} ({number:,})"
        ax.bar(middle[in_bars], counts[in_bars], color=color, hatch=hatch, label=label, **frame)
    ax.axvline(0, color="black", linewidth=0.9)
    heights = counts[counts > 0]
    if heights.max() > _SPREAD * heights.min():
        ax.set(yscale="log", ylim=(0.6, 3 * heights.max()))
    ax.set(
        xlim=(-reach, reach),
        xlabel="AIC of adding − AIC of multiplying",
        ylabel="pairs",
        title=titled(rows, group, f"{difference.size:,} pairs"),
    )
    ticks = [tick for tick in ax.get_xticks() if -reach <= tick <= reach]
    ends = {reach: "≥ ", -reach: "≤ "} if farthest > reach else {}
    ticks = sorted({*ticks, *ends})
    ax.set_xticks(ticks, [f"{ends.get(tick, '')}{tick:g}".replace("-", "−") for tick in ticks])
    title = "difference above 2 to either side"
    draw_legend(ax, loc="upper left", alignment="left", title=title, title_fontsize="small")
    return ax
