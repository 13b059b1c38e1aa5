"""What those who compute blocks tell the driver."""

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
        Which.
    seconds
        What it took; None if that was lost with a worker.
    mib
        Largest resident memory so far of the process that computed it.
    found
        Whether its part was there already, left by a worker that died before it could say so.
    """

    job: Job
    seconds: float | None = None
    mib: float = 0.0
    found: bool = False


@dataclass(frozen=True)
class Failed:
    """A block is set aside.

    Attributes
    ----------
    job
        Which.
    reason
        In a line.
    trace
        Where it was raised, if it was.
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
