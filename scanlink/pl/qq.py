"""Observed against expected p-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KINDS", "STYLES", "qq"]

# Column of each kind of p-value, by the name that p_value= of a scan has for it.
KINDS = {"wald": "p", "robust": "p_robust", "bootstrap": "p_boot", "tail": "p_tail"}
# Colour-blind safe (Okabe and Ito 2008), and told apart by shape without colour. The first four are those of KINDS.
STYLES = (
    ("#D55E00", "o"), ("#0072B2", "s"), ("#000000", "^"), ("#009E73", "D"),
    ("#CC79A7", "v"), ("#E69F00", "X"), ("#56B4E9", "P"), ("#777777", "*"),
)  # fmt: skip

# What a double holds below this has lost its digits.
_LEAST = 1e-300
# Of points nearer to each other than this part of the x axis, one is drawn.
_STEPS = 60


def qq(
    links: pd.DataFrame, *, kinds: Sequence[str] | None = None, by: str | None = None, ax: Axes | None = None
) -> Axes:
    """Observed p-values against those expected if no pair were linked.

    Points on the diagonal say that p-values are right and nothing is linked; points that leave it at the upper right
    are links; points that leave it from the start are p-values that are too small.

    Parameters
    ----------
    links
        A links table, or the ``p_values`` of a :class:`scanlink.tl.Calibration`.
    kinds
        Which p-values: ``"wald"`` (column ``p``), ``"robust"`` (``p_robust``), ``"bootstrap"`` (``p_boot``),
        ``"tail"`` (``p_tail``). None draws each that the table has.
    by
        Column, such as ``"group"``, of which each value gets its own points.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``.

    Raises
    ------
    OptionError
        If a kind is not known.
    MissingKeyError
        If the table lacks a column.
    InputError
        If there is no p-value of a kind, one lies outside 0 to 1, or there are more curves than can be told apart.

    Notes
    -----
    The k-th smallest of n p-values is drawn at ``k / (n + 1)``, the mean of its distribution, Beta(k, n + 1 - k), if
    none is linked and all are independent; the band is pointwise, from the 2.5 % to the 97.5 % quantile. Pairs that
    share a gene or a peak are not independent, and stray from the band more often. Where there are several n, the band
    is that of the smallest. Of points that would cover each other one is drawn, so that the picture of millions is as
    small as that of hundreds. What is below 1e-300 is drawn as an arrow
    at the upper edge, and counted.

    Examples
    --------
    >>> links = pd.DataFrame({"p": [0.01, 0.5, 0.7], "p_robust": [0.02, 0.5, float("nan")]})
    >>> [text.get_text() for text in qq(links).get_legend().get_texts()]
    ['wald (3)', 'robust (2)', '95 % band, n = 2']
    """
    curves = _curves(links, kinds, by)
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(4.8, 4.8), layout="constrained").subplots()
    smallest = min(p.size for p in curves.values())
    largest = max(p.size for p in curves.values())
    right = np.log10(largest + 1)
    positive = [p[p >= _LEAST] for p in curves.values()]
    top = max(right, max((float(-np.log10(p[0])) for p in positive if p.size), default=0.0))
    edge = 1.06 * top
    ranks = np.unique(np.geomspace(1, smallest, 200).round())
    ax.fill_between(
        -np.log10(ranks / (smallest + 1)),
        -np.log10(betaincinv(ranks, smallest + 1 - ranks, 0.025)),
        -np.log10(betaincinv(ranks, smallest + 1 - ranks, 0.975)),
        color="#DDDDDD", linewidth=0, label=f"95 % band, n = {smallest:,}", zorder=0,
    )  # fmt: skip
    ax.plot([0, right], [0, right], color="black", linewidth=0.8, zorder=1)
    for number, (name, p) in enumerate(curves.items()):
        # A kind has the same looks in every picture.
        color, marker = STYLES[list(KINDS).index(name) if name in KINDS else number]
        expected = -np.log10(np.arange(1, p.size + 1) / (p.size + 1))
        shown = _apart(expected, right)
        lost = int(np.count_nonzero(p < _LEAST))
        label = f"{name} ({p.size:,}{f'; ↑ {lost:,} below 1e-300' if lost else ''})"
        inside = shown[shown >= lost]
        ax.plot(
            expected[inside], -np.log10(p[inside]), linestyle="none", marker=marker, markersize=4.5,
            markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.0, label=label, clip_on=False, zorder=3,
        )  # fmt: skip
        if lost:
            beyond = shown[shown < lost]
            ax.scatter(expected[beyond], np.full(beyond.size, edge), s=70, marker=r"$\uparrow$", color=color, zorder=3)
    ax.set(
        xlabel="expected p-value (−log10)", ylabel="observed p-value (−log10)",
        xlim=(0, 1.04 * right), ylim=(0, 1.06 * edge),
    )  # fmt: skip
    handles, names = ax.get_legend_handles_labels()
    band = next(i for i, name in enumerate(names) if name.startswith("95 %"))
    order = [*(i for i in range(len(names)) if i != band), band]
    ax.legend([handles[i] for i in order], [names[i] for i in order], frameon=False, fontsize="small", loc="best")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _curves(links: pd.DataFrame, kinds: Sequence[str] | None, by: str | None) -> dict[str, NDArray[np.float64]]:
    """P-values of each curve by its name, sorted, without the missing ones."""
    wanted = [kinds] if isinstance(kinds, str) else list(KINDS if kinds is None else kinds)
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise OptionError(f"kinds: {first_few(unknown)} not known; expected {', '.join(KINDS)}")
    needed = [KINDS[kind] for kind in wanted if kinds is not None] + ([by] if by is not None else [])
    if absent := [name for name in needed if name not in links.columns]:
        raise MissingKeyError(f"the table links has no column {first_few(absent)}; expected {needed}")
    parts = {"": links} if by is None else {str(name): part for name, part in links.groupby(by, sort=True)}
    out = {}
    for kind in dict.fromkeys(wanted):
        if KINDS[kind] not in links.columns:
            continue
        for part_name, part in parts.items():
            p = part[KINDS[kind]].to_numpy(dtype=float)
            p = np.sort(p[~np.isnan(p)])
            if p.size and not 0 <= p[0] <= p[-1] <= 1:
                raise InputError(f"column {KINDS[kind]!r} runs from {p[0]} to {p[-1]}, expected p-values from 0 to 1")
            if p.size:
                out[f"{kind}, {part_name}" if by is not None else kind] = p
            elif kinds is not None and by is None:
                raise InputError(f"column {KINDS[kind]!r} has no p-value: the scan did not compute this kind")
    if not out:
        raise InputError(f"the table links has no p-value in the columns {first_few(KINDS.values())}: nothing to draw")
    if len(out) > len(STYLES):
        raise InputError(
            f"{len(out)} curves cannot be told apart, expected at most {len(STYLES)}: "
            "name fewer kinds=, or leave rows of the table out"
        )
    return out


def _apart(expected: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    """Which of the points are drawn: the first of each step along the x axis, and the last."""
    step = np.floor(expected * (_STEPS / width))
    first = np.flatnonzero(np.diff(step, prepend=np.inf))
    return np.unique(np.append(first, expected.size - 1))
