"""What lies in a stretch of a chromosome: genes, peaks, links and enhancer pairs."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.io.peaks import parse_peaks, peak_table
from scanlink.pl._tables import Floats, checked

__all__ = ["Region", "annotation_of", "called_links", "called_pairs", "places_of"]

log = logging.getLogger("scanlink")


@dataclass(frozen=True)
class Region:
    """A stretch of a chromosome, 0-based half-open (bp)."""

    chrom: str
    start: int
    end: int

    @classmethod
    def of(cls, region: object) -> Region:
        """Read ``"chr1:1,000,000-1,500,000"`` or ``(chrom, start, end)``; InputError if it is neither."""
        if isinstance(region, str):
            match = re.fullmatch(r"\s*(\S+):([\d,_]+)\s*[-–]\s*([\d,_]+)\s*", region)
            parts: list[object] = [match[1], *(re.sub(r"\D", "", match[i]) for i in (2, 3))] if match else []
        else:
            parts = list(region) if isinstance(region, (tuple, list)) else []
        try:
            chrom, start, end = str(parts[0]), int(str(parts[1])), int(str(parts[2]))
        except (IndexError, ValueError):
            raise InputError(
                f"region {region!r} cannot be read: expected 'chr1:1,000,000-1,500,000' or ('chr1', 1000000, 1500000)"
            ) from None
        if len(parts) != 3 or not 0 <= start < end:
            raise InputError(f"region {region!r}: expected chromosome, start and end, with start before end")
        return cls(chrom, start, end)

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start:,}-{self.end:,}"


def annotation_of(genes: pd.DataFrame, region: Region) -> pd.DataFrame:
    """Return the genes of the chromosome, with the first transcribed base."""
    checked(genes, ["chrom", "start", "end", "gene"], name="genes")
    on_chrom = genes[genes["chrom"].astype(str) == region.chrom]
    strand = on_chrom["strand"].fillna(".").astype(str) if "strand" in on_chrom.columns else "."
    out = on_chrom[["start", "end"]].astype(np.int64).assign(gene=on_chrom["gene"].astype(str), strand=strand)
    return out.assign(tss=np.where(out["strand"] == "-", out["end"] - 1, out["start"])).reset_index(drop=True)


def places_of(links: pd.DataFrame, peaks: pd.DataFrame | None) -> pd.DataFrame:
    """Look up coordinates of peaks by their name."""
    if peaks is not None:
        return peak_table(checked(peaks, [], name="peaks"))
    try:
        return parse_peaks(links["peak"].astype("category").cat.remove_unused_categories().cat.categories)
    except InputError as error:
        raise InputError(f"{error}. Or give peaks=, a table of coordinates named by peak") from error


def _middle(places: pd.DataFrame, names: pd.Series) -> Floats:
    """Compute the middle of each peak; NaN for one without coordinates."""
    middle = (places["start"] + places["end"]) // 2
    return middle.reindex(names.astype(str)).to_numpy(dtype=float)


def called_links(
    links: pd.DataFrame, annotation: pd.DataFrame, places: pd.DataFrame, region: Region, level: float
) -> pd.DataFrame:
    """Select links with one end in the region: group, gene, peak, beta, fdr, and both ends ``tss`` and ``middle``."""
    is_called = np.isfinite(links["beta"].to_numpy(dtype=float))
    if "fdr" in links.columns:
        is_called &= links["fdr"].to_numpy(dtype=float) < level
    columns = [name for name in ("group", "gene", "peak", "beta", "fdr") if name in links.columns]
    called = links.loc[is_called, columns].copy()
    called["gene"], called["peak"] = called["gene"].astype(str), called["peak"].astype(str)
    called["group"] = called["group"].astype(str) if "group" in called.columns else ""
    on_chrom = places.index[places["chrom"] == region.chrom]
    called = called[called["peak"].isin(on_chrom)].reset_index(drop=True)
    called["row"] = np.arange(len(called))
    called["middle"] = _middle(places, called["peak"])
    peak_inside = (called["middle"] >= region.start) & (called["middle"] < region.end)
    unknown_genes = called.loc[peak_inside & ~called["gene"].isin(annotation["gene"]), "gene"]
    if len(unknown_genes):
        log.warning(
            "%d links to peaks in %s are of genes that the annotation does not have on %s (%s) and are not drawn: are "
            "names and identifiers mixed up?",
            len(unknown_genes),
            region,
            region.chrom,
            first_few(unknown_genes.unique()),
        )
    called = called.merge(annotation[["gene", "tss"]], on="gene")
    # A name may stand for several loci: the nearest is meant.
    called["away"] = (called["middle"] - called["tss"]).abs()
    called = called.sort_values(["row", "away", "tss"], kind="stable").drop_duplicates("row")
    return _reaching_into(region, called, ["tss", "middle"])


def called_pairs(
    epi: pd.DataFrame, places: pd.DataFrame, region: Region, level: float, groups: list[str]
) -> pd.DataFrame:
    """Select called pairs of enhancers in the region, with their middles."""
    checked(epi, ["enhancer_1", "enhancer_2", "beta_interaction", "fdr"], name="epi")
    called = epi[
        (epi["fdr"].to_numpy(dtype=float) < level) & np.isfinite(epi["beta_interaction"].to_numpy(dtype=float))
    ]
    if groups != [""] and "group" in called.columns:
        called = called[called["group"].astype(str).isin(groups)]
    sides = called[["enhancer_1", "enhancer_2"]].astype(str)
    names = pd.unique(sides.to_numpy().ravel())
    unplaced = [name for name in names if name not in places.index]
    coordinates = pd.concat([places, parse_peaks(unplaced)]) if unplaced else places
    on_chrom = coordinates.index[coordinates["chrom"] == region.chrom]
    called = called.assign(**sides)[sides.isin(on_chrom).all(axis=1)]
    left, right = (_middle(coordinates, called[side]) for side in sides)
    called = called.assign(left=left, right=right)
    return _reaching_into(region, called, ["left", "right"])


def _reaching_into(region: Region, rows: pd.DataFrame, ends: list[str]) -> pd.DataFrame:
    """Select rows that have an end in the region."""
    inside = (rows[ends] >= region.start) & (rows[ends] < region.end)
    return rows[inside.any(axis=1)].reset_index(drop=True)
