"""How far the blocks are: a bar on a terminal or in a notebook, lines in a log, and a file for other shells."""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from scanlink.run.parts import replace_file

__all__ = ["Counts", "Progress", "duration"]

log = logging.getLogger("scanlink")

# Seconds between two lines of a log, and between two writings of the file.
_LINE, _FILE = 10.0, 10.0


class Counts(Protocol):
    """What of the driver's figures is told."""

    n_blocks: int
    n_found: int
    n_computed: int
    failed: dict[int, str]


class Progress:
    """Tells how far the blocks are, as a context manager.

    Parameters
    ----------
    counts
        The driver's figures, which change as it goes on.
    file
        Written every ten seconds, for ``scanlink status``; None writes none.
    about
        More to be written there, such as the link of the dashboard.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> counts = SimpleNamespace(n_blocks=2, n_found=0, n_computed=0, failed={})
    >>> with Progress(counts) as progress:
    ...     counts.n_computed = 2
    ...     progress.tell(workers=1, threads=1, left=0.0)
    """

    def __init__(self, counts: Counts, file: Path | None = None, **about: Any) -> None:
        self._counts, self._file, self._about = counts, file, about
        self._begin = self._lined = time.monotonic()
        self._filed = -_FILE
        self._left: float | None = None
        self._workers = self._threads = 0
        self._sink: _Sink = _Lines()

    def __enter__(self) -> Progress:
        if self._counts.n_blocks > self._done():
            self._sink = _sink(self._counts.n_blocks)
        self._write("running")
        return self

    def tell(self, *, workers: int, threads: int, left: float | None) -> None:
        """Show the figures as they are now.

        Parameters
        ----------
        workers, threads
            That are there.
        left
            Seconds that the rest will take; None if that is not known.
        """
        self._workers, self._threads, self._left = workers, threads, left
        now = time.monotonic()
        if self._sink.due(now - self._begin, now - self._lined, self._done() == self._counts.n_blocks):
            self._lined = now
            self._sink.show(self._done(), self._line())
        if now - self._filed > _FILE:
            self._write("running")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close(self._done(), self._line())
        told_to = isinstance(error, (KeyboardInterrupt, SystemExit))
        state = "finished" if error is None else "stopped" if told_to else "failed"
        try:
            self._write(state, **({} if error is None else {"reason": str(error) or type(error).__name__}))
        except Exception as second:
            if error is None:
                raise
            log.debug("progress cannot be written: %s", second)

    def _done(self) -> int:
        return self._counts.n_found + self._counts.n_computed

    def _line(self) -> str:
        counts = self._counts
        failed = f", {len(counts.failed)} set aside" if counts.failed else ""
        left = "" if self._left is None else f", about {duration(self._left)} left"
        return (
            f"{self._done()} of {counts.n_blocks} blocks{failed}, {duration(time.monotonic() - self._begin)} so far"
            f"{left}, {self._workers} workers"
        )

    def _write(self, state: str, **more: Any) -> None:
        if self._file is None:
            return
        self._filed = time.monotonic()
        counts = self._counts
        content = {
            "state": state,
            "host": socket.gethostname(),
            "blocks": counts.n_blocks,
            "found_finished": counts.n_found,
            "computed": counts.n_computed,
            "set_aside": len(counts.failed),
            "workers": self._workers,
            "threads": self._threads,
            "seconds": round(time.monotonic() - self._begin, 1),
            "seconds_left": None if self._left is None else round(self._left, 1),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            **self._about,
            **more,
        }
        text = json.dumps(content, indent=1)
        replace_file(self._file, lambda temporary: temporary.write_text(text))


class _Sink(Protocol):
    def due(self, so_far: float, since: float, last: bool) -> bool: ...
    def show(self, done: int, line: str) -> None: ...
    def close(self, done: int, line: str) -> None: ...


class _Lines:
    """Not more than some twenty lines in all, and none in the first seconds."""

    def due(self, so_far: float, since: float, last: bool) -> bool:
        return last or since > max(_LINE, so_far / 20)

    def show(self, done: int, line: str) -> None:
        log.info("%s", line)

    def close(self, done: int, line: str) -> None:
        return


class _Bar:
    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
        self._bar.start()
        self._task = self._bar.add_task("", total=total)

    def due(self, so_far: float, since: float, last: bool) -> bool:
        return last or since > 0.2

    def show(self, done: int, line: str) -> None:
        self._bar.update(self._task, completed=done, description=line)

    def close(self, done: int, line: str) -> None:
        self.show(done, line)
        self._bar.stop()


class _Notebook:
    """An element of the page that is drawn anew, without an extension of the notebook."""

    def __init__(self, total: int) -> None:
        from IPython.display import HTML, display

        self._total, self._html = total, HTML
        self._handle = display(HTML(""), display_id=True)

    def due(self, so_far: float, since: float, last: bool) -> bool:
        return last or since > 1.0

    def show(self, done: int, line: str) -> None:
        self._handle.update(self._html(f'<progress value="{done}" max="{self._total}"></progress> {line}'))

    def close(self, done: int, line: str) -> None:
        self.show(done, line)


def _sink(total: int) -> _Sink:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        return _Notebook(total)
    return _Bar(total) if sys.stderr.isatty() else _Lines()


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Examples
    --------
    >>> duration(8), duration(200), duration(9000), duration(200000)
    ('8 s', '3 min', '2.5 h', '2.3 days')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
