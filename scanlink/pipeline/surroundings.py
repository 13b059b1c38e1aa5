"""What surrounds a run: a folder that can be written, a log beside it, workers, time taken, the page."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from scanlink import cluster
from scanlink.errors import OptionError, RunError
from scanlink.run import SMALL_SECONDS

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["booked", "claim", "log_file", "report_on", "timed", "workers_of"]

log = logging.getLogger("scanlink")


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
def workers_of(profile: str, cost: float, workers: int | None, performance: Path | None) -> Iterator[Client | None]:
    """Open a client of the workers that a run asked for; None where it is computed in this process.

    ``cost`` are the estimated seconds on one core: little work needs no workers, unless they are asked for. Without
    ``workers`` there is one a core. Dask's report of what they did goes to ``performance``, if it is wanted.
    """
    if profile == "local" and cost < SMALL_SECONDS and workers is None:
        yield None
        return
    with cluster.client(profile, **({} if workers is None else {"n_workers": workers})) as client, ExitStack() as stack:
        if client is not None and performance is not None:
            if find_spec("bokeh") is None:
                raise OptionError(
                    "the report of Dask's performance needs bokeh: pip install 'bokeh>=3.1', or leave it out"
                )
            from distributed import performance_report

            performance.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(performance_report(filename=str(performance)))
        yield client


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Write what is logged to logs/scanlink.log as well, run after run."""
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
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Book the wall time of a stage, and log what is booked to it by now."""
    with booked(seconds, stage):
        yield
    log.info("%s: %.1f s", stage, seconds[stage])


@contextmanager
def booked(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add wall time to that of a stage."""
    begin = time.monotonic()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - begin


def report_on(folder: Path) -> Path | None:
    """Write the page about a finished run. The tables are there, so one that cannot be made is no reason to fail."""
    try:
        from scanlink.pipeline.finished import write_report

        return write_report(folder)
    except Exception as error:
        log.error("no report was made (%s: %s); try again: scanlink report %s", type(error).__name__, error, folder)
        return None
