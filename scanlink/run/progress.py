"""How far the blocks are: a bar on a terminal or in a notebook, lines in a log, and a file for other shells."""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from scanlink.files import replace_file
from scanlink.run.work import RunStats

__all__ = ["Progress", "duration"]

log = logging.getLogger("scanlink")

# Seconds between two lines of a log, and between two writings of the file.
_LINE, _FILE = 10.0, 10.0


class Progress:
    """Reports how far the blocks are, as a context manager; ``details`` are further fields of the files."""

    def __init__(self, **details: Any) -> None:
        self._details = details
        self._begin = self._last_shown = self._last_written = time.monotonic()
        self._counts: list[RunStats] = []
        self._files: list[tuple[RunStats, Path, float]] = []
        self._seconds_left: float | None = None
        self._workers = self._threads = 0
        self._last_done = -1
        self._sink: _Sink | None = None

    def __enter__(self) -> Progress:
        return self

    def add(self, counts: RunStats, file: Path | None = None) -> None:
        """Report on a further work, and write its file now and every ten seconds, for ``scanlink status``."""
        self._counts.append(counts)
        if self._sink is None and self._n_blocks() > self._n_done():
            self._sink = _make_sink()
        if file is not None:
            self._files.append((counts, file, time.monotonic()))
            self._write(self._files[-1], "running")

    def report(self, *, workers: int, threads: int, seconds_left: float | None) -> None:
        """Show the figures as they are now, with the seconds that the rest of all works will take, if that is known."""
        self._workers, self._threads, self._seconds_left = workers, threads, seconds_left
        time_now, n_done = time.monotonic(), self._n_done()
        all_done = n_done == self._n_blocks() and n_done != self._last_done
        if self._sink is not None and self._sink.due(time_now - self._begin, time_now - self._last_shown, all_done):
            self._last_shown, self._last_done = time_now, n_done
            self._sink.show(n_done, self._n_blocks(), self._describe())
        if time_now - self._last_written > _FILE:
            self._last_written = time_now
            for file in self._files:
                self._write(file, "running")

    def finish(self, counts: RunStats) -> None:
        """Write down that one of the works is finished."""
        for file in [file for file in self._files if file[0] is counts]:
            self._write(file, "finished")
            self._files.remove(file)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._sink is not None:
            self._sink.close(self._n_done(), self._n_blocks(), self._describe())
        was_told = isinstance(error, (KeyboardInterrupt, SystemExit))
        state = "finished" if error is None else "stopped" if was_told else "failed"
        reason = {} if error is None else {"reason": str(error) or type(error).__name__}
        try:
            for file in self._files:
                self._write(file, state, **reason)
        except Exception as second:
            if error is None:
                raise
            log.debug("progress cannot be written: %s", second)

    def _n_blocks(self) -> int:
        return sum(counts.n_blocks for counts in self._counts)

    def _n_done(self) -> int:
        return sum(counts.n_found + counts.n_computed for counts in self._counts)

    def _describe(self) -> str:
        n_failed = sum(len(counts.failed) for counts in self._counts)
        failed = f", {n_failed} set aside" if n_failed else ""
        remaining = "" if self._seconds_left is None else f", about {duration(self._seconds_left)} left"
        return (
            f"{self._n_done()} of {self._n_blocks()} blocks{failed}, {duration(time.monotonic() - self._begin)} so far"
            f"{remaining}, {self._workers} workers"
        )

    def _write(self, file: tuple[RunStats, Path, float], state: str, **fields: Any) -> None:
        counts, path, begin = file
        content = {
            "state": state,
            "host": socket.gethostname(),
            "blocks": counts.n_blocks,
            "found_finished": counts.n_found,
            "computed": counts.n_computed,
            "set_aside": len(counts.failed),
            "workers": self._workers,
            "threads": self._threads,
            "seconds": round(time.monotonic() - begin, 1),
            "seconds_left": None if self._seconds_left is None else round(self._seconds_left, 1),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            **self._details,
            **fields,
        }
        text = json.dumps(content, indent=1)
        replace_file(path, lambda temporary: temporary.write_text(text))


class _Sink(Protocol):
    """Where progress is shown: ``due`` tells whether it is time to, after ``since`` seconds."""

    def due(self, so_far: float, since: float, last: bool) -> bool: ...
    def show(self, done: int, total: int, line: str) -> None: ...
    def close(self, done: int, total: int, line: str) -> None: ...


class _Lines:
    """Lines of the log: not more than some twenty in all, and none in the first seconds."""

    def due(self, so_far: float, since: float, last: bool) -> bool:
        return last or since > max(_LINE, so_far / 20)

    def show(self, done: int, total: int, line: str) -> None:
        log.info("%s", line)

    def close(self, done: int, total: int, line: str) -> None:
        return


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
        self._bar.start()
        self._task = self._bar.add_task("", total=None)

    def due(self, so_far: float, since: float, last: bool) -> bool:
        return last or since > 0.2

    def show(self, done: int, total: int, line: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=line)

    def close(self, done: int, total: int, line: str) -> None:
        self.show(done, total, line)
        self._bar.stop()


class _Notebook:
    """An element of the page that is drawn anew, without an extension of the notebook."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def due(self, so_far: float, since: float, last: bool) -> bool:
        return last or since > 1.0

    def show(self, done: int, total: int, line: str) -> None:
        self._handle.update(self._html(f'<progress value="{done}" max="{total}"></progress> {line}'))

    def close(self, done: int, total: int, line: str) -> None:
        self.show(done, total, line)


def _make_sink() -> _Sink:
    """Make the sink that fits: a page element in a notebook, a bar on a terminal, else lines of the log."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        return _Notebook()
    return _Bar() if sys.stderr.isatty() else _Lines()


def duration(seconds: float) -> str:
    """Write seconds as people say them.

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
