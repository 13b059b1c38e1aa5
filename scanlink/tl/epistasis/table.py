"""The table of enhancer pairs that act together or not: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from scanlink.p_values import KINDS, column_of
from scanlink.stats import state_names
from scanlink.tables import (
    BETA,
    CI,
    DISTANCE,
    FDR,
    GENE,
    GROUP,
    MIN_INTERACTION,
    N_CELLS,
    P_VALUE,
    SE,
    SE_ROBUST,
    STATUS,
    THETA,
    Column,
    Table,
    interaction_columns,
    p_value_columns,
    statuses_with,
)
from scanlink.tl.analysis import Given
from scanlink.tl.collect import add_rates, named_rows, read_parts
from scanlink.tl.epistasis.enhancer_pairs import enhancer_columns
from scanlink.tl.epistasis.options import EpistasisOptions
from scanlink.tl.epistasis.rows import EpistasisPlan

__all__ = ["EPISTASIS_TABLE", "enhancer_pairs_table", "finish_epistasis", "quantity_names", "state_columns"]

# How the enhancers of a set are called together, by their number.
_ALL = {2: "both", 3: "all three", 4: "all four"}


def quantity_names(n_enhancers: int) -> list[str]:
    """List the ends of the columns of each contrast and of the interaction: 10, 01, 11, interaction."""
    return [*state_names(n_enhancers)[1:], "interaction"]


def state_columns(n_enhancers: int) -> tuple[list[str], list[str]]:
    """List the columns of cells, and of counts, of each state: n_00, n_10, ...; umi_00, umi_10, ..."""
    names = state_names(n_enhancers)
    return [f"n_{name}" for name in names], [f"umi_{name}" for name in names]


def _open(state: str) -> str:
    """Say which enhancers are open in a state."""
    names = [str(number) for number, bit in enumerate(state, start=1) if bit == "1"]
    if len(names) == len(state):
        return f"{_ALL[len(state)]} are open"
    if len(names) > 1:
        return f"only enhancers {' and '.join(names)} are open"
    return f"only enhancer {names[0]} is open" if names else "none is open"


def _columns(options: EpistasisOptions) -> list[Column]:
    k = options.order
    states = list(zip(*state_columns(k), state_names(k), strict=True))
    quantity = (BETA, SE, *p_value_columns(KINDS), *CI)
    words = {name: f"where {_open(name)}, against {'neither' if k == 2 else 'none'}" for name in state_names(k)[1:]}
    reri = (SE, Column("p", "p", "p-value"), SE_ROBUST, Column("p_robust", "p", "robust p-value"), *CI)
    additive = "of the interaction on the additive scale"
    return [
        *(GROUP, GENE),
        *(
            Column(name, "text", f"peak {j} in the order of the genome", f"enhancer {j}", computed=False)
            for j, name in enumerate(enhancer_columns(k), start=1)
        ),
        *(DISTANCE.said("bp between the midpoints of the outermost peaks"), N_CELLS),
        *(Column(n, "count", f"cells in which {_open(state)}", f"cells {state}") for n, _, state in states),
        *(Column(umi, "number", f"counts of the gene in state {state}") for _, umi, state in states),
        *(column.of(name, where) for name, where in words.items() for column in quantity),
        *interaction_columns(KINDS, "above 0 synergy, below 0 redundancy; natural log"),
        Column("reri", "number", "interaction on the additive scale: above 0 more than the sum", "RERI"),
        *(column.of("reri", additive) for column in (*reri, Column("p_boot", "p", "bootstrap p-value"))),
        MIN_INTERACTION,
        Column("cook_ratio", "number", "influence of the foremost cell of 11 over their mean", "Cook ratio"),
        *(THETA if options.family == "negbin" else ()),
        *(
            P_VALUE.said("of the interaction, the kind that was chosen"),
            FDR.said("false discovery rate within the group"),
            Column("fdr_gene", "p", "false discovery rate within the gene", computed=False),
            STATUS,
        ),
    ]


EPISTASIS_TABLE = Table(
    name="epistasis",
    columns=_columns,
    statuses=statuses_with(
        too_few_11="a state of the two enhancers has too few cells",
        separated="no count in some state: the effect is without bound",
    ),
    row="enhancer pairs",
    called="interactions",
    effect="beta_interaction",
)


def finish_epistasis(
    plans: Sequence[EpistasisPlan],
    given: Given,
    options: EpistasisOptions,
    *,
    set_aside: Sequence[Collection[int]] | None = None,
    groups: Collection[int] | None = None,
) -> pd.DataFrame:
    """Put the parts together, of the plan of each group that is followed up, or of the one of all pairs of a call."""
    failed = set_aside or [()] * len(plans)
    tables = [_finished(plan, lost, groups) for plan, lost in zip(plans, failed, strict=True)]
    if not tables:
        return EPISTASIS_TABLE.empty(options)
    if len(tables) > 1 and options.family == "negbin":
        # A group without an estimate has no truth value to go by.
        tables = [table.astype({"theta_converged": object}) for table in tables]
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def _finished(plan: EpistasisPlan, set_aside: Collection[int], groups: Collection[int] | None) -> pd.DataFrame:
    options = plan.options
    epi = _named(plan, read_parts(plan, EPISTASIS_TABLE.schema(options), set_aside=set_aside, groups=groups))
    epi["p_value"] = epi[column_of(options.p_value, "interaction")]
    epi["fdr"] = add_rates(epi, ["group"], method=options.method)
    epi["fdr_gene"] = add_rates(epi, ["group", "gene"], method=options.method)
    return epi[EPISTASIS_TABLE.names(options)]


def enhancer_pairs_table(plans: Sequence[EpistasisPlan], given: Given, options: EpistasisOptions) -> pd.DataFrame:
    """Make the table of enhancer pairs that were planned, as :func:`scanlink.tl.enhancer_pairs` gives it."""
    columns = ["group", "gene", *enhancer_columns(options.order), "distance"]
    if not plans:
        return EPISTASIS_TABLE.empty(options)[columns]
    places = [pd.DataFrame({"group": 0, "row": np.arange(plan.gene.size)}) for plan in plans]
    tables = [_named(plan, rows)[columns] for plan, rows in zip(plans, places, strict=True)]
    return pd.concat(tables, ignore_index=True)


def _named(plan: EpistasisPlan, parts: pd.DataFrame) -> pd.DataFrame:
    return named_rows(plan, parts, dict(zip(enhancer_columns(plan.n_enhancers), plan.enhancers.T, strict=True)))
