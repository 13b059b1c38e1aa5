"""Events: what those who compute blocks report to the driver."""

from __future__ import annotations

from dataclasses import dataclass

from scanlink.run.work import Job

__all__ = ["Done", "Event", "Failed", "Tick"]


@dataclass(frozen=True)
class Done:
    """A block has its part.

    Attributes
    ----------
    job
        Job that is done.
    seconds
        Seconds that it took; None if that was lost with a worker.
    mib
        Largest resident memory so far of the process that computed it, MiB.
    found_finished
        Whether its part was there already, left by a worker that died before it could say so.
    """

    job: Job
    seconds: float | None = None
    mib: float = 0.0
    found_finished: bool = False


@dataclass(frozen=True)
class Failed:
    """A block is set aside.

    Attributes
    ----------
    job
        Job that failed.
    reason
        Reason in one line.
    trace
        Traceback of what was raised, if it was.
    """

    job: Job
    reason: str
    trace: str = ""


@dataclass(frozen=True)
class Tick:
    """Nothing happened; so many workers with so many threads are there."""

    workers: int
    threads: int


Event = Done | Failed | Tick
