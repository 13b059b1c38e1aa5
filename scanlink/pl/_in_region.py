"""What lies in a stretch of a chromosome: genes, peaks, links and enhancer pairs."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, first_few
from scanlink.io.peaks import parse_peaks, peak_table
from scanlink.pl._tables import checked

__all__ = ["Region", "annotation_of", "called_links", "called_pairs", "places_of"]

log = logging.getLogger("scanlink")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """A stretch of a chromosome, 0-based half-open (bp)."""

    chrom: str
    start: int
    end: int

    @classmethod
    def of(cls, region: object) -> Region:
        """From ``"chr1:1,000,000-1,500,000"`` or ``(chrom, start, end)``.

        Raises
        ------
        InputError
            If it is neither, or start is not before end.
        """
        if isinstance(region, str):
            found = re.fullmatch(r"\s*(\S+):([\d,_]+)\s*[-–]\s*([\d,_]+)\s*", region)
            parts: list[object] = [found[1], *(re.sub(r"\D", "", found[i]) for i in (2, 3))] if found else []
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

    @property
    def length(self) -> int:
        """In bp."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start:,}-{self.end:,}"


def annotation_of(genes: pd.DataFrame, where: Region) -> pd.DataFrame:
    """Genes of the chromosome, with the first transcribed base."""
    checked(genes, ["chrom", "start", "end", "gene"], name="genes")
    own = genes[genes["chrom"].astype(str) == where.chrom]
    strand = own["strand"].fillna(".").astype(str) if "strand" in own.columns else pd.Series(".", index=own.index)
    out = own[["start", "end"]].astype(np.int64).assign(gene=own["gene"].astype(str), strand=strand)
    return out.assign(tss=np.where(strand == "-", out["end"] - 1, out["start"])).reset_index(drop=True)


def places_of(links: pd.DataFrame, peaks: pd.DataFrame | None) -> pd.DataFrame:
    """Coordinates of peaks by their name."""
    if peaks is not None:
        return peak_table(checked(peaks, [], name="peaks"))
    try:
        return parse_peaks(links["peak"].astype("category").cat.remove_unused_categories().cat.categories)
    except InputError as error:
        raise InputError(f"{error}. Or give peaks=, a table of coordinates named by peak") from error


def _middle(places: pd.DataFrame, names: pd.Series) -> Floats:
    """Middle of each peak; NaN for one without coordinates."""
    middle = (places["start"] + places["end"]) // 2
    return middle.reindex(names.astype(str)).to_numpy(dtype=float)


def called_links(
    links: pd.DataFrame, annotation: pd.DataFrame, places: pd.DataFrame, where: Region, level: float
) -> pd.DataFrame:
    """Links with one end in the region: group, gene, peak, beta, fdr, and both ends ``tss`` and ``middle``."""
    kept = np.isfinite(links["beta"].to_numpy(dtype=float))
    if "fdr" in links.columns:
        kept &= links["fdr"].to_numpy(dtype=float) < level
    columns = [name for name in ("group", "gene", "peak", "beta", "fdr") if name in links.columns]
    found = links.loc[kept, columns].copy()
    found["gene"], found["peak"] = found["gene"].astype(str), found["peak"].astype(str)
    found["group"] = found["group"].astype(str) if "group" in found.columns else ""
    on = places.index[places["chrom"] == where.chrom]
    found = found[found["peak"].isin(on)].reset_index(drop=True)
    found["row"] = np.arange(len(found))
    found["middle"] = _middle(places, found["peak"])
    here = (found["middle"] >= where.start) & (found["middle"] < where.end)
    strange = found.loc[here & ~found["gene"].isin(annotation["gene"]), "gene"]
    if len(strange):
        log.warning(
            "%d links to peaks in %s are of genes that the annotation does not have on %s (%s) and are not drawn: are "
            "names and identifiers mixed up?",
            len(strange),
            where,
            where.chrom,
            first_few(strange.unique()),
        )
    found = found.merge(annotation[["gene", "tss"]], on="gene")
    # A name may stand for several loci: the nearest is meant.
    found["away"] = (found["middle"] - found["tss"]).abs()
    found = found.sort_values(["row", "away", "tss"], kind="stable").drop_duplicates("row")
    ends = found[["tss", "middle"]]
    return found[((ends >= where.start) & (ends < where.end)).any(axis=1)].reset_index(drop=True)


def called_pairs(
    epi: pd.DataFrame, places: pd.DataFrame, where: Region, level: float, groups: list[str]
) -> pd.DataFrame:
    """Called pairs of enhancers in the region, with their middles."""
    checked(epi, ["enhancer_1", "enhancer_2", "beta_interaction", "fdr"], name="epi")
    found = epi[(epi["fdr"].to_numpy(dtype=float) < level) & np.isfinite(epi["beta_interaction"].to_numpy(dtype=float))]
    if groups != [""] and "group" in found.columns:
        found = found[found["group"].astype(str).isin(groups)]
    sides = found[["enhancer_1", "enhancer_2"]].astype(str)
    names = pd.unique(sides.to_numpy().ravel())
    unknown = [name for name in names if name not in places.index]
    known = pd.concat([places, parse_peaks(unknown)]) if unknown else places
    on = known.index[known["chrom"] == where.chrom]
    found = found.assign(enhancer_1=sides["enhancer_1"], enhancer_2=sides["enhancer_2"])
    found = found[found["enhancer_1"].isin(on) & found["enhancer_2"].isin(on)]
    found = found.assign(left=_middle(known, found["enhancer_1"]), right=_middle(known, found["enhancer_2"]))
    ends = found[["left", "right"]]
    return found[((ends >= where.start) & (ends < where.end)).any(axis=1)].reset_index(drop=True)
