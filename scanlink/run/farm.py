"""Blocks sent to the workers of a Dask client, a few at a time, whatever comes to the workers.

This is the only module that talks to Dask while blocks are computed.
"""

from __future__ import annotations

import logging
import queue
import time
import traceback
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from scanlink.errors import RunError, first_few
from scanlink.run.account import Order
from scanlink.run.blocks import Block
from scanlink.run.compute import Report, compute_block
from scanlink.run.work import Done, Event, Failed, Job, Tick, Work

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Farm"]

log = logging.getLogger("scanlink")

# Seconds between looks at workers, scheduler and lock, and after which what a worker said is given up.
_LOOK, _ANSWER = 2.0, 30.0
# Seconds between orders of the queue, as the estimates get better.
_SORT = 30.0
# Workers that do not see the folder, one after another, before the run is stopped.
_BLIND = 5


class Farm:
    """Keeps the workers of a client busy, and reports what comes back; a context manager.

    What was sent and not begun is cancelled when it is left by an exception. A block that raised is tried ``retries``
    times more. ``problem`` is called now and then; a text stops the run.
    """

    def __init__(self, client: Client, order: Order, *, retries: int, problem: Callable[[], str | None]) -> None:
        self.client = client
        self._order, self._retries, self._problem = order, retries, problem
        self._queue: list[Job] = []
        self._running: dict[str, tuple[Future, Job]] = {}
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._second_chance: set[Job] = set()
        self._blind_workers: dict[Work, list[str]] = defaultdict(list)
        self._sent = self._workers = self._threads = 0
        self._last_look = self._last_sort = float("-inf")
        # A key that an earlier run on this client has used may still be known to a worker.
        self._name = uuid.uuid4().hex[:8]

    def __enter__(self) -> Farm:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is not None:
            self._cancel_all()

    @property
    def busy(self) -> bool:
        return bool(self._queue or self._running)

    def add(self, jobs: Iterable[Job]) -> None:
        self._queue.extend(jobs)
        self._last_sort = float("-inf")

    def step(self, *, wait: bool) -> Iterator[Event]:
        """Send blocks, and yield what has ended: after a second at the latest, or where it does not wait at once.

        Raises RunError if scheduler, lock or folder are lost, or the queue system gives no workers for good.
        """
        now = time.monotonic()
        if now - self._last_look > _LOOK:
            self._check_client()
            self._last_look = now
            yield Tick(self._workers, self._threads)
        self._send()
        yield from self._events_of(self._wait_for_keys(1.0 if wait else 0.0))
        # The caller may be busy for a while now.
        self._send()

    def _check_client(self) -> None:
        """Count the workers; raise where the run cannot go on."""
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
        """Send as many blocks as the workers have room for, and not one by one."""
        # One that runs and one at hand for every thread, so that none waits for the scheduler; workers come and go.
        room = max(4, 2 * self._threads + 2) - len(self._running)
        if self.client.status != "running" or room <= 0 or not self._queue:
            return
        # Not one by one: many are sent for little more than one.
        if room < self._threads // 20 and room < len(self._queue):
            return
        if time.monotonic() - self._last_sort > _SORT:
            self._order.sort(self._queue, threads=self._threads, late=self._second_chance)
            self._last_sort = time.monotonic()
        batch: dict[Work, list[Block]] = defaultdict(list)
        for _ in range(min(room, len(self._queue))):
            work, block = self._queue.pop()
            batch[work].append(block)
        for work, blocks in batch.items():
            self._send_blocks(work, blocks)

    def _send_blocks(self, work: Work, blocks: list[Block]) -> None:
        keys = [f"block-{block.number}-{self._name}-{self._sent + i}" for i, block in enumerate(blocks)]
        self._sent += len(blocks)
        futures = self.client.map(
            compute_block,
            blocks,
            key=keys,
            pure=False,
            retries=self._retries,
            task=work.task,
            context=work.context,
            parts=work.parts,
            marker=str(work.marker),
        )
        for key, future, block in zip(keys, futures, blocks, strict=True):
            self._running[key] = (future, Job(work, block))
            future.add_done_callback(lambda done: self._ready.put(done.key))

    def _wait_for_keys(self, seconds: float) -> list[str]:
        keys: list[str] = []
        try:
            keys.append(self._ready.get(timeout=seconds))
            while True:
                keys.append(self._ready.get_nowait())
        except queue.Empty:
            pass
        return [key for key in dict.fromkeys(keys) if key in self._running]

    def _events_of(self, keys: list[str]) -> Iterator[Event]:
        """Yield what became of futures that have ended, and forget them."""
        finished = [key for key in keys if self._running[key][0].status == "finished"]
        reports = self._gather_reports(finished)
        for key in keys:
            future, job = self._running.pop(key)
            if key in reports:
                yield from self._on_report(job, reports[key])
            elif future.status == "error":
                yield from self._on_error(job, future)
            elif job.work.parts.is_done(job.block):
                yield Done(job)
            else:
                # Its worker went before it could say what became of it, or the scheduler dropped it.
                self._queue.append(job)
            future.release()

    def _gather_reports(self, keys: list[str]) -> dict[str, Report]:
        """Ask for what the workers report, in one question for all."""
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

    def _on_report(self, job: Job, report: Report) -> Iterator[Event]:
        """Yield that a block is done; where its worker does not see the folder, send the worker away."""
        blind, folder = self._blind_workers[job.work], job.work.parts.folder
        if report.blind is None:
            blind.clear()
            yield Done(job, report.seconds, report.mib, report.found_finished)
            return
        self._queue.append(job)
        if report.blind not in blind:
            blind.append(report.blind)
            log.warning("worker %s does not see the folder %s and is sent away", report.blind, folder)
            if len(blind) >= min(_BLIND, max(self._workers, 1)):
                raise RunError(
                    f"{len(blind)} workers, one after another, do not see the folder {folder} "
                    f"({first_few(blind, most=3)}): name a folder on a file system that driver and workers share"
                )
            self.client.retire_workers([report.blind])

    def _on_error(self, job: Job, future: Future) -> Iterator[Event]:
        """Yield that a block failed, or try it once more where its workers died."""
        from distributed.scheduler import KilledWorker

        error = future.exception()
        if isinstance(error, RunError):
            # The folder cannot be written: the blocks that are left would fail in the same way.
            raise error
        if isinstance(error, KilledWorker):
            if job not in self._second_chance:
                # Perhaps the queue system killed them all, and the block is innocent: again, when the rest is done.
                self._second_chance.add(job)
                self._queue.insert(0, job)
                log.warning("%s is tried again at the end: its workers died", job)
                return
            yield Failed(
                job,
                f"every worker that computed it died, the last at {error.last_worker.address}: too little memory, or a "
                "crash; see the logs of the workers",
            )
            return
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        yield Failed(job, f"{type(error).__name__}: {error}", trace)

    def _cancel_all(self) -> None:
        """Cancel what was sent, as far as it has not begun."""
        try:
            self.client.cancel([future for future, _ in self._running.values()], force=True)
        except Exception as error:
            log.debug("what was sent could not be called back: %s", error)
