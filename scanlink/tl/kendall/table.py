"""The table of Kendall's correlations: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from scanlink.store.store import Store
from scanlink.tables import DISTANCE, FAILED, GENE, GROUP, N_CELLS, STATUS, STATUSES, Column, Table
from scanlink.tl.analysis import Given
from scanlink.tl.collect import group_labels, read_parts
from scanlink.tl.kendall.options import KendallOptions
from scanlink.tl.kendall.rows import KendallPlan

__all__ = ["KENDALL_TABLE", "finish_kendall"]


def _columns(options: KendallOptions) -> list[Column]:
    return [
        *(GROUP, GENE, Column("peak", "text", "peak", computed=False), DISTANCE, N_CELLS),
        Column("tau", "number", "Kendall's tau-b of expression and open peak, from -1 to 1"),
        STATUS,
    ]


KENDALL_TABLE = Table(
    name="kendall",
    columns=_columns,
    statuses={
        "ok": "correlated",
        "constant": "gene or peak are the same in every cell of the group",
        **{name: STATUSES[name] for name in ("too_few_cells", FAILED)},
    },
    row="pairs",
    called="",
    effect="tau",
)


def finish_kendall(
    plans: Sequence[KendallPlan],
    given: Given,
    options: KendallOptions,
    *,
    set_aside: Sequence[Collection[int]] = ((),),
    groups: Collection[int] | None = None,
) -> pd.DataFrame:
    """Put the parts of Kendall's correlations together.

    Parameters
    ----------
    plans
        The plan.
    given
        What the run has.
    options
        How expression was correlated with open peaks.
    set_aside
        Numbers of blocks that failed, of the plan: their pairs get the status ``failed``.
    groups
        Indices of the groups that are wanted while others may still be computed, None for all.

    Returns
    -------
    pandas.DataFrame
        A row for every pair in every group, in the order of groups and pairs; columns of ``KENDALL_TABLE``.
    """
    (plan,) = plans
    table = read_parts(plan, KENDALL_TABLE.schema(options), set_aside=set_aside[0], groups=groups)
    store, row = Store.open(plan.store), table["row"].to_numpy()
    names = {
        **group_labels(plan, table),
        "gene": store.genes.to_numpy(dtype=object)[plan.row_array("gene")[row]],
        "peak": store.peaks.to_numpy(dtype=object)[plan.row_array("peak")[row]],
        "distance": pd.array(np.asarray(plan.row_array("distance")[row]), dtype="Int64"),
    }
    return table.assign(**names)[KENDALL_TABLE.names(options)]
