"""Parts of a plan as a table: rows of blocks that failed, names of groups and genes, false discovery rates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.adjustment import adjust_table
from scanlink.options import FdrMethod
from scanlink.store.store import Store
from scanlink.tables import FAILED
from scanlink.tl.cell_plan import CellPlan

__all__ = ["add_rates", "named_rows", "read_parts"]


def read_parts(
    plan: CellPlan, schema: pa.Schema, *, set_aside: Collection[int] = (), groups: Collection[int] | None = None
) -> pd.DataFrame:
    """Read the parts of a plan: a row for each of its rows in each group, in their order, with columns of ``schema``.

    Rows of the blocks ``set_aside`` get the status ``failed``. ``groups`` are those that are wanted while others may
    still be computed, None for a finished plan. Raises PartError if a part is missing or damaged, and RunError if
    blocks of a finished plan have left none.
    """
    if groups is not None:
        return plan.parts.read([block for block in plan.blocks if block.group in groups]).to_pandas()
    blocks = plan.finished(set_aside=set_aside)
    table = plan.parts.read(blocks).to_pandas() if blocks else pd.DataFrame()
    plan.parts.sweep()
    if set_aside:
        rows = [
            pd.DataFrame({"group": block.group, "row": np.arange(block.first, block.last), "status": FAILED})
            for block in plan.blocks
            if block.number in set_aside
        ]
        table = pd.concat([table, *rows] if blocks else rows, ignore_index=True)
        table = table.sort_values(["group", "row"], kind="stable").reset_index(drop=True)
    # If every block failed, nothing has brought the columns of numbers.
    table = table.reindex(columns=schema.names)
    counts = [field.name for field in schema if field.type == pa.int64() and field.name != "row"]
    table[counts] = table[counts].fillna(0).astype(np.int64)
    return table


def named_rows(
    plan: CellPlan, parts: pd.DataFrame, peaks: Mapping[str, NDArray[np.integer[Any]]] | None = None
) -> pd.DataFrame:
    """Add what the plan knows of each row: names of group, gene and peaks, cells of the group, and distance (bp).

    ``peaks`` holds the positions in the store of the peak of each row of the plan, by the name of its column.
    """
    store, row = Store.open(plan.store), parts["row"].to_numpy()
    names = np.array([group.name for group in plan.groups], dtype=object)
    n_cells = np.array([group.n_cells for group in plan.groups], dtype=np.int64)
    return parts.assign(
        group=names[parts["group"]],
        n_cells=n_cells[parts["group"]],
        gene=store.genes.to_numpy(dtype=object)[plan.row_array("gene")[row]],
        distance=pd.array(np.asarray(plan.row_array("distance")[row]), dtype="Int64"),
        **{name: store.peaks.to_numpy(dtype=object)[places[row]] for name, places in (peaks or {}).items()},
    )


def add_rates(
    table: pd.DataFrame, keys: Sequence[str], *, method: FdrMethod, asked: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Compute the false discovery rate of every row on its ``p_value``, NaN where it was not tested.

    Rates are taken over the rows that share the values of ``keys``, or all if there are none, and that are ``asked``.
    """
    p_values, rates = table["p_value"].to_numpy(), np.full(len(table), np.nan)
    groups = table.groupby(list(keys), sort=False).indices.values() if keys else [np.arange(len(table))]
    for members in groups:
        rows = members if asked is None else members[asked[members]]
        rates[rows] = adjust_table(p_values[rows], method=method)
    return rates
