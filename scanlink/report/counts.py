"""The numbers of a report: what was tested and what came out, group by group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scanlink.report.words import STATUS

__all__ = ["GroupCounts", "count_groups", "present_statuses"]

# Columns of what a gene is tested with.
_ENDS = ("peak", "enhancer_1", "enhancer_2", "target", "target_1", "target_2")


@dataclass(frozen=True)
class GroupCounts:
    """One group of cells.

    Attributes
    ----------
    name
        The group.
    asked
        Rows of the table.
    statuses
        Rows by status.
    called, up, down
        Tested rows below the false discovery rate, and of these the ones with an effect above and below 0.
    genes, peaks
        Genes and peaks, or targets, among those called.
    n_cells
        Cells, None where the table does not say.
    """

    name: str
    asked: int
    statuses: dict[str, int] = field(default_factory=dict)
    called: int = 0
    up: int = 0
    down: int = 0
    genes: int = 0
    peaks: int = 0
    n_cells: int | None = None

    @property
    def tested(self) -> int:
        """Rows with status ok."""
        return self.statuses.get("ok", 0)


def count_groups(table: pd.DataFrame, *, alpha: float) -> list[GroupCounts]:
    """Count rows of links, of a screen, or of pairs by group and status.

    Parameters
    ----------
    table
        Links, epistasis, a screen or its interactions.
    alpha
        False discovery rate below which a row is called.

    Returns
    -------
    list of GroupCounts
        In the order of the table.

    Examples
    --------
    >>> links = pd.DataFrame({"group": ["B", "B", "T"], "gene": "g", "peak": ["p", "q", "p"], "n_cells": [9, 9, 5],
    ...                       "beta": [0.5, None, -1], "fdr": [0.01, None, 0.5], "status": ["ok", "gene_rare", "ok"]})
    >>> [(c.name, c.asked, c.tested, c.called, c.up) for c in count_groups(links, alpha=0.1)]
    [('B', 2, 1, 1, 1), ('T', 1, 1, 0, 0)]
    """
    effect = table["beta" if "beta" in table else "beta_interaction"]
    columns = [name for name in _ENDS if name in table]
    names = table["group"].astype(object).where(table["group"].notna(), "(no group)").astype(str)
    called = ((table["fdr"] < alpha) & (table["status"] == "ok")).to_numpy(dtype=bool)
    found = []
    for name, members in names.groupby(names, sort=False).indices.items():
        rows = np.asarray(members)
        mine = rows[called[rows]]
        signs = np.sign(effect.to_numpy(dtype=float)[mine])
        hits = table.iloc[mine]
        ends = [hits[column] for column in columns]
        counts = table["status"].iloc[rows].value_counts()
        found.append(
            GroupCounts(
                name=str(name),
                asked=len(rows),
                statuses={str(k): int(v) for k, v in counts.items()},
                called=len(mine),
                up=int((signs > 0).sum()),
                down=int((signs < 0).sum()),
                genes=int(hits["gene"].nunique()),
                peaks=int(pd.concat(ends).nunique()),
                n_cells=int(table["n_cells"].iloc[rows[0]]) if "n_cells" in table else None,
            )
        )
    return found


def present_statuses(groups: list[GroupCounts], *, known: Iterable[str] = STATUS) -> list[str]:
    """Statuses that occur, in the order of those that are known, unknown ones last.

    Parameters
    ----------
    groups
        From :func:`count_groups`.
    known
        Such as :data:`~scanlink.report.words.STATUS`.
    """
    seen = {status for group in groups for status in group.statuses}
    order = list(known)
    return [status for status in order if status in seen] + sorted(seen - set(order))
