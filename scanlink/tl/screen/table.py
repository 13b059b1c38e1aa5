"""The table of target-gene pairs: its columns and statuses, and how parts become it."""

from __future__ import annotations

from functools import partial

from scanlink.p_values import PERMUTED_KINDS
from scanlink.tables import BETA, FDR, FRAC_GENE, P_VALUE, SE, STATUS, THETA, Column, Table, Z, p_value_columns
from scanlink.tl.perturbations.table import finish_perturbations, first_columns, statuses
from scanlink.tl.screen.options import ScreenOptions

__all__ = ["SCREEN_TABLE", "finish_screen"]


def _columns(options: ScreenOptions) -> list[Column]:
    return [
        *first_columns(1),
        Column("n_perturbed", "count", "cells with the perturbation", "cells"),
        FRAC_GENE,
        BETA.said("log fold change (natural log) of full perturbation; below 0 it lowers the gene"),
        *(SE, Z, *p_value_columns(PERMUTED_KINDS), *THETA),
        Column("min_effect", "number", "smallest effect that would have been seen with 80 % power", "detectable"),
        *(P_VALUE, FDR, STATUS),
    ]


SCREEN_TABLE = Table(
    name="screen",
    columns=_columns,
    statuses=statuses(few_perturbed="too few cells have the perturbation, or are without it"),
    row="target-gene pairs",
    called="effects",
)

finish_screen = partial(finish_perturbations, SCREEN_TABLE)
