"""Blocks computed in this process, one after another."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator

from scanlink.errors import RunError
from scanlink.run.compute import compute_block
from scanlink.run.events import Done, Event, Failed
from scanlink.run.order import Order
from scanlink.run.work import Job

__all__ = ["Here"]


class Here:
    """Does what :class:`scanlink.run.farm.Farm` does, without workers.

    Parameters
    ----------
    order
        Order in which blocks are computed.
    problem
        Function that is called after every block; a text stops the run.
    """

    def __init__(self, order: Order, *, problem: Callable[[], str | None] = lambda: None) -> None:
        self._order, self._problem = order, problem
        self._queue: list[Job] = []

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *details: object) -> None:
        return

    @property
    def busy(self) -> bool:
        """Tell whether there is anything to compute."""
        return bool(self._queue)

    def add(self, jobs: Iterable[Job]) -> None:
        """Take on further jobs."""
        self._queue.extend(jobs)
        self._order.sort(self._queue)

    def step(self, *, wait: bool = True) -> Iterator[Event]:
        """Compute one block. ``wait``: whether to wait a second if there is none."""
        if not self._queue:
            if wait:
                time.sleep(1.0)
            return
        job = self._queue.pop()
        try:
            report = compute_block(job.block, task=job.work.task, context=job.work.context, parts=job.work.parts)
        except RunError:
            # The folder cannot be written: the blocks that are left would fail in the same way.
            raise
        except Exception as error:
            yield Failed(job, f"{type(error).__name__}: {error}", traceback.format_exc())
        else:
            yield Done(job, report.seconds, report.mib, report.found_finished)
        if problem := self._problem():
            raise RunError(f"{problem}. What is finished is kept; the same command goes on from there")
