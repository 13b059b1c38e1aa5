"""Observed against expected p-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from scanlink.errors import InputError, OptionError, first_few
from scanlink.pl._effects import contrast_of, effect_name, p_column
from scanlink.pl._looks import STYLES, draw_marks, new_axes, smallest_shown
from scanlink.pl._tables import KINDS, LEAST, checked, minus_log10, of_group
from scanlink.tables import ROW_KINDS as SCREEN_KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["qq"]

# Of points nearer to each other than this part of the x axis, one is drawn.
_STEPS = 60


def qq(
    table: pd.DataFrame,
    *,
    kinds: Sequence[str] | None = None,
    by: str | None = None,
    contrast: str | None = None,
    group: str | None = None,
    top: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw observed p-values against those expected if no pair were linked.

    Points on the diagonal say that p-values are right and nothing is linked; points that leave it at the upper right
    are links; points that leave it from the start are p-values that are too small.

    Parameters
    ----------
    table
        A links table, the ``p_values`` of a :class:`scanlink.tl.Calibration`, a table of enhancer pairs, or one of a
        screen or its interactions: ``by="kind"`` sets its negative controls beside what was asked for.
    kinds
        Kinds of p-values that are drawn: ``"wald"`` (column ``p``), ``"robust"`` (``p_robust``), ``"bootstrap"``
        (``p_boot``), ``"tail"`` (``p_tail``), ``"permutation"`` (``p_perm``); of pairs with the contrast after it. None
        draws each that the table has.
    by
        Column, such as ``"group"``, of which each value gets its own points.
    contrast
        Effect whose p-values are drawn. Of enhancer pairs: ``"interaction"`` (the default), a state such as ``"10"``,
        or ``"reri"``. Of interactions of a screen: ``"interaction"``, ``"1"`` or ``"2"``.
    group
        Group of cells whose p-values are drawn; None: all.
    top
        Highest place of the axis: smaller p-values than ``10**-top`` are arrows, so that a few of them do not squeeze
        all others. None: as far as the p-values go.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``.

    Raises
    ------
    OptionError
        If a kind or a contrast is not known, or ``top`` is not above 0.
    MissingKeyError
        If the table lacks a column or the group.
    InputError
        If there is no p-value of a kind, one lies outside 0 to 1, or there are more curves than can be told apart.

    Notes
    -----
    The k-th smallest of n p-values is drawn at ``k / (n + 1)``, the mean of its distribution, Beta(k, n + 1 - k), if
    none is linked and all are independent; the band is pointwise, from the 2.5 % to the 97.5 % quantile. Pairs that
    share a gene or a peak are not independent, and stray from the band more often. Where there are several n, the band
    is that of the smallest. Of points that would cover each other one is drawn, so that the picture of millions is as
    small as that of hundreds. What is below 1e-300, or ``10**-top``, is an arrow at the upper edge, and counted.

    Examples
    --------
    >>> links = pd.DataFrame({"p": [0.01, 0.5, 0.7], "p_robust": [0.02, 0.5, float("nan")]})
    >>> [text.get_text() for text in qq(links).get_legend().get_texts()]
    ['wald (3)', 'robust (2)', '95 % band, n = 2']
    """
    smallest = smallest_shown(top)
    contrast, table_name = contrast_of(table, contrast)
    curves = _curves(of_group(table, group, name=table_name), kinds, by, contrast, table_name)
    ax = new_axes(ax, size=(4.8, 4.8))
    fewest = min(p.size for p in curves.values())
    right = np.log10(max(p.size for p in curves.values()) + 1)
    positive = [p[p >= smallest] for p in curves.values()]
    edge = 1.06 * max(right, max((float(-np.log10(p[0])) for p in positive if p.size), default=0.0))
    ranks = np.unique(np.geomspace(1, fewest, 200).round())
    low, high = (-np.log10(betaincinv(ranks, fewest + 1 - ranks, share)) for share in (0.025, 0.975))
    text = f"95 % band, n = {fewest:,}"
    ax.fill_between(-np.log10(ranks / (fewest + 1)), low, high, color="#DDDDDD", linewidth=0, label=text, zorder=0)
    ax.plot([0, right], [0, right], color="black", linewidth=0.8, zorder=1)
    for number, (name, p) in enumerate(curves.items()):
        # A kind has the same looks in every picture.
        color, marker = STYLES[list(KINDS).index(name) if name in KINDS else number]
        expected = -np.log10(np.arange(1, p.size + 1) / (p.size + 1))
        points = _apart(expected, right)
        n_below = int(np.count_nonzero(p < smallest))
        label = f"{name} ({p.size:,}{f'; ↑ {n_below:,} below {smallest:.1g}' if n_below else ''})"
        inside = points[points >= n_below]
        x, y = expected[inside], -np.log10(p[inside])
        draw_marks(ax, x, y, marker, color, size=4.5, face="none", clip_on=False, label=label)
        if n_below:
            beyond = points[points < n_below]
            ax.scatter(expected[beyond], np.full(beyond.size, edge), s=70, marker=r"$\uparrow$", color=color, zorder=3)
    ax.set(
        xlabel="expected p-value (−log10)",
        ylabel="observed p-value (−log10)",
        xlim=(0, 1.04 * right),
        ylim=(0, 1.06 * edge),
    )
    handles, names = ax.get_legend_handles_labels()
    band = next(i for i, name in enumerate(names) if name.startswith("95 %"))
    order = [*(i for i in range(len(names)) if i != band), band]
    legend_place: Literal["best", "upper left"] = "best"
    if smallest > LEAST and any(p[0] < smallest for p in curves.values()):
        # Room for the legend above the arrows.
        legend_place = "upper left"
        ticks = [tick for tick in ax.get_yticks() if tick <= edge]
        ax.set(ylim=(0, (1.1 + 0.065 * len(names)) * edge), yticks=ticks)
    ax.legend([handles[i] for i in order], [names[i] for i in order], frameon=False, fontsize="small", loc=legend_place)
    if contrast is not None:
        ax.set_title(effect_name(contrast).replace(" (natural log)", ""))
    return ax


def _curves(
    table: pd.DataFrame, kinds: Sequence[str] | None, by: str | None, contrast: str | None, table_name: str
) -> dict[str, NDArray[np.float64]]:
    """Collect the p-values of each curve by its name, sorted, without the missing ones."""
    wanted_kinds = [kinds] if isinstance(kinds, str) else list(KINDS if kinds is None else kinds)
    if unknown := [kind for kind in wanted_kinds if kind not in KINDS]:
        raise OptionError(f"kinds: {first_few(unknown)} not known; expected {', '.join(KINDS)}")
    columns = {kind: p_column(kind, contrast) for kind in dict.fromkeys(wanted_kinds)}
    needed = [*(columns.values() if kinds is not None else []), *([by] if by is not None else [])]
    checked(table, needed, name=table_name)
    parts = {"": table} if by is None else _parts(table, by)
    out = {}
    for kind, column in columns.items():
        if column not in table.columns:
            continue
        for part_name, part in parts.items():
            p = part[column].to_numpy(dtype=float)
            p = np.sort(p[~np.isnan(p)])
            minus_log10(p[[0, -1]] if p.size else p, column=column)
            if p.size:
                out[f"{kind}, {part_name}" if by is not None else kind] = p
            elif kinds is not None and by is None:
                raise InputError(f"column {column!r} has no p-value: the analysis did not compute this kind")
    if not out:
        raise InputError(
            f"the table {table_name} has no p-value in the columns {first_few(columns.values())}: nothing to draw"
        )
    if len(out) > len(STYLES):
        raise InputError(
            f"{len(out)} curves cannot be told apart, expected at most {len(STYLES)}: "
            "name fewer kinds= or a group=, or leave rows of the table out"
        )
    return out


def _parts(table: pd.DataFrame, by: str) -> dict[str, pd.DataFrame]:
    """Split rows by the values of a column, in their order; kinds of a screen in that of its table."""
    parts = {str(name): part for name, part in table.groupby(by, sort=by != "kind", observed=True)}
    return {**{name: parts[name] for name in SCREEN_KINDS if name in parts}, **parts} if by == "kind" else parts


def _apart(expected: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    """Choose the points that are drawn: the first of each step along the x axis, and the last."""
    step = np.floor(expected * (_STEPS / width))
    first = np.flatnonzero(np.diff(step, prepend=np.inf))
    return np.unique(np.append(first, expected.size - 1))
