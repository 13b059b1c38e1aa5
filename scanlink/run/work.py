"""What is to be computed: a task, its blocks and where their parts go; and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from scanlink.errors import RunError, first_few
from scanlink.run.blocks import Block
from scanlink.run.parts import Parts

__all__ = ["Job", "RunStats", "Task", "Then", "Work"]

Task = Callable[[Any, Block], pa.Table]


@dataclass(frozen=True, eq=False)
class Work:
    """One task on some blocks. Two works are the same only if they are one object.

    Attributes
    ----------
    task
        Function that is called as ``task(context, block)`` and returns the block's table of numbers, booleans and
        texts.
    context
        First argument of the task, small and picklable: paths and options, never matrices.
    blocks
        Blocks that are wanted, finished or not.
    parts
        Parts into which their tables go.
    name
        Name of this share of the blocks, if several drivers have one each: ``progress.json`` and ``failed.json``
        beside the parts, which say how far it is and what was set aside, are called after it.
    groups
        Numbers of groups that are there although they may have no block; those of the blocks need not be named.
    leaf
        Whether nothing follows from its groups.
    """

    task: Task
    context: Any
    blocks: Sequence[Block]
    parts: Parts
    name: str = ""
    groups: Collection[int] = ()
    leaf: bool = False

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
    """What was done for one work.

    Attributes
    ----------
    n_blocks
        Blocks of the plan that were asked for.
    n_found
        Blocks of these whose part was there already.
    n_computed
        Blocks of these that this call computed.
    damaged
        Fault of each part that was there and was computed anew, by number of its block.
    failed
        Reason of each block that failed, by number.
    unfollowed
        Reason why a group was not gone on from, by number of the group.
    seconds
        Wall time, seconds.
    task_seconds
        Sum of the seconds that the tasks took.
    peak_mib
        Largest resident memory of a process that computed a block, MiB.
    """

    n_blocks: int = 0
    n_found: int = 0
    n_computed: int = 0
    seconds: float = 0.0
    task_seconds: float = 0.0
    peak_mib: float = 0.0
    damaged: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    unfollowed: dict[int, str] = field(default_factory=dict)

    def add(self, later: RunStats) -> None:
        """Add what another call on the same blocks did."""
        self.n_computed += later.n_computed
        self.seconds += later.seconds
        self.task_seconds += later.task_seconds
        self.peak_mib = max(self.peak_mib, later.peak_mib)
        self.damaged |= later.damaged
        self.failed = later.failed

    def raise_failures(self) -> None:
        """Raise what was set aside.

        Raises
        ------
        RunError
            If blocks failed; names the first.
        """
        if self.failed:
            names = [f"block {number}: {reason}" for number, reason in sorted(self.failed.items())]
            raise RunError(
                f"{len(self.failed)} of {self.n_blocks} blocks failed: {first_few(names, most=3)}. "
                "The others are finished and kept; the same command tries only these again"
            )
