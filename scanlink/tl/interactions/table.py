"""The table of pairs of targets: its columns and statuses, and how parts become it."""

from __future__ import annotations

from functools import partial

from scanlink.p_values import PERMUTED_KINDS
from scanlink.tables import BETA, FDR, MIN_INTERACTION, P_VALUE, SE, STATUS, THETA, Column, Table, interaction_columns
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.perturbations.table import finish_perturbations, first_columns, statuses

__all__ = ["INTERACTIONS_TABLE", "finish_interactions"]


def _columns(options: InteractionOptions) -> list[Column]:
    single = (BETA, SE, Column("p", "p", "model-based p-value"))
    words = {"1": "of the first perturbation alone", "2": "of the second perturbation alone"}
    return [
        *first_columns(2),
        *(Column(f"n_{state}", "count", f"cells in state {state}") for state in ("00", "10", "01")),
        Column("n_11", "count", "cells with both perturbations", "cells"),
        *(column.of(end, where) for end, where in words.items() for column in single),
        *interaction_columns(PERMUTED_KINDS, "natural log; 0 where effects multiply"),
        *(*THETA, MIN_INTERACTION),
        Column("cook_ratio", "number", "influence of the foremost cell with both over their mean", "Cook ratio"),
        Column("outlier", "flag", "whether one cell with both perturbations stands out"),
        Column("p_trimmed_interaction", "p", "model-based p-value without that cell", "p without it"),
        Column("aic_multiplicative", "number", "AIC where effects multiply, without an interaction"),
        Column("aic_additive", "number", "AIC where effects add up, without an interaction"),
        *(P_VALUE.said("of the interaction, the kind that was chosen"), FDR, STATUS),
    ]


INTERACTIONS_TABLE = Table(
    name="interactions",
    columns=_columns,
    statuses=statuses(too_few_11="too few cells have both perturbations"),
    row="pairs of targets of a gene",
    called="interactions",
    effect="beta_interaction",
)

finish_interactions = partial(finish_perturbations, INTERACTIONS_TABLE, end="interaction")
