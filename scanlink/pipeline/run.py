"""The stages of a run: files to a store and pairs, pairs to links, links to contrasts of enhancer pairs.

Each leaves its result, and is passed over later.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

import pandas as pd

from scanlink import cluster
from scanlink.files import replace_file
from scanlink.options import LinksOptions, RunOptions
from scanlink.pipeline import config
from scanlink.pipeline.fanout import FOLLOWED, FanOut
from scanlink.pipeline.prepare import prepare
from scanlink.pipeline.results import Outcome, set_aside_old_tables, write_provenance
from scanlink.pipeline.stages import claim, log_file, report_on, timed, workers_of
from scanlink.run import FolderLock, PartError
from scanlink.tl.epistasis.heterogeneity import heterogeneity
from scanlink.tl.scan.call import compute
from scanlink.tl.scan.rows import Plan, make_plan
from scanlink.tl.scan.table import collect, write_table

__all__ = ["Outcome", "Until", "claim", "finish", "prepare", "run"]

log = logging.getLogger("scanlink")

Until = Literal["pairs", "links"]


def run(
    options: RunOptions,
    out: str | os.PathLike[str],
    *,
    until: Until = "links",
    workers: int | None = None,
    performance: bool = False,
) -> Outcome:
    """Run all stages, or those that are left of a run that was stopped.

    Parameters
    ----------
    options
        From :func:`scanlink.config.load_run`.
    out
        Run folder, made if need be.
    until
        ``"pairs"`` ends when store and pairs are there, for job arrays.
    workers
        Local worker processes; None takes a worker a core.
    performance
        Whether Dask's report of what workers and scheduler did is left as ``logs/performance.html``; it needs bokeh.

    Returns
    -------
    Outcome
        The tables and what they cost. Blocks that failed again and again are in ``failures``; gene-peak pairs and
        enhancer pairs of theirs have the status ``failed``. Of a group with such blocks in its scan no enhancer pairs
        are made, because some of its links are not known: ``unfollowed`` names it.

    Raises
    ------
    ScanlinkError
        If input or options cannot be used (before anything is computed), the folder is in use, or the run cannot go
        on.
    """
    folder = Path(out).resolve()
    outcome = Outcome(folder, alpha=options.links.alpha)
    begin = time.monotonic()
    cluster.check(options.cluster)
    claim(folder)
    with log_file(folder), FolderLock(folder) as lock:
        with timed(outcome.seconds, "read"):
            store, pairs, inputs = prepare(options, folder)
        plan, fan = None, None
        if until == "links":
            with timed(outcome.seconds, "plan"):
                plan = make_plan(
                    store,
                    pairs,
                    folder / "parts",
                    options=options.scan,
                    groupby=options.groups.by,
                    groups=options.groups.only,
                )
                if options.epistasis is not None:
                    outcome.epistasis_alpha = options.epistasis.alpha
                    fan = FanOut(plan, store, links=options.links, epistasis=options.epistasis, groups=options.groups)
                else:
                    (plan.folder / FOLLOWED).unlink(missing_ok=True)
                set_aside_old_tables(folder, plan, options)
        # Not earlier: what cannot be run must not stand beside the links of what was.
        replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
        if plan is not None:
            report = folder / "logs" / "performance.html" if performance else None
            with timed(outcome.seconds, "scan"), workers_of(options.cluster, plan.cost, workers, report) as client:
                if fan is None:
                    outcome.stats = compute(plan, client=client, problem=lock.problem)
                else:
                    outcome.stats = fan.compute(client=client, problem=lock.problem)
            with timed(outcome.seconds, "links"):
                _write_links(outcome, plan, options.links, lock.problem)
            if fan is not None:
                with timed(outcome.seconds, "epistasis"):
                    _write_epistasis(outcome, fan, lock.problem)
        outcome.seconds["total"] = time.monotonic() - begin
        if plan is not None or not (folder / "links.parquet").exists():
            write_provenance(outcome, options, inputs, None if plan is None else plan.folder.name)
        if plan is not None and options.report:
            with timed(outcome.seconds, "report"):
                outcome.report = report_on(folder)
    return outcome


def _write_links(outcome: Outcome, plan: Plan, options: LinksOptions, problem: Callable[[], str | None]) -> None:
    try:
        outcome.links = finish(plan, options, outcome.folder, set_aside=outcome.stats.failed)
    except PartError as error:
        # Altered since it was written; a few blocks are computed here.
        log.warning("%s", error)
        outcome.stats.add(compute(plan, problem=problem))
        outcome.links = finish(plan, options, outcome.folder, set_aside=outcome.stats.failed)


def finish(plan: Plan, options: LinksOptions, folder: Path, *, set_aside: Collection[int] = ()) -> pd.DataFrame:
    """Put the parts together and write links.parquet."""
    links = collect(plan, options, set_aside=set_aside)
    write_table(links, folder / "links.parquet")
    return links


def _write_epistasis(outcome: Outcome, fan: FanOut, problem: Callable[[], str | None]) -> None:
    """Write the tables of enhancer pairs; one across groups only if there are several."""
    pairs, table = fan.tables(problem=problem)
    write_table(pairs, outcome.folder / "enhancer_pairs.parquet")
    write_table(table, outcome.folder / "epistasis.parquet")
    across = outcome.folder / "heterogeneity.parquet"
    if table["group"].nunique() > 1:
        outcome.heterogeneity = heterogeneity(table)
        write_table(outcome.heterogeneity, across)
    else:
        across.unlink(missing_ok=True)
    names = {number: fan.plan.groups[number].name for number in fan.plans}
    outcome.enhancer_pairs, outcome.epistasis, outcome.unfollowed = pairs, table, fan.unfollowed
    outcome.epistasis_plans = {name: fan.plans[number].folder.name for number, name in names.items()}
    outcome.epistasis_stats = {name: fan.stats[number] for number, name in names.items()}
