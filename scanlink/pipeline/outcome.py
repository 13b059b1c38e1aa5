"""What a run came to, and tables that are not mixed up with those of other options."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.run import RunStats
from scanlink.tl.analysis import Analysis

__all__ = ["Outcome", "move_aside", "set_aside_old_tables"]

log = logging.getLogger("scanlink")


@dataclass
class Outcome:
    """What a run came to."""

    folder: Path
    analyses: list[Analysis] = field(default_factory=list)  # those asked for, in the order of the page
    sections: Mapping[str, Any] = field(default_factory=dict)  # options by the name of their section
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)  # none when the run ended before them
    # By name of the analysis and of the group, "" where one plan has all groups; plans are folders below parts/.
    stats: dict[str, dict[str, RunStats]] = field(default_factory=dict)
    plans: dict[str, dict[str, str]] = field(default_factory=dict)
    not_followed: dict[str, dict[str, str]] = field(default_factory=dict)  # why a group has no rows, by analysis
    # Wall time of each stage; that of an analysis is of its blocks, its plans that follow others, and its tables.
    seconds: dict[str, float] = field(default_factory=dict)
    report: Path | None = None

    def called(self, analysis: Analysis) -> pd.DataFrame:
        """Select the rows of an analysis' table below its false discovery rate."""
        return analysis.called(self.tables[analysis.table.name], self.sections)

    def book_blocks(self, wall: float) -> None:
        """Book the wall time of all blocks to the analyses by what their tasks took: they are computed side by side.

        What is booked to them already, such as planning, is a part of it.
        """
        tasks = {name: sum(one.task_seconds for one in own.values()) for name, own in self.stats.items()}
        blocks, total = wall - sum(self.seconds.get(name, 0.0) for name in tasks), sum(tasks.values())
        for name, seconds in tasks.items():
            share = seconds / total if total else 0.0
            self.seconds[name] = self.seconds.get(name, 0.0) + max(0.0, blocks) * share

    @property
    def all_stats(self) -> list[RunStats]:
        """Of every plan."""
        return [stats for groups in self.stats.values() for stats in groups.values()]

    @property
    def failures(self) -> list[str]:
        """Every block that was set aside, with its reason."""
        return [
            f"block {number} of {analysis.section.blocks}{f' of {group}' if group else ''}: {reason}"
            for analysis in self.analyses
            for group, stats in self.stats.get(analysis.name, {}).items()
            for number, reason in sorted(stats.failed.items())
        ]


def set_aside_old_tables(
    folder: Path,
    record: Mapping[str, Any],
    options: Mapping[str, Any],
    plans: Mapping[str, Mapping[str, str]],
    analyses: Iterable[Analysis],
) -> None:
    """Move tables of other options aside: they must not stand beside a config.yaml that says something else.

    ``record`` is that of the run before, or empty; ``options`` are the sections of this run, as JSON; ``plans`` the
    folders of those that stand at its start, by analysis and group. ``analyses`` are all that there are: a run of
    another experiment may have left its tables.
    """
    before, known = record.get("plans"), record.get("options")
    before, known = before if isinstance(before, dict) else {}, known if isinstance(known, dict) else {}

    def same(analysis: Analysis) -> bool:
        if options.get(analysis.name) is None:
            return False
        if analysis.follows is None:
            own = {group or "all": name for group, name in plans.get(analysis.name, {}).items()}
            return bool(own) and before.get(analysis.name) == own
        sources = [one for one in by_name.values() if one.name in analysis.follows.names(models[analysis.name])]
        sections = {analysis.name, analysis.level, *(source.level for source in sources)}
        return all(map(same, sources)) and all(options.get(name) == known.get(name) for name in sections)

    by_name = {analysis.name: analysis for analysis in analyses}
    models = {
        name: by_name[name].options.model_validate(section)
        for name, section in options.items()
        if name in by_name and section is not None
    }
    for analysis in by_name.values():
        if not same(analysis):
            for name in analysis.tables:
                move_aside(folder, name)


def move_aside(folder: Path, name: str) -> None:
    """Keep a table of other data or options under another name, if there is one."""
    table = folder / f"{name}.parquet"
    if table.exists():
        os.replace(table, folder / f"{name}.previous.parquet")
        log.warning("%s of other data or options are kept as %s.previous.parquet", name.replace("_", " "), name)
