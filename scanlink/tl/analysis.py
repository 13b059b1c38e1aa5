"""What an analysis is: a question put to many rows, declared once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.options import GroupOptions, Options
from scanlink.tables import Table

if TYPE_CHECKING:
    from scanlink.report.folder import Run
    from scanlink.report.sections import Section
    from scanlink.run import Plan
    from scanlink.run.work import Task
    from scanlink.store.store import Store

__all__ = ["Analysis", "Export", "Follows", "Given"]


@dataclass(frozen=True)
class Given:
    """What an analysis goes on: the counts, the tables so far, and the options."""

    folder: Path  # Of the run or call; plans and parts go to ``parts/`` in it.
    sections: Mapping[str, Any]  # Options of the run, by the name of their section.
    store: Store | None = None  # Counts of all cells; None where an experiment has none.
    # Tables by name: those that the experiment prepared, and those of the analyses that are followed.
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    groups: GroupOptions = field(default_factory=GroupOptions)  # Which cells are analysed together.
    group: str = ""  # The group that is planned, for an analysis that is planned for each on its own; "" for all.
    strict: bool = True  # Whether it is an error if none of the groups can be tested.

    def having(self, **tables: pd.DataFrame) -> Given:
        """Give the same with further tables."""
        return replace(self, tables={**self.tables, **tables})

    def as_json(self) -> dict[str, Any]:
        """Give all sections of options as the record keeps them."""
        models = {name: section for name, section in self.sections.items() if isinstance(section, Options)}
        return {name: section.model_dump(mode="json") for name, section in models.items()}

    @property
    def counts(self) -> Store:
        """The counts, where they have to be there."""
        assert self.store is not None
        return self.store

    @property
    def parts(self) -> Path:
        """Folder of all plans."""
        return self.folder / "parts"


@dataclass(frozen=True)
class Follows:
    """Which tables an analysis needs, and when it begins."""

    # Called with the options of the analysis; gives the names of the analyses that it follows.
    names: Callable[[Any], Sequence[str]]
    # Whether it is planned for each group on its own, with the rows of that group; False: once, with all rows.
    by_group: bool = True
    # Called with what is given; whether even the first group waits for all groups of what is followed.
    waits: Callable[[Given], bool] = lambda given: False


@dataclass(frozen=True)
class Export:
    """How a table is written for other programs."""

    formats: tuple[str, ...]  # Of :func:`scanlink.io.export`.
    rows: Callable[[Run], pd.DataFrame]  # Gives the rows as those formats take them.
    called_only: bool  # Whether genome browsers get only what is called, unless another rate is named.


def _nothing(given: Given, options: Any) -> None:
    return None


@dataclass(frozen=True)
class Analysis:
    """A question put to many rows: one section of options, one table, one section of the page."""

    name: str  # Section of run.yaml, ``parts/NAME-*``, key in the record.
    table: Table  # What it leaves: ``TABLE.parquet``.
    options: type[Options]  # Model of its section.
    # Makes every check and returns the rows asked for as a plan, or None where nothing is asked. Nothing is computed
    # before it returns.
    rows: Callable[[Given, Any], Plan | None]
    # Called as ``block(context, block)`` on a worker: the block's part. None for what ``finish`` computes whole.
    block: Task | None
    # Called as ``finish(plans, given, options, set_aside=..., groups=...)``: makes the table of finished parts, with
    # names, ``p_value``, ``fdr`` and ``status``, a row for everything asked. ``set_aside`` holds for each plan the
    # numbers of blocks that failed, ``groups`` the groups that are wanted while others are computed, None for all.
    finish: Callable[..., pd.DataFrame]
    section: Section  # What the page and the command line tell.
    # Section of the options whose ``alpha`` is the rate below which a row is called; "" where no row is tested.
    level: str = ""
    follows: Follows | None = None  # What it waits for; None for an analysis that stands at the start.
    # Called before the first task: finds what would make a follower fail.
    check: Callable[[Given, Any], None] = _nothing
    export: Export | None = None  # How the table is written for other programs; None where it is not.
    # Further tables by name; each is called as ``make(plans, given, options)``, where ``given`` holds the analysis' own
    # table, and returns None where there is none.
    beside: Mapping[str, Callable[[Sequence[Any], Given, Any], pd.DataFrame | None]] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables that it may leave."""
        return (self.table.name, *self.beside)

    def alpha(self, sections: Mapping[str, Any]) -> float:
        """Give the false discovery rate below which a row is called, NaN where none is tested."""
        return float(sections[self.level].alpha) if self.level else float("nan")

    def called(self, table: pd.DataFrame, sections: Mapping[str, Any]) -> pd.DataFrame:
        """Select the rows below the false discovery rate."""
        return table[(table["fdr"] < self.alpha(sections)).to_numpy(dtype=bool)]
