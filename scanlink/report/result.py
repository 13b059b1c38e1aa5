"""The table that an analysis left in a run, beside what the run says of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from scanlink.p_values import PERMUTED_KINDS, PValueKind
from scanlink.report.asked import as_drawn
from scanlink.report.counts import Counts, count_rows
from scanlink.report.folder import Run
from scanlink.report.sections import Analysis
from scanlink.tables import Column

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """Holds what one analysis came to: its table as the page shows it, None where there is none or one without rows."""

    analysis: Analysis
    run: Run
    table: pd.DataFrame | None

    @property
    def rows(self) -> pd.DataFrame:
        assert self.table is not None
        return self.table

    @property
    def options(self) -> dict[str, Any]:
        """Options of the analysis, as what came of them; empty where they are not recorded."""
        return as_drawn(self.run.section(self.analysis.name), self.table)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns of the table by name; those of the defaults where another version wrote other options."""
        model = self.analysis.options
        known = {name: value for name, value in self.options.items() if name in model.model_fields}
        try:
            options = model(**known)
        except (TypeError, ValueError):
            options = model.model_construct()
        return {column.name: column for column in self.analysis.table.columns(options)}

    @property
    def alpha(self) -> float:
        """False discovery rate below which a row is called."""
        return float(self.run.section(self.analysis.level).get("alpha", 0.1))

    @property
    def tests(self) -> bool:
        """Whether the table has tests of its own; one that joins others has not."""
        return self.table is not None and "status" in self.run.tables[self.analysis.table.name]

    @cached_property
    def asked(self) -> pd.DataFrame:
        """Rows that were asked for, without those of controls."""
        controls = [name for name, kind in self.analysis.section.kinds.items() if kind.control]
        return self.rows[~self.rows["kind"].isin(controls)] if controls else self.rows

    @cached_property
    def tested(self) -> pd.DataFrame:
        """Rows that were asked for and tested."""
        return self.asked[self.asked["status"] == "ok"]

    @cached_property
    def called(self) -> pd.DataFrame:
        """Tested rows below the false discovery rate; none where there is no such rate."""
        if "fdr" not in self.tested:
            return self.tested.iloc[:0]
        return self.tested[(self.tested["fdr"] < self.alpha).to_numpy(dtype=bool)]

    @cached_property
    def counts(self) -> Counts:
        """Rows that were asked for, by group and status."""
        counted = [what for what in self.analysis.section.by_group.values() if what not in ("above", "below")]
        table = self.analysis.table
        return count_rows(self.asked, alpha=self.alpha, statuses=table.statuses, counted=counted, effect=table.effect)

    @property
    def n_groups(self) -> int:
        """Groups of cells in the table."""
        return int(self.rows["group"].nunique())

    @property
    def p_value_kind(self) -> PValueKind | None:
        """The kind of p-value on which rows are called, or else the first that the table has."""
        end = self.analysis.table.effect.removeprefix("beta")
        columns = {kind.name: f"{kind.column}{end}" for kind in PERMUTED_KINDS.values()}
        tested = self.rows[self.rows["status"] == "ok"]
        present = [name for name, column in columns.items() if column in tested and tested[column].notna().any()]
        chosen = self.options.get("p_value")
        name = chosen if chosen in present else next(iter(present), None)
        return None if name is None else PERMUTED_KINDS[name]
