"""Genes, peaks and arcs along a region. Imports matplotlib, and so is imported only by what draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from scanlink.pl._in_region import Region
from scanlink.pl._labels import axes_points, text_points
from scanlink.pl._looks import SIGNS, draw_marks
from scanlink.pl._tables import Floats, minus_log10

__all__ = [
    "GENE_ROW",
    "MOST_ROWS",
    "PAIRS",
    "draw_arc_legend",
    "draw_arcs",
    "draw_genes",
    "draw_pairs",
    "draw_peaks",
    "panel_name",
    "place_genes",
    "strengths",
]

# Height of a row of genes in points, how many rows there are, and size of names.
GENE_ROW = 17.0
MOST_ROWS = 7
_NAME = 7.5
_ENOUGH = 60
# Widths of arcs, in points.
_THIN, _THICK = 0.7, 3.4
_LINKED, _OTHER = "#000000", "#8C8C8C"
# Height of the track of pairs, in points.
PAIRS = 34.0
_MOST_ARCS = 2_000
# Above this many in all panels, arcs are pixels in vector files.
_MANY_ARCS = 500


@dataclass(frozen=True)
class Placed:
    """A gene with its row, and where its name is; None: it has no room for one."""

    start: int
    end: int
    strand: str
    linked: bool
    row: int
    name: str | None
    name_at: float


def place_genes(
    genes: pd.DataFrame, linked: Mapping[str, float], region: Region, *, points: float, most_rows: int = MOST_ROWS
) -> list[Placed]:
    """Find rows for the genes that reach into a region, so that neither bodies nor names overlap.

    Genes with links, of which ``linked`` has the strength, are placed first; the others follow by length. The axes are
    ``points`` of 1/72 inch wide. Genes without room are in a row of their own, the last of ``most_rows``.
    """
    length = region.end - region.start
    per_point = length / points
    rank = genes["gene"].map(linked).fillna(-1.0).to_numpy(dtype=float)
    order = np.lexsort((genes["start"].to_numpy(), -(genes["end"] - genes["start"]).to_numpy(dtype=float), -rank))
    taken_boxes: list[list[tuple[float, float]]] = [[] for _ in range(most_rows - 1)]
    out: list[Placed] = []
    crowded: list[Placed] = []
    for gene, start, end, strand in genes.iloc[order][["gene", "start", "end", "strand"]].itertuples(index=False):
        left, right = max(int(start), region.start), min(int(end), region.end)
        # Once so many had no room, hardly any will find some.
        half = 0.0
        row = None
        if len(crowded) < _ENOUGH:
            half = 0.5 * per_point * (text_points(gene, size=_NAME) * 1.12 + 4.0)
            middle = float(np.clip((left + right) / 2, region.start + half, region.end - half))
            box = (min(left - 5 * per_point, middle - half), max(right + 5 * per_point, middle + half))
            row = next((k for k, boxes in enumerate(taken_boxes) if _free(boxes, box)), None)
        if row is None or 2 * half > length:
            crowded.append(Placed(left, right, str(strand), gene in linked, 0, None, 0.0))
        else:
            taken_boxes[row].append(box)
            out.append(Placed(left, right, str(strand), gene in linked, row, gene, middle))
    last = 1 + max((gene.row for gene in out), default=-1)
    return [*out, *(replace(gene, row=last) for gene in crowded)]


def _free(boxes: list[tuple[float, float]], box: tuple[float, float]) -> bool:
    """Tell whether a box overlaps none of the others."""
    return not any(box[0] < right and left < box[1] for left, right in boxes)


def draw_genes(ax: Axes, placed: list[Placed], *, top: float, per_point: float) -> None:
    """Draw bodies as bars that end in an arrow where transcription ends, names above; unnamed ones without arrow.

    The y axis is in points, growing upwards; ``top`` is the upper edge of the track, and ``per_point`` base pairs.
    """
    many = len(placed) > 300
    for linked, color in ((False, _OTHER), (True, _LINKED)):
        genes = [gene for gene in placed if gene.linked == linked]
        heights = [top - GENE_ROW * (gene.row + 1) + 3.0 for gene in genes]
        if not genes:
            continue
        starts = [gene.start for gene in genes]
        ends = [max(gene.end, gene.start + per_point) for gene in genes]
        ax.hlines(heights, starts, ends, color=color, linewidth=4.0, zorder=2, rasterized=many)
        for strand, marker in (("+", ">"), ("-", "<")):
            numbers = [number for number, gene in enumerate(genes) if gene.strand == strand and gene.name is not None]
            tips = [genes[number].end if strand == "+" else genes[number].start for number in numbers]
            at = [heights[number] for number in numbers]
            draw_marks(ax, tips, at, marker, color, size=6.5, markeredgewidth=0, zorder=2.5, rasterized=many)
        for gene, height in zip(genes, heights, strict=True):
            if gene.name is not None:
                ax.text(
                    gene.name_at,
                    height + 3.0,
                    gene.name,
                    ha="center",
                    va="bottom",
                    fontsize=_NAME,
                    color=color,
                    fontweight="bold" if linked else "normal",
                    clip_on=True,
                )


def draw_peaks(ax: Axes, peaks: pd.DataFrame, *, bottom: float, height: float, per_point: float) -> None:
    """Draw peaks as boxes: linked ones black and taller, others grey. Columns ``start``, ``end``, ``linked``."""
    for linked, color, size in ((False, "#B5B5B5", 0.55), (True, "#000000", 1.0)):
        part = peaks[peaks["linked"] == linked]
        if not len(part):
            continue
        wide = np.maximum((part["end"] - part["start"]).to_numpy(dtype=float), per_point)
        middle = ((part["start"] + part["end"]) / 2).to_numpy()
        boxes = [
            Rectangle((x - width / 2, bottom + height * (1 - size) / 2), width, height * size)
            for x, width in zip(middle, wide, strict=True)
        ]
        many = len(part) > 1_000
        drawn = PatchCollection(boxes, facecolor=color, edgecolor="none", zorder=2 + linked, rasterized=many)
        ax.add_collection(drawn, autolim=False)


def strengths(called: pd.DataFrame, width: str) -> Floats:
    """Compute how strong each link is, by what makes an arc broad."""
    if width == "beta":
        return called["beta"].abs().to_numpy(dtype=float)
    return minus_log10(called["fdr"], column="fdr")[0]


def panel_name(name: str, count: int) -> str:
    """Name a panel by its group and how many links it shows."""
    text = f"{count:,} link{'s' * (count != 1)}" if count else "no link"
    if count > _MOST_ARCS:
        text = f"{_MOST_ARCS:,} strongest\nof {count:,} links"
    return f"{name}\n{text}" if name else text


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
    # Weakest first, so that the strongest are on top.
    rows = rows[np.argsort(strength[rows], kind="stable")][-_MOST_ARCS:]
    selected = called.iloc[rows]
    sign = np.where(selected["beta"] < 0, -1, 1)
    _draw_curves(
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
    draw_marks(ax, starts, np.full(starts.size, base), "|", "black", size=7, rasterized=starts.size > 500)


def draw_pairs(ax: Axes, pairs: pd.DataFrame, *, top: float) -> None:
    """Draw enhancer pairs as arcs that hang below ``top``."""
    if not len(pairs):
        return
    size = pairs["beta_interaction"].abs().to_numpy(dtype=float)
    order = np.argsort(size, kind="stable")[-_MOST_ARCS:]
    selected = pairs.iloc[order]
    _draw_curves(
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
        line = _THIN + (_THICK - _THIN) * share
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


def _draw_curves(
    ax: Axes,
    left: Floats,
    right: Floats,
    sign: NDArray[np.integer],
    strength: Floats,
    *,
    base: float,
    height: float,
    longest: float,
    rasterized: bool,
) -> None:
    """Draw half ellipses that are higher the longer they are; broad and dark the stronger; dashed below 0."""
    turn = np.linspace(0.0, np.pi, 41)
    rise = height * (0.12 + 0.88 * np.sqrt(np.abs(right - left) / (longest or 1.0)))
    x = ((left + right) / 2)[:, None] - ((right - left) / 2)[:, None] * np.cos(turn)
    y = base + rise[:, None] * np.sin(turn)
    curves = np.stack([x, y], axis=2)
    for value, (color, _, dash) in SIGNS.items():
        of_sign = sign == value
        if not of_sign.any():
            continue
        widths = _THIN + (_THICK - _THIN) * strength[of_sign]
        drawn = LineCollection(list(curves[of_sign]), linewidths=widths, linestyles=[dash], capstyle="butt")
        drawn.set(colors=_tints(color, strength[of_sign]), zorder=1.5, rasterized=rasterized)
        ax.add_collection(drawn, autolim=False)


def _tints(color: str, strength: Floats) -> Floats:
    """Mix the colour with white where it is weak. Shape ``(n, 3)``."""
    share = (0.45 + 0.55 * np.clip(strength, 0.0, 1.0))[:, None]
    return share * np.array(to_rgb(color)) + (1.0 - share)
