"""The table of enhancer pairs that act together or not: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from scanlink.p_values import KINDS, column_of
from scanlink.stats import state_names
from scanlink.store.store import Store
from scanlink.tables import (
    BETA,
    CI,
    DISTANCE,
    FDR,
    GENE,
    GROUP,
    N_CELLS,
    P_VALUE,
    SE,
    SE_ROBUST,
    STATUS,
    STATUSES,
    THETA,
    Column,
    Table,
    p_value_columns,
)
from scanlink.tl.analysis import Given
from scanlink.tl.collect import add_rates, group_labels, read_parts
from scanlink.tl.epistasis.enhancer_pairs import enhancer_columns
from scanlink.tl.epistasis.options import EpistasisOptions
from scanlink.tl.epistasis.rows import EpistasisPlan

__all__ = ["EPISTASIS_TABLE", "enhancer_pairs_table", "finish_epistasis", "quantity_names", "state_columns"]


def quantity_names(n_enhancers: int) -> list[str]:
    """List the ends of the columns of each contrast and of the interaction.

    Examples
    --------
    >>> quantity_names(2)
    ['10', '01', '11', 'interaction']
    """
    return [*state_names(n_enhancers)[1:], "interaction"]


def state_columns(n_enhancers: int) -> tuple[list[str], list[str]]:
    """List the columns of cells, and of counts, of each state.

    Examples
    --------
    >>> state_columns(2)
    (['n_00', 'n_10', 'n_01', 'n_11'], ['umi_00', 'umi_10', 'umi_01', 'umi_11'])
    """
    names = state_names(n_enhancers)
    return [f"n_{name}" for name in names], [f"umi_{name}" for name in names]


def _columns(options: EpistasisOptions) -> list[Column]:
    k = options.order
    states = list(zip(*state_columns(k), state_names(k), strict=True))
    quantity = (BETA, SE, *p_value_columns(KINDS), *CI)
    words = {name: f"of state {name} against {'0' * k}" for name in state_names(k)}
    words["interaction"] = "of the interaction; natural log, above 0 synergy, below 0 redundancy"
    reri = (SE, Column("p", "p", "p-value"), SE_ROBUST, Column("p_robust", "p", "robust p-value"), *CI)
    additive = "of the interaction on the additive scale"
    return [
        *(GROUP, GENE),
        *(
            Column(name, "text", f"peak {j + 1} in the order of the genome", f"enhancer {j + 1}", computed=False)
            for j, name in enumerate(enhancer_columns(k))
        ),
        *(DISTANCE.said("bp between the midpoints of the outermost peaks"), N_CELLS),
        *(Column(n, "count", f"cells in state {state}", f"cells {state}") for n, _, state in states),
        *(Column(umi, "number", f"counts of the gene in state {state}") for _, umi, state in states),
        *(column.of(name, words[name]) for name in quantity_names(k) for column in quantity),
        Column("reri", "number", "interaction on the additive scale: above 0 more than the sum", "RERI"),
        *(column.of("reri", additive) for column in (*reri, Column("p_boot", "p", "bootstrap p-value"))),
        Column("min_interaction", "number", "smallest interaction that had been seen with 80 % power", "detectable"),
        Column("cook_ratio", "number", "influence of the foremost cell of 11 over their mean", "Cook ratio"),
        *(THETA if options.family == "negbin" else ()),
        *(
            P_VALUE,
            FDR.said("false discovery rate within the group"),
            Column("fdr_gene", "p", "the same within the gene", computed=False),
            STATUS,
        ),
    ]


_FDR_GENE = Column("fdr_gene", "p", "false discovery rate within the gene", computed=False)

EPISTASIS_TABLE = Table(
    name="epistasis",
    columns=_columns,
    statuses={
        "ok": STATUSES["ok"],
        "too_few_11": "a state of the two enhancers has too few cells",
        "separated": "no count in some state: the effect is without bound",
        **{name: words for name, words in STATUSES.items() if name != "ok"},
    },
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
    """Put the parts of tests of enhancer pairs together.

    Parameters
    ----------
    plans
        Plans, one for each group that is followed up, or one for all pairs of a call.
    given
        What the run has.
    options
        How pairs were tested.
    set_aside
        Numbers of blocks that failed, of each plan: their pairs get the status ``failed``. None: of no plan.
    groups
        Indices of the groups that are wanted while others may still be computed, None for all.

    Returns
    -------
    pandas.DataFrame
        A row for every pair, in the order of the plans; columns of ``EPISTASIS_TABLE``.

    Raises
    ------
    RunError
        If blocks are not finished, or a part is damaged; names the first.
    """
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
    table = read_parts(plan, EPISTASIS_TABLE.schema(options), set_aside=set_aside, groups=groups)
    pairs = _names(plan, table["row"].to_numpy()).assign(**group_labels(plan, table))
    epi = pd.concat([pairs, table.drop(columns=["group", "row"])], axis=1)
    epi["p_value"] = epi[column_of(options.p_value, "interaction")]
    epi["fdr"] = add_rates(epi, ["group"], method=options.method)
    epi["fdr_gene"] = add_rates(epi, ["group", "gene"], method=options.method)
    return epi[EPISTASIS_TABLE.names(options)]


def enhancer_pairs_table(plans: Sequence[EpistasisPlan], given: Given, options: EpistasisOptions) -> pd.DataFrame:
    """Make the table of enhancer pairs that were planned, as :func:`scanlink.tl.enhancer_pairs` gives it."""
    columns = ["group", "gene", *enhancer_columns(options.order), "distance"]
    if not plans:
        return EPISTASIS_TABLE.empty(options)[columns]
    tables = [_names(plan, slice(None)).assign(group=plan.groups[0].name)[columns] for plan in plans]
    return pd.concat(tables, ignore_index=True)


def _names(plan: EpistasisPlan, row: Any) -> pd.DataFrame:
    """Names instead of positions in the store."""
    store = Store.open(plan.store)
    peaks = store.peaks.to_numpy(dtype=object)[plan.enhancers[row]]
    return pd.DataFrame(
        {
            "gene": store.genes.to_numpy(dtype=object)[plan.gene[row]],
            **{name: peaks[:, j] for j, name in enumerate(enhancer_columns(plan.n_enhancers))},
            "distance": pd.array(plan.row_array("distance")[row], dtype="Int64"),
        }
    )
