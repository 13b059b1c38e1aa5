"""What is to be computed: a task, its blocks and where their parts go; and what is reported of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from scanlink.errors import RunError, first_few
from scanlink.run.blocks import Block
from scanlink.run.parts import Parts

__all__ = ["Done", "Event", "Failed", "Job", "RunStats", "Task", "Then", "Tick", "Work"]

Task = Callable[[Any, Block], pa.Table]


@dataclass(frozen=True, eq=False)
class Work:
    """One task on some blocks. Two works are the same only if they are one object."""

    task: Task  # Called as ``task(context, block)``; returns the block's table of numbers, booleans and texts.
    context: Any  # Small and picklable: paths and options, never matrices.
    blocks: Sequence[Block]  # Those that are wanted, finished or not.
    parts: Parts
    # Share of the blocks, if several drivers have one each: ``progress.json`` and ``failed.json`` are called after it.
    name: str = ""
    groups: Collection[int] = ()  # Groups that are there although they may have no block; the others need no naming.
    leaf: bool = False  # Whether nothing follows from its groups.

    @property
    def marker(self) -> Path:
        """Return the file that says how far it is; where a worker does not see it, the folder is not the driver's."""
        return self.parts.folder / f"progress{self.name}.json"


# Called with a work and the number of a group that is complete; returns the works that follow from it.
Then = Callable[[Work, int], Iterable[Work]]


class Job(NamedTuple):
    """A block of a work."""

    work: Work
    block: Block

    def __str__(self) -> str:
        return f"block {self.block.number} of {self.work.parts.folder.name}"


@dataclass
class RunStats:
    """What was done for one work: figures for the caller in the end, and for those who watch meanwhile."""

    n_blocks: int = 0  # Blocks that were asked for.
    n_found: int = 0  # Blocks of these whose part was there already.
    n_computed: int = 0  # Blocks of these that this call computed.
    seconds: float = 0.0  # Wall time.
    task_seconds: float = 0.0  # Sum over the tasks.
    peak_mib: float = 0.0  # Largest resident memory of a process that computed a block.
    damaged: dict[int, str] = field(default_factory=dict)  # Fault of each part that was computed anew, by block.
    failed: dict[int, str] = field(default_factory=dict)  # Reason of each block that failed.
    unfollowed: dict[int, str] = field(default_factory=dict)  # Reason why a group was not gone on from.

    def add(self, later: RunStats) -> None:
        """Add what another call on the same blocks did."""
        self.n_computed += later.n_computed
        self.seconds += later.seconds
        self.task_seconds += later.task_seconds
        self.peak_mib = max(self.peak_mib, later.peak_mib)
        self.damaged |= later.damaged
        self.failed = later.failed

    def raise_failures(self) -> None:
        """Raise RunError with the first reasons if blocks failed."""
        if self.failed:
            names = [f"block {number}: {reason}" for number, reason in sorted(self.failed.items())]
            raise RunError(
                f"{len(self.failed)} of {self.n_blocks} blocks failed: {first_few(names, most=3)}. "
                "The others are finished and kept; the same command tries only these again"
            )


@dataclass(frozen=True)
class Done:
    """A block has its part."""

    job: Job
    seconds: float | None = None  # None if that was lost with a worker.
    mib: float = 0.0  # Largest resident memory so far of the process that computed it.
    found_finished: bool = False  # Its part was there already, left by a worker that died before it could say so.


@dataclass(frozen=True)
class Failed:
    """A block is set aside; ``trace`` is the traceback of what was raised, if it was."""

    job: Job
    reason: str
    trace: str = ""


@dataclass(frozen=True)
class Tick:
    """Nothing happened; so many workers with so many threads are there."""

    workers: int
    threads: int


# What those who compute blocks report to the driver.
Event = Done | Failed | Tick
