"""What a table of results and its columns are; and the columns and statuses that several tables share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scanlink.files import replace_file
from scanlink.p_values import PValueKind

__all__ = [
    "ASKED",
    "BETA",
    "CI",
    "CONTROLS",
    "DISTANCE",
    "FAILED",
    "FDR",
    "FRAC_GENE",
    "GENE",
    "GROUP",
    "MIN_INTERACTION",
    "N_CELLS",
    "PEAK",
    "P_VALUE",
    "ROW_KINDS",
    "SE",
    "STATUS",
    "STATUSES",
    "THETA",
    "Column",
    "Table",
    "Z",
    "interaction_columns",
    "p_value_columns",
    "statuses_with",
    "write_table",
]

# count: a whole number, 0 where there is none; distance: bp, missing where there is none; number and p: NaN where there
# is none; flag: true, false or missing.
Type = Literal["text", "count", "number", "p", "distance", "flag"]
_ARROW = {"text": pa.string(), "count": pa.int64(), "flag": pa.bool_()}


@dataclass(frozen=True)
class Column:
    """A column of a table of results."""

    name: str
    type: Type
    help: str  # what it holds, with its unit, in words that can stand beside it
    heading: str = ""  # what stands above it on a page; "" takes the name
    computed: bool = True  # by the block of a worker; the others are made when the parts become a table

    def said(self, help: str) -> Column:
        """Give the same column with other words of help."""
        return replace(self, help=help)

    def of(self, contrast: str, words: str) -> Column:
        """Give the same column of a contrast: its name ends in ``_CONTRAST``, its help in the words."""
        heading = self.heading and f"{self.heading} {contrast}"
        help = f"{self.help.removesuffix(' of the effect')} {words}"
        return replace(self, name=f"{self.name}_{contrast}", help=help, heading=heading)

    @property
    def label(self) -> str:
        """What stands above it on a page."""
        return self.heading or self.name


@dataclass(frozen=True)
class Table:
    """A table that an analysis leaves."""

    name: str  # the file is ``NAME.parquet``
    columns: Callable[[Any], Sequence[Column]]  # in their order, of the options of the analysis
    statuses: Mapping[str, str]  # words for every status that a row may have, in the order in which they are shown
    row: str  # what a row is, in the plural
    called: str  # what rows below the false discovery rate are, in the plural; "" where nothing is tested
    effect: str = "beta"  # column by whose size rows are shown where p-values do not tell them apart

    def names(self, options: Any) -> list[str]:
        """List the names of all columns."""
        return [column.name for column in self.columns(options)]

    def schema(self, options: Any) -> pa.Schema:
        """Give the schema of a part: the place of a row in the plan, and what a block computes of it."""
        computed = [(c.name, _ARROW.get(c.type, pa.float64())) for c in self.columns(options) if c.computed]
        return pa.schema([("group", pa.int32()), ("row", pa.int64()), *computed])

    def blank(self, options: Any) -> dict[str, Any]:
        """Give what a row has of each computed column before anything is known of it."""
        unknown = {"count": 0, "text": None, "flag": None}
        return {c.name: unknown.get(c.type, np.nan) for c in self.columns(options) if c.computed}

    def empty(self, options: Any) -> pd.DataFrame:
        """Make a table without rows, whose columns have the types that they have elsewhere."""
        types: dict[str, Any] = {"text": object, "flag": object, "distance": "Int64", "count": np.int64}
        return pd.DataFrame({c.name: pd.Series([], dtype=types.get(c.type, float)) for c in self.columns(options)})


GROUP = Column("group", "text", "group of cells", "group", computed=False)
GENE = Column("gene", "text", "gene", "gene", computed=False)
DISTANCE = Column(
    "distance", "distance", "bp from the TSS to the centre of the peak, positive downstream", "distance", computed=False
)
PEAK = Column("peak", "text", "peak", computed=False)
N_CELLS = Column("n_cells", "count", "cells of the group", "cells", computed=False)
FRAC_GENE = Column("frac_gene", "number", "share of the group's cells in which the gene is non-zero", "gene in")
BETA = Column("beta", "number", "log fold change (natural log)", "effect")
SE = Column("se", "number", "model-based standard error of the effect")
Z = Column("z", "number", "effect over its model-based standard error")
SE_ROBUST = Column("se_robust", "number", "sandwich standard error of the effect", "robust s.e.")
P_VALUE = Column("p_value", "p", "the p-value that was chosen", "p-value", computed=False)
FDR = Column("fdr", "p", "false discovery rate", "FDR", computed=False)
THETA = (
    Column("theta", "number", "inverse dispersion of a negative binomial; the variance is mu + mu^2 / theta"),
    Column("theta_converged", "flag", "whether theta has a maximum; false where counts vary no more than Poisson's"),
)
CI = (
    Column("ci_low", "number", "lower end of the 95 % interval"),
    Column("ci_high", "number", "upper end of the 95 % interval"),
)
MIN_INTERACTION = Column(
    "min_interaction", "number", "smallest interaction that would have been seen with 80 % power", "detectable"
)
STATUS = Column("status", "text", "ok, or why there is no estimate", "status")

# Values of the column ``kind`` of a screen's tables, in their order: rows that were asked for, and negative controls.
ASKED = ("discovery", "positive_control")
CONTROLS: tuple[Literal["non_targeting", "shuffled", "mismatched"], ...] = ("non_targeting", "shuffled", "mismatched")
ROW_KINDS = (*ASKED, *CONTROLS)

FAILED = "failed"
# Those that several analyses give; each table lists what it has of them, in its own order.
STATUSES = {
    "ok": "tested",
    "collinear": "the covariates leave nothing to estimate",
    "not_converged": "the fit did not converge",
    "too_few_cells": "the group has too few cells",
    "too_few_clusters": "the cells come from too few clusters, such as donors",
    FAILED: "the block was set aside after errors; the same command tries it again",
}


def statuses_with(**special: str) -> dict[str, str]:
    """Give the words of every status of a test, the special ones of an analysis after those of what was tested."""
    return {"ok": STATUSES["ok"], **special, **{name: words for name, words in STATUSES.items() if name != "ok"}}


def p_value_columns(kinds: Mapping[str, PValueKind]) -> list[Column]:
    """List the columns of all kinds of p-values of one effect, the robust error before the robust p-value."""
    columns = []
    for kind in kinds.values():
        if kind.name == "robust":
            columns.append(SE_ROBUST)
        columns.append(Column(kind.column, "p", f"p-value: {kind.effect.words}"))
        if kind.count:
            columns.append(Column(kind.count, "count", f"replicates behind {kind.column}"))
    return columns


def interaction_columns(kinds: Mapping[str, PValueKind], effect: str) -> list[Column]:
    """List the columns of an interaction: the estimate, in words ``effect``, its errors, p-values and interval."""
    return [
        Column("beta_interaction", "number", effect, "interaction"),
        *(
            replace(column.of("interaction", "of the interaction"), heading=column.heading)
            for column in (SE, *p_value_columns(kinds), *CI)
        ),
    ]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table, without its index, as parquet: the same table gives the same bytes, with any version of pandas.

    Columns without a value have the type that they have elsewhere: text, or truth where their name says so.
    """
    content = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    for place, field in enumerate(content.schema):
        if pa.types.is_null(field.type) or pa.types.is_large_string(field.type):
            truth = pa.types.is_null(field.type) and field.name.endswith("_converged")
            known = pa.bool_() if truth else pa.string()
            content = content.set_column(place, pa.field(field.name, known), content[field.name].cast(known))
    replace_file(path, lambda temporary: pq.write_table(content, temporary, compression="zstd"))
