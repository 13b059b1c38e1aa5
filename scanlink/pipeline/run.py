"""One run for all experiments: files to a store and tables, blocks computed and followed, tables, record and page."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from scanlink import cluster
from scanlink.errors import ScanlinkError
from scanlink.files import replace_file
from scanlink.pipeline import config
from scanlink.pipeline.arrivals import Arrival, Arrivals
from scanlink.pipeline.experiment import Run
from scanlink.pipeline.experiments import ANALYSES, experiment_of
from scanlink.pipeline.follow import Follow
from scanlink.pipeline.outcome import Outcome, set_aside_old_tables
from scanlink.pipeline.record import read_record, write_record
from scanlink.pipeline.surroundings import booked, claim, log_file, report_on, timed, workers_of
from scanlink.run import FolderLock, PartError, Work, run_work
from scanlink.tables import write_table
from scanlink.tl.analysis import Analysis, Given
from scanlink.tl.call import report_blocks

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Outcome", "Stages", "claim", "run"]

log = logging.getLogger("scanlink")

Until = Literal["pairs", "links"]


def run(
    options: Run,
    out: str | os.PathLike[str],
    *,
    until: Until = "links",
    workers: int | None = None,
    performance: bool = False,
    listener: Callable[[Arrival], object] | None = None,
) -> Outcome:
    """Run all analyses that options ask for, or what is left of a run that was stopped.

    ``until="pairs"`` ends when store and pairs are there, for job arrays. Without ``workers`` there is one a core.
    ``performance`` leaves Dask's report of what workers and scheduler did as ``logs/performance.html``; it needs bokeh.
    ``listener`` is called with what is said of each table that comes: see :mod:`scanlink.pipeline.arrivals`.

    Blocks that failed again and again are in ``failures`` of the outcome; their rows have the status ``failed``. From a
    group with such blocks nothing follows, because some of its rows are not known: ``not_followed`` names it. Input and
    options that cannot be used raise before anything is computed.
    """
    folder, experiment, begin = Path(out).resolve(), experiment_of(options), time.monotonic()
    cluster.check(options.cluster)
    claim(folder)
    with log_file(folder), FolderLock(folder) as lock:
        outcome = Outcome(folder)
        with timed(outcome.seconds, "read"):
            prepared = experiment.prepare(options, folder)
        given = experiment.given(options, prepared, folder)
        content = options.model_dump(mode="json") | given.as_json()
        stages = Stages(outcome, given, experiment.asked(given.sections), lock.problem, listener)
        if until == "links":
            with timed(outcome.seconds, "plan"):
                stages.plan(content)
        # Not earlier: what cannot be run must not stand beside the tables of what was.
        replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
        if until == "links":
            report = folder / "logs" / "performance.html" if performance else None
            cost = stages.follow.cost()
            with ExitStack() as stack:
                with timed(outcome.seconds, "workers"):
                    client = stack.enter_context(workers_of(options.cluster, cost, workers, report))
                stages.compute(client)
            stages.tables()
        outcome.seconds["total"] = time.monotonic() - begin
        if until == "links" or not any((folder / f"{a.table.name}.parquet").exists() for a in outcome.analyses):
            write_record(outcome, options=content, inputs=prepared.inputs)
        if until == "links" and options.report:
            with timed(outcome.seconds, "report"):
                outcome.report = report_on(folder)
    return outcome


@dataclass
class Stages:
    """The stages of a run from prepared tables on."""

    outcome: Outcome  # filled by the stages
    given: Given
    analyses: list[Analysis]  # those asked for
    problem: Callable[[], str | None]  # called now and then; a text stops the run
    listener: Callable[[Arrival], object] | None = None  # called with what is said of each table that comes

    def __post_init__(self) -> None:
        self.outcome.analyses, self.outcome.sections = self.analyses, self.given.sections
        self.follow = Follow(self.given, self.analyses, self.outcome.seconds)
        self.arrivals = Arrivals(self.given.folder, self.listener)
        self._works: list[Work] = []

    def plan(self, options: dict[str, Any]) -> None:
        """Make all checks and plan what stands at the start; move tables of other options (as JSON) aside."""
        self._works = self.follow.start()
        plans = {a.name: {g: plan.folder.name for g, plan in self.follow.plans(a).items()} for a in self.analyses}
        record = read_record(self.given.folder / "provenance.json")
        set_aside_old_tables(self.given.folder, record, options, plans, ANALYSES)

    def compute(self, client: Client | None) -> None:
        """Compute what is not finished of all analyses and what follows from them; without a client in this process."""
        self.arrivals.begin()
        begin = time.monotonic()
        stats = run_work(
            self._works, client=client, problem=self.problem, then=self.follow.then, completed=self._completed
        )
        wall = time.monotonic() - begin
        self.follow.finish(stats)
        self.outcome.not_followed = self.follow.not_followed
        for analysis in self.analyses:
            works = self.follow.works(analysis)
            self.outcome.stats[analysis.name] = {label: stats[work] for label, work in works.items()}
            plans = self.follow.plans(analysis)
            self.outcome.plans[analysis.name] = {label: plan.folder.name for label, plan in plans.items()}
            if analysis.block is not None:
                report_blocks(analysis.name, list(self.outcome.stats[analysis.name].values()))
        self.outcome.book_blocks(wall)

    def _completed(self, work: Work, number: int) -> None:
        """Leave the table of a group for those who follow the run."""
        analysis, group = self.follow.group_of(work, number)
        with booked(self.outcome.seconds, analysis.name):
            self.arrivals.add(analysis, group, lambda: self.follow.table(analysis, [group]))

    def tables(self) -> None:
        """Write the tables of all analyses, and those beside them."""
        for analysis in self.analyses:
            with timed(self.outcome.seconds, analysis.name):
                table = self._table(analysis)
                if table is None:
                    continue
                self._write(analysis.table.name, table)
                given = self.given.having(**self.outcome.tables)
                plans = list(self.follow.plans(analysis).values())
                for name, make in analysis.beside.items():
                    self._write(name, make(plans, given, self.given.sections[analysis.name]))
        self.arrivals.finish(self.outcome)

    def _table(self, analysis: Analysis) -> pd.DataFrame | None:
        """Make the table of an analysis; None where one that is made whole cannot be made."""
        given, options = self.given.having(**self.outcome.tables), self.given.sections[analysis.name]
        plans = list(self.follow.plans(analysis).values())
        stats = list(self.outcome.stats[analysis.name].values())
        if analysis.block is None:
            try:
                return analysis.finish(plans, given, options)
            except ScanlinkError as error:
                log.warning("no table %s: %s", analysis.table.name, error)
                self.outcome.not_followed[analysis.name] = {"": str(error)}
                return None
        try:
            return analysis.finish(plans, given, options, set_aside=[done.failed for done in stats])
        except PartError as error:
            # Altered since it was written; a few blocks are computed here.
            log.warning("%s", error)
            works = self.follow.works(analysis)
            again = run_work(works.values(), problem=self.problem)
            for label, work in works.items():
                self.outcome.stats[analysis.name][label].add(again[work])
            return analysis.finish(plans, given, options, set_aside=[done.failed for done in stats])

    def _write(self, name: str, table: pd.DataFrame | None) -> None:
        path = self.given.folder / f"{name}.parquet"
        if table is None:
            path.unlink(missing_ok=True)
        else:
            self.outcome.tables[name] = table
            write_table(table, path)
