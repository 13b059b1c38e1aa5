"""The table of links: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from scanlink.p_values import KINDS, column_of
from scanlink.tables import (
    BETA,
    CI,
    DISTANCE,
    FDR,
    FRAC_GENE,
    GENE,
    GROUP,
    N_CELLS,
    P_VALUE,
    PEAK,
    SE,
    SE_ROBUST,
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
from scanlink.tl.scan.options import RATES_OVER, ScanOptions
from scanlink.tl.scan.rows import ScanPlan

__all__ = ["LINKS", "finish_links"]


FDR_ALL = Column("fdr_all", "p", "false discovery rate over all pairs of all groups", "FDR over all", computed=False)


def _columns(options: ScanOptions) -> list[Column]:
    p_values = p_value_columns(KINDS)
    after = p_values.index(SE_ROBUST) + 1
    p_values[after:after] = [column.said(f"{column.help}, by the robust error") for column in CI]
    return [
        *(GROUP, GENE, PEAK, DISTANCE, N_CELLS, FRAC_GENE),
        Column("frac_peak", "number", "share of the group's cells in which the peak is open", "peak in"),
        BETA.said("log fold change (natural log) of the gene's expression where the peak is open"),
        Column("fold_change", "number", "exponential of the effect: 2 is a doubling", "fold change", computed=False),
        *(SE, Z, *p_values),
        *(P_VALUE, FDR, FDR_ALL, STATUS),
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
    """Put the parts of a scan together.

    ``fdr_all`` is missing where not every group is there as a whole, and so is ``fdr`` of the scope ``all`` for some
    ``groups`` alone; over what a run with failed blocks has, it is taken.
    """
    (plan,), rates = plans, given.sections["links"]
    parts = read_parts(plan, LINKS.schema(options), set_aside=set_aside[0], groups=groups)
    links = named_rows(plan, parts, {"peak": plan.row_array("peak")})
    if links["distance"].notna().all():
        links["distance"] = links["distance"].astype(np.int64)
    links["p_value"] = links[column_of(options.p_value)]
    some = groups is not None and len(set(groups)) < len(plan.group_names)
    if some and rates.scope == "all":
        links["fdr"] = np.nan
    else:
        links["fdr"] = add_rates(links, RATES_OVER[rates.scope], method=rates.method)
    links["fold_change"] = np.exp(links["beta"])
    whole = not (some or set_aside[0])
    links["fdr_all"] = add_rates(links, RATES_OVER["all"], method=rates.method) if whole else np.nan
    return links[LINKS.names(options)]
