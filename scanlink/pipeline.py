"""The stages of a run: files to a store and pairs, pairs to links. Each leaves its result, and is passed over later."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from scanlink import cluster, config, provenance
from scanlink.errors import OptionError, RunError
from scanlink.options import LinksOptions, RunOptions
from scanlink.prepare import prepare
from scanlink.run import SMALL_SECONDS, FolderLock, PartError, RunStats, peak_mib, replace_file
from scanlink.tl.links import collect, write_links
from scanlink.tl.plan import Plan, make_plan
from scanlink.tl.scan import compute

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Outcome", "Until", "claim", "finish", "prepare", "run"]

log = logging.getLogger("scanlink")

Until = Literal["pairs", "links"]


@dataclass
class Outcome:
    """What a run came to.

    Attributes
    ----------
    folder
        The run folder.
    links
        The table; None when the run ended before it.
    alpha
        False discovery rate below which a tested pair counts as a link.
    stats
        Blocks found finished and computed, seconds, memory.
    seconds
        Wall time of each stage.
    """

    folder: Path
    links: pd.DataFrame | None = None
    alpha: float = 0.1
    stats: RunStats = field(default_factory=RunStats)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n_links(self) -> int:
        """Tested pairs below the false discovery rate."""
        return 0 if self.links is None else int((self.links["fdr"] < self.alpha).sum())


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
        The links and what they cost. Blocks that failed again and again are in ``stats.failed``, and their pairs in
        the table with the status ``failed``.

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
    with _log_file(folder), FolderLock(folder) as lock:
        with _timed(outcome, "read"):
            store, pairs, inputs = prepare(options, folder)
        if until == "links":
            with _timed(outcome, "plan"):
                plan = make_plan(
                    store, pairs, folder / "parts",
                    options=options.scan, groupby=options.groups.by, groups=options.groups.only,
                )  # fmt: skip
                _set_aside_links_of(folder, plan)
        # Not earlier: what cannot be run must not stand beside the links of what was.
        replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
        if until == "links":
            report = folder / "logs" / "performance.html" if performance else None
            with _timed(outcome, "scan"), _workers(options.cluster, plan, workers, report) as client:
                outcome.stats = compute(plan, client=client, problem=lock.problem)
            with _timed(outcome, "links"):
                try:
                    outcome.links = finish(plan, options.links, folder, set_aside=outcome.stats.failed)
                except PartError as error:
                    # Altered since it was written; a few blocks are computed here.
                    log.warning("%s", error)
                    outcome.stats.add(compute(plan, problem=lock.problem))
                    outcome.links = finish(plan, options.links, folder, set_aside=outcome.stats.failed)
        outcome.seconds["total"] = time.monotonic() - begin
        if until == "links" or not (folder / "links.parquet").exists():
            _record(outcome, options, inputs, None if until == "pairs" else plan.folder.name)
    return outcome


def finish(plan: Plan, options: LinksOptions, folder: Path, *, set_aside: Collection[int] = ()) -> pd.DataFrame:
    """Put the parts together and write links.parquet."""
    links = collect(plan, options, set_aside=set_aside)
    write_links(links, folder / "links.parquet")
    return links


def _set_aside_links_of(folder: Path, plan: Plan) -> None:
    """Links of other options must not stand in a folder whose config.yaml says something else."""
    links, record = folder / "links.parquet", folder / "provenance.json"
    try:
        same = json.loads(record.read_text())["plan"] == plan.folder.name
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if links.exists() and not same:
        os.replace(links, folder / "links.previous.parquet")
        log.warning("links of other data or options are kept as links.previous.parquet")


def claim(folder: Path) -> None:
    """Find out now whether the folder can be written, and not after an hour."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        reason = "this is a file" if folder.is_file() else error.strerror
        raise RunError(
            f"the run folder {folder} cannot be written: {reason}. Name another with --out, free some space or "
            "change its rights"
        ) from error


@contextmanager
def _workers(profile: str, plan: Plan, workers: int | None, performance: Path | None) -> Iterator[Client | None]:
    if profile == "local" and plan.cost < SMALL_SECONDS and workers is None:
        yield None
        return
    with cluster.client(profile, **({} if workers is None else {"n_workers": workers})) as client, ExitStack() as stack:
        if client is not None and performance is not None:
            stack.enter_context(_report_to(performance))
        yield client


def _report_to(path: Path) -> AbstractContextManager[None]:
    if find_spec("bokeh") is None:
        raise OptionError("the report of Dask's performance needs bokeh: pip install 'bokeh>=3.1', or leave it out")
    from distributed import performance_report

    path.parent.mkdir(parents=True, exist_ok=True)
    return performance_report(filename=str(path))


@contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """What is logged goes to logs/scanlink.log as well, run after run."""
    (folder / "logs").mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / "logs" / "scanlink.log", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    except Exception as error:
        log.error("%s", error)
        raise
    finally:
        log.removeHandler(handler)
        handler.close()


@contextmanager
def _timed(outcome: Outcome, stage: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    outcome.seconds[stage] = time.monotonic() - begin
    log.info("%s: %.1f s", stage, outcome.seconds[stage])


def _record(outcome: Outcome, options: RunOptions, inputs: list[dict[str, Any]], plan: str | None) -> None:
    links, stats = outcome.links, outcome.stats
    provenance.write_record(
        outcome.folder / "provenance.json",
        options=options.model_dump(mode="json"),
        seed=options.scan.seed,
        plan=plan,
        inputs=inputs,
        seconds={stage: round(value, 3) for stage, value in outcome.seconds.items()},
        peak_memory_mib={"driver": round(peak_mib(), 1), "worker": round(stats.peak_mib, 1)},
        blocks={
            "all": stats.n_blocks,
            "found_finished": stats.n_found,
            "computed": stats.n_computed,
            "damaged": stats.damaged,
            "failed": stats.failed,
        },
        pairs=None if links is None else {str(k): int(v) for k, v in links["status"].value_counts().items()},
        links=outcome.n_links,
    )
