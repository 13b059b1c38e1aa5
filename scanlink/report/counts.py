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
    """Rows of one group of cells, or of one kind.

    Attributes
    ----------
    name
        Name of the group.
    asked
        Rows of the table.
    statuses
        Rows by status.
    called, above, below
        Tested rows below the false discovery rate, and of these the ones with an effect above and below 0.
    different
        How many different values a column has among those called.
    n_cells
        Cells, None where the table does not say.
    """

    name: str
    asked: int
    statuses: dict[str, int] = field(default_factory=dict)
    called: int = 0
    above: int = 0
    below: int = 0
    different: dict[str, int] = field(default_factory=dict)
    n_cells: int | None = None

    @property
    def tested(self) -> int:
        """Rows with status ok."""
        return self.statuses.get("ok", 0)


@dataclass(frozen=True)
class Counts:
    """Rows of all groups, and their sums.

    Attributes
    ----------
    groups
        Groups in the order of the table.
    totals
        Rows by status, in the order of the page: those that occur, unknown ones last.
    """

    groups: tuple[GroupCounts, ...]
    totals: dict[str, int]

    @property
    def asked(self) -> int:
        """Rows of the table."""
        return sum(group.asked for group in self.groups)

    @property
    def tested(self) -> int:
        """Rows with status ok."""
        return self.totals.get("ok", 0)

    @property
    def failed(self) -> int:
        """Rows of blocks that were set aside."""
        return self.totals.get(FAILED, 0)

    @property
    def called(self) -> int:
        """Tested rows below the false discovery rate."""
        return sum(group.called for group in self.groups)

    @property
    def above(self) -> int:
        """Called rows with an effect above 0."""
        return sum(group.above for group in self.groups)

    @property
    def below(self) -> int:
        """Called rows with an effect below 0."""
        return sum(group.below for group in self.groups)


def count_rows(
    table: pd.DataFrame,
    *,
    alpha: float,
    statuses: Iterable[str] = ("ok",),
    counted: Sequence[str] = (),
    effect: str = "beta",
) -> Counts:
    """Count the rows of a table of tests by group and status.

    Parameters
    ----------
    table
        Any with ``group`` and ``status``; of one without ``fdr`` no row is called.
    alpha
        False discovery rate below which a row is called.
    statuses
        Statuses in the order of the page.
    counted
        Columns of which different values are counted among called rows.
    effect
        Column of the effect that is tested.

    Examples
    --------
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
    return Counts(tuple(groups), totals)


def summary_lines(table: pd.DataFrame, asked: str) -> list[str]:
    """Say how many rows were tested, and why the others were not, for the command line.

    Parameters
    ----------
    table
        Rows that were asked for.
    asked
        What they are, up to the first comma.

    Examples
    --------
    >>> table = pd.DataFrame({"status": ["ok", "gene_rare", "ok"]})
    >>> summary_lines(table, "pairs asked for")
    ['3 pairs asked for, 2 tested', '  gene_rare               1']
    """
    counts = table["status"].value_counts()
    lines = [f"{len(table):,} {asked}, {int(counts.get('ok', 0)):,} tested"]
    return lines + [f"  {status:<15}{number:>10,}" for status, number in counts.items() if status != "ok"]
