"""What the page and the command line tell of pairs of enhancers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.report.asked import fdr_words, formula_words, in_words, inference_words
from scanlink.report.counts import summary_lines
from scanlink.report.references import Method, inference_methods
from scanlink.report.result_rows import PLAIN
from scanlink.report.sections import Picture, Section

if TYPE_CHECKING:
    from scanlink.report.folder import Run
    from scanlink.report.result import Result

__all__ = ["SECTION"]

_PAIR = ("gene", "enhancer_1", "enhancer_2")


def _test(options: Mapping[str, Any]) -> str:
    order = int(options.get("order", 2))
    text = f"{'pairs' if order == 2 else f'sets of {order}'} of linked peaks of a gene"
    if options.get("links_fdr") is not None:
        text += f" (links at a false discovery rate below {options['links_fdr']:g})"
    model = "one regression with all states" if options.get("model") == "joint" else "one regression a state"
    text += f"; {formula_words(options)}; {model}"
    if options.get("coding") == "dosage":
        text += " with 11 coded as 2, which halves its effect"
    text += f"; interaction by {inference_words(options, interaction=True)}"
    low, high = options.get("min_distance"), options.get("max_distance")
    if low is not None or high is not None:
        text += f"; enhancers {low or 0:,} bp" + (" or more" if high is None else f" to {high:,} bp") + " apart"
    return f"{text}. At least {options.get('min_cells')} cells in each state; {fdr_words(options)}"


def _lead(result: Result) -> str:
    if result.table is None:
        if result.analysis.table.name in result.run.tables:
            return "No gene had two linked peaks, so there was no pair of enhancers to test."
        return "Pairs of enhancers were not tested for acting together."
    counts = result.counts
    return (
        f"Of {counts.asked:,} pairs of enhancers {counts.tested:,} were tested for acting together: "
        f"{counts.above:,} {'shows' if counts.above == 1 else 'show'} synergy and {counts.below:,} redundancy."
    )


def _intro(result: Result) -> str:
    order = int(result.options.get("order", 2))
    what = (
        "With both peaks open or closed, a cell is in state 00, 10, 01 or 11. The interaction is the effect of 11 less "
        "those of 10 and 01"
        if order == 2
        else f"Sets of {order} enhancers were tested. The interaction is what all of them open at once do beyond all "
        "that fewer of them do"
    )
    return (
        f"{what}, as natural logarithm: 0 where the effects of two enhancers multiply, above 0 where together they do "
        "more (synergy), below 0 where they do less (redundancy, saturation)."
    )


def _absent(run: Run) -> str:
    if "epistasis" in run.tables:
        return "No gene has two linked peaks in a group, so there was no pair of enhancers to test."
    if run.section("epistasis"):
        return (
            "Pairs of enhancers were asked for, but epistasis.parquet is not in the folder: the run has not come to "
            "them yet."
        )
    return (
        "This run did not test pairs of enhancers. A section `epistasis:` in run.yaml asks for it, and the same "
        "command goes on from the links; interactions are then compared between groups, too."
    )


def _methods(result: Result) -> list[Method]:
    options = result.options
    methods = [Method("Interaction of two enhancers on the log scale, as in GLiMMIRS", ("glimmirs",))]
    if options.get("model") == "separate":
        methods.append(Method("One regression for each state of the two enhancers", ("capstone",)))
    methods += inference_methods(options, interaction=True)
    methods.append(Method("Interaction on the additive scale (RERI)", ("reri",)))
    methods.append(Method("Influence of single cells on an interaction (Cook's distance)", ("cook",)))
    if "heterogeneity" in result.run.tables:
        methods.append(Method("Heterogeneity of an interaction across groups: Cochran's Q and I2", ("cochran", "i2")))
    return methods


def _summary(table: pd.DataFrame, rates: Mapping[str, Any], not_followed: Mapping[str, str]) -> list[str]:
    alpha = float(rates["alpha"])
    called = table[table["fdr"] < alpha]
    synergy = int((called["beta_interaction"] > 0).sum())
    return [
        *summary_lines(table, f"pairs of linked enhancers in {table['group'].nunique()} groups"),
        f"{len(called):,} interact at a false discovery rate of {alpha:g}: {synergy:,} synergy, "
        f"{len(called) - synergy:,} redundancy",
        *(f"  group {group} has no enhancer pairs: {reason}" for group, reason in not_followed.items()),
    ]


def _pictures(result: Result) -> Iterator[Picture]:
    from scanlink import pl

    tested, alpha = result.tested, result.alpha
    yield Picture(
        "qq_interaction",
        "P-values of interactions against what chance would give",
        f"Quantile-quantile plot of the p-values of the interaction of {len(tested):,} enhancer pairs.",
        "Read as that of the links. Points along the diagonal mean that the enhancers of these pairs multiply: each "
        "does what it does, whatever the other does.",
        partial(pl.qq, tested),
    )
    yield Picture(
        "volcano_interaction",
        "Interactions and their p-values",
        f"Volcano plot of the interaction of {len(tested):,} enhancer pairs: {result.counts.above:,} called synergy, "
        f"{result.counts.below:,} called redundancy.",
        "To the right of 0 both enhancers together do more than the product of their single effects (synergy), to the "
        "left less (redundancy, saturation). Called pairs are coloured triangles.",
        partial(pl.volcano, tested, fdr=alpha),
    )
    # Of three enhancers and more there is no plane to draw in.
    if "beta_11" in tested:
        share = f"{100 * (tested['beta_interaction'] > 0).mean():.0f} % of the points lie above the identity line."
        yield Picture(
            "additivity",
            "Single effects against the joint effect",
            f"Sum of the two single effects against the effect of both for {len(tested):,} enhancer pairs. {share}",
            "On the line the effects of two enhancers multiply (their logarithms add). Above it the pair does more "
            "than that, below it less. The box on the right shows by how much: its line is the median, 0 where pairs "
            "multiply.",
            partial(pl.additivity, tested, fdr=alpha),
        )
    groups = tested["group"].nunique()
    if groups > 1 and "enhancer_3" not in tested:
        yield Picture(
            "heatmap_interaction",
            "The foremost interactions across groups",
            f"Heat map of the interactions of the foremost enhancer pairs in {groups} groups of cells.",
            "A row a pair of enhancers, a column a group: blue is synergy, red redundancy. The sign in a cell is bold "
            "where an interaction is called; hatched cells were not tested.",
            partial(pl.heatmap, tested, fdr=alpha),
            part="groups",
        )


def _heterogeneity(result: Result) -> dict[str, Any] | None:
    """Give the pairs that differ most between groups."""
    table = result.run.tables.get("heterogeneity")
    if table is None or table.empty:
        return None
    top = table.sort_values("p_heterogeneity", kind="stable").head(PLAIN)
    return {"n": len(table), "differing": int((table["fdr"] < result.alpha).sum()), "top": top.to_dict("records")}


SECTION = Section(
    title="Enhancer pairs",
    blocks="the enhancer pairs",
    needs={
        "epistasis": ("group", *_PAIR, "beta_interaction", "p_value", "fdr", "status"),
        "heterogeneity": (*_PAIR, "n_groups", "interaction", "p_heterogeneity", "fdr"),
    },
    columns=(
        *("group", "gene", "enhancer_1", "enhancer_2", "enhancer_3", "enhancer_4", "beta_interaction"),
        *("se_robust_interaction", "p_value", "fdr", "cook_ratio", "n_11", "n_111", "n_1111"),
        *("beta_10", "beta_01", "beta_11", "reri", "min_interaction", "distance"),
    ),
    asked=lambda options: in_words(options, ("Enhancer pairs", "epistasis", _test)),
    lead=_lead,
    intro=_intro,
    absent=_absent,
    methods=_methods,
    summary=_summary,
    by_group={"synergy": "above", "redundancy": "below", "genes": "gene"},
    pictures=_pictures,
    anchors={"groups": "Across groups"},
    template=files(__package__) / "section.html.j2",
    facts=_heterogeneity,
)
