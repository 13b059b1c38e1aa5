"""Which pictures the page of a screen has, and the words that go with them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from scanlink import pl
from scanlink.pl._tables import KINDS
from scanlink.report.picture_plans import Plan
from scanlink.report.screen_folder import ScreenRun
from scanlink.report.screen_words import P_VALUES
from scanlink.tables import ASKED

__all__ = ["screen_plans"]

# Groups of links of which there is a picture.
_PANELS = 4
# Decades above the foremost control that are shown, and below which nothing is cut off.
_ABOVE, _LOWEST = 3.0, 8.0


def screen_plans(run: ScreenRun, joint: pd.DataFrame | None) -> Iterator[Plan]:
    """Pictures that the tables of a screen have data for, in the order of the page.

    Parameters
    ----------
    run
        With names that a picture can hold.
    joint
        Table of :func:`scanlink.tl.screen_links`, where there are links.
    """
    yield from _of_effects(run)
    if (~run.screen["kind"].isin(ASKED)).any():
        yield from _of_controls(run.screen)
    if run.interactions is not None:
        yield from _of_interactions(run, run.interactions)
    if joint is not None:
        yield from _of_links(run, joint)


def _of_effects(run: ScreenRun) -> Iterator[Plan]:
    table, alpha = run.screen[run.screen["status"] == "ok"], run.alpha
    asked = run.asked(table)
    called = asked[asked["fdr"] < alpha]
    down = int((called["beta"] < 0).sum())
    kind = _kind(run, "screen", table, "")
    if kind is not None:
        yield Plan(
            "qq_screen",
            "effects",
            "P-values against what chance would give",
            f"Quantile-quantile plot of the p-values of {int((asked['kind'] == ASKED[0]).sum()):,} tested pairs and of "
            "the negative controls.",
            f"Each point is a p-value ({P_VALUES.get(kind, kind)}), as observed (up) and as expected if nothing had an "
            "effect (right). Controls should follow the diagonal; pairs that leave it where controls do not are "
            "effects. Positive controls are left out; arrows are p-values beyond the upper edge.",
            partial(pl.qq, table[table["kind"] != ASKED[1]], kinds=[kind], by="kind", top=_top(table)),
        )
    yield Plan(
        "volcano_screen",
        "effects",
        "Effects and their p-values",
        f"Volcano plot of {len(asked):,} tested pairs: {len(called):,} called, {down:,} of which lower the gene and "
        f"{len(called) - down:,} raise it.",
        "Each point is a tested target-gene pair: to the left expression is lower in cells with the perturbation, to "
        "the right higher; the higher, the smaller the p-value. Called pairs are coloured triangles, the foremost "
        "named by their gene; arrows are p-values beyond the upper edge.",
        partial(pl.volcano, asked, fdr=alpha, top=_top_of(asked)),
    )
    if "distance" in asked and asked["distance"].notna().any():
        yield Plan(
            "distance_screen",
            "effects",
            "Effects by distance",
            f"Share of the tested pairs that are called, and median size of their effects, by the distance of target "
            f"and gene, over {int(asked['distance'].notna().sum()):,} tested pairs.",
            "Above: of the pairs at a distance from the TSS, how many in a hundred are called. Below: how large their "
            "effects are. Bars are 95 % intervals.",
            partial(pl.distance_decay, asked, fdr=alpha),
        )
    if "min_effect" in asked:
        yield Plan(
            "power_screen",
            "effects",
            "Effects that could have been seen",
            f"Share of {len(asked):,} tests that had 80 % power, by the size of the effect.",
            "At each size of effect (natural log below, factor above), in how many of the tests an effect that large "
            "would have had a p-value below .05 with a chance of 80 %. Of smaller effects the other tests cannot say "
            "that there is none.",
            partial(pl.screen_power, asked),
        )


def _of_controls(table: pd.DataFrame) -> Iterator[Plan]:
    controls = table[~table["kind"].isin(ASKED) & (table["status"] == "ok")]
    yield Plan(
        "qq_controls",
        "controls",
        "Each kind of p-value on the negative controls",
        f"Quantile-quantile plot of all kinds of p-values of {len(controls):,} negative controls.",
        "All negative controls together, one curve for each kind of p-value that was computed. Curves above the "
        "diagonal promise more than they keep.",
        partial(pl.qq, controls),
    )


def _of_interactions(run: ScreenRun, table: pd.DataFrame) -> Iterator[Plan]:
    tested, alpha = table[table["status"] == "ok"], run.interactions_alpha
    asked = run.asked(tested)
    if asked.empty:
        return
    called = asked[asked["fdr"] < alpha]
    up = int((called["beta_interaction"] > 0).sum())
    kind = _kind(run, "interactions", tested, "_interaction")
    if kind is not None:
        yield Plan(
            "qq_interactions",
            "interactions",
            "P-values of interactions against what chance would give",
            f"Quantile-quantile plot of the p-values of the interaction of {len(asked):,} pairs of targets and of the "
            "negative controls.",
            "Read as that of the effects. Points along the diagonal mean that the effects of two perturbations "
            "multiply, as far as could be seen.",
            partial(pl.qq, tested, kinds=[kind], by="kind"),
        )
    yield Plan(
        "volcano_interactions",
        "interactions",
        "Interactions and their p-values",
        f"Volcano plot of the interaction of {len(asked):,} pairs of targets: {up:,} called above 0, "
        f"{len(called) - up:,} called below 0.",
        "To the right of 0 both perturbations together leave more expression than the product of their effects, to the "
        "left less. Called pairs are coloured triangles.",
        partial(pl.volcano, asked, fdr=alpha),
    )
    if {"beta_1", "beta_2"} <= set(asked):
        yield Plan(
            "additivity_screen",
            "interactions",
            "Single effects against the joint effect",
            f"Sum of the effects of two perturbations against the effect of both, for {len(asked):,} pairs.",
            "On the line the effects of two perturbations multiply (their logarithms add). The box on the right shows "
            "by how much pairs stray from it: its line is the median, 0 where pairs multiply.",
            partial(pl.additivity, asked, fdr=alpha),
        )
    if "min_interaction" in asked:
        yield Plan(
            "power_interactions",
            "interactions",
            "Interactions that could have been seen",
            f"Share of {len(asked):,} tests that had 80 % power, by the size of the interaction.",
            "At each size of interaction (natural log below, factor above), in how many of the tests one that large "
            "would have had a p-value below .05 with a chance of 80 %. Few cells have both perturbations, so that this "
            "is often far to the right.",
            partial(pl.screen_power, asked),
        )
    if {"aic_additive", "aic_multiplicative"} <= set(asked) and asked["aic_additive"].notna().any():
        yield Plan(
            "aic_screen",
            "interactions",
            "Do effects multiply or add up?",
            f"Histogram of the difference in AIC between both models of {len(asked):,} pairs.",
            "To the right of 0 the data are better described by effects that multiply, to the left by effects that add "
            "up, neither with an interaction. Within 2 they cannot be told apart.",
            partial(pl.screen_aic, asked),
        )


def _of_links(run: ScreenRun, joint: pd.DataFrame) -> Iterator[Plan]:
    both = joint[(joint["status_link"] == "ok") & (joint["status_screen"] == "ok")]
    for number, group in enumerate(both["group"].value_counts().index[:_PANELS], start=1):
        plain = str(group).replace(r"\$", "$")
        yield Plan(
            f"links_{number}",
            "links",
            f"Perturbations against links: {plain}",
            f"Effect of perturbing a target against the effect of the link on it, for the links of {plain}.",
            "Each point is a target-gene pair with a link on the target. Where both are right, signs are opposite (the "
            "shaded quarters): the gene is higher where the peak is open, and lower where it is perturbed. Bars are "
            "95 % intervals.",
            partial(pl.screen_links, joint, group=group, link_fdr=run.alpha, screen_fdr=run.alpha),
        )


def _kind(run: ScreenRun, section: str, table: pd.DataFrame, end: str) -> str | None:
    """The kind of p-value on which results are called, or else the first that the table has."""
    there = [
        kind for kind, column in KINDS.items() if f"{column}{end}" in table and table[f"{column}{end}"].notna().any()
    ]
    chosen = run.section(section).get("p_value")
    return str(chosen) if chosen in there else there[0] if there else None


def _top(table: pd.DataFrame) -> float:
    """Where the axis of p-values ends, so that a few strong effects do not squeeze the controls."""
    return _highest(table.loc[~table["kind"].isin(ASKED), "p_value"])


def _top_of(asked: pd.DataFrame) -> float:
    """The same, so that positive controls do not squeeze the others."""
    return _highest(asked.loc[asked["kind"] == ASKED[0], "p_value"])


def _highest(p: pd.Series) -> float:
    found = p[p > 0].min()
    return max(_LOWEST, float(-np.log10(found)) + _ABOVE) if pd.notna(found) else _LOWEST
