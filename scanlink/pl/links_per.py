"""How many links a gene or a peak has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scanlink.errors import OptionError
from scanlink.pl._looks import BLUE, new_axes
from scanlink.pl._tables import checked, checked_level, group_title, usable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["links_per"]

# Bars; what has more links is in the last one.
_MOST = 15


def links_per(
    links: pd.DataFrame,
    *,
    of: Literal["gene", "peak"] = "gene",
    group: str | None = None,
    fdr: float = 0.1,
    ax: Axes | None = None,
) -> Axes:
    """Draw genes by how many peaks they are linked to, or peaks by how many genes.

    Parameters
    ----------
    links
        A links table.
    of
        Side that is counted: ``"gene"`` or ``"peak"``.
    group
        Group of cells whose links are counted; None: all, and a gene counts once in each.
    fdr
        False discovery rate below which a pair is a link.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``. Those that were tested and have no link are counted in the title, not drawn:
        they would dwarf all others.

    Raises
    ------
    InputError
        If nothing was tested.
    MissingKeyError
        If a column or the group is not there.
    OptionError
        If an option has an impossible value.

    Examples
    --------
    >>> links = pd.DataFrame({"gene": ["A", "A", "B", "C"], "peak": ["p", "q", "p", "q"], "fdr": [0.01, 0.02, 0.03, 1]})
    >>> ax = links_per(links)
    >>> [int(bar.get_height()) for bar in ax.patches], ax.get_title().splitlines()[0]
    ([1, 1], '2 of 3 tested genes have a link')
    """
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    level = checked_level(fdr)
    if of not in ("gene", "peak"):
        raise OptionError(f"of {of!r} is not known; expected 'gene' or 'peak'")
    checked(links, [of, "fdr"], name="links")
    rows = usable(links, ["fdr"], group=group, name="links")
    keys = [name for name in ("group", of) if name in rows.columns]
    called = (rows["fdr"] < level).groupby([rows[key] for key in keys], observed=True).sum().to_numpy()
    counts = called[called > 0]
    last = int(min(max(counts.max(initial=1), 1), _MOST))
    heights = np.bincount(np.minimum(counts, last), minlength=last + 1)[1:]
    ax = new_axes(ax, size=(5.2, 4.0))
    bars = ax.bar(np.arange(1, last + 1), heights, width=0.8, color=BLUE, edgecolor="black", linewidth=0.6)
    ax.bar_label(
        bars, [f"{height:,}" for height in heights], fontsize="small", padding=2, rotation=90 if last > 8 else 0
    )
    cut_off = counts.max(initial=0) > last
    step = 1 if last <= 10 else 2
    ticks = [number for number in range(1, last + 1) if number % step == last % step]
    linked = "peaks" if of == "gene" else "genes"
    title = f"{counts.size:,} of {called.size:,} tested {of}s have a link"
    name = group_title(rows, group)
    if "group" in rows.columns and rows["group"].nunique() > 1:
        name += ", each counted by itself"
    detail = [
        *([name] if name else []),
        f"FDR {level:g}",
        *([f"mean {counts.mean():.2f}", f"most {counts.max():,}"] if counts.size else []),
    ]
    ax.set(
        xlabel=f"linked {linked}",
        ylabel=f"{of}s",
        xlim=(0.3, last + 0.7),
        ylim=(0, 1.22 * max(heights.max(), 1) if last > 8 else 1.12 * max(heights.max(), 1)),
    )
    ax.set_title(f"{title}\n{', '.join(detail)}", fontsize="medium")
    ax.set_xticks(ticks, [f"{number}{'+' if cut_off and number == last else ''}" for number in ticks])
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return ax
