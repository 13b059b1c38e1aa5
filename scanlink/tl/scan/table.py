"""The links table: parts put together, false discovery rates, and its file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scanlink.files import replace_file
from scanlink.options import P_COLUMNS, LinksOptions
from scanlink.run import Block
from scanlink.stats import adjust
from scanlink.store.store import Store
from scanlink.tl.scan.rows import Plan

__all__ = ["COLUMNS", "add_fdr", "collect", "collect_groups", "write_table"]

COLUMNS = [
    *("group", "gene", "peak", "distance", "n_cells", "frac_gene", "frac_peak"),
    *("beta", "se", "z", "p", "se_robust", "p_robust", "p_boot", "n_boot", "p_tail"),
    *("p_value", "fdr", "status"),
]


def collect(plan: Plan, options: LinksOptions, *, set_aside: Collection[int] = ()) -> pd.DataFrame:
    """Put the parts of a finished scan together.

    Parameters
    ----------
    plan
        Whose parts are read.
    options
        How the false discovery rate is taken.
    set_aside
        Numbers of blocks that failed: their pairs get the status ``failed``.

    Returns
    -------
    pandas.DataFrame
        A row for every pair asked for in every group, in the order of groups and pairs; columns ``COLUMNS``, and of
        a negative binomial scan ``theta`` and ``theta_converged``.

    Raises
    ------
    RunError
        If blocks are not finished, or a part is damaged; names the first.
    """
    blocks = plan.finished(set_aside=set_aside)
    table = plan.parts.read(blocks).to_pandas()
    plan.parts.sweep()
    if set_aside:
        lost = [_failed_rows(block) for block in plan.blocks if block.number in set_aside]
        table = pd.concat([table, *lost], ignore_index=True).sort_values(["group", "row"], kind="stable")
    return _labelled(plan, table, options)


def collect_groups(plan: Plan, options: LinksOptions, *, groups: Collection[int]) -> pd.DataFrame:
    """Put the parts of some groups together while others may still be computed.

    Parameters
    ----------
    plan
        Whose parts are read.
    options
        How the false discovery rate is taken; with the scope ``all``, over these groups.
    groups
        Their numbers.

    Returns
    -------
    pandas.DataFrame
        The rows of these groups, as :func:`collect` gives them.

    Raises
    ------
    PartError
        If a part is missing or damaged; names the first.
    """
    table = plan.parts.read([block for block in plan.blocks if block.group in groups]).to_pandas()
    return _labelled(plan, table, options)


def _labelled(plan: Plan, table: pd.DataFrame, options: LinksOptions) -> pd.DataFrame:
    """Names instead of numbers, and false discovery rates."""
    store, groups = Store.open(plan.store), plan.groups
    row = table["row"].to_numpy()
    distance = np.asarray(plan.pairs["distance"])[row]
    links = pd.DataFrame(
        {
            "group": np.array([group.name for group in groups], dtype=object)[table["group"]],
            "gene": store.genes.to_numpy(dtype=object)[np.asarray(plan.pairs["gene"])[row]],
            "peak": store.peaks.to_numpy(dtype=object)[np.asarray(plan.pairs["peak"])[row]],
            "distance": distance.astype(np.int64) if np.isfinite(distance).all() else pd.array(distance, dtype="Int64"),
            "n_cells": np.array([group.n_cells for group in groups], dtype=np.int64)[table["group"]],
        }
    )
    for name in COLUMNS[5:]:
        if name in table.columns:
            links[name] = table[name].to_numpy()
    extra = ["theta", "theta_converged"] if plan.options.family == "negbin" else []
    for name in extra:
        links[name] = table[name].to_numpy()
    links["p_value"] = links[P_COLUMNS[plan.options.p_value]]
    links["fdr"] = add_fdr(links, options)
    return links[COLUMNS + extra]


def _failed_rows(block: Block) -> pd.DataFrame:
    """Rows of the pairs of a block that was set aside."""
    row = np.arange(block.first, block.last)
    return pd.DataFrame({"group": block.group, "row": row, "n_boot": 0, "status": "failed"})


def add_fdr(links: pd.DataFrame, options: LinksOptions) -> pd.Series:
    """False discovery rate of every tested pair, on its ``p_value``.

    Parameters
    ----------
    links
        With columns ``group``, ``gene`` and ``p_value``.
    options
        Method and scope: within each group, over everything, or within each gene of a group.

    Returns
    -------
    pandas.Series
        NaN for pairs that were not tested.

    Examples
    --------
    >>> table = pd.DataFrame({"group": ["a", "a", "b"], "gene": "g", "p_value": [0.01, 0.02, 0.03]})
    >>> add_fdr(table, LinksOptions()).tolist()
    [0.02, 0.02, 0.03]
    """
    if options.scope == "all":
        return pd.Series(adjust(links["p_value"].to_numpy(), method=options.method), index=links.index)
    keys = ["group", "gene"] if options.scope == "gene" else ["group"]
    p_values = links["p_value"].to_numpy()
    fdr = np.full(len(links), np.nan)
    for members in links.groupby(keys, sort=False).indices.values():
        fdr[members] = adjust(p_values[members], method=options.method)
    return pd.Series(fdr, index=links.index)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as parquet: the same table gives the same bytes.

    Columns without a value have the type that they have elsewhere: text, or truth where their name says so.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    content = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    for place, known in enumerate(content.schema):
        if pa.types.is_null(known.type):
            kind = pa.bool_() if known.name.endswith("_converged") else pa.string()
            content = content.set_column(place, pa.field(known.name, kind), content[known.name].cast(kind))
    replace_file(path, lambda temporary: pq.write_table(content, temporary, compression="zstd"))
