"""The driver: sends blocks to a Dask client, or computes them here, and leaves one part a block.

This is the only module that talks to Dask while a scan runs, and it knows no statistics: any picklable function of a
context and a block that returns a table will do.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scanlink.errors import RunError, first_few
from scanlink.run.blocks import Block
from scanlink.run.parts import Parts
from scanlink.run.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["RunStats", "Task", "run_blocks"]

log = logging.getLogger("scanlink")

Task = Callable[[Any, Block], pa.Table]


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
    failed: dict[int, str] = field(default_factory=dict)


def run_blocks(
    task: Task,
    context: Any,
    blocks: Sequence[Block],
    parts: Parts,
    *,
    client: Client | None = None,
    retries: int = 2,
) -> RunStats:
    """Compute the blocks whose parts are not there yet.

    Parameters
    ----------
    task
        Called as ``task(context, block)``; returns the block's table.
    context
        Small and picklable: paths and options, never matrices.
    blocks
        All blocks that are wanted, finished or not.
    parts
        Where their tables go.
    client
        Dask client; None computes in this process, one block after another.
    retries
        How often a block that raised is tried again, on a client.

    Returns
    -------
    RunStats
        Counts, times and memory.

    Raises
    ------
    RunError
        If blocks failed after all retries. The others are finished first, so that a second call has only these left.
    """
    begin = time.monotonic()
    parts.folder.mkdir(parents=True, exist_ok=True)
    pending = [block for block in blocks if not parts.is_done(block)]
    stats = RunStats(n_blocks=len(blocks), n_found=len(blocks) - len(pending))
    if stats.n_found:
        log.info("%d of %d blocks are finished already", stats.n_found, len(blocks))
    # Longest first, so that no long one is left when the others are done.
    pending.sort(key=lambda block: (-block.cost, block.number))
    with Progress(len(blocks), stats.n_found, sum(block.cost for block in pending)) as progress:
        if client is None:
            for block in pending:
                try:
                    result = _compute(task, context, block, parts)
                except Exception as error:
                    _set_aside(stats, progress, block, error)
                else:
                    _note(stats, progress, block, result)
        else:
            _farm_out(task, context, pending, parts, client, retries, stats, progress)
    stats.seconds = time.monotonic() - begin
    if stats.failed:
        names = [f"block {number}: {reason}" for number, reason in sorted(stats.failed.items())]
        raise RunError(
            f"{len(stats.failed)} of {len(blocks)} blocks failed: {first_few(names, most=3)}. "
            "The others are finished and kept; the same command tries only these again"
        )
    return stats


def _compute(task: Task, context: Any, block: Block, parts: Parts) -> tuple[float, float]:
    """Run one block where it was sent, and leave its part; only two numbers travel back."""
    begin = time.monotonic()
    parts.write(block, task(context, block))
    return time.monotonic() - begin, peak_mib()


def peak_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _note(stats: RunStats, progress: Progress, block: Block, result: tuple[float, float]) -> None:
    seconds, memory = result
    stats.n_computed += 1
    stats.task_seconds += seconds
    stats.peak_mib = max(stats.peak_mib, memory)
    progress.advance(block.cost)


def _set_aside(stats: RunStats, progress: Progress, block: Block, error: BaseException) -> None:
    if isinstance(error, RunError):
        # The folder cannot be written: the blocks that are left would fail in the same way.
        raise error
    stats.failed[block.number] = f"{type(error).__name__}: {error}"
    log.error("block %d failed: %s", block.number, stats.failed[block.number])
    progress.advance(block.cost)


def _farm_out(
    task: Task,
    context: Any,
    pending: list[Block],
    parts: Parts,
    client: Client,
    retries: int,
    stats: RunStats,
    progress: Progress,
) -> None:
    from distributed import as_completed
    from distributed.comm import CommClosedError

    blind = [worker for worker, sees in client.run(os.path.isdir, str(parts.folder)).items() if not sees]
    if blind:
        raise RunError(
            f"{len(blind)} workers do not see the folder {parts.folder} ({first_few(blind, most=3)}): "
            "give out= a folder on a file system that driver and workers share"
        )
    queue = iter(pending)
    running: dict[Any, tuple[Any, Block]] = {}

    def submit() -> Any:
        block = next(queue, None)
        if block is None:
            return None
        future = client.submit(_compute, task, context, block, parts, pure=False, retries=retries)
        running[future.key] = (future, block)
        return future

    def window() -> int:
        # Enough to keep every thread busy, few enough to keep the scheduler small; workers come and go.
        return max(4, 3 * sum(client.nthreads().values()))

    completed = as_completed([f for f in (submit() for _ in range(window())) if f is not None], raise_errors=False)
    try:
        for future in completed:
            _, block = running.pop(future.key)
            if future.status == "finished":
                _note(stats, progress, block, future.result())
            elif future.status == "error":
                _set_aside(stats, progress, block, future.exception())
            else:
                raise RunError(
                    f"block {block.number} is {future.status}: the Dask scheduler is lost or was told to drop it. "
                    "What is finished is kept; the same command goes on from there"
                )
            future.release()
            for _ in range(window() - len(running)):
                more = submit()
                if more is None:
                    break
                completed.add(more)
    except CommClosedError as error:
        raise RunError(
            f"the connection to the Dask scheduler is lost ({error}). What is finished is kept; the same command "
            "goes on from there"
        ) from error
    except BaseException:
        client.cancel([future for future, _ in running.values()], force=True)
        raise
