"""The table of Kendall's correlations: its columns and statuses, and how parts become it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from scanlink.tables import DISTANCE, FAILED, GENE, GROUP, N_CELLS, PEAK, STATUS, STATUSES, Column, Table
from scanlink.tl.analysis import Given
from scanlink.tl.collect import named_rows, read_parts
from scanlink.tl.kendall.options import KendallOptions
from scanlink.tl.kendall.rows import KendallPlan

__all__ = ["KENDALL_TABLE", "finish_kendall"]


def _columns(options: KendallOptions) -> list[Column]:
    return [
        *(GROUP, GENE, PEAK, DISTANCE, N_CELLS),
        Column("tau", "number", "Kendall's tau-b of expression and open peak, from -1 to 1"),
        STATUS,
    ]


KENDALL_TABLE = Table(
    name="kendall",
    columns=_columns,
    statuses={
        "ok": STATUSES["ok"],
        "constant": "gene or peak are the same in every cell of the group",
        **{name: STATUSES[name] for name in ("too_few_cells", FAILED)},
    },
    row="rank correlations",
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
    """Put the parts of Kendall's correlations together."""
    (plan,) = plans
    parts = read_parts(plan, KENDALL_TABLE.schema(options), set_aside=set_aside[0], groups=groups)
    return named_rows(plan, parts, {"peak": plan.row_array("peak")})[KENDALL_TABLE.names(options)]
