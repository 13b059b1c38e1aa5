"""What the page, the command line and genome browsers tell of the effects of perturbations."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.report.asked import fdr_words, file_name, formula_words, in_words, inference_words, window_words
from scanlink.report.counts import summary_lines
from scanlink.report.folder import Run
from scanlink.report.references import Method, inference_methods
from scanlink.report.result import Result
from scanlink.report.sections import Picture, Section
from scanlink.tables import ASKED, Column
from scanlink.tl.perturbations.control_rates import ROW_KINDS, asked_rows, control_facts, control_lines
from scanlink.tl.perturbations.targets import target_places

__all__ = ["SECTION", "rows_with_places"]

log = logging.getLogger("scanlink")

# Decades above the foremost control that are shown, and below which nothing is cut off.
_ABOVE, _LOWEST = 3.0, 8.0

_PLACE = Column("place", "text", "where the target lies, 0-based half-open")


def _guides(options: Mapping[str, Any]) -> str:
    if options.get("assign") == "mixture":
        return "which guides a cell has: a mixture of background and signal, fitted to the UMIs of each guide"
    least = options.get("threshold", 5)
    return f"a cell has a guide from {least} {'UMI' if least == 1 else 'UMIs'} on"


def _pairs(options: Mapping[str, Any]) -> str:
    return f"as listed in {file_name(options['path'])}" if options.get("path") else f"targets {window_words(options)}"


def _test(options: Mapping[str, Any]) -> str:
    return (
        f"{formula_words(options)}; {inference_words(options)}. Tested where the gene is non-zero in at least "
        f"{options.get('min_nonzero')} cells and at least {options.get('min_perturbed')} cells have the perturbation; "
        f"{fdr_words(options)}, over what was asked for"
    )


def _controls(options: Mapping[str, Any]) -> str:
    names = [ROW_KINDS[name].words if name in ROW_KINDS else str(name) for name in options.get("controls") or ()]
    if not names:
        return "none: nothing says whether p-values keep what they promise"
    many = options.get("n_controls")
    return f"{', '.join(names)}; " + (f"{many:,} tests each" if many else "as many tests each as pairs, at least 1,000")


def _lead(result: Result) -> str:
    if result.table is None:
        return "A CRISPR screen: no pair of a target and a gene was asked for."
    counts, text = result.counts, "A CRISPR screen"
    if "n_cells" in result.rows:
        text += f" of {int(result.rows.groupby('group', observed=True)['n_cells'].max().sum()):,} cells"
    text += f": {counts.asked:,} pairs of a target and a gene were asked for."
    if not counts.tested:
        return f"{text} None of them could be tested; the table below says why."
    text += (
        f" {counts.tested:,} were tested, and in {counts.called:,} of them the perturbation has an effect at a false "
        f"discovery rate below {result.alpha:g}: {counts.below:,} lower the gene, {counts.above:,} raise it."
    )
    if positive := _positive(result.asked, result.alpha):
        text += (
            f" Of {positive[0]:,} positive controls {positive[1]:,} {'is' if positive[1] == 1 else 'are'} among them."
        )
    return text


def _positive(table: pd.DataFrame, alpha: float) -> tuple[int, int] | None:
    """Count the positive controls, and those among them that are called."""
    rows = table[table["kind"] == ASKED[1]]
    return (len(rows), int((rows["fdr"] < alpha).sum())) if len(rows) else None


def _intro(result: Result) -> str:
    genes = int(result.called["gene"].nunique())
    return (
        "Effects are natural logarithms of the fold change of a gene's expression when a target is fully perturbed: "
        f"−0.69 is a halving. {genes:,} {'gene has' if genes == 1 else 'genes have'} an effect at a false discovery "
        f"rate below {result.alpha:g}."
    )


def _absent(run: Run) -> str:
    return "No pair was asked for: screen.parquet has no row."


def _shown(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    named, places = run.with_symbols(table), _places(run)
    return named if places is None else named.assign(place=table["target"].map(places))


def _places(run: Run) -> pd.Series | None:
    guides = run.tables.get("guides")
    return None if guides is None or not {"chrom", "start", "end"} <= set(guides) else target_places(guides)


def rows_with_places(run: Run) -> pd.DataFrame:
    """Give the target-gene pairs that were asked for as links, the place of the target as ``peak``."""
    places = _places(run)
    if places is None:
        raise InputError(f"{run.folder} holds no guides.parquet with chrom, start and end, which say where targets are")
    table = asked_rows(run.tables["screen"])
    table = table.assign(peak=table["target"].map(places))
    lost = table.loc[table["peak"].isna(), "target"].unique()
    if len(lost):
        log.warning("%d targets have no place and are left out: %s", len(lost), first_few(lost))
    return table[table["peak"].notna()]


def _methods(result: Result) -> list[Method]:
    methods = [
        Method("Regression of a gene's counts on the probability of a perturbation, as in GLiMMIRS", ("glimmirs",))
    ]
    if result.run.section("guides").get("assign") == "mixture":
        methods.insert(0, Method("Guides of a cell by a mixture of two distributions", ("replogle",)))
    return methods + inference_methods(result.options)


def _summary(table: pd.DataFrame, rates: Mapping[str, Any], not_followed: Mapping[str, str]) -> list[str]:
    alpha = float(rates["alpha"])
    called = table[table["fdr"] < alpha]
    down = int((called["beta"] < 0).sum())
    lines = summary_lines(asked_rows(table), "target-gene pairs asked for")
    lines.append(
        f"{len(called):,} effects at a false discovery rate of {alpha:g}: {down:,} lower the gene, "
        f"{len(called) - down:,} raise it"
    )
    if positive := _positive(table, alpha):
        lines.append(f"{positive[1]} of {positive[0]} positive controls are among them")
    return lines + control_lines(table)


def _pictures(result: Result) -> Iterator[Picture]:
    from scanlink import pl

    table, asked, kind = result.rows[result.rows["status"] == "ok"], result.tested, result.p_value_kind
    if kind is not None:
        yield Picture(
            "qq_screen",
            "P-values against what chance would give",
            f"Quantile-quantile plot of the p-values of {int((asked['kind'] == ASKED[0]).sum()):,} tested pairs and of "
            "the negative controls.",
            f"Each point is a p-value ({kind.effect.words}), as observed (up) and as expected if nothing had an effect "
            "(right). Controls should follow the diagonal; pairs that leave it where controls do not are effects. "
            "Positive controls are left out; arrows are p-values beyond the upper edge.",
            # A few strong effects must not squeeze the controls.
            partial(
                pl.qq,
                table[table["kind"] != ASKED[1]],
                kinds=[kind.name],
                by="kind",
                top=_top(table[~table["kind"].isin(ASKED)]),
            ),
        )
    yield Picture(
        "volcano_screen",
        "Effects and their p-values",
        f"Volcano plot of {len(asked):,} tested pairs: {len(result.called):,} called, {result.counts.below:,} of which "
        f"lower the gene and {result.counts.above:,} raise it.",
        "Each point is a tested target-gene pair: to the left expression is lower in cells with the perturbation, to "
        "the right higher; the higher, the smaller the p-value. Called pairs are coloured triangles, the foremost "
        "named by their gene; arrows are p-values beyond the upper edge.",
        # Positive controls must not squeeze the others.
        partial(pl.volcano, asked, fdr=result.alpha, top=_top(asked[asked["kind"] == ASKED[0]])),
    )
    if "distance" in asked and asked["distance"].notna().any():
        yield Picture(
            "distance_screen",
            "Effects by distance",
            f"Share of the tested pairs that are called, and median size of their effects, by the distance of target "
            f"and gene, over {int(asked['distance'].notna().sum()):,} tested pairs.",
            "Above: of the pairs at a distance from the TSS, how many in a hundred are called. Below: how large their "
            "effects are. Bars are 95 % intervals.",
            partial(pl.distance_decay, asked, fdr=result.alpha),
        )
    if "min_effect" in asked:
        yield Picture(
            "power_screen",
            "Effects that could have been seen",
            f"Share of {len(asked):,} tests that had 80 % power, by the size of the effect.",
            "At each size of effect (natural log below, factor above), in how many of the tests an effect that large "
            "would have had a p-value below .05 with a chance of 80 %. Of smaller effects the other tests cannot say "
            "that there is none.",
            partial(pl.screen_power, asked),
        )
    controls = table[~table["kind"].isin(ASKED)]
    if len(controls):
        yield Picture(
            "qq_controls",
            "Each kind of p-value on the negative controls",
            f"Quantile-quantile plot of all kinds of p-values of {len(controls):,} negative controls.",
            "All negative controls together, one curve for each kind of p-value that was computed. Curves above the "
            "diagonal promise more than they keep.",
            partial(pl.qq, controls),
            part="controls",
        )


def _top(table: pd.DataFrame) -> float:
    """Give the end of an axis of p-values, so that a few strong ones do not squeeze those of the table."""
    least = table.loc[table["p_value"] > 0, "p_value"].min()
    return max(_LOWEST, float(-np.log10(least)) + _ABOVE) if pd.notna(least) else _LOWEST


SECTION = Section(
    title="Effects",
    blocks="the screen",
    needs={"screen": ("kind", "group", "gene", "target", "beta", "p_value", "fdr", "status"), "guides": ("target",)},
    columns=(
        *("group", "kind", "gene", "target", _PLACE, "distance", "beta", "se_robust", "p_value", "fdr"),
        *("n_perturbed", "frac_gene", "min_effect"),
    ),
    asked=lambda options: in_words(
        options,
        ("Guides", "guides", _guides),
        ("Pairs", "pairs", _pairs),
        ("Effects", "screen", _test),
        ("Controls", "screen", _controls),
    ),
    lead=_lead,
    intro=_intro,
    absent=_absent,
    methods=_methods,
    summary=_summary,
    by_group={"lower the gene": "below", "raise it": "above", "genes": "gene", "targets": "target"},
    kinds=ROW_KINDS,
    shown=_shown,
    pictures=_pictures,
    anchors={"controls": "Controls"},
    template=files(__package__) / "section.html.j2",
    facts=control_facts,
)
