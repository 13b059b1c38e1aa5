"""How links thin out with distance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, OptionError
from scanlink.pl._looks import BLUE, GREY, draw_legend, draw_marks, two_axes
from scanlink.pl._tables import Floats, checked_level, exact_interval, tested_rows, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["distance_decay"]

# Bin edges in kb.
_EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


def distance_decay(
    links: pd.DataFrame,
    *,
    group: str | None = None,
    fdr: float = 0.1,
    edges: Sequence[float] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes:
    """Draw the share of tested pairs that are linked, and the size of the effects, by distance.

    Parameters
    ----------
    links
        A links table with ``distance`` (bp; its sign does not matter).
    group
        Group of cells whose pairs are drawn; None: all together.
    fdr
        False discovery rate below which a pair is a link.
    edges
        Edges of the bins of ``|distance|`` in bp, increasing; each bin includes its lower edge. None: 0, 1, 2, 5, 10,
        20, ... kb.
    ax
        A pair of axes, for shares and effects; or one, which is cut in two, one above the other; None makes a figure,
        without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        That of the shares; that of the effects is the second of the pair given, or the last of ``ax.figure.axes``.

    Raises
    ------
    InputError
        If nothing was tested, or no distance is known.
    MissingKeyError
        If a column or the group is not there.
    OptionError
        If an option has an impossible value.

    Warnings
    --------
    Of links only those effects are seen that were large enough to be called, so that their median is too large, the
    more so the smaller the power. That of all tested pairs is free of this, but is mostly noise where few are linked.

    Notes
    -----
    Bars at shares are 95 % intervals of Clopper and Pearson 1934; at medians of ``|beta|`` they are the order
    statistics that hold the median with 95 % probability, from 6 pairs on. Pairs share genes and peaks, so that
    intervals are somewhat too narrow.

    Examples
    --------
    >>> links = pd.DataFrame({"distance": [100, -1_500, 1_800, 3_000], "beta": [0.5, 0.2, -0.1, 0.1],
    ...                       "fdr": [0.01, 0.05, 0.5, 0.9]})
    >>> ax = distance_decay(links)
    >>> [float(y) for y in ax.lines[0].get_ydata()]
    [100.0, 50.0, 0.0]
    """
    level = checked_level(fdr)
    rows = tested_rows(links, ["distance", "beta", "fdr"], group=group, name="links")
    distance = np.abs(rows["distance"].to_numpy(dtype=float))
    bounds = _edges(edges, float(distance.max()))
    effect, called = np.abs(rows["beta"].to_numpy(dtype=float)), rows["fdr"].to_numpy(dtype=float) < level
    bin_of = np.searchsorted(bounds, distance, side="right") - 1
    inside = (bin_of >= 0) & (bin_of < bounds.size - 1) & np.isfinite(effect)
    if not inside.any():
        raise InputError(f"no tested pair has a distance from {bounds[0]:g} to {bounds[-1]:g} bp: give other edges")
    effect, called, bin_of = effect[inside], called[inside], bin_of[inside]
    n = np.bincount(bin_of, minlength=bounds.size - 1)
    # Bins without a pair at either end say nothing.
    first, last = np.flatnonzero(n)[[0, -1]]
    bins = np.arange(first, last + 1)
    tested, linked = n[bins], np.bincount(bin_of[called], minlength=bounds.size - 1)[bins]
    upper, lower = two_axes(ax, size=(5.6, 5.2), ratio=(1.15, 1), beside=False)
    has_pairs = tested > 0
    x = np.arange(bins.size)
    # Of bins without a pair nothing is known, and the line has a gap.
    share = np.divide(linked, tested, out=np.full(bins.size, np.nan), where=has_pairs)
    low, high = exact_interval(linked[has_pairs], tested[has_pairs])
    upper.plot(x, 100 * share, linestyle="-", marker="o", markersize=5, color=BLUE, linewidth=0.8, zorder=3)
    upper.vlines(x[has_pairs], 100 * low, 100 * high, color=BLUE, linewidth=1.4, zorder=2)
    text = f"{int(linked.sum()):,} of {int(tested.sum()):,} tested pairs linked, FDR {level:g}"
    upper.set_title(titled(rows, group, text), fontsize="medium")
    # One wide interval would flatten all the others.
    top = min(float(high.max()), max(2.5 * float(np.nanmax(share)), float(np.sort(high)[high.size // 2])))
    upper.set(ylabel="linked pairs (%)", ylim=(0, 106 * top if top else 1.0))
    all_pairs = np.ones(called.size, dtype=bool)
    tops = [
        _medians(lower, effect[selected], bin_of[selected], bins, looks=looks, shift=shift, text=text)
        for selected, looks, shift, text in (
            (all_pairs, ("s", "#666666", "white"), -0.08, "all tested"),
            (called, ("o", BLUE, BLUE), 0.08, "linked"),
        )
    ]
    # Room above for the legend.
    lower.set(ylabel="median |effect|\n(natural log)", xlabel="distance (kb)", ylim=(0, 1.3 * max(tops) or 1.0))
    draw_legend(lower, loc="upper right", ncols=2, borderaxespad=0.1)
    labels = [f"{low / 1e3:g}–{high / 1e3:,.4g}" for low, high in zip(bounds[bins], bounds[bins + 1], strict=True)]
    upper.set_xticks(x, [_short(int(count)) for count in tested], fontsize="small")
    upper.set_xlabel("tested pairs", fontsize="small")
    lower.set_xticks(x, labels, fontsize="small", rotation=30 if bins.size > 6 else 0)
    for axes in (upper, lower):
        axes.set_xlim(-0.5, bins.size - 0.5)
        axes.grid(axis="y", color=GREY, linewidth=0.4, alpha=0.6)
        axes.set_axisbelow(True)
    return upper


def _edges(edges: Sequence[float] | None, farthest: float) -> Floats:
    """Return the edges of the bins, bp: those given, or the usual ones up to the farthest pair."""
    if edges is None:
        default = 1e3 * np.array(_EDGES, dtype=float)
        return default if farthest < default[-1] else np.append(default, np.nextafter(farthest, np.inf))
    bounds = np.asarray(list(edges), dtype=float)
    if bounds.size < 2 or not (np.isfinite(bounds).all() and bounds[0] >= 0 and (np.diff(bounds) > 0).all()):
        raise OptionError(f"edges: expected at least two increasing distances in bp from 0 on; found {list(edges)}")
    return bounds


def _medians(
    ax: Axes,
    effect: Floats,
    bin_of: NDArray[np.int64],
    bins: NDArray[np.int64],
    *,
    looks: tuple[str, str, str],
    shift: float,
    text: str,
) -> float:
    """Draw medians with their intervals; return the largest number that should be seen."""
    order = np.argsort(bin_of, kind="stable")
    ends = np.searchsorted(bin_of[order], np.append(bins, bins[-1] + 1))
    values = effect[order]
    marker, color, face = looks
    x: list[float] = []
    medians: list[float] = []
    highs: list[float] = []
    for number, (start, end) in enumerate(pairwise(ends)):
        if end == start:
            continue
        in_bin = np.sort(values[start:end])
        x.append(number + shift)
        medians.append(float(np.median(in_bin)))
        if (interval := median_interval(in_bin)) is not None:
            ax.vlines(number + shift, *interval, color=color, linewidth=1.4, zorder=2)
            highs.append(interval[1])
    draw_marks(ax, x, medians, marker, color, size=5, face=face, markeredgewidth=1.2, label=f"{text} ({effect.size:,})")
    largest = max(medians, default=0.0)
    return min(max([*highs, largest]), 2.0 * largest)


def median_interval(ordered: Floats) -> tuple[float, float] | None:
    """Return order statistics that hold the median with at least 95 % probability; None for fewer than 6 values."""
    from scipy.stats import binom

    k = int(binom.ppf(0.025, ordered.size, 0.5))
    return (float(ordered[k - 1]), float(ordered[-k])) if k >= 1 else None


def _short(count: int) -> str:
    """Write a count in at most five characters or so."""
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if count >= size:
            return f"{count / (1_000 if unit == 'k' else size):.3g}{unit}"
    return f"{count:,}"
