"""Where the genes of a table of links lie."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import MissingKeyError, first_few
from scanlink.io.contigs import as_named_by, say_what_is_renamed
from scanlink.io.genomes import FAR, differ, signs_of_build

__all__ = ["gene_places", "warn_of_another_build"]

log = logging.getLogger("scanlink")

# Genes with a distance and a place in the annotation, below which these say nothing.
_FEWEST_GENES = 5

_NEEDED = ("chrom", "start", "end", "strand", "gene")


def gene_places(links: pd.DataFrame, peaks: pd.DataFrame, *, genes: pd.DataFrame | None = None) -> pd.DataFrame:
    """Find the locus of each row's gene, in the order of ``links``; missing (None, NA) where it has no place.

    In the annotation (``genes``) a gene may have several loci: taken is the one whose distance to the peak is that of
    the table, or else the nearest. A gene that is not in the annotation is placed by the table itself: its TSS is the
    position from which the distances of all its peaks were measured, which two peaks are enough to tell. So best give
    the whole table: untested pairs help to place a gene.

    ``links`` has ``gene`` and, if known, ``distance`` (bp from the TSS to the centre of the peak, positive downstream);
    ``peaks`` the interval of each row's peak. All intervals are 0-based half-open, bp; that of a gene which the
    annotation lacks is the base of its TSS.

    >>> links = pd.DataFrame({"gene": ["A", "A", "B"], "distance": [-50, 50, 10]})
    >>> peaks = pd.DataFrame({"chrom": "chr1", "start": [140, 40, 100], "end": [160, 60, 120]})
    >>> gene_places(links, peaks)
      chrom start   end   tss strand
    0  chr1   100   101   100      -
    1  chr1   100   101   100      -
    2  None  <NA>  <NA>  <NA>      .
    """
    centre = ((peaks["start"].to_numpy() + peaks["end"].to_numpy()) // 2).astype(np.int64)
    names, chrom = links["gene"].astype(str).to_numpy(), peaks["chrom"].to_numpy(dtype=object)
    if "distance" in links:
        distance = pd.to_numeric(links["distance"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    else:
        distance = np.full(len(links), np.nan)
    rows = pd.DataFrame({"gene": names, "chrom": chrom, "centre": centre, "distance": distance})
    places = pd.DataFrame(
        {
            "chrom": np.full(len(rows), None, dtype=object),
            **{name: pd.array(np.full(len(rows), pd.NA), dtype="Int64") for name in ("start", "end", "tss")},
            "strand": np.full(len(rows), ".", dtype=object),
        }
    )
    if genes is not None and len(rows):
        warn_of_another_build(rows, peaks, genes)
        _by_annotation(rows, genes, places)
    lost = places["chrom"].isna().to_numpy() & np.isfinite(distance)
    if lost.any():
        _by_distance(rows[lost], places)
    return places.set_axis(links.index, axis=0)


def _by_annotation(rows: pd.DataFrame, genes: pd.DataFrame, places: pd.DataFrame) -> None:
    """Fill in the rows whose gene is in the annotation by name or, if not, by identifier."""
    if absent := [name for name in _NEEDED if name not in genes]:
        raise MissingKeyError(
            f"the annotation has no column {first_few(absent)}; expected {', '.join(_NEEDED)}, as of sl.io.read_genes"
        )
    loci = genes[[name for name in (*_NEEDED, "gene_id") if name in genes]].reset_index(drop=True)
    said = loci["chrom"]
    loci["chrom"] = as_named_by(said, rows["chrom"])
    say_what_is_renamed(said, loci["chrom"])
    loci["tss"] = np.where(loci["strand"] == "-", loci["end"] - 1, loci["start"])
    named = rows.reset_index()
    candidates = named.merge(loci, on="gene", suffixes=("", "_gene"))
    if "gene_id" in loci:
        others = named[~named["gene"].isin(loci["gene"])]
        others = others.assign(gene=others["gene"].str.replace(r"^(ENS[A-Z]*\d+)\.\d+$", r"\1", regex=True))
        by_id = loci.drop(columns="gene").rename(columns={"gene_id": "gene"}).dropna(subset=["gene"])
        candidates = pd.concat([candidates, others.merge(by_id, on="gene", suffixes=("", "_gene"))], ignore_index=True)
    if candidates.empty:
        return
    apart = (candidates["centre"] - candidates["tss"]) * np.where(candidates["strand"] == "-", -1, 1)
    candidates["cost"] = np.where(candidates["distance"].notna(), (apart - candidates["distance"]).abs(), apart.abs())
    candidates["elsewhere"] = candidates["chrom"] != candidates["chrom_gene"]
    best = candidates.sort_values(["elsewhere", "cost"], kind="stable").drop_duplicates("index")
    _fill(places, best["index"].to_numpy(), best.rename(columns={"chrom_gene": "chrom", "chrom": "_"}))


def warn_of_another_build(links: pd.DataFrame, peaks: pd.DataFrame, genes: pd.DataFrame) -> None:
    """Log a warning if an annotation does not have the genes of links where these had them.

    ``links`` has ``gene`` and perhaps ``distance``; the TSS from which that was measured is compared. Without distances
    it is what both sides look like that counts.
    """
    away = _away(links, peaks, genes) if "distance" in links else pd.Series(dtype=float)
    elsewhere = away.index[away >= FAR]
    enough = len(away) >= _FEWEST_GENES
    if enough and 2 * len(elsewhere) <= len(away):
        return
    ours = signs_of_build(peaks.drop_duplicates(["chrom", "start"]))
    theirs = signs_of_build(genes, genes.attrs.get("build"))
    if not (enough or differ(ours, theirs)):
        return
    found = ""
    if len(elsewhere):
        found = (
            f"{len(elsewhere):,} of {len(away):,} genes lie {FAR // 1000} kb or more from where the distances have "
            f"them: {first_few(elsewhere)}; "
        )
    log.warning(
        "links and genes may be of different genome builds: %s%s; %s. Give the annotation of the build of the links",
        found,
        ours.described("peaks", theirs.build),
        theirs.described("annotation", ours.build),
    )


def _away(links: pd.DataFrame, peaks: pd.DataFrame, genes: pd.DataFrame) -> pd.Series:
    """Measure how far the TSS of each gene is from that of the distances, in bp, whatever the strand was taken for."""
    rows = pd.DataFrame({"gene": links["gene"].astype(str).to_numpy(), "row": np.arange(len(links))})
    rows["distance"] = pd.to_numeric(links["distance"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    rows["centre"] = ((peaks["start"].to_numpy() + peaks["end"].to_numpy()) // 2).astype(np.int64)
    rows = rows.dropna(subset=["distance"]).merge(genes[["gene", "start", "end"]], on="gene")
    ends = [(rows["centre"] - rows[side]).abs() - rows["distance"].abs() for side in ("start", "end")]
    rows["away"] = np.minimum(ends[0].abs(), ends[1].abs())
    return rows.groupby(["gene", "row"])["away"].min().groupby("gene").median()


def _by_distance(rows: pd.DataFrame, places: pd.DataFrame) -> None:
    """Fill in the rows of genes whose distances all begin at one base."""
    table = rows.assign(plus=rows["centre"] - rows["distance"], minus=rows["centre"] + rows["distance"])
    sides = table.groupby(["gene", "chrom"], sort=False)[["plus", "minus"]].transform("nunique") == 1
    for side, strand in (("plus", "+"), ("minus", "-")):
        one = sides[side] & (~sides["minus" if side == "plus" else "plus"] | (table["distance"] == 0))
        part = table[one]
        if len(part):
            tss = part[side].astype(np.int64)
            place = {"chrom": part["chrom"], "start": tss, "end": tss + 1, "tss": tss}
            _fill(places, part.index.to_numpy(), pd.DataFrame({**place, "strand": strand}))
    # A peak right on the only TSS says where it is, but not in which direction the gene is read.
    lone = table.index[sides["plus"] & sides["minus"] & (table["distance"] == 0)]
    places.loc[lone, "strand"] = "."


def _fill(places: pd.DataFrame, rows: NDArray[np.int64], values: pd.DataFrame) -> None:
    for name in places.columns:
        places.loc[rows, name] = values[name].to_numpy()
