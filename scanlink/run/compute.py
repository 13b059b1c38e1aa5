"""Blocks computed: one on a worker, or all in this process; each part is written where its block is computed."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scanlink.errors import RunError
from scanlink.run.account import Order
from scanlink.run.blocks import Block
from scanlink.run.parts import Parts
from scanlink.run.work import Done, Event, Failed, Job, Task

__all__ = ["Here", "Report", "compute_block", "peak_mib"]


class Report(NamedTuple):
    """What travels back from a worker; ``blind`` names one that does not see the folder."""

    seconds: float
    mib: float
    found_finished: bool
    blind: str | None


def compute_block(block: Block, *, task: Task, context: Any, parts: Parts, marker: str | None = None) -> Report:
    """Compute one block where it was sent, and leave its part; only a few numbers travel back.

    ``marker`` is the path of a file that the driver has just written. Where it cannot be seen, the folder is not the
    driver's: nothing is computed, and nothing written to a folder that only has the same name.
    """
    begin = time.monotonic()
    if marker is not None and not Path(marker).is_file():
        # A look at a folder makes a network file system fetch what is new in it; the folder itself may be new as well.
        folder = Path(marker).parent
        _list_names(folder.parent)
        if os.path.basename(marker) not in _list_names(folder):
            return Report(0.0, 0.0, False, _worker_address() or socket.gethostname())
    found_finished = parts.is_done(block)
    if not found_finished:
        table = task(context, block)
        # A worker that was given up for lost may have finished meanwhile: the first part stays.
        if not parts.is_done(block):
            parts.write(block, table)
    return Report(time.monotonic() - begin, peak_mib(), found_finished, None)


def _list_names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _worker_address() -> str | None:
    """Return the address of the Dask worker that this runs on; None where it is none."""
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:
        return None


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class Here:
    """Does what :class:`scanlink.run.farm.Farm` does without workers: one block after another, in this process."""

    def __init__(self, order: Order, *, problem: Callable[[], str | None]) -> None:
        self._order, self._problem = order, problem
        self._queue: list[Job] = []

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *details: object) -> None:
        return

    @property
    def busy(self) -> bool:
        return bool(self._queue)

    def add(self, jobs: Iterable[Job]) -> None:
        self._queue.extend(jobs)
        self._order.sort(self._queue)

    def step(self, *, wait: bool) -> Iterator[Event]:
        """Compute one block, or wait a second if there is none."""
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
