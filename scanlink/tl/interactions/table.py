"""The table of pairs of targets: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from scanlink.p_values import PERMUTED_KINDS
from scanlink.tables import BETA, CI, FDR, P_VALUE, SE, STATUS, THETA, Column, Table, p_value_columns
from scanlink.tl.analysis import Given
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.interactions.rows import InteractionPlan
from scanlink.tl.perturbations.table import finish_perturbations, first_columns, statuses

__all__ = ["INTERACTIONS_TABLE", "finish_interactions"]


def _columns(options: InteractionOptions) -> list[Column]:
    single = (BETA, SE, Column("p", "p", "model-based p-value"))
    both = (BETA, SE, *p_value_columns(PERMUTED_KINDS), *CI)
    words = {"1": "of the first target", "2": "of the second target"}
    together = "of the interaction; natural log, 0 where effects multiply"
    return [
        *first_columns(2),
        *(
            Column(f"n_{state}", "count", f"cells in state {state}", f"cells {state}")
            for state in ("00", "10", "01", "11")
        ),
        *(column.of(end, words[end]) for end in ("1", "2") for column in single),
        *(column.of("interaction", together) for column in both),
        *THETA,
        Column("min_interaction", "number", "smallest interaction that had been seen with 80 % power", "detectable"),
        Column("cook_ratio", "number", "influence of the foremost cell with both over their mean", "Cook ratio"),
        Column("outlier", "flag", "whether one cell with both perturbations stands out"),
        Column("p_trimmed_interaction", "p", "model-based p-value without that cell", "p without it"),
        Column("aic_multiplicative", "number", "AIC where effects multiply, without an interaction"),
        Column("aic_additive", "number", "AIC where effects add up, without an interaction"),
        *(P_VALUE, FDR, STATUS),
    ]


INTERACTIONS_TABLE = Table(
    name="interactions",
    columns=_columns,
    statuses=statuses(
        too_few_11="too few cells have both perturbations",
        separated="no count of the gene in cells with or without a perturbation: the effect is without bound",
    ),
    row="pairs of targets of a gene",
    called="interactions",
    effect="beta_interaction",
)


def finish_interactions(
    plans: Sequence[InteractionPlan],
    given: Given,
    options: InteractionOptions,
    *,
    set_aside: Sequence[Collection[int]] | None = None,
    groups: Collection[int] | None = None,
) -> pd.DataFrame:
    """Put the parts of pairs of targets together, as :func:`.finish_perturbations` does."""
    return finish_perturbations(
        INTERACTIONS_TABLE, plans, options, end="interaction", set_aside=set_aside, groups=groups
    )
