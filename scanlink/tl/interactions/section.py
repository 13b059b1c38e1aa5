"""What the page and the command line tell of the interactions of two perturbations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from scanlink.report.asked import fdr_words, formula_words, in_words, inference_words
from scanlink.report.counts import summary_lines
from scanlink.report.folder import Run
from scanlink.report.references import Method, inference_methods
from scanlink.report.result import Result
from scanlink.report.sections import Picture, Section
from scanlink.tables import Column
from scanlink.tl.perturbations.control_rates import ROW_KINDS, asked_rows, control_facts, control_lines

__all__ = ["SECTION"]

_ONE_CELL = Column(
    "one_cell", "text", "whether that is above 5, so that the interaction may hang on one cell", "one cell"
)


def _test(options: Mapping[str, Any]) -> str:
    least = options.get("min_both")
    text = (
        f"pairs of the targets of a gene; {formula_words(options)}; {inference_words(options, interaction=True)}. At "
        f"least {least} {'cell' if least == 1 else 'cells'} with both"
    )
    if options.get("max_distance") is not None:
        text += f", targets up to {options['max_distance']:,} bp apart"
    return f"{text}; {fdr_words(options)}, over what was asked for"


def _lead(result: Result) -> str:
    if result.table is None:
        return "Pairs of targets were not tested for acting together."
    counts = result.counts
    text = f"Of {counts.asked:,} pairs of targets of a gene {counts.tested:,} were tested for acting together"
    if counts.tested:
        verb = "interacts" if counts.called == 1 else "interact"
        text += f": {counts.called:,} {verb} at a false discovery rate below {result.alpha:g}"
    return f"{text}."


def _intro(result: Result) -> str:
    return (
        "The interaction is what both perturbations of a gene's targets do beyond the sum of their single effects, as "
        "natural logarithm: 0 where effects multiply."
    )


def _absent(run: Run) -> str:
    if "interactions" in run.tables:
        return "No gene has two targets, so there was no pair of targets to test."
    if run.section("interactions"):
        return (
            "Pairs of targets were asked for, but interactions.parquet is not in the folder: no gene has two targets, "
            "or the run has not come to them yet."
        )
    return (
        "This run did not test pairs of targets. A section `interactions:` in run.yaml asks for it, and the same "
        "command goes on from the effects."
    )


def _shown(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    named = run.with_symbols(table)
    return named.assign(one_cell=table["outlier"].map({True: "yes", False: "no"})) if "outlier" in table else named


def _methods(result: Result) -> list[Method]:
    methods = [
        Method("Interaction of two perturbations on the log scale, as in GLiMMIRS", ("glimmirs",)),
        *inference_methods(result.options, interaction=True),
        Method("Influence of single cells on an interaction (Cook's distance)", ("cook",)),
    ]
    if result.options.get("additive", True):
        methods.append(Method("Effects that add against effects that multiply, by AIC", ("glimmirs", "aic")))
    return methods


def _summary(table: pd.DataFrame, rates: Mapping[str, Any], not_followed: Mapping[str, str]) -> list[str]:
    alpha = float(rates["alpha"])
    called = table[table["fdr"] < alpha]
    synergy = int((called["beta_interaction"] > 0).sum())
    one_cell = int((~(called["p_trimmed_interaction"] < 0.05)).sum())
    return [
        *summary_lines(asked_rows(table), "pairs of targets of a gene asked for"),
        f"{len(called):,} interact at a false discovery rate of {alpha:g}: {synergy:,} synergy, "
        f"{len(called) - synergy:,} redundancy; {one_cell:,} are not there (p < .05) without one cell",
        *control_lines(table),
    ]


def _pictures(result: Result) -> Iterator[Picture]:
    from scanlink import pl

    asked, kind = result.tested, result.p_value_kind
    if kind is not None:
        yield Picture(
            "qq_interactions",
            "P-values of interactions against what chance would give",
            f"Quantile-quantile plot of the p-values of the interaction of {len(asked):,} pairs of targets and of the "
            "negative controls.",
            "Read as that of the effects. Points along the diagonal mean that the effects of two perturbations "
            "multiply, as far as could be seen.",
            partial(pl.qq, result.rows[result.rows["status"] == "ok"], kinds=[kind.name], by="kind"),
        )
    yield Picture(
        "volcano_interactions",
        "Interactions and their p-values",
        f"Volcano plot of the interaction of {len(asked):,} pairs of targets: {result.counts.above:,} called above 0, "
        f"{result.counts.below:,} called below 0.",
        "To the right of 0 both perturbations together leave more expression than the product of their effects, to the "
        "left less. Called pairs are coloured triangles.",
        partial(pl.volcano, asked, fdr=result.alpha),
    )
    if {"beta_1", "beta_2"} <= set(asked):
        yield Picture(
            "additivity_screen",
            "Single effects against the joint effect",
            f"Sum of the effects of two perturbations against the effect of both, for {len(asked):,} pairs.",
            "On the line the effects of two perturbations multiply (their logarithms add). The box on the right shows "
            "by how much pairs stray from it: its line is the median, 0 where pairs multiply.",
            partial(pl.additivity, asked, fdr=result.alpha),
        )
    if "min_interaction" in asked:
        yield Picture(
            "power_interactions",
            "Interactions that could have been seen",
            f"Share of {len(asked):,} tests that had 80 % power, by the size of the interaction.",
            "At each size of interaction (natural log below, factor above), in how many of the tests one that large "
            "would have had a p-value below .05 with a chance of 80 %. Few cells have both perturbations, so that this "
            "is often far to the right.",
            partial(pl.screen_power, asked),
        )
    if _has_models(asked):
        yield Picture(
            "aic_screen",
            "Do effects multiply or add up?",
            f"Histogram of the difference in AIC between both models of {len(asked):,} pairs.",
            "To the right of 0 the data are better described by effects that multiply, to the left by effects that add "
            "up, neither with an interaction. Within 2 they cannot be told apart.",
            partial(pl.screen_aic, asked),
        )


def _has_models(table: pd.DataFrame) -> bool:
    return {"aic_additive", "aic_multiplicative"} <= set(table) and bool(table["aic_additive"].notna().any())


def _facts(result: Result) -> dict[str, Any]:
    return {
        **control_facts(result, end="_interaction"),
        "power": _power(result.tested),
        "models": _models(result.tested),
        "outliers": _outliers(result),
    }


def _power(tested: pd.DataFrame) -> dict[str, str] | None:
    """Say how large interactions had to be to be seen."""
    if "min_interaction" not in tested or not tested["min_interaction"].notna().any():
        return None
    least = tested["min_interaction"].dropna().to_numpy(dtype=float)
    tenth, half = (float(np.quantile(least, share)) for share in (0.1, 0.5))
    return {
        "tenth": f"{tenth:.2g}",
        "half": f"{half:.2g}",
        "factor_tenth": _factor(tenth),
        "factor_half": _factor(half),
        "doubled": f"{100 * float((least <= np.log(2)).mean()):.0f}",
    }


def _factor(value: float) -> str:
    # A factor of a million says no more than "thousands".
    return f"{np.exp(value):,.2g}" if value < 10 else "thousands"


def _models(tested: pd.DataFrame) -> dict[str, int] | None:
    """Count the pairs that one of both models describes better."""
    if not _has_models(tested):
        return None
    difference = (tested["aic_additive"] - tested["aic_multiplicative"]).dropna().to_numpy(dtype=float)
    return {"n": difference.size, "multiply": int((difference > 2).sum()), "add": int((difference < -2).sum())}


def _outliers(result: Result) -> dict[str, Any] | None:
    """Count in how many interactions one cell stands out, in how many of all, and how many of these need it."""
    tested, called = result.tested, result.called
    if "outlier" not in tested:
        return None
    out, of_all = (table["outlier"].map({True: 1.0, False: 0.0}) for table in (called, tested))
    lost = called["p_trimmed_interaction"] >= 0.05 if "p_trimmed_interaction" in called else out < 0
    return {"called": int(out.sum()), "share": float(of_all.mean()), "lost": int((lost & (out > 0)).sum())}


SECTION = Section(
    title="Interactions",
    blocks="the interactions",
    needs={
        "interactions": (
            *("kind", "group", "gene", "target_1", "target_2", "beta_interaction", "p_value", "fdr", "status"),
        )
    },
    columns=(
        *("group", "kind", "gene", "target_1", "target_2", "distance", "beta_interaction", "se_robust_interaction"),
        *("p_value", "fdr", "n_11", "beta_1", "beta_2", "min_interaction", "cook_ratio", _ONE_CELL),
        "p_trimmed_interaction",
    ),
    asked=lambda options: in_words(options, ("Interactions", "interactions", _test)),
    lead=_lead,
    intro=_intro,
    absent=_absent,
    methods=_methods,
    summary=_summary,
    by_group={"above 0": "above", "below 0": "below", "genes": "gene"},
    kinds=ROW_KINDS,
    shown=_shown,
    pictures=_pictures,
    template=files(__package__) / "section.html.j2",
    facts=_facts,
)
