"""Blocks sent to the workers of a Dask client, a few at a time, whatever comes to the workers.

This is the only module that talks to Dask while blocks are computed.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from scanlink.errors import RunError, first_few
from scanlink.run.blocks import Block
from scanlink.run.costs import CostModel
from scanlink.run.events import Done, Event, Failed, Tick
from scanlink.run.memory import peak_mib
from scanlink.run.parts import Parts

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Farm", "Task", "compute_block"]

log = logging.getLogger("scanlink")

Task = Callable[[Any, Block], pa.Table]

# Seconds between looks at workers, scheduler and lock, and after which what a worker said is given up.
_LOOK, _ANSWER = 2.0, 30.0
# Seconds between orders of the queue, as the estimates get better.
_SORT = 30.0
# Workers that do not see the folder, one after another, before the run is stopped.
_BLIND = 5


class Report(NamedTuple):
    """What travels back from a worker."""

    seconds: float
    mib: float
    found: bool
    blind: str | None


def compute_block(block: Block, *, task: Task, context: Any, parts: Parts, marker: str | None = None) -> Report:
    """Compute one block where it was sent, and leave its part; only a few numbers travel back.

    Parameters
    ----------
    block, task, context, parts
        As in :func:`scanlink.run.run_blocks`.
    marker
        File that the driver has just written. Where it cannot be seen, the folder is not the driver's: nothing is
        computed, and nothing written to a folder that only has the same name.
    """
    begin = time.monotonic()
    if marker is not None and not Path(marker).is_file():
        # A look at the folder makes a network file system fetch what is new in it.
        folder = Path(marker).parent
        if not folder.is_dir() or os.path.basename(marker) not in os.listdir(folder):
            return Report(0.0, 0.0, False, _address() or socket.gethostname())
    found = parts.is_done(block)
    if not found:
        parts.write(block, task(context, block))
    return Report(time.monotonic() - begin, peak_mib(), found, None)


def _address() -> str | None:
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:
        return None


class Farm:
    """Keeps the workers of a client busy, and tells what comes back.

    Parameters
    ----------
    client
        Dask client.
    task, context, parts
        As in :func:`scanlink.run.run_blocks`.
    marker
        As in :func:`compute_block`.
    model
        Learns how long blocks take; the caller tells it.
    retries
        How often a block that raised is tried again.
    problem
        Called now and then; a text stops the run.
    """

    def __init__(
        self,
        client: Client,
        task: Task,
        context: Any,
        parts: Parts,
        *,
        marker: Path,
        model: CostModel,
        retries: int = 2,
        problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.client = client
        self._ask = {"task": task, "context": context, "parts": parts, "marker": str(marker)}
        self._parts, self._model, self._retries, self._problem = parts, model, retries, problem
        self._queue: list[Block] = []
        self._running: dict[str, tuple[Future, Block]] = {}
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._second_chance: set[int] = set()
        self._blind: list[str] = []
        self._sent = self._workers = self._threads = 0

    def events(self, pending: Sequence[Block]) -> Iterator[Event]:
        """Compute the blocks; yields at least every few seconds, until every block is done or set aside.

        Raises
        ------
        RunError
            If scheduler, lock or folder are lost, or the queue system gives no workers for good. What was sent and
            not begun is called back then, and on any other exception.
        """
        self._queue = list(pending)
        looked = sorted_at = -_SORT
        try:
            while self._queue or self._running:
                now = time.monotonic()
                if now - sorted_at > _SORT:
                    # The longest last, from where they are taken: none of them is left when the others are done.
                    self._queue.sort(key=lambda block: (self._model.seconds(block), -block.number))
                    sorted_at = now
                if now - looked > _LOOK:
                    self._look()
                    looked = now
                    yield Tick(self._workers, self._threads)
                self._send()
                yield from self._settle(self._wait())
        except BaseException:
            self._call_back()
            raise

    def _look(self) -> None:
        problem = self._problem() or getattr(self.client, "scanlink_problem", lambda: None)()
        if problem is None and self.client.status in ("closed", "closing"):
            problem = "the connection to the Dask scheduler is lost"
        if problem is None and self.client.status == "running":
            try:
                threads = self.client.nthreads()
                self._workers, self._threads = len(threads), sum(threads.values())
            except OSError as error:
                log.warning("the Dask scheduler does not answer: %s", error)
        if problem is not None:
            raise RunError(f"{problem}. What is finished is kept; the same command goes on from there")

    def _send(self) -> None:
        # One that runs and one at hand for every thread, so that none waits for the scheduler; workers come and go.
        room = max(4, 2 * self._threads + 2) - len(self._running)
        if self.client.status != "running" or room <= 0 or not self._queue:
            return
        if room < self._threads // 20 and room < len(self._queue):
            # Not one by one: many are sent for little more than one.
            return
        batch = [self._queue.pop() for _ in range(min(room, len(self._queue)))]
        keys = [f"block-{block.number}-{self._parts.fingerprint[:8]}-{self._sent + i}" for i, block in enumerate(batch)]
        self._sent += len(batch)
        futures = self.client.map(compute_block, batch, key=keys, pure=False, retries=self._retries, **self._ask)
        for key, future, block in zip(keys, futures, batch, strict=True):
            self._running[key] = (future, block)
            future.add_done_callback(lambda done: self._ready.put(done.key))

    def _wait(self) -> list[str]:
        """Keys of what has ended, after a second at the latest."""
        found: list[str] = []
        try:
            found.append(self._ready.get(timeout=1.0))
            while True:
                found.append(self._ready.get_nowait())
        except queue.Empty:
            pass
        return [key for key in dict.fromkeys(found) if key in self._running]

    def _settle(self, keys: list[str]) -> Iterator[Event]:
        finished = [key for key in keys if self._running[key][0].status == "finished"]
        reports = self._reports(finished)
        for key in keys:
            future, block = self._running.pop(key)
            if key in reports:
                yield from self._hear(block, reports[key])
            elif future.status == "error":
                yield from self._grieve(block, future)
            elif self._parts.is_done(block):
                yield Done(block)
            else:
                # Its worker went before it could say what became of it, or the scheduler dropped it.
                self._queue.append(block)
            future.release()

    def _reports(self, keys: list[str]) -> dict[str, Report]:
        """What the workers said, in one question for all."""
        if not keys:
            return {}
        futures = [self._running[key][0] for key in keys]
        try:
            answers = self.client.sync(lambda: self.client.gather(futures, asynchronous=True), callback_timeout=_ANSWER)
        except (TimeoutError, OSError):
            return {}
        except Exception as error:
            # One of them was lost meanwhile, and failed when it was computed anew: each is looked at by itself.
            log.debug("answers were lost: %s", error)
            return {}
        return dict(zip(keys, answers, strict=True))

    def _hear(self, block: Block, report: Report) -> Iterator[Event]:
        if report.blind is None:
            self._blind.clear()
            yield Done(block, report.seconds, report.mib, report.found)
            return
        self._queue.append(block)
        if report.blind not in self._blind:
            self._blind.append(report.blind)
            log.warning("worker %s does not see the folder %s and is sent away", report.blind, self._parts.folder)
            if len(self._blind) >= min(_BLIND, max(self._workers, 1)):
                raise RunError(
                    f"{len(self._blind)} workers, one after another, do not see the folder {self._parts.folder} "
                    f"({first_few(self._blind, most=3)}): name a folder on a file system that driver and workers share"
                )
            self.client.retire_workers([report.blind])

    def _grieve(self, block: Block, future: Future) -> Iterator[Event]:
        from distributed.scheduler import KilledWorker

        error = future.exception()
        if isinstance(error, RunError):
            # The folder cannot be written: the blocks that are left would fail in the same way.
            raise error
        if isinstance(error, KilledWorker):
            if block.number not in self._second_chance:
                # Perhaps the queue system killed them all, and the block is innocent: again, when the rest is done.
                self._second_chance.add(block.number)
                self._queue.insert(0, block)
                log.warning("block %d is tried again at the end: its workers died", block.number)
                return
            yield Failed(
                block,
                f"every worker that computed it died, the last at {error.last_worker.address}: too little memory, or a "
                "crash; see the logs of the workers",
            )
            return
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        yield Failed(block, f"{type(error).__name__}: {error}", trace)

    def _call_back(self) -> None:
        try:
            self.client.cancel([future for future, _ in self._running.values()], force=True)
        except Exception as error:
            log.debug("what was sent could not be called back: %s", error)
