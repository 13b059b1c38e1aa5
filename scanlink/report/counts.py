"""The numbers of a report: what was tested and what came out, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scanlink.tables import FAILED

__all__ = ["Counts", "GroupCounts", "count_rows", "summary_lines"]


@dataclass(frozen=True)
class GroupCounts:
    """Counts the rows of one group of cells, or of one kind."""

    name: str
    asked: int
    statuses: dict[str, int] = field(default_factory=dict)
    # Tested rows below the false discovery rate, and of these the ones with an effect above and below 0.
    called: int = 0
    above: int = 0
    below: int = 0
    # By column, how many different values it has among those called.
    different: dict[str, int] = field(default_factory=dict)
    # None where the table does not say.
    n_cells: int | None = None

    @property
    def tested(self) -> int:
        """Rows with status ok."""
        return self.statuses.get("ok", 0)


@dataclass(frozen=True)
class Counts:
    """Counts the rows of all groups, which stand in the order of the table, and has their sums."""

    groups: tuple[GroupCounts, ...]
    # Rows by status, in the order of the page: those that occur, unknown ones last.
    totals: dict[str, int]
    asked: int
    called: int
    above: int
    below: int

    @property
    def tested(self) -> int:
        """Rows with status ok."""
        return self.totals.get("ok", 0)

    @property
    def failed(self) -> int:
        """Rows of blocks that were set aside."""
        return self.totals.get(FAILED, 0)


def count_rows(
    table: pd.DataFrame,
    *,
    alpha: float,
    statuses: Iterable[str] = ("ok",),
    counted: Sequence[str] = (),
    effect: str = "beta",
) -> Counts:
    """Count the rows of a table with ``group`` and ``status`` by both; of one without ``fdr`` no row is called.

    ``statuses`` are in the order of the page; of ``counted`` columns, the different values among called rows count.

    >>> links = pd.DataFrame({"group": ["B", "B", "T"], "gene": "g", "peak": ["p", "q", "p"], "n_cells": [9, 9, 5],
    ...                       "beta": [0.5, None, -1], "fdr": [0.01, None, 0.5], "status": ["ok", "gene_rare", "ok"]})
    >>> counts = count_rows(links, alpha=0.1)
    >>> [(group.name, group.asked, group.tested, group.called, group.above) for group in counts.groups]
    [('B', 2, 1, 1, 1), ('T', 1, 1, 0, 0)]
    >>> counts.totals
    {'ok': 2, 'gene_rare': 1}
    """
    names = table["group"].astype(object).where(table["group"].notna(), "(no group)").astype(str)
    called = np.zeros(len(table), dtype=bool)
    if "fdr" in table:
        called = ((table["fdr"] < alpha) & (table["status"] == "ok")).to_numpy(dtype=bool)
    groups = []
    for name, members in names.groupby(names, sort=False).indices.items():
        rows = np.asarray(members)
        below_rate = rows[called[rows]]
        signs = np.sign(table[effect].to_numpy(dtype=float)[below_rate])
        hits = table.iloc[below_rate]
        groups.append(
            GroupCounts(
                name=str(name),
                asked=len(rows),
                statuses={str(k): int(v) for k, v in table["status"].iloc[rows].value_counts().items()},
                called=len(below_rate),
                above=int((signs > 0).sum()),
                below=int((signs < 0).sum()),
                different={column: int(hits[column].nunique()) for column in counted},
                n_cells=int(table["n_cells"].iloc[rows[0]]) if "n_cells" in table else None,
            )
        )
    present = {status for group in groups for status in group.statuses}
    order = [*(status for status in statuses if status in present), *sorted(present - set(statuses))]
    totals = {status: sum(group.statuses.get(status, 0) for group in groups) for status in order}
    sums = {what: sum(getattr(group, what) for group in groups) for what in ("asked", "called", "above", "below")}
    return Counts(tuple(groups), totals, **sums)


def summary_lines(table: pd.DataFrame, asked: str) -> list[str]:
    """Say for the command line how many of the rows asked for were tested, and why the others were not.

    >>> table = pd.DataFrame({"status": ["ok", "gene_rare", "ok"]})
    >>> summary_lines(table, "pairs asked for")
    ['3 pairs asked for, 2 tested', '  gene_rare               1']
    """
    counts = table["status"].value_counts()
    lines = [f"{len(table):,} {asked}, {int(counts.get('ok', 0)):,} tested"]
    return lines + [f"  {status:<15}{number:>10,}" for status, number in counts.items() if status != "ok"]
