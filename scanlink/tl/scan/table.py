"""The table of links: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from scanlink.p_values import KINDS, column_of
from scanlink.tables import (
    BETA,
    DISTANCE,
    FDR,
    FRAC_GENE,
    GENE,
    GROUP,
    N_CELLS,
    P_VALUE,
    PEAK,
    SE,
    STATUS,
    THETA,
    Column,
    Table,
    Z,
    p_value_columns,
    statuses_with,
)
from scanlink.tl.analysis import Given
from scanlink.tl.collect import add_rates, named_rows, read_parts
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.rows import ScanPlan

__all__ = ["LINKS", "finish_links"]

# Columns whose values tell apart what rates of a scope are taken over.
_RATES_OVER: dict[str, list[str]] = {"group": ["group"], "gene": ["group", "gene"], "all": []}


def _columns(options: ScanOptions) -> list[Column]:
    return [
        *(GROUP, GENE, PEAK, DISTANCE, N_CELLS, FRAC_GENE),
        Column("frac_peak", "number", "share of the group's cells in which the peak is open", "peak in"),
        BETA.said("log fold change (natural log) of the gene's expression where the peak is open"),
        *(SE, Z, *p_value_columns(KINDS), P_VALUE, FDR, STATUS),
        *(THETA if options.family == "negbin" else ()),
    ]


LINKS = Table(
    name="links",
    columns=_columns,
    statuses=statuses_with(
        gene_rare="the gene is non-zero in too few cells of the group",
        peak_rare="the peak is open (or closed) in too few cells of the group",
        separated="no count in some state: the effect is without bound",
    ),
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
    """Put the parts of a scan together; rates over all groups (scope ``all``) are missing where some are not wanted."""
    (plan,), rates = plans, given.sections["links"]
    parts = read_parts(plan, LINKS.schema(options), set_aside=set_aside[0], groups=groups)
    links = named_rows(plan, parts, {"peak": plan.row_array("peak")})
    if links["distance"].notna().all():
        links["distance"] = links["distance"].astype(np.int64)
    links["p_value"] = links[column_of(options.p_value)]
    some = groups is not None and rates.scope == "all" and len(set(groups)) < len(plan.group_names)
    links["fdr"] = np.nan if some else add_rates(links, _RATES_OVER[rates.scope], method=rates.method)
    return links[LINKS.names(options)]
