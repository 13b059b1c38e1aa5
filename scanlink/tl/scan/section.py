"""What the page and the command line tell of links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.errors import InputError
from scanlink.report.asked import (
    fdr_words,
    file_name,
    formula_words,
    in_words,
    inference_words,
    share_words,
    window_words,
)
from scanlink.report.counts import summary_lines
from scanlink.report.pictures import plain
from scanlink.report.references import Method, inference_methods
from scanlink.report.sections import Picture, Section
from scanlink.tl.scan.headline import headline

if TYPE_CHECKING:
    from scanlink.report.result import Result

__all__ = ["SECTION"]

# More curves than this cannot be told apart in one picture.
_CURVES = 8
# Genes around which links are drawn, and groups in each of these pictures.
_LOCI, _PANELS = 3, 6


def _pairs(options: Mapping[str, Any]) -> str:
    if options.get("path"):
        return f"as listed in {file_name(options['path'])}"
    part = "centre of the peak" if options.get("overlap") == "center" else "peak"
    text = (
        f"{part} {window_words(options)}; genes and peaks that are non-zero in at least "
        f"{share_words(options.get('min_fraction', 0))} of all cells"
    )
    return text + ("; highly variable genes only" if options.get("highly_variable") else "")


def _test(options: Mapping[str, Any]) -> str:
    return (
        f"{formula_words(options)}, on whether the peak is {'open' if options.get('binarize', True) else 'how open'}; "
        f"{inference_words(options)}. Tested where gene and peak are non-zero in more than "
        f"{share_words(options.get('min_fraction', 0))} and in at least {options.get('min_nonzero')} cells of the "
        f"group, in groups of at least {options.get('min_cells')} cells"
    )


def _lead(result: Result) -> str:
    if result.table is None:
        return "No pair of a gene and a peak was asked for."
    counts, n = result.counts, len(result.counts.groups)
    text = (
        f"{counts.asked:,} pairs of a gene and a peak were asked for in {n} {'group' if n == 1 else 'groups'} of cells."
    )
    if not counts.tested:
        return f"{text} None of them could be tested; the table below says why."
    links = f"{counts.called:,} {'is a link' if counts.called == 1 else 'are links'}"
    text += f" {counts.tested:,} were tested, and {links} at a false discovery rate below {result.alpha:g}."
    beside = headline(result.rows, {"alpha": result.alpha, **result.run.section("links")})[1:]
    return " ".join([text, *(f"{line[0].upper()}{line[1:]}." for line in beside)])


def _methods(result: Result) -> list[Method]:
    methods = [Method("Regression of a gene's counts on the state of a peak, as in SCENT", ("scent", "glm"))]
    if result.run.section("pairs").get("highly_variable"):
        methods.insert(0, Method("Highly variable genes by mean and dispersion", ("hvg",)))
    return methods + inference_methods(result.options)


def _summary(table: pd.DataFrame, rates: Mapping[str, Any], not_followed: Mapping[str, str]) -> list[str]:
    return summary_lines(table, f"pairs asked for in {table['group'].nunique()} groups") + headline(table, rates)


def _pictures(result: Result) -> Iterator[Picture]:
    from scanlink import pl

    tested, called, alpha = result.tested, result.called, result.alpha
    groups, kind = tested["group"].nunique(), result.p_value_kind
    yield Picture(
        "qq_links",
        "P-values against what chance would give",
        f"Quantile-quantile plot of the p-values of {len(tested):,} tested pairs; the smallest is "
        f"{tested['p_value'].min():.1g}.",
        "Each point is a p-value, as observed (up) and as expected if no pair were linked (right). Points along the "
        "diagonal are as chance has them; those that leave it at the upper right are links. Points that leave it from "
        "the start say that p-values are too small, or that most pairs are linked.",
        partial(pl.qq, tested),
    )
    if 1 < groups <= _CURVES and kind is not None:
        yield Picture(
            "qq_links_by_group",
            "P-values by group",
            f"Quantile-quantile plot of the p-values on which links were called, one curve for each of {groups} "
            "groups.",
            "As before, for the p-value on which links were called, a curve a group. Groups with more cells leave the "
            "diagonal earlier, as more of their links can be seen.",
            partial(pl.qq, tested, kinds=[kind.name], by="group"),
        )
    yield Picture(
        "volcano_links",
        "Effects and p-values of links",
        f"Volcano plot of {len(tested):,} tested pairs: {len(called):,} called, {result.counts.above:,} with a "
        f"positive effect and {result.counts.below:,} with a negative one.",
        "Each point is a tested pair: to the right expression is higher where the peak is open, to the left it is "
        "lower; the higher, the smaller the p-value. Called pairs are coloured triangles; the foremost are named.",
        partial(pl.volcano, tested, fdr=alpha),
    )
    if "distance" in tested:
        yield Picture(
            "distance_decay",
            "Links by distance",
            f"Share of the tested pairs that are links, and median size of their effects, by the distance of gene and "
            f"peak, over {len(tested):,} tested pairs.",
            "Above: of the pairs at a distance from the TSS, how many in a hundred are links; enhancers thin out with "
            "distance, so the line should fall. Below: how large effects are. Bars are 95 % intervals.",
            partial(pl.distance_decay, tested, fdr=alpha),
        )
    for of, other in (("gene", "peaks"), ("peak", "genes")):
        yield Picture(
            f"links_per_{of}",
            f"Links per {of}",
            f"Number of {of}s by how many {other} they are linked to; {called[of].nunique():,} {of}s have a link.",
            f"Each bar counts the {of}s with so many linked {other}"
            + (", in each group by itself" if groups > 1 else "")
            + ". Those without a link are counted in the title.",
            partial(pl.links_per, tested, of=of, fdr=alpha),  # type: ignore[arg-type]  # of is one of both
        )
    yield from _loci(result)
    if groups > 1:
        yield Picture(
            "heatmap_links",
            "The foremost links across groups",
            f"Heat map of the effects of the foremost links in {groups} groups of cells.",
            "A row a pair of gene and peak, a column a group: blue where expression is higher with the peak open, red "
            "where it is lower. The sign in a cell is bold where the pair is a link; hatched cells were not tested.",
            partial(pl.heatmap, tested, fdr=alpha),
        )


def _loci(result: Result) -> Iterator[Picture]:
    """Give the pictures of arcs around the genes with the foremost links."""
    called = result.called.sort_values("p_value", kind="stable")
    for number, gene in enumerate(called["gene"].unique()[:_LOCI], start=1):
        links = called[called["gene"] == gene]
        groups = list(links["group"].value_counts(sort=True).index[:_PANELS])
        more = f" (the {_PANELS} groups with the most)" if links["group"].nunique() > _PANELS else ""
        name = plain(gene)
        yield Picture(
            f"arcs_{number}",
            f"Links around {name}",
            f"Arcs from {name} to {links['peak'].nunique()} linked peaks in {links['group'].nunique()} groups, over "
            "the peaks and genes of the region.",
            f"Each arc is a link, from the first base of a gene to the middle of a peak; the broader, the larger the "
            f"effect, and dashed where expression is lower. A panel a group with a link of {name}{more}."
            + (
                ""
                if _interactions(result, links) is None
                else " Pairs of enhancers that interact hang below the peaks."
            ),
            partial(_arcs, result, gene, links, groups),
        )


def _arcs(result: Result, gene: str, links: pd.DataFrame, groups: list[str]) -> Any:
    from scanlink import pl
    from scanlink.io.peaks import parse_peaks

    annotation, table = result.run.annotation, result.rows
    if annotation is None:
        raise InputError("the run's annotation of genes is no longer where it was")
    one_based = bool(result.run.section("input").get("one_based", False))
    ends = parse_peaks(table["peak"].unique(), one_based=one_based)
    chrom, start, end = _region(gene, ends.loc[links["peak"].unique()], annotation)
    inside = ends.index[(ends["chrom"] == chrom) & (ends["end"] > start) & (ends["start"] < end)]
    near = table[table["peak"].isin(inside) & table["group"].isin(groups)]
    region, pairs = (chrom, start, end), _interactions(result, near)
    return pl.arcs(near, annotation, region, groups=groups, fdr=result.alpha, peaks=ends, epi=pairs)


def _region(gene: str, ends: pd.DataFrame, annotation: pd.DataFrame) -> tuple[str, int, int]:
    """Reach from the gene and its linked peaks a tenth farther to either side."""
    chrom = str(ends["chrom"].mode().iloc[0])
    ends = ends[ends["chrom"] == chrom]
    loci = annotation[(annotation["gene"] == gene) & (annotation["chrom"] == chrom)]
    start = int(min(ends["start"].min(), *loci["start"]) if len(loci) else ends["start"].min())
    end = int(max(ends["end"].max(), *loci["end"]) if len(loci) else ends["end"].max())
    margin = max(5_000, (end - start) // 10)
    return chrom, max(0, start - margin), end + margin


def _interactions(result: Result, links: pd.DataFrame) -> pd.DataFrame | None:
    """Select interactions that were called among the peaks of a picture; None spares it an empty track."""
    needed = {"enhancer_1", "enhancer_2", "beta_interaction", "fdr"}
    table = next((table for table in result.run.tables.values() if needed <= set(table)), None)
    if table is None:
        return None
    inside = table["enhancer_1"].isin(links["peak"]) & table["enhancer_2"].isin(links["peak"])
    called = table[inside & (table["fdr"] < result.alpha) & table["group"].isin(links["group"])]
    return called if len(called) else None


SECTION = Section(
    title="Links",
    blocks="the scan",
    needs={"links": ("group", "gene", "peak", "beta", "p_value", "fdr", "status")},
    columns=(
        "group",
        "gene",
        "peak",
        "distance",
        "beta",
        "ci_low",
        "ci_high",
        "p_value",
        "fdr",
        "fdr_all",
        "frac_gene",
        "frac_peak",
    ),
    asked=lambda options: in_words(
        options, ("Pairs", "pairs", _pairs), ("Test", "scan", _test), ("Links", "links", fdr_words)
    ),
    lead=_lead,
    intro=lambda result: (
        f"A link is a tested pair with a false discovery rate below {result.alpha:g}. Effects are natural logarithms "
        "of the fold change of a gene's expression in cells in which the peak is open: 0.69 is a doubling."
    ),
    absent=lambda run: "No pair was asked for: links.parquet has no row.",
    methods=_methods,
    summary=_summary,
    by_group={"effect above 0": "above", "below 0": "below", "genes": "gene", "peaks": "peak"},
    pictures=_pictures,
)
