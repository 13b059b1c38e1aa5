"""The tables of a screen: parts put together, and false discovery rates."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from scanlink.screen_options import ASKED, KINDS, SCREEN_P_COLUMNS, TestOptions
from scanlink.stats import adjust
from scanlink.store.store import Store
from scanlink.tl.screen_block import screen_schema
from scanlink.tl.screen_rows import ScreenPlan, target_columns
from scanlink.tl.screen_tests import INTERACTION

__all__ = ["collect_screen", "screen_columns"]


def screen_columns(n_targets: int = 1) -> list[str]:
    """Columns of the table, in order.

    Examples
    --------
    >>> screen_columns()[:6]
    ['kind', 'group', 'gene', 'target', 'distance', 'n_cells']
    """
    head = ["kind", "group", "gene", *target_columns(n_targets), "distance", "n_cells"]
    if n_targets == 1:
        return [
            *(*head, "n_perturbed", "frac_gene", "beta", "se", "z", "p", "se_robust", "p_robust", "p_boot", "n_boot"),
            *("p_tail", "p_perm", "n_perm", "theta", "theta_converged", "min_effect", "p_value", "fdr", "status"),
        ]
    numbers = list(INTERACTION)
    for kind in ("boot", "perm"):
        numbers.insert(numbers.index(f"p_{kind}_interaction") + 1, f"n_{kind}_interaction")
    numbers.insert(numbers.index("theta") + 1, "theta_converged")
    numbers.insert(numbers.index("cook_ratio") + 1, "outlier")
    return [*head, "n_00", "n_10", "n_01", "n_11", *numbers, "p_value", "fdr", "status"]


def collect_screen(plan: ScreenPlan, *, set_aside: Collection[int] = ()) -> pd.DataFrame:
    """Put the parts of a finished plan together.

    Parameters
    ----------
    plan
        Whose parts are read.
    set_aside
        Numbers of blocks that failed: their rows get the status ``failed``.

    Returns
    -------
    pandas.DataFrame
        A row for every test in every group; what was asked for first, then the controls. Columns
        :func:`screen_columns`. ``fdr`` is taken over what was asked for, within the group.

    Raises
    ------
    RunError
        If blocks are not finished, or a part is damaged; names the first.
    """
    blocks = plan.finished(set_aside=set_aside)
    rows, groups, store = plan.rows, plan.groups, Store.open(plan.store)
    n_targets = rows.targets.shape[1]
    tables = [plan.parts.read(blocks).to_pandas()] if blocks else []
    plan.parts.sweep()
    for block in plan.blocks:
        if block.number in set_aside:
            number = np.arange(block.first, block.last)
            tables.append(pd.DataFrame({"group": block.group, "row": number, "status": "failed"}))
    # If every block failed, nothing has brought the columns of numbers.
    table = pd.concat(tables, ignore_index=True).reindex(columns=screen_schema(n_targets).names)
    kind = rows.kind[table["row"].to_numpy()]
    table = table.iloc[np.lexsort([table["row"], table["group"], kind >= len(ASKED)])].reset_index(drop=True)
    row = table["row"].to_numpy()
    distance = rows.distance[row]
    labels = {
        "kind": np.array(KINDS, dtype=object)[rows.kind[row]],
        "group": np.array([group.name for group in groups], dtype=object)[table["group"]],
        "gene": store.genes.to_numpy(dtype=object)[rows.gene[row]],
        **{
            name: plan.targets.names.astype(object)[rows.targets[row, k]]
            for k, name in enumerate(target_columns(n_targets))
        },
        "distance": pd.array(distance, dtype="Int64"),
        "n_cells": np.array([group.n_cells for group in groups], dtype=np.int64)[table["group"]],
    }
    whole = [name for name in table.columns if name.startswith("n_")]
    table[whole] = table[whole].fillna(0).astype(np.int64)
    found = pd.concat([pd.DataFrame(labels), table.drop(columns=["group", "row"])], axis=1)
    found["p_value"] = found[SCREEN_P_COLUMNS[plan.options.p_value] + ("" if n_targets == 1 else "_interaction")]
    found["fdr"] = _rates(found, plan.options)
    return found[screen_columns(n_targets)]


def _rates(table: pd.DataFrame, options: TestOptions) -> np.ndarray:
    out, p_values = np.full(len(table), np.nan), table["p_value"].to_numpy()
    asked = table["kind"].isin(ASKED).to_numpy()
    for members in table.groupby("group", sort=False).indices.values():
        own = members[asked[members]]
        out[own] = adjust(p_values[own], method=options.method)
    return out
