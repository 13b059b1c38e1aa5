"""Do genes and peaks belong to the same genome build? Promoters are open: the TSS of many genes lie in peaks."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import pdtr

from scanlink.errors import first_few
from scanlink.io.contigs import as_named_by
from scanlink.io.genomes import FAR, differ, names_of, signs_of_build
from scanlink.io.peaks import known_places
from scanlink.pp.annotation import find_loci
from scanlink.pp.intervals import check_intervals

__all__ = ["TssEnrichment", "build_said", "compare_builds", "tss_enrichment", "warn_of_build"]

log = logging.getLogger("scanlink")

# Displacements of the TSS, in bp, that tell how often any place near genes lies in a peak.
_SHIFTS = (-100_000, -75_000, -50_000, -35_000, -20_000, 20_000, 35_000, 50_000, 75_000, 100_000)
# Measured with annotations of hg19 and hg38 on three multiome data sets of 10x (hg38) and sci-CAR (hg19), 42 to 8,090
# genes: the right build gives 15 to 28 (13 without strands, when half of the TSS are wrong), the wrong one 1.6 to 2.6.
_LEAST = 5.0
# The ratio says nothing of few genes or peaks, and little where peaks are so dense that chance covers one TSS in ten.
# What the right build gives at least, as a ratio and as shares of genes with a peak within 100 kb, where peaks are few
# and where they are dense, and how improbable (Poisson) less has to be. None of 1,464 random subsets of the three with
# the right build, of 40 to 8,000 genes and 300 to 53,000 peaks, is taken for another; by the ratio alone 84 are.
_LEAST_EXPECTED, _LEAST_SHARE, _DENSE_SHARE, _LEVEL = 10.0, 0.08, 0.4, 0.005
# Genes with a peak within 100 kb, below which nothing is said.
_FEWEST_GENES = 30
# How many of the genes have to be placed by the data for their places to count.
_FEWEST_PLACED = 5


@dataclass(frozen=True)
class TssEnrichment:
    """How much more often peaks cover a TSS than places near it.

    Attributes
    ----------
    n_genes
        Genes with a peak within 100 kb of the TSS.
    n_covered
        Genes whose TSS lies in a peak.
    n_by_chance
        Genes whose TSS lies in a peak after it was displaced by 20 to 100 kb, mean of ten displacements.
    """

    n_genes: int
    n_covered: int
    n_by_chance: float

    @property
    def ratio(self) -> float:
        """``(n_covered + 1) / (n_by_chance + 1)``."""
        return (self.n_covered + 1) / (self.n_by_chance + 1)

    @property
    def plausible(self) -> bool:
        """False if the builds seem to differ; True as well if there are too few genes or peaks to say."""
        if self.n_genes < _FEWEST_GENES or self.ratio >= _LEAST:
            return True
        expected = min(_LEAST_EXPECTED * self.n_by_chance, _DENSE_SHARE * self.n_genes)
        expected = max(expected, _LEAST_SHARE * self.n_genes)
        return bool(pdtr(self.n_covered, expected) >= _LEVEL)

    @property
    def convincing(self) -> bool:
        """True if the builds are the same, by genes enough to say."""
        dense = self.n_covered >= _DENSE_SHARE * self.n_genes and self.ratio >= 2
        return self.n_genes >= _FEWEST_GENES and (self.ratio >= _LEAST or dense)


def tss_enrichment(peaks: pd.DataFrame, genes: pd.DataFrame) -> TssEnrichment:
    """Compare how often peaks cover TSS and places near them.

    Parameters
    ----------
    peaks
        Columns ``chrom``, ``start``, ``end`` (0-based, half-open).
    genes
        Columns ``chrom``, ``start``, ``end`` and, if known, ``strand``; best only the genes that are in the data.

    Returns
    -------
    TssEnrichment

    Notes
    -----
    The share of genes whose TSS is covered says little by itself (0.93 of 8,090 genes with all peaks of 10,000 cells,
    0.03 with 600 peaks); its ratio to the displaced TSS separates builds in both.

    Examples
    --------
    >>> start = np.arange(1, 101) * 1_000_000
    >>> genes = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 5_000})
    >>> peaks = genes.assign(start=genes["start"] - 300, end=genes["start"] + 300)
    >>> tss_enrichment(peaks, genes).plausible
    True
    >>> tss_enrichment(peaks.assign(start=peaks["start"] + 40_000, end=peaks["end"] + 40_000), genes).plausible
    False
    """
    codes, chroms = pd.factorize(peaks["chrom"].astype(str))
    chrom = chroms.get_indexer(pd.Index(genes["chrom"].astype(str)))
    has_peaks = chrom >= 0
    strand = genes["strand"].astype(str).to_numpy() if "strand" in genes else np.full(len(genes), ".")
    tss = np.where(strand == "-", genes["end"].to_numpy() - 1, genes["start"].to_numpy())[has_peaks].astype(np.int64)
    # One axis for all chromosomes, each with room to spare on both sides.
    tss += (chrom[has_peaks].astype(np.int64) + 1) << 40
    origin = (codes.astype(np.int64) + 1) << 40
    start, end = peaks["start"].to_numpy(dtype=np.int64) + origin, peaks["end"].to_numpy(dtype=np.int64) + origin
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])

    def covered(position: np.ndarray, slack: int = 0) -> int:
        last = np.searchsorted(start, position + slack, side="right") - 1
        return int(((last >= 0) & (reach[np.maximum(last, 0)] > position - slack)).sum())

    if len(start) == 0:
        return TssEnrichment(0, 0, 0.0)
    by_chance = float(np.mean([covered(tss + shift) for shift in _SHIFTS]))
    return TssEnrichment(covered(tss, 100_000), covered(tss), by_chance)


def warn_of_build(
    places: pd.DataFrame,
    loci: pd.DataFrame,
    annotation: pd.DataFrame,
    var: pd.DataFrame,
    *,
    what: str,
    said: str | None,
) -> None:
    """Log a warning if an annotation does not look as if it were of the genome build of the data.

    ``places`` of peaks or targets (``what``), whose file may have ``said`` of which build they are; the ``loci`` of the
    genes of the data among a whole ``annotation``; ``var`` of these genes. Open promoters decide, where peaks are many.
    Of few, and of targets, it is what both sides look like, and the places that the data themselves give to genes.
    """
    enrichment = tss_enrichment(places, loci) if what == "peak" else TssEnrichment(0, 0, 0.0)
    ours, theirs = signs_of_build(places, said), signs_of_build(annotation, annotation.attrs.get("build"))
    moved, n_placed = _moved(var, loci)
    elsewhere = n_placed >= _FEWEST_PLACED and len(moved) > n_placed / 2
    if enrichment.plausible and (enrichment.convincing or not (differ(ours, theirs) or elsewhere)):
        return
    why = []
    if not enrichment.plausible:
        why.append(
            f"peaks cover the TSS of {enrichment.n_covered:,} genes (of {enrichment.n_genes:,} with a peak within "
            f"100 kb), {enrichment.ratio:.1f} times as many as by chance; expected 10 times or more"
        )
    if len(moved):
        why.append(
            f"{len(moved):,} of {n_placed:,} genes lie {FAR // 1000} kb or more from where the data have them: "
            f"{first_few(var.index[moved])}"
        )
    why += [ours.described(f"{what}s", theirs.build), theirs.described("annotation", ours.build)]
    if ours.build is not None and ours.build == theirs.build:
        todo = f"Both are of one build, so look whether coordinates were moved, or promoters left out of the {what}s"
    else:
        wanted = "the build" if ours.build is None else names_of(ours.build)
        todo = f"Give the annotation of {wanted} of the {what}s, or lift the {what}s over"
        todo += "; ignore this if promoters were removed from the peaks" if not enrichment.plausible else ""
    log.warning("genes and %ss may be of different genome builds: %s. %s", what, "; ".join(why), todo)


def compare_builds(rna: pd.DataFrame, atac: pd.DataFrame, genes: pd.DataFrame) -> None:
    """Look whether all genes and peaks of the data (``.var``) and an annotation are of one build; see warn_of_build."""
    peaks = check_intervals(atac, what="atac.var")
    loci = find_loci(rna, genes, peaks).table
    warn_of_build(peaks, loci, genes, rna, what="peak", said=build_said(atac))


def build_said(*tables: pd.DataFrame) -> str | None:
    """Find what a file of 10x says of the genome of its features, in the first of the tables that tells one."""
    for var in tables:
        if "genome" in var and len(said := pd.unique(var["genome"].dropna().astype(str))) == 1:
            return str(said[0])
    return None


def _moved(var: pd.DataFrame, loci: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    """Find the genes whose TSS in the annotation is far from where the data place them, and count those placed."""
    own = known_places(var, prefix="gene_")
    own["chrom"] = as_named_by(own["chrom"], loci["chrom"])
    both = loci.merge(own, left_on="position", right_index=True, suffixes=("", "_own"))
    tss = np.where(both["strand"] == "-", both["end"] - 1, both["start"])
    away = np.maximum(both["start_own"] - tss, tss - both["end_own"] + 1).to_numpy()
    far = (away >= FAR) | (both["chrom"] != both["chrom_own"]).to_numpy()
    # Of a gene with several loci, one where it should be is enough.
    nowhere = pd.Series(far).groupby(both["position"].to_numpy()).all()
    return nowhere.index[nowhere].to_numpy(dtype=np.int64), len(nowhere)
