"""The top results as rows of texts, for the table that can be searched and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd

from scanlink.tables import Column, Type

__all__ = ["PLAIN", "ResultTable", "result_table", "searchable"]

# How values are written: texts, whole numbers, numbers, p-values.
_WRITTEN: dict[Type, str] = {
    "text": "text",
    "flag": "text",
    "count": "int",
    "distance": "int",
    "number": "num",
    "p": "p",
}
# Rows that stand in the page before its script has run, and where there is none.
PLAIN = 25
# Letters above which names of groups and genes are broken into lines.
_WRAPPED = 18


@dataclass(frozen=True)
class ResultTable:
    """Holds rows of a result as texts, the most significant first; numbers can be read as numbers again, "" is none.

    Of ``rows`` the first ``n_called`` are below the false discovery rate; ``n_tested`` are those with status ok in all.
    """

    columns: tuple[Column, ...]
    rows: list[list[str]]
    n_called: int
    n_tested: int

    @property
    def groups(self) -> list[str]:
        """What occurs in the first column, in the order of names."""
        return sorted({row[0] for row in self.rows})

    @property
    def detectable(self) -> str:
        """Heading of the column with the smallest effect that would have been seen, "" where there is none."""
        return next((column.label for column in self.columns if column.name.startswith("min_")), "")


def result_table(
    table: pd.DataFrame, columns: Sequence[Column], *, alpha: float, most: int = 5_000, effect: str = "beta"
) -> ResultTable:
    """Take the most significant rows of a table with ``status`` and an effect, and write their values as texts.

    Without ``p_value`` and ``fdr`` the largest effects come first. Columns that are absent or empty are left out.

    >>> links = pd.DataFrame({"group": "T", "gene": ["a", "b"], "peak": "p", "beta": [1.23456, 2.0],
    ...                       "p_value": [0.2, 1.5e-9], "fdr": [0.2, 3e-9], "status": "ok"})
    >>> from scanlink.tables import BETA, FDR, GENE, GROUP, P_VALUE
    >>> result_table(links, (GROUP, GENE, BETA, P_VALUE, FDR), alpha=0.1).rows
    [['T', 'b', '2', '1.5e-09', '3e-09'], ['T', 'a', '1.23', '0.2', '0.2']]
    """
    tested = table[table["status"] == "ok"]
    size = tested[effect].abs().to_numpy(dtype=float)
    # Among rows that sit on the floor of a bootstrap the larger effects come first.
    p_values = tested["p_value"].to_numpy(dtype=float) if "p_value" in tested else np.zeros(len(tested))
    order = np.lexsort((-size, p_values))
    called = np.zeros(len(tested), dtype=bool)
    if "fdr" in tested:
        called = (tested["fdr"] < alpha).to_numpy(dtype=bool)[order]
    # Rates within groups do not have the order of the p-values: called rows first, whatever their group.
    order = np.concatenate([order[called], order[~called]])[:most]
    top = tested.iloc[order]
    there = tuple(column for column in columns if column.name in top)
    shown = tuple(column for column in there if top[column.name].notna().any()) or there
    texts = [_texts(top[column.name], _WRITTEN[column.type]) for column in shown]
    return ResultTable(
        columns=shown,
        rows=[list(row) for row in zip(*texts, strict=True)],
        n_called=min(int(called.sum()), len(top)),
        n_tested=len(tested),
    )


def _texts(values: pd.Series, kind: str) -> list[str]:
    if kind == "text":
        return ["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]
    return [as_text(value, kind) for value in values.to_numpy(dtype=float, na_value=np.nan)]


def as_text(value: float, kind: str) -> str:
    """Write a number with three significant digits, whole numbers (``kind`` "int") as they are; "" for none.

    >>> as_text(-0.123456, "num"), as_text(1234567.0, "int"), as_text(float("nan"), "p"), as_text(2.5e-12, "p")
    ('-0.123', '1234567', '', '2.5e-12')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    return f"{value:.0f}" if kind == "int" else f"{value:.3g}"


def searchable(table: ResultTable, name: str, *, alpha: float) -> dict[str, Any]:
    """Describe a table for the page; ``name`` is that of its parquet file, without suffix."""
    longest = [max((len(row[number]) for row in table.rows), default=0) for number in range(len(table.columns))]
    kinds = [_WRITTEN[column.type] for column in table.columns]
    cells = [
        "n" if kind != "text" else "long" if number < 2 and longest[number] > _WRAPPED else "cut"
        for number, kind in enumerate(kinds)
    ]
    names = list(dict.fromkeys(column.label for column in takewhile(lambda c: c.type == "text", table.columns)))
    return {
        "id": name,
        "columns": table.columns,
        "cells": cells,
        "first": table.rows[:PLAIN],
        "n_rows": len(table.rows),
        "n_tested": table.n_tested,
        "n_called": table.n_called,
        "groups": table.groups if table.columns and table.columns[0].name in ("group", "kind") else [],
        "find": " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])),
        "alpha": alpha,
        "data": {
            "columns": [
                {"key": column.name, "kind": kind, "cell": cell}
                for column, kind, cell in zip(table.columns, kinds, cells, strict=True)
            ],
            "rows": table.rows,
            "called": table.n_called,
        },
    }
