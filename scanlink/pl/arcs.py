"""Links as arcs over the genes and peaks of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scanlink.errors import MissingKeyError, OptionError, first_few
from scanlink.io.places import warn_of_another_build
from scanlink.pl._in_region import Region, annotation_of, called_links, called_pairs, places_of
from scanlink.pl._looks import new_axes
from scanlink.pl._tables import checked, checked_level, wanted_groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["arcs"]

# Heights of tracks in points of 1/72 inch.
_PEAKS, _GAP = 9.0, 8.0
_LEAST_PANEL, _NEW_PANEL = 28.0, 80.0
_MOST_PANELS = 12


def arcs(
    links: pd.DataFrame,
    genes: pd.DataFrame,
    region: str | tuple[str, int, int],
    *,
    groups: str | Sequence[str] | None = None,
    fdr: float = 0.1,
    width: Literal["beta", "fdr"] = "beta",
    peaks: pd.DataFrame | None = None,
    epi: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the links of a region: arcs from genes to peaks, a panel a group, over the peaks and the genes.

    Parameters
    ----------
    links
        A links table.
    genes
        Annotation with columns ``chrom``, ``start``, ``end``, ``gene`` and, if known, ``strand``.
    region
        Stretch of a chromosome: ``"chr1:1,000,000-1,500,000"`` or ``(chrom, start, end)``, 0-based half-open, bp.
    groups
        One group or several, a panel each. None: those with a link in the region.
    fdr
        False discovery rate below which links are drawn; all that were tested, if the table has no ``fdr``.
    width
        Quantity that makes an arc broad and dark: ``"beta"``, the size of the effect, or ``"fdr"``, ``-log10`` of it.
    peaks
        Coordinates of peaks, named by the index, such as ``mdata["atac"].var``; all of the region are drawn. None
        takes the peaks of the table of links, and reads their coordinates off their names.
    epi
        Table of enhancer pairs. Those with ``fdr`` below the level are arcs that hang below the peaks.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its x axis is in bp; its y axis in points, which is where tracks are.

    Raises
    ------
    InputError
        If the annotation is empty, the region cannot be read, or coordinates cannot be found.
    MissingKeyError
        If a column, a group or the chromosome is not there.
    OptionError
        If an option has an impossible value.

    Notes
    -----
    An arc runs from the first transcribed base of the gene to the middle of the peak; it is drawn if one of both lies
    in the region. Effects below 0 are dashed. Linked peaks and genes are black, others grey. Names are left out where
    there is no room, those of linked genes last. Of more than 2,000 links of a group the strongest are drawn, and the
    name of the panel says so.

    Examples
    --------
    >>> genes = pd.DataFrame({"chrom": "chr1", "start": [5_000], "end": [9_000], "strand": "+", "gene": "A"})
    >>> links = pd.DataFrame({"gene": "A", "peak": ["chr1:2000-2500", "chr1:15000-15400"], "beta": [0.5, -0.2],
    ...                       "fdr": [0.01, 0.03]})
    >>> [label.get_text() for label in arcs(links, genes, "chr1:1-20,000").get_yticklabels()]
    ['2 links', 'peaks', 'genes']
    """
    from scanlink.pl import _tracks as tracks
    from scanlink.pl._labels import laid_out

    level, stretch = checked_level(fdr), Region.of(region)
    if width not in ("beta", "fdr"):
        raise OptionError(f"width {width!r} is not known; expected 'beta' or 'fdr'")
    checked(links, ["gene", "peak", "beta", *(["fdr"] if width == "fdr" else [])], name="links")
    annotation = annotation_of(genes, stretch)
    places = places_of(links, peaks)
    if stretch.chrom not in set(places["chrom"]) and not len(annotation):
        raise MissingKeyError(
            f"neither genes nor peaks are on {stretch.chrom!r}; peaks are on {first_few(places['chrom'].unique())}"
        )
    there = links[links["peak"].isin(places.index[places["chrom"] == stretch.chrom])]
    warn_of_another_build(there, places.loc[there["peak"]], genes)
    called = called_links(links, annotation, places, stretch, level)
    names = _names(called, links, groups)
    n_groups = called["group"].nunique()
    called = called[called["group"].isin(names)].reset_index(drop=True)
    pairs = called_pairs(epi, places, stretch, level, names) if epi is not None else None
    strength = tracks.strengths(called, width)
    scale = float(strength.max()) if len(strength) else 1.0
    panels = {name: np.flatnonzero(called["group"] == name) for name in names}
    texts = [tracks.panel_name(name, len(rows)) for name, rows in panels.items()]

    genes_inside = annotation[(annotation["end"] > stretch.start) & (annotation["start"] < stretch.end)]
    best = {str(gene): float(size) for gene, size in pd.Series(strength).groupby(called["gene"]).max().items()}
    fixed = 2 * _GAP + _PEAKS + (tracks.PAIRS if pairs is not None else 0.0)
    if ax is None:
        placed = tracks.place_genes(genes_inside, best, stretch, points=9.0 * 72 * 0.86)
        rows = 1 + max((gene.row for gene in placed), default=0)
        new = _NEW_PANEL if len(panels) <= 4 else 0.6 * _NEW_PANEL
        ax = new_axes(None, size=(9.0, (fixed + tracks.GENE_ROW * rows + new * len(panels) + 62) / 72))
    new_axes(ax, size=(9.0, 4.0)).set_xlim(stretch.start, stretch.end)
    tracks.draw_arc_legend(ax, called, pairs, scale, width)
    notes = [f"FDR < {level:g}"] if "fdr" in links.columns else []
    if groups is None and n_groups > len(names):
        notes.append(f"{len(names)} of {n_groups} groups")
    _x_axis(ax, stretch, notes)
    # The widest that there may be, so that what is left for the genes is known before they are placed.
    ax.set_yticks(range(len(texts) + 1), [*texts, f"genes\n({len(genes_inside):,} without name)"])
    points, height = laid_out(ax)
    # At most half of the height is for genes.
    most_rows = int(min(height - fixed - _LEAST_PANEL * len(panels), 0.5 * height) // tracks.GENE_ROW)
    most_rows = min(max(most_rows, 2), tracks.MOST_ROWS)
    placed = tracks.place_genes(genes_inside, best, stretch, points=points, most_rows=most_rows)
    rows = 1 + max((gene.row for gene in placed), default=0)
    below = fixed + tracks.GENE_ROW * rows
    high = max((height - below) / len(panels), _LEAST_PANEL)
    total, per_point = below + high * len(panels), (stretch.end - stretch.start) / points
    ax.set_ylim(0, total)

    ticks: dict[float, str] = {}
    longest = float((called["middle"] - called["tss"]).abs().max()) if len(called) else 0.0
    for number, (rows_of, text) in enumerate(zip(panels.values(), texts, strict=True), start=1):
        base = total - high * number
        tracks.draw_arcs(ax, called, strength, rows_of, base=base, height=0.9 * high, scale=scale, longest=longest)
        ax.axhline(base, color="#BBBBBB", linewidth=0.7, zorder=0.5)
        ticks[base + 0.45 * high] = text
    peaks_at = below - _GAP - _PEAKS
    peaks_inside = places[
        (places["chrom"] == stretch.chrom) & (places["end"] > stretch.start) & (places["start"] < stretch.end)
    ]
    linked = set(called["peak"])
    if pairs is not None:
        linked |= set(pairs["enhancer_1"]) | set(pairs["enhancer_2"])
        tracks.draw_pairs(ax, pairs, top=peaks_at - 1.0)
        ticks[peaks_at - 0.5 * tracks.PAIRS] = f"{len(pairs):,} pair{'s' * (len(pairs) != 1)}"
    peaks_inside = peaks_inside.assign(linked=peaks_inside.index.isin(linked))
    tracks.draw_peaks(ax, peaks_inside, bottom=peaks_at, height=_PEAKS, per_point=per_point)
    ticks[peaks_at + _PEAKS / 2] = "peaks"
    tracks.draw_genes(ax, placed, top=tracks.GENE_ROW * rows + 2.0, per_point=per_point)
    unnamed = sum(gene.name is None for gene in placed)
    ticks[tracks.GENE_ROW * rows / 2] = "genes" + (f"\n({unnamed:,} without name)" if unnamed else "")
    ax.set_yticks(list(ticks), list(ticks.values()))
    return ax


def _names(called: pd.DataFrame, links: pd.DataFrame, groups: str | Sequence[str] | None) -> list[str]:
    """Choose the groups that get a panel."""
    if groups is None:
        # Those with most links, in the order of the table.
        largest = set(called["group"].value_counts().index[:_MOST_PANELS])
        return [str(name) for name in called["group"].unique() if name in largest] or [""]
    existing = set(links["group"].astype(str)) if "group" in links.columns else set()
    return wanted_groups(groups, sorted(existing), name="links")


def _x_axis(ax: Axes, region: Region, notes: list[str]) -> None:
    """Write positions in Mb, with as many digits as the ticks need."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from scanlink.pl._labels import axes_points

    ax.xaxis.set_major_locator(MaxNLocator(int(np.clip(axes_points(ax)[0] / 70, 2, 6)), steps=[1, 2, 2.5, 5, 10]))
    ticks = ax.get_xticks() / 1e6
    digits = next((d for d in range(6) if np.allclose(ticks, ticks.round(d), rtol=0, atol=1e-9)), 6)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:.{digits}f}"))
    ax.set_xlabel("; ".join([f"{region.chrom} (Mb)", *notes]))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
