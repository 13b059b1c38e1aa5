"""The stages of a run of a CRISPR screen: files to a store and pairs, pairs to effects and interactions, a report."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink import cluster
from scanlink.files import replace_file
from scanlink.pipeline import config
from scanlink.pipeline import record as provenance
from scanlink.pipeline.prepare_screen import prepare_screen
from scanlink.pipeline.results import blocks_record, move_aside, statuses_record
from scanlink.pipeline.stages import claim, log_file, report_on, timed, workers_of
from scanlink.run import FolderLock, PartError, RunStats, peak_mib, run_work
from scanlink.screen_options import ScreenRunOptions
from scanlink.tl.interactions.call import target_pairs
from scanlink.tl.scan.table import write_table
from scanlink.tl.screen.call import make_work
from scanlink.tl.screen_rows import ScreenPlan, make_screen_plan
from scanlink.tl.screen_table import collect_screen

__all__ = ["ScreenOutcome", "run_screen"]

log = logging.getLogger("scanlink")

# Tables by the name of their plan's section of options.
TABLES = ("screen", "interactions")


@dataclass
class ScreenOutcome:
    """What a run of a screen came to.

    Attributes
    ----------
    folder
        The run folder.
    tables
        ``screen``, and ``interactions`` if they were asked for; empty when the run ended before.
    alpha
        False discovery rate below which an effect is called, of each table.
    stats
        Blocks found finished and computed, seconds, memory, of each table.
    seconds
        Wall time of each stage.
    report
        The HTML page; None where none was written.
    """

    folder: Path
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    alpha: dict[str, float] = field(default_factory=dict)
    stats: dict[str, RunStats] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    report: Path | None = None

    def called(self, name: str) -> pd.DataFrame:
        """Rows of a table below its false discovery rate."""
        table = self.tables[name]
        return table[(table["fdr"] < self.alpha[name]).to_numpy(dtype=bool)]

    @property
    def failures(self) -> list[str]:
        """Every block that was set aside, with its reason."""
        return [
            f"block {number} of {'the screen' if name == 'screen' else 'the interactions'}: {reason}"
            for name, stats in self.stats.items()
            for number, reason in sorted(stats.failed.items())
        ]


def run_screen(
    options: ScreenRunOptions,
    out: str | os.PathLike[str],
    *,
    until: str = "links",
    workers: int | None = None,
    performance: bool = False,
) -> ScreenOutcome:
    """Run all stages of a screen, or those that are left of a run that was stopped.

    Parameters
    ----------
    options
        From :func:`scanlink.config.load_run`.
    out
        Run folder, made if need be.
    until
        ``"pairs"`` ends when store and pairs are there.
    workers
        Local worker processes; None takes a worker a core.
    performance
        Whether Dask's report of what workers and scheduler did is left as ``logs/performance.html``; it needs bokeh.

    Returns
    -------
    ScreenOutcome
        The tables and what they cost. Blocks that failed again and again are in ``failures``; their rows have the
        status ``failed``.

    Raises
    ------
    ScanlinkError
        If input or options cannot be used (before anything is computed), the folder is in use, or the run cannot go
        on.
    """
    folder = Path(out).resolve()
    outcome = ScreenOutcome(folder)
    begin = time.monotonic()
    cluster.check(options.cluster)
    claim(folder)
    with log_file(folder), FolderLock(folder) as lock:
        with timed(outcome.seconds, "read"):
            store, pairs, guides, inputs = prepare_screen(options, folder)
        plans: dict[str, ScreenPlan] = {}
        if until == "links":
            with timed(outcome.seconds, "plan"):
                for name, asked in _asked(options, pairs, guides, folder).items():
                    given = getattr(options, name)
                    plans[name] = make_screen_plan(
                        store,
                        guides,
                        asked,
                        folder / "parts",
                        options=given,
                        groupby=options.groups.by,
                        groups=options.groups.only,
                    )
                    outcome.alpha[name] = given.alpha
                _set_aside_old_tables(folder, plans)
        # Not earlier: what cannot be run must not stand beside the tables of what was.
        replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
        if plans:
            report = folder / "logs" / "performance.html" if performance else None
            cost = sum(plan.cost for plan in plans.values())
            works = {name: make_work(plan) for name, plan in plans.items()}
            with timed(outcome.seconds, "scan"), workers_of(options.cluster, cost, workers, report) as client:
                found = run_work(list(works.values()), client=client, problem=lock.problem)
            for name, plan in plans.items():
                outcome.stats[name] = found[works[name]]
                _write(outcome, name, plan, lock.problem)
        outcome.seconds["total"] = time.monotonic() - begin
        if plans or not (folder / "screen.parquet").exists():
            _write_provenance(outcome, options, inputs, plans)
        if plans and options.report:
            with timed(outcome.seconds, "report"):
                outcome.report = report_on(folder)
    return outcome


def _asked(
    options: ScreenRunOptions, pairs: pd.DataFrame, guides: pd.DataFrame, folder: Path
) -> dict[str, pd.DataFrame]:
    """What each table is to have: target-gene pairs, and pairs of the targets of a gene."""
    found = {"screen": pairs}
    path = folder / "target_pairs.parquet"
    if options.interactions is None:
        path.unlink(missing_ok=True)
        return found
    both = target_pairs(pairs, guides, max_distance=options.interactions.max_distance)
    write_table(both, path)
    if both.empty:
        log.warning("no gene has two targets: there are no interactions to test")
    else:
        found["interactions"] = both
    return found


def _write(outcome: ScreenOutcome, name: str, plan: ScreenPlan, problem: Callable[[], str | None]) -> None:
    stats = outcome.stats[name]
    log.info(
        "%s: %d blocks, %d found finished, %d computed in %.1f s of tasks",
        name,
        stats.n_blocks,
        stats.n_found,
        stats.n_computed,
        stats.task_seconds,
    )
    try:
        table = collect_screen(plan, set_aside=stats.failed)
    except PartError as error:
        # Altered since it was written; a few blocks are computed here.
        log.warning("%s", error)
        work = make_work(plan)
        stats.add(run_work([work], problem=problem)[work])
        table = collect_screen(plan, set_aside=stats.failed)
    outcome.tables[name] = table
    write_table(table, outcome.folder / f"{name}.parquet")


def _set_aside_old_tables(folder: Path, plans: dict[str, ScreenPlan]) -> None:
    """Tables of other options must not stand in a folder whose config.yaml says something else."""
    before = provenance.read_record(folder / "provenance.json").get("plans")
    known = before if isinstance(before, dict) else {}
    for name in TABLES:
        if name not in plans or known.get(name) != plans[name].folder.name:
            move_aside(folder, name)


def _write_provenance(
    outcome: ScreenOutcome, options: ScreenRunOptions, inputs: list[dict[str, Any]], plans: dict[str, ScreenPlan]
) -> None:
    provenance.write_record(
        outcome.folder / "provenance.json",
        options=options.model_dump(mode="json"),
        seed=options.screen.seed,
        plans={name: plan.folder.name for name, plan in plans.items()},
        inputs=inputs,
        seconds={stage: round(value, 3) for stage, value in outcome.seconds.items()},
        peak_memory_mib={
            "driver": round(peak_mib(), 1),
            "worker": round(max((stats.peak_mib for stats in outcome.stats.values()), default=0.0), 1),
        },
        blocks={name: blocks_record(stats) for name, stats in outcome.stats.items()},
        tests={
            name: {str(kind): statuses_record(own) for kind, own in table.groupby("kind", sort=False)}
            for name, table in outcome.tables.items()
        },
        called={name: len(outcome.called(name)) for name in outcome.tables},
    )
