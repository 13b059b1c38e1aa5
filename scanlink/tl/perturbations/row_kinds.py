"""The kinds of rows of a screen's tables, for its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanlink.report.sections import RowKind
from scanlink.tables import ASKED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROW_KINDS", "asked_rows"]

# In the order of the tables.
ROW_KINDS = {
    "discovery": RowKind("discovery", "pairs that were asked for"),
    "positive_control": RowKind("positive control", "pairs that were asked for in which an effect is expected"),
    "non_targeting": RowKind(
        "non-targeting", "genes that were asked for, with guides that target nothing", control=True
    ),
    "shuffled": RowKind(
        "shuffled", "pairs that were asked for, their perturbation given to other cells at random", control=True
    ),
    "mismatched": RowKind("mismatched", "targets with genes on other chromosomes", control=True),
}


def asked_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that were asked for, without the negative controls."""
    return table[table["kind"].isin(ASKED)]
