"""Pairs of genes and peaks that lie near each other.

All coordinates are 0-based and half-open. The transcription start site (TSS) of a gene is its first transcribed base:
``start`` on the strand ``+`` (or ``.``, unknown), ``end - 1`` on ``-``. The centre of a peak is its base ``(start +
end) // 2``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from mudata import MuData

from scanlink.errors import InputError, first_few
from scanlink.pp.annotation import find_loci, say_what_is_found, wanted_genes
from scanlink.pp.build import build_said, warn_of_build
from scanlink.pp.door import Multiome, enter
from scanlink.pp.intervals import check_intervals, check_options, refuse_equal_names

__all__ = ["cis_pairs", "near", "pairs_of", "why_none"]

log = logging.getLogger("scanlink")


def cis_pairs(
    mdata: Multiome,
    genes: pd.DataFrame,
    *,
    window: int = 500_000,
    anchor: Literal["body", "tss"] = "body",
    overlap: Literal["any", "center"] = "any",
    match: Literal["gene_id", "name"] | None = None,
    only: Iterable[str] | None = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
) -> pd.DataFrame:
    """List the peaks near each gene.

    With the defaults these are the pairs of ``bedtools window -w 500000``. Chromosomes may be named by different
    conventions (``chr1`` and ``1``, ``chrM`` and ``MT``, ``chrUn_KI270742v1`` and ``chrUn-KI270742v1`` or
    ``KI270742.1``); genes and peaks on chromosomes that the other side lacks are told. So are genes that the annotation
    lacks, with what they may be called there, and genes and peaks that look as if they were of different genome builds.

    Parameters
    ----------
    mdata
        The dataset; ``atac.var`` has ``chrom``, ``start``, ``end``, or an ``interval`` of 10x, or peaks are named by
        their place. May be backed: no count is read.
    genes
        Annotation, as :func:`scanlink.io.read_genes` returns it: columns ``chrom``, ``start``, ``end``, ``gene``, and
        if known ``strand`` and ``gene_id``. A gene whose strand is ``.``, or that has none, is measured as on ``+``.
    window
        Reach on both sides of the anchor, in bp.
    anchor
        ``"body"``: ``[start - window, end + window)``. ``"tss"``: the same around the single base of the TSS.
    overlap
        ``"any"``: one base of the peak in the window is enough. ``"center"``: its centre must be inside.
    match
        How genes of the data are found in the annotation: ``"gene_id"`` (without version), ``"name"``, or None for the
        identifier where both have one and else the name.
    only
        Names of the genes wanted, such as the highly variable ones; None: all.
    rna_key, atac_key
        Names of the modalities in ``mdata``; None finds ``rna`` and ``atac``, and names such as ``gex`` and ``peaks``.

    Returns
    -------
    pandas.DataFrame
        One row per pair, in the order of the genes and then of the peaks in the data: ``gene``, ``peak``, and
        ``distance`` from the TSS to the centre of the peak, in bp, positive downstream (in the direction of
        transcription). A gene with several loci in the annotation has the peaks of all of them, each with the
        distance that is smallest in absolute value.

    Raises
    ------
    InputError
        If no pair is found (says whether chromosome names or positions are at fault), coordinates are impossible, or
        names are not unique.
    MissingKeyError
        If a modality, a column, or a gene of ``only`` is not there.
    OptionError
        If an option has an impossible value.

    Examples
    --------
    >>> import scanlink as sl
    >>> simulation = sl.ds.simulate(n_cells=100, n_genes=10, n_peaks=60, n_links=8, n_interactions=2, seed=1)
    >>> pairs = cis_pairs(simulation.mdata, simulation.genes, window=100_000, anchor="tss")
    >>> list(pairs.columns)
    ['gene', 'peak', 'distance']
    >>> bool(pairs["distance"].abs().max() < 103_000)
    True
    """
    data = enter(mdata, rna_key=rna_key, atac_key=atac_key, fits=_is_located, counts=()).data
    rna, atac = data["rna"].var, data["atac"].var
    return pairs_of(rna, atac, genes, window=window, anchor=anchor, overlap=overlap, match=match, only=only)


def pairs_of(
    rna: pd.DataFrame,
    atac: pd.DataFrame,
    genes: pd.DataFrame,
    *,
    window: int,
    anchor: Literal["body", "tss"],
    overlap: Literal["any", "center"],
    match: Literal["gene_id", "name"] | None = None,
    only: Iterable[str] | None = None,
    compare: bool = True,
) -> pd.DataFrame:
    """List the pairs of genes and peaks, of which tables (``.var``) are given; see :func:`cis_pairs`.

    ``compare`` looks whether they are of one genome build, which best is done before rare ones are left out.
    """
    check_options(window, anchor, overlap)
    refuse_equal_names(rna.index, "gene", "rna")
    refuse_equal_names(atac.index, "peak", "atac")
    peaks = check_intervals(atac, what="atac.var")
    wanted = wanted_genes(rna.index, only)
    found = find_loci(rna, genes, peaks, match=match, wanted=wanted)
    loci = found.table
    pairs = near(loci, peaks, window=window, anchor=anchor, overlap=overlap)
    say_what_is_found(found, rna, genes, peaks, what="peak", wanted=wanted, n_pairs=len(pairs))
    if compare:
        warn_of_build(peaks, loci, genes, rna, what="peak", said=build_said(atac))
    if pairs.empty:
        raise InputError(why_none(loci, peaks, window=window, anchor=anchor, overlap=overlap))
    without = len(np.unique(loci["position"])) - pairs["gene"].nunique()
    log.info(
        "%d pairs of %d genes and %d peaks within %d bp of the %s; %d genes have no peak there",
        len(pairs),
        pairs["gene"].nunique(),
        pairs["peak"].nunique(),
        window,
        "gene body" if anchor == "body" else "TSS",
        without,
    )
    return pd.DataFrame(
        {
            "gene": rna.index.to_numpy(dtype=object)[pairs["gene"]],
            "peak": atac.index.to_numpy(dtype=object)[pairs["peak"]],
            "distance": pairs["distance"].to_numpy(),
        }
    )


def _is_located(mdata: MuData) -> bool:
    """Tell whether peaks have columns of coordinates, and names of genes are unique."""
    return {"chrom", "start", "end"} <= set(mdata["atac"].var.columns) and mdata["rna"].var_names.is_unique


def _anchors(loci: pd.DataFrame, anchor: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the TSS of each locus, and the interval from which the window is measured."""
    start, end = loci["start"].to_numpy(), loci["end"].to_numpy()
    tss = np.where(loci["strand"].to_numpy() == "-", end - 1, start)
    return (tss, start, end) if anchor == "body" else (tss, tss, tss + 1)


def _marks(peaks: pd.DataFrame, overlap: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the centre of each peak, and the interval that has to touch the window."""
    start, end = peaks["start"].to_numpy(), peaks["end"].to_numpy()
    centre = (start + end) // 2
    return (centre, start, end) if overlap == "any" else (centre, centre, centre + 1)


def near(loci: pd.DataFrame, peaks: pd.DataFrame, *, window: int, anchor: str, overlap: str) -> pd.DataFrame:
    """Find the genes and peaks that are near each other, as positions, and their distance; sorted, a row a pair."""
    import bioframe

    minus = loci["strand"].to_numpy() == "-"
    tss, first, last = _anchors(loci, anchor)
    centre, start, end = _marks(peaks, overlap)
    windows = pd.DataFrame(
        {"chrom": loci["chrom"].to_numpy(), "start": np.maximum(first - window, 0), "end": last + window}
    )
    marks = pd.DataFrame({"chrom": peaks["chrom"].to_numpy(), "start": start, "end": end})
    shared = np.intersect1d(windows["chrom"].unique(), marks["chrom"].unique())
    windows, marks = windows[windows["chrom"].isin(shared)], marks[marks["chrom"].isin(shared)]
    if windows.empty or marks.empty:
        return pd.DataFrame({"gene": [], "peak": [], "distance": []}, dtype=np.int64)
    hits = bioframe.overlap(
        windows.reset_index(names="row"), marks.reset_index(names="row"), how="inner", suffixes=("_gene", "_peak")
    )
    locus, peak = hits["row_gene"].to_numpy(dtype=np.int64), hits["row_peak"].to_numpy(dtype=np.int64)
    distance = (centre[peak] - tss[locus]) * np.where(minus[locus], -1, 1)
    pairs = pd.DataFrame({"gene": loci["position"].to_numpy()[locus], "peak": peak, "distance": distance})
    # Ties of opposite sign go to the downstream one, so that the order of the annotation does not matter.
    order = np.lexsort((-pairs["distance"], pairs["distance"].abs(), pairs["peak"], pairs["gene"]))
    return pairs.iloc[order].drop_duplicates(["gene", "peak"], ignore_index=True)


def why_none(
    loci: pd.DataFrame, peaks: pd.DataFrame, *, window: int, anchor: str, overlap: str, what: str = "peak"
) -> str:
    """Say what keeps every gene from every peak."""
    if peaks.empty or loci.empty:
        return f"no pairs: there are {len(loci)} gene loci and {len(peaks)} {what}s"
    ours, theirs = pd.unique(peaks["chrom"]), pd.unique(loci["chrom"])
    shared = np.intersect1d(np.asarray(ours, dtype=str), np.asarray(theirs, dtype=str))
    if len(shared) == 0:
        return (
            f"no pairs: chromosome names differ. Found {first_few(ours, most=3)} for the {what}s and "
            f"{first_few(theirs, most=3)} for the genes; expected the same names: rename those of one side (add or "
            "remove 'chr')"
        )
    nearest = _nearest(loci, peaks, shared, anchor=anchor, overlap=overlap)
    return (
        f"no pairs: no {what} lies within {window:,} bp of any of {loci['position'].nunique()} genes; the nearest is "
        f"{nearest:,} bp away (chromosomes of both: {first_few(shared, most=3)}). Expected genes and {what}s of one "
        "genome build: is the annotation of another build (hg19, hg38) or species? If not, make the window wider"
    )


def _nearest(loci: pd.DataFrame, peaks: pd.DataFrame, chroms: np.ndarray, *, anchor: str, overlap: str) -> int:
    """Measure the shortest way from a gene to a peak, in bp, where no two overlap; neighbours are 1 bp apart."""
    ways = []
    for chrom in chroms:
        _, first, last = _anchors(loci[loci["chrom"] == chrom], anchor)
        _, start, end = _marks(peaks[peaks["chrom"] == chrom], overlap)
        start, end = np.append(np.sort(start), np.iinfo(np.int64).max), np.insert(np.sort(end), 0, -(2**62))
        right = start[np.searchsorted(start[:-1], last)] - last
        left = first - end[np.searchsorted(end[1:], first, side="right")]
        ways.append(np.minimum(left, right).min())
    return int(min(ways)) + 1
