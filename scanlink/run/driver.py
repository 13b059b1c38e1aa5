"""The driver: has blocks computed, here or by the workers of a Dask client, and leaves one part a block.

It knows no statistics: any picklable function of a context and a block that returns a table will do.
"""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanlink.errors import RunError, first_few
from scanlink.run.blocks import Block
from scanlink.run.costs import CostModel
from scanlink.run.events import Done, Event, Failed
from scanlink.run.farm import Farm, Task, compute_block
from scanlink.run.parts import Parts, replace_file
from scanlink.run.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["RunStats", "run_blocks"]

log = logging.getLogger("scanlink")

# When so many blocks failed and none did not, the rest would do the same.
_HOPELESS = 20
# A network file system may take a minute to show here what was written elsewhere.
_SHOWN_WITHIN = 120.0


@dataclass
class RunStats:
    """What a call of :func:`run_blocks` did.

    Attributes
    ----------
    n_blocks
        Blocks of the plan that were asked for.
    n_found
        Of these, the ones whose part was there already.
    n_computed
        The ones computed by this call.
    damaged
        What was wrong with each part that was there and was computed anew, by number of its block.
    failed
        Reason of each block that failed, by number.
    seconds
        Wall time.
    task_seconds
        Sum over tasks.
    peak_mib
        Largest resident memory of a process that computed a block, MiB.
    """

    n_blocks: int = 0
    n_found: int = 0
    n_computed: int = 0
    seconds: float = 0.0
    task_seconds: float = 0.0
    peak_mib: float = 0.0
    damaged: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, later: RunStats) -> None:
        """Add what another call on the same blocks did."""
        self.n_computed += later.n_computed
        self.seconds += later.seconds
        self.task_seconds += later.task_seconds
        self.peak_mib = max(self.peak_mib, later.peak_mib)
        self.damaged |= later.damaged
        self.failed = later.failed

    def raise_failures(self) -> None:
        """Raise what was set aside.

        Raises
        ------
        RunError
            If blocks failed; names the first.
        """
        if self.failed:
            names = [f"block {number}: {reason}" for number, reason in sorted(self.failed.items())]
            raise RunError(
                f"{len(self.failed)} of {self.n_blocks} blocks failed: {first_few(names, most=3)}. "
                "The others are finished and kept; the same command tries only these again"
            )


def run_blocks(
    task: Task,
    context: Any,
    blocks: Sequence[Block],
    parts: Parts,
    *,
    client: Client | None = None,
    retries: int = 2,
    problem: Callable[[], str | None] = lambda: None,
    name: str = "",
) -> RunStats:
    """Compute the blocks whose parts are not there yet.

    Parameters
    ----------
    task
        Called as ``task(context, block)``; returns the block's table of numbers, booleans and texts.
    context
        Small and picklable: paths and options, never matrices.
    blocks
        All blocks that are wanted, finished or not.
    parts
        Where their tables go.
    client
        Dask client; None computes in this process, one block after another. Workers may come and go, and there need
        be none at first.
    retries
        How often a block that raised is tried again, on a client.
    problem
        Called now and then, such as :meth:`FolderLock.problem`; a text stops the run.
    name
        Of this share of the blocks, if several drivers have one each: ``progress.json`` and ``failed.json`` beside the
        parts, which tell how far it is and what was set aside, are called after it.

    Returns
    -------
    RunStats
        Counts, times and memory, and what was set aside: a block that fails again and again does not keep the others
        from being computed. Its reason is in the log, and with its traceback in ``failed.json``.

    Raises
    ------
    RunError
        If the run cannot go on: the folder is lost or full, the scheduler or all workers are lost for good, or every
        one of the first blocks fails. What is finished is kept.
    """
    begin = time.monotonic()
    parts.folder.mkdir(parents=True, exist_ok=True)
    done, damaged = parts.inspect(blocks)
    stats = RunStats(n_blocks=len(blocks), n_found=len(done), damaged=damaged)
    if stats.n_found:
        log.info("%d of %d blocks are finished already", stats.n_found, len(blocks))
    for number, fault in damaged.items():
        log.warning("the part of block %d is damaged and computed anew: %s", number, fault)
    # Longest first, so that no long one is left when the others are done.
    pending = sorted((b for b in blocks if b.number not in done), key=lambda block: (-block.cost, block.number))
    left, model = sum(block.cost for block in pending), CostModel()
    marker = parts.folder / f"progress{name}.json"
    job = os.environ.get("SLURM_JOB_ID")
    about = {"pid": os.getpid(), "job": job, "dashboard": getattr(client, "dashboard_link", None)}
    traces: dict[int, str] = {}
    with Progress(stats, marker, **about) as progress:
        if client is None:
            events = _here(task, context, pending, parts)
        else:
            farm = Farm(
                client, task, context, parts, marker=marker, model=model, retries=retries, problem=problem
            )  # fmt: skip
            events = farm.events(pending)
        workers = threads = 1
        for event in events:
            if isinstance(event, Done):
                _count(stats, event, model)
                left -= event.block.cost
            elif isinstance(event, Failed):
                left -= event.block.cost
                stats.failed[event.block.number], traces[event.block.number] = event.reason, event.trace
                log.error("block %d is set aside: %s", event.block.number, event.reason)
                _give_up_if_hopeless(stats)
            else:
                workers, threads = event.workers, event.threads
            rest = max(left, 0.0) * model.mean() / threads if threads and stats.n_computed else None
            progress.tell(workers=workers, threads=threads, left=rest)
            if client is None and (stop := problem()):
                raise RunError(f"{stop}. What is finished is kept; the same command goes on from there")
        _wait_until_shown(parts, [block for block in pending if block.number not in stats.failed])
    _record_failures(parts.folder / f"failed{name}.json", stats, traces)
    stats.seconds = time.monotonic() - begin
    return stats


def _here(task: Task, context: Any, pending: Sequence[Block], parts: Parts) -> Iterator[Event]:
    """One block after another, in this process."""
    for block in pending:
        try:
            report = compute_block(block, task=task, context=context, parts=parts)
        except RunError:
            # The folder cannot be written: the blocks that are left would fail in the same way.
            raise
        except Exception as error:
            yield Failed(block, f"{type(error).__name__}: {error}", traceback.format_exc())
        else:
            yield Done(block, report.seconds, report.mib, report.found)


def _count(stats: RunStats, event: Done, model: CostModel) -> None:
    if event.found:
        # By a worker of this run, which died before it could say so.
        log.debug("the part of block %d was there already", event.block.number)
    stats.n_computed += 1
    stats.peak_mib = max(stats.peak_mib, event.mib)
    if event.seconds is not None and not event.found:
        stats.task_seconds += event.seconds
        model.observe(event.block, event.seconds)


def _give_up_if_hopeless(stats: RunStats) -> None:
    if len(stats.failed) >= _HOPELESS and not stats.n_computed:
        reasons = list(stats.failed.values())
        raise RunError(
            f"the first {len(reasons)} blocks all failed, and none was computed: {first_few(dict.fromkeys(reasons))}. "
            "Mend that first; the same command tries again"
        )


def _wait_until_shown(parts: Parts, blocks: Sequence[Block]) -> None:
    """Parts written on other hosts have to be seen on this one."""
    end, wanted = time.monotonic() + _SHOWN_WITHIN, {block.number for block in blocks}
    while missing := wanted - parts.present():
        if time.monotonic() > end:
            raise RunError(
                f"workers wrote {len(missing)} parts that do not appear in {parts.folder} on this host (blocks "
                f"{first_few(sorted(missing))}): name a folder on a file system that driver and workers share"
            )
        time.sleep(1.0)


def _record_failures(path: Path, stats: RunStats, traces: dict[int, str]) -> None:
    if not stats.failed:
        path.unlink(missing_ok=True)
        return
    content = {
        str(number): {"reason": reason, "traceback": traces[number]} for number, reason in sorted(stats.failed.items())
    }
    text = json.dumps(content, indent=1)
    replace_file(path, lambda temporary: temporary.write_text(text))
