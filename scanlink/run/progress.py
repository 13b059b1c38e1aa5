"""Progress: a bar on a terminal, a line every few per cent in a log."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

log = logging.getLogger("scanlink")


class Progress:
    """Counts blocks and tells how far they are, as a context manager.

    Parameters
    ----------
    total
        Blocks in all.
    found
        Blocks that were finished before.
    cost
        Estimated cost of those that are left, in any unit: it gives the time that is left.

    Examples
    --------
    >>> with Progress(2, 0, 2.0) as progress:
    ...     progress.advance(1.0)
    >>> progress.done
    1
    """

    def __init__(self, total: int, found: int, cost: float) -> None:
        self.total = total
        self.done = found
        self._cost = max(cost, 1e-9)
        self._spent = 0.0
        self._begin = time.monotonic()
        self._said = self._begin
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and self.total > self.done:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns: list[Any] = [
                "blocks",
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            ]
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("blocks", total=self.total, completed=self.done)
        return self

    def advance(self, cost: float) -> None:
        """One block more is finished."""
        self.done += 1
        self._spent += cost
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
            return
        now = time.monotonic()
        # Not more than some twenty lines in all, and none in the first seconds.
        if self.done == self.total or now - self._said > max(10.0, (now - self._begin) / 20):
            self._said = now
            left = (now - self._begin) * max(self._cost - self._spent, 0.0) / max(self._spent, 1e-9)
            log.info(
                "%d of %d blocks, %.0f s so far, about %.0f s left", self.done, self.total, now - self._begin, left
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
