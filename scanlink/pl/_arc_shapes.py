"""Arcs of links, pairs of enhancers and their legend, drawn into axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.pl._looks import SIGNS
from scanlink.pl._tables import minus_log10

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Floats = NDArray[np.float64]


__all__ = ["MOST_ARCS", "PAIRS", "draw_arc_legend", "draw_arcs", "draw_pairs", "strengths"]

# Height of the track of pairs, in points of 1/72 inch.
PAIRS = 34.0
MOST_ARCS = 2_000
# Above this many in all panels, arcs are pixels in vector files.
_MANY_ARCS = 500


def strengths(called: pd.DataFrame, width: str) -> Floats:
    """Compute how strong each link is, by what makes an arc broad."""
    if width == "beta":
        return called["beta"].abs().to_numpy(dtype=float)
    return minus_log10(called["fdr"], column="fdr")[0]


def draw_arcs(
    ax: Axes,
    called: pd.DataFrame,
    strength: Floats,
    rows: NDArray[np.intp],
    *,
    base: float,
    height: float,
    scale: float,
    longest: float,
) -> None:
    """Draw the arcs of one panel, the weakest first, and where their genes begin."""
    from scanlink.pl._tracks import draw_curves

    # Weakest first, so that the strongest are on top.
    rows = rows[np.argsort(strength[rows], kind="stable")][-MOST_ARCS:]
    selected = called.iloc[rows]
    sign = np.where(selected["beta"] < 0, -1, 1)
    draw_curves(
        ax,
        selected["tss"].to_numpy(dtype=float),
        selected["middle"].to_numpy(dtype=float),
        sign,
        strength[rows] / (scale or 1.0),
        base=base,
        height=height,
        longest=longest,
        rasterized=len(called) > _MANY_ARCS,
    )
    starts = np.unique(selected["tss"].to_numpy())
    ax.plot(
        starts,
        np.full(starts.size, base),
        linestyle="none",
        marker="|",
        markersize=7,
        color="black",
        zorder=3,
        rasterized=starts.size > 500,
    )


def draw_pairs(ax: Axes, pairs: pd.DataFrame, *, top: float) -> None:
    """Draw enhancer pairs as arcs that hang below ``top``."""
    from scanlink.pl._tracks import draw_curves

    if not len(pairs):
        return
    size = pairs["beta_interaction"].abs().to_numpy(dtype=float)
    order = np.argsort(size, kind="stable")[-MOST_ARCS:]
    selected = pairs.iloc[order]
    draw_curves(
        ax,
        selected["left"].to_numpy(dtype=float),
        selected["right"].to_numpy(dtype=float),
        np.where(selected["beta_interaction"] < 0, -1, 1),
        size[order] / (size.max(initial=0.0) or 1.0),
        base=top,
        height=-(PAIRS - 4.0),
        longest=float((pairs["right"] - pairs["left"]).abs().max()),
        rasterized=len(pairs) > _MANY_ARCS,
    )


def draw_arc_legend(ax: Axes, called: pd.DataFrame, pairs: pd.DataFrame | None, scale: float, width: str) -> None:
    """Say above the axes what colour and dash mean, and what width."""
    from matplotlib.lines import Line2D

    from scanlink.pl._labels import axes_points
    from scanlink.pl._tracks import THICK, THIN

    signs = np.sign(called["beta"].to_numpy())
    if pairs is not None:
        signs = np.append(signs, np.sign(pairs["beta_interaction"].to_numpy()))
    handles = [
        Line2D([], [], color=color, linestyle=dash, linewidth=2.2, label=f"{'above' if value > 0 else 'below'} 0")
        for value, (color, _, dash) in SIGNS.items()
        if (signs == value).any()
    ]
    name = "|effect|" if width == "beta" else "−log10 FDR"
    for share in (0.25, 1.0) if len(called) else ():
        line = THIN + (THICK - THIN) * share
        handles.append(Line2D([], [], color="#777777", linewidth=line, label=f"{name} {share * scale:.2g}"))
    if handles:
        columns = int(axes_points(ax)[0] / 100)
        columns = len(handles) if columns >= len(handles) else min(max(columns, 1), 2)
        ax.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            frameon=False,
            fontsize="small",
            ncols=columns,
            borderaxespad=0.2,
            columnspacing=1.4,
            handlelength=2.6,
        )
