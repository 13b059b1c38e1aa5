"""The table of links: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from scanlink.p_values import KINDS, column_of
from scanlink.store.store import Store
from scanlink.tables import (
    BETA,
    DISTANCE,
    FDR,
    GENE,
    GROUP,
    N_CELLS,
    P_VALUE,
    SE,
    STATUS,
    STATUSES,
    THETA,
    Column,
    Table,
    Z,
    p_value_columns,
)
from scanlink.tl.analysis import Given
from scanlink.tl.collect import add_rates, group_labels, read_parts
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.rows import ScanPlan

__all__ = ["LINKS", "finish_links"]

# Columns whose values tell apart what rates of a scope are taken over.
_RATES_OVER: dict[str, list[str]] = {"group": ["group"], "gene": ["group", "gene"], "all": []}


def _columns(options: ScanOptions) -> list[Column]:
    return [
        *(GROUP, GENE, Column("peak", "text", "peak", computed=False), DISTANCE, N_CELLS),
        Column("frac_gene", "number", "share of the group's cells in which the gene is non-zero", "gene in"),
        Column("frac_peak", "number", "share of the group's cells in which the peak is open", "peak in"),
        *(BETA, SE, Z, *p_value_columns(KINDS), P_VALUE, FDR, STATUS),
        *(THETA if options.family == "negbin" else ()),
    ]


LINKS = Table(
    name="links",
    columns=_columns,
    statuses={
        "ok": STATUSES["ok"],
        "gene_rare": "the gene is non-zero in too few cells of the group",
        "peak_rare": "the peak is open (or closed) in too few cells of the group",
        "separated": "no count in some state: the effect is without bound",
        **{name: words for name, words in STATUSES.items() if name != "ok"},
    },
    row="pairs",
    called="links",
)


def finish_links(
    plans: Sequence[ScanPlan],
    given: Given,
    options: ScanOptions,
    *,
    set_aside: Sequence[Collection[int]] = ((),),
    groups: Collection[int] | None = None,
) -> pd.DataFrame:
    """Put the parts of a scan together.

    Parameters
    ----------
    plans
        The plan of the scan.
    given
        What the run has; its section ``links`` says how false discovery rates are taken.
    options
        How pairs were tested.
    set_aside
        Numbers of blocks that failed, of the plan: their pairs get the status ``failed``.
    groups
        Indices of the groups that are wanted while others may still be computed, None for all. With the scope ``all``
        rates are then taken over these.

    Returns
    -------
    pandas.DataFrame
        A row for every pair asked for in every group, in the order of groups and pairs; columns of ``LINKS``.

    Raises
    ------
    RunError
        If blocks are not finished, or a part is damaged; names the first.
    """
    (plan,), rates = plans, given.sections["links"]
    table = read_parts(plan, LINKS.schema(options), set_aside=set_aside[0], groups=groups)
    store, row = Store.open(plan.store), table["row"].to_numpy()
    distance = plan.row_array("distance")[row]
    names = {
        **group_labels(plan, table),
        "gene": store.genes.to_numpy(dtype=object)[plan.row_array("gene")[row]],
        "peak": store.peaks.to_numpy(dtype=object)[plan.row_array("peak")[row]],
        "distance": distance.astype(np.int64) if np.isfinite(distance).all() else pd.array(distance, dtype="Int64"),
    }
    links = table.drop(columns=["group", "row"]).assign(**names)
    links["p_value"] = links[column_of(options.p_value)]
    links["fdr"] = add_rates(links, _RATES_OVER[rates.scope], method=rates.method)
    return links[LINKS.names(options)]
