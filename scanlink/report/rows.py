"""The top results as rows of texts, for the table that can be searched and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

__all__ = ["Column", "ResultTable", "result_table"]

Kind = Literal["text", "int", "num", "p"]


@dataclass(frozen=True)
class Column:
    """A column of the table: its name in the parquet file, its heading, and how its values are written."""

    key: str
    label: str
    kind: Kind
    help: str


_LINKS = (
    Column("group", "group", "text", "group of cells"),
    Column("gene", "gene", "text", "gene"),
    Column("peak", "peak", "text", "peak"),
    Column("distance", "distance", "int", "bp from the TSS to the centre of the peak, positive downstream"),
    Column("beta", "effect", "num", "log fold change (natural log) of the gene's expression where the peak is open"),
    Column("se_robust", "robust s.e.", "num", "sandwich standard error of the effect"),
    Column("p_value", "p-value", "p", "the p-value that was chosen"),
    Column("fdr", "FDR", "p", "false discovery rate"),
    Column("frac_gene", "gene in", "num", "share of the group's cells in which the gene is non-zero"),
    Column("frac_peak", "peak in", "num", "share of the group's cells in which the peak is open"),
)
_PAIRS = (
    Column("group", "group", "text", "group of cells"),
    Column("gene", "gene", "text", "gene"),
    Column("enhancer_1", "enhancer 1", "text", "first peak in the order of the genome"),
    Column("enhancer_2", "enhancer 2", "text", "second peak in the order of the genome"),
    Column("enhancer_3", "enhancer 3", "text", "third peak in the order of the genome"),
    Column("beta_interaction", "interaction", "num", "above 0 synergy, below 0 redundancy; natural log"),
    Column("se_robust_interaction", "robust s.e.", "num", "sandwich standard error of the interaction"),
    Column("p_value", "p-value", "p", "of the interaction, the kind that was chosen"),
    Column("fdr", "FDR", "p", "false discovery rate within the group"),
    Column("cook_ratio", "Cook ratio", "num", "influence of the foremost cell of 11 over their mean"),
    Column("n_11", "cells 11", "int", "cells in which both are open"),
    Column("n_111", "cells 111", "int", "cells in which all three are open"),
    Column("beta_10", "effect 10", "num", "log fold change where only enhancer 1 is open, against neither"),
    Column("beta_01", "effect 01", "num", "log fold change where only enhancer 2 is open, against neither"),
    Column("beta_11", "effect 11", "num", "log fold change where both are open, against neither"),
    Column("reri", "RERI", "num", "interaction on the additive scale: above 0 more than the sum"),
    Column("min_interaction", "detectable", "num", "smallest interaction that had been seen with 80 % power"),
    Column("distance", "distance", "int", "bp between the midpoints of the peaks"),
)


@dataclass(frozen=True)
class ResultTable:
    """Rows of a result, the most significant first.

    Attributes
    ----------
    columns
        What the rows have.
    rows
        Texts; numbers in a form that reads as a number again, "" where there is none.
    n_called
        How many of ``rows``, from the first, are below the false discovery rate.
    n_tested
        Rows that the whole table has with status ok.
    """

    columns: tuple[Column, ...]
    rows: list[list[str]]
    n_called: int
    n_tested: int

    @property
    def groups(self) -> list[str]:
        """What occurs in the first column, in the order of names."""
        return sorted({row[0] for row in self.rows})


def result_table(
    table: pd.DataFrame, *, alpha: float, most: int = 5_000, columns: Sequence[Column] | None = None
) -> ResultTable:
    """Take the most significant rows of a table of results, and write their values as texts.

    Parameters
    ----------
    table
        Links or epistasis; or any with ``p_value``, ``fdr``, ``status`` and ``beta`` or ``beta_interaction``.
    alpha
        False discovery rate below which a row is called.
    most
        Rows that are taken at most.
    columns
        Which columns; None: those of links or of epistasis.

    Examples
    --------
    >>> links = pd.DataFrame({"group": "T", "gene": ["a", "b"], "peak": "p", "beta": [1.23456, 2.0],
    ...                       "p_value": [0.2, 1.5e-9], "fdr": [0.2, 3e-9], "status": "ok"})
    >>> result_table(links, alpha=0.1).rows
    [['T', 'b', 'p', '2', '1.5e-09', '3e-09'], ['T', 'a', 'p', '1.23', '0.2', '0.2']]
    """
    tested = table[table["status"] == "ok"]
    effect = tested["beta" if "beta" in table else "beta_interaction"].abs()
    wanted = (_LINKS if "peak" in table else _PAIRS) if columns is None else columns
    # Among rows that sit on the floor of a bootstrap the larger effects come first.
    order = np.lexsort((-effect.to_numpy(dtype=float), tested["p_value"].to_numpy(dtype=float)))
    called = (tested["fdr"] < alpha).to_numpy(dtype=bool)[order]
    # Rates within groups do not have the order of the p-values: called rows first, whatever their group.
    order = np.concatenate([order[called], order[~called]])[:most]
    top = tested.iloc[order]
    there = tuple(column for column in wanted if column.key in top)
    shown = tuple(column for column in there if top[column.key].notna().any()) or there
    texts = [_texts(top[column.key], column.kind) for column in shown]
    return ResultTable(
        columns=shown,
        rows=[list(row) for row in zip(*texts, strict=True)],
        n_called=min(int(called.sum()), len(top)),
        n_tested=len(tested),
    )


def _texts(values: pd.Series, kind: Kind) -> list[str]:
    if kind == "text":
        return ["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]
    return [as_text(value, kind) for value in values.to_numpy(dtype=float, na_value=np.nan)]


def as_text(value: Any, kind: Kind) -> str:
    """A number with three significant digits, whole numbers as they are; "" for none.

    Parameters
    ----------
    value
        The number.
    kind
        ``"int"``, ``"num"`` or ``"p"``.

    Examples
    --------
    >>> as_text(-0.123456, "num"), as_text(1234567.0, "int"), as_text(float("nan"), "p"), as_text(2.5e-12, "p")
    ('-0.123', '1234567', '', '2.5e-12')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    return f"{value:.0f}" if kind == "int" else f"{value:.3g}"
