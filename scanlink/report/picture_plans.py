"""Which pictures a report has, and the words that go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pandas as pd

from scanlink import pl
from scanlink.errors import InputError
from scanlink.io.peaks import parse_peaks
from scanlink.report.folder import Run, annotation_of
from scanlink.report.words import P_VALUES

__all__ = ["Plan", "plans_of"]

# More curves than this cannot be told apart in one picture.
_CURVES = 8
# Genes around which links are drawn, and groups in each of these pictures.
_LOCI, _PANELS = 3, 6
# Letters of the name of a gene without links.
_MOST = 20


@dataclass(frozen=True)
class Plan:
    """A picture to be drawn: its words as in :class:`~scanlink.report.pictures.Picture`, and what makes it."""

    name: str
    section: str
    title: str
    alt: str
    caption: str
    make: Callable[[], Any]


def plans_of(run: Run, names: dict[str, str]) -> Iterator[Plan]:
    """Pictures that the tables of a run have data for, in the order of the page.

    Parameters
    ----------
    run
        With names that a picture can hold.
    names
        What stands for the genes of the annotation.
    """
    yield from _of_links(run)
    yield from _of_loci(run, names)
    yield from _of_pairs(run)
    yield from _of_groups(run)


def _of_links(run: Run) -> Iterator[Plan]:
    links, alpha = run.links, run.alpha
    tested = links[links["status"] == "ok"]
    groups = tested["group"].nunique()
    called = tested[tested["fdr"] < alpha]
    up = int((called["beta"] > 0).sum())
    least = f"; the smallest is {tested['p_value'].min():.1g}" if len(tested) else ""
    yield Plan(
        "qq_links",
        "links",
        "P-values against what chance would give",
        f"Quantile-quantile plot of the p-values of {len(tested):,} tested pairs{least}.",
        "Each point is a p-value, as observed (up) and as expected if no pair were linked (right). Points along the "
        "diagonal are as chance has them; those that leave it at the upper right are links. Points that leave it from "
        "the start say that p-values are too small, or that most pairs are linked.",
        lambda: pl.qq(tested),
    )
    kind = run.section("scan").get("p_value")
    if 1 < groups <= _CURVES and kind in P_VALUES:
        yield Plan(
            "qq_links_by_group",
            "links",
            "P-values by group",
            f"Quantile-quantile plot of the p-values on which links were called, one curve for each of {groups} "
            "groups.",
            "As before, for the p-value on which links were called, a curve a group. Groups with more cells leave the "
            "diagonal earlier, as more of their links can be seen.",
            lambda: pl.qq(tested, kinds=[kind], by="group"),
        )
    yield Plan(
        "volcano_links",
        "links",
        "Effects and p-values of links",
        f"Volcano plot of {len(tested):,} tested pairs: {len(called):,} called, {up:,} with a positive effect and "
        f"{len(called) - up:,} with a negative one.",
        "Each point is a tested pair: to the right expression is higher where the peak is open, to the left it is "
        "lower; the higher, the smaller the p-value. Called pairs are coloured triangles; the foremost are named.",
        lambda: pl.volcano(tested, fdr=alpha),
    )
    if "distance" in tested:
        yield Plan(
            "distance_decay",
            "links",
            "Links by distance",
            f"Share of the tested pairs that are links, and median size of their effects, by the distance of gene and "
            f"peak, over {len(tested):,} tested pairs.",
            "Above: of the pairs at a distance from the TSS, how many in a hundred are links; enhancers thin out with "
            "distance, so the line should fall. Below: how large effects are. Bars are 95 % intervals.",
            lambda: pl.distance_decay(tested, fdr=alpha),
        )
    ends: tuple[tuple[Literal["gene", "peak"], str], ...] = (("gene", "peaks"), ("peak", "genes"))
    for of, other in ends:
        yield Plan(
            f"links_per_{of}",
            "links",
            f"Links per {of}",
            f"Number of {of}s by how many {other} they are linked to; {called[of].nunique():,} {of}s have a link.",
            f"Each bar counts the {of}s with so many linked {other}"
            + (", in each group by itself" if groups > 1 else "")
            + ". Those without a link are counted in the title.",
            partial(pl.links_per, tested, of=of, fdr=alpha),
        )


def _of_loci(run: Run, names: dict[str, str]) -> Iterator[Plan]:
    """Arcs around the genes with the foremost links."""
    links, alpha = run.links, run.alpha
    called = links[(links["status"] == "ok") & (links["fdr"] < alpha)].sort_values("p_value", kind="stable")
    foremost = called["gene"].unique()[:_LOCI]
    if not foremost.size:
        return
    annotation: list[pd.DataFrame | None] = []
    one_based = bool(run.section("input").get("one_based", False))
    for number, gene in enumerate(foremost, start=1):
        mine = called[called["gene"] == gene]
        groups = list(mine["group"].value_counts(sort=True).index[:_PANELS])
        more = f" (the {_PANELS} groups with the most)" if mine["group"].nunique() > _PANELS else ""

        def make(gene: str = gene, mine: pd.DataFrame = mine, groups: list[str] = groups) -> Any:
            if not annotation:
                genes = annotation_of(run)
                annotation.append(None if genes is None else _renamed(genes, names))
            if annotation[0] is None:
                raise InputError("the run's annotation of genes is no longer where it was")
            ends = parse_peaks(links["peak"].unique(), one_based=one_based)
            region = _region(gene, ends.loc[mine["peak"].unique()], annotation[0])
            near = links[links["peak"].isin(ends.index[_inside(ends, region)]) & links["group"].isin(groups)]
            return pl.arcs(near, annotation[0], region, groups=groups, fdr=alpha, peaks=ends, epi=_pairs_of(run, near))

        plain = gene.replace(r"\$", "$")
        yield Plan(
            f"arcs_{number}",
            "links",
            f"Links around {plain}",
            f"Arcs from {plain} to {mine['peak'].nunique()} linked peaks in {mine['group'].nunique()} groups, over the "
            "peaks and genes of the region.",
            f"Each arc is a link, from the first base of a gene to the middle of a peak; the broader, the larger the "
            f"effect, and dashed where expression is lower. A panel a group with a link of {plain}{more}."
            + ("" if _pairs_of(run, mine) is None else " Pairs of enhancers that interact hang below the peaks."),
            make,
        )


def _renamed(genes: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """An annotation with the names that the table of links has by now."""
    return genes.assign(gene=[names.get(gene, str(gene)[:_MOST].replace("$", r"\$")) for gene in genes["gene"]])


def _region(gene: str, ends: pd.DataFrame, annotation: pd.DataFrame) -> tuple[str, int, int]:
    """From the gene and its linked peaks a tenth farther to either side."""
    chrom = str(ends["chrom"].mode().iloc[0])
    ends = ends[ends["chrom"] == chrom]
    loci = annotation[(annotation["gene"] == gene) & (annotation["chrom"] == chrom)]
    start = int(min(ends["start"].min(), *loci["start"]) if len(loci) else ends["start"].min())
    end = int(max(ends["end"].max(), *loci["end"]) if len(loci) else ends["end"].max())
    margin = max(5_000, (end - start) // 10)
    return chrom, max(0, start - margin), end + margin


def _pairs_of(run: Run, links: pd.DataFrame) -> pd.DataFrame | None:
    """Interactions that were called among the peaks of a picture; None spares it an empty track."""
    epi = run.epistasis
    if epi is None:
        return None
    there = epi["enhancer_1"].isin(links["peak"]) & epi["enhancer_2"].isin(links["peak"])
    found = epi[there & (epi["fdr"] < run.alpha) & epi["group"].isin(links["group"])]
    return found if len(found) else None


def _inside(ends: pd.DataFrame, region: tuple[str, int, int]) -> pd.Series:
    chrom, start, end = region
    return (ends["chrom"] == chrom) & (ends["end"] > start) & (ends["start"] < end)


def _of_pairs(run: Run) -> Iterator[Plan]:
    epi, alpha = run.epistasis, run.epistasis_alpha
    if epi is None:
        return
    tested = epi[epi["status"] == "ok"]
    called = tested[tested["fdr"] < alpha]
    synergy = int((called["beta_interaction"] > 0).sum())
    yield Plan(
        "qq_interaction",
        "epistasis",
        "P-values of interactions against what chance would give",
        f"Quantile-quantile plot of the p-values of the interaction of {len(tested):,} enhancer pairs.",
        "Read as that of the links. Points along the diagonal mean that the enhancers of these pairs multiply: each "
        "does what it does, whatever the other does.",
        lambda: pl.qq(tested),
    )
    yield Plan(
        "volcano_interaction",
        "epistasis",
        "Interactions and their p-values",
        f"Volcano plot of the interaction of {len(tested):,} enhancer pairs: {synergy:,} called synergy, "
        f"{len(called) - synergy:,} called redundancy.",
        "To the right of 0 both enhancers together do more than the product of their single effects (synergy), to the "
        "left less (redundancy, saturation). Called pairs are coloured triangles.",
        lambda: pl.volcano(tested, fdr=alpha),
    )
    if "beta_11" not in tested:
        # Of three enhancers and more there is no plane to draw in.
        return
    above = tested["beta_interaction"] > 0 if len(tested) else pd.Series(dtype=bool)
    share = f"{100 * above.mean():.0f} % of the points lie above the identity line." if len(above) else ""
    yield Plan(
        "additivity",
        "epistasis",
        "Single effects against the joint effect",
        f"Sum of the two single effects against the effect of both for {len(tested):,} enhancer pairs. {share}",
        "On the line the effects of two enhancers multiply (their logarithms add). Above it the pair does more than "
        "that, below it less. The box on the right shows by how much: its line is the median, 0 where pairs multiply.",
        lambda: pl.additivity(tested, fdr=alpha),
    )


def _of_groups(run: Run) -> Iterator[Plan]:
    """Heat maps, of what has more than one group."""
    links, epi = run.links, run.epistasis
    tested = links[links["status"] == "ok"]
    if (groups := tested["group"].nunique()) > 1:
        yield Plan(
            "heatmap_links",
            "heterogeneity",
            "The foremost links across groups",
            f"Heat map of the effects of the foremost links in {groups} groups of cells.",
            "A row a pair of gene and peak, a column a group: blue where expression is higher with the peak open, red "
            "where it is lower. The sign in a cell is bold where the pair is a link; hatched cells were not tested.",
            lambda: pl.heatmap(tested, fdr=run.alpha),
        )
    if epi is None:
        return
    pairs = epi[epi["status"] == "ok"]
    if (groups := pairs["group"].nunique()) > 1 and "enhancer_3" not in epi:
        yield Plan(
            "heatmap_interaction",
            "heterogeneity",
            "The foremost interactions across groups",
            f"Heat map of the interactions of the foremost enhancer pairs in {groups} groups of cells.",
            "A row a pair of enhancers, a column a group: blue is synergy, red redundancy. The sign in a cell is bold "
            "where an interaction is called; hatched cells were not tested.",
            lambda: pl.heatmap(pairs, fdr=run.epistasis_alpha),
        )
