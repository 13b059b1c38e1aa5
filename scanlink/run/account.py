"""The driver's account of one work: what is finished, what is left, and what went wrong."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict

from scanlink.errors import RunError, first_few
from scanlink.files import replace_file
from scanlink.run.blocks import Block
from scanlink.run.costs import CostModel
from scanlink.run.events import Done, Failed
from scanlink.run.work import Job, RunStats, Work

__all__ = ["Account"]

log = logging.getLogger("scanlink")

# When so many blocks failed and none did not, the rest would do the same.
_HOPELESS = 20


class Account:
    """The driver's account of one work; making it reads every part that the work has already.

    A group is open until its blocks are done or set aside and the driver has closed it; the work is finished when all
    its groups are closed.

    Parameters
    ----------
    work
        Work that is accounted for.
    place
        Number of works that came before it.
    depth
        0 for a work that was given, 1 for one that followed from it, and so on.

    Attributes
    ----------
    stats
        Figures for the caller in the end, and for those who watch meanwhile.
    model
        Model of how long its blocks take; two tasks may be estimated on different scales.
    left
        Estimated seconds of blocks that are neither done nor set aside.
    pending
        Jobs of the blocks that were not done when it began.
    open
        Numbers of the groups that are not closed.
    rank
        Place of each group among those of the work: the one with the most to do comes first.
    """

    def __init__(self, work: Work, *, place: int = 0, depth: int = 0) -> None:
        self.work, self.place, self.depth = work, place, depth
        self._begin = time.monotonic()
        finished, damaged = work.parts.inspect(work.blocks)
        self.stats = RunStats(n_blocks=len(work.blocks), n_found=len(finished), damaged=damaged)
        if finished:
            log.info("%d of %d blocks are finished already", len(finished), len(work.blocks))
        for number, fault in damaged.items():
            log.warning("the part of block %d is damaged and computed anew: %s", number, fault)
        self.model = CostModel()
        self.pending = [Job(work, block) for block in work.blocks if block.number not in finished]
        self.left = sum(job.block.cost for job in self.pending)
        self._groups: dict[int, list[Block]] = {number: [] for number in work.groups}
        for block in work.blocks:
            self._groups.setdefault(block.group, []).append(block)
        self.open = set(self._groups)
        self._n_unfinished = Counter(job.block.group for job in self.pending)
        cost: dict[int, float] = defaultdict(float)
        for _, block in self.pending:
            cost[block.group] += block.cost
        ordered = sorted(self._groups, key=lambda number: (-cost[number], number))
        self.rank = {number: rank for rank, number in enumerate(ordered)}
        self._computed: set[int] = set()
        self._recomputed: set[int] = set()
        self._traces: dict[int, str] = {}

    def record(self, event: Done | Failed) -> None:
        """Record what became of a block.

        Raises
        ------
        RunError
            If every one of the first blocks failed.
        """
        block, stats = event.job.block, self.stats
        self._n_unfinished[block.group] -= 1
        self.left -= block.cost
        if isinstance(event, Failed):
            stats.failed[block.number], self._traces[block.number] = event.reason, event.trace
            log.error("%s is set aside: %s", event.job, event.reason)
            self._give_up_if_hopeless()
            return
        if event.found_finished:
            # By a worker of this run, which died before it could say so.
            log.debug("the part of %s was there already", event.job)
        self._computed.add(block.number)
        stats.n_computed += 1
        stats.peak_mib = max(stats.peak_mib, event.mib)
        if event.seconds is not None and not event.found_finished:
            stats.task_seconds += event.seconds
            self.model.observe(block, event.seconds)

    def _give_up_if_hopeless(self) -> None:
        """Raise where every one of the first blocks failed."""
        if len(self.stats.failed) >= _HOPELESS and not self.stats.n_computed:
            reasons = list(self.stats.failed.values())
            raise RunError(
                f"the first {len(reasons)} blocks all failed, and none was computed: "
                f"{first_few(dict.fromkeys(reasons))}. Mend that first; the same command tries again"
            )

    def has_ended(self, group: int) -> bool:
        """Tell whether every block of the group is done or set aside."""
        return not self._n_unfinished[group]

    def unseen_parts(self, group: int) -> list[int]:
        """List blocks of the group that were computed elsewhere, and whose parts are not seen here yet, by number."""
        computed = {block.number for block in self._groups[group]} & self._computed
        return sorted(computed - self.work.parts.present()) if computed else []

    def describe_failures(self, group: int) -> str | None:
        """Say what of the group was set aside; None if nothing was."""
        n_failed = sum(block.number in self.stats.failed for block in self._groups[group])
        return f"{n_failed} of its {len(self._groups[group])} blocks were set aside" if n_failed else None

    def reopen(self, group: int) -> list[Job]:
        """Take back blocks of an ended group whose parts were altered since: they are computed again, but only once."""
        done, damaged = self.work.parts.inspect(self._groups[group])
        altered = [block for block in self._groups[group] if block.number not in done | self._recomputed]
        for block in altered:
            if block.number in self._computed:
                self._computed.remove(block.number)
                self.stats.n_computed -= 1
            else:
                self.stats.n_found -= 1
            self._recomputed.add(block.number)
            self._n_unfinished[group] += 1
            self.left += block.cost
        self.stats.damaged |= damaged
        return [Job(self.work, block) for block in altered]

    def close(self) -> None:
        """Leave failed.json beside the parts, or none if no block failed."""
        self.stats.seconds = time.monotonic() - self._begin
        path = self.work.parts.folder / f"failed{self.work.name}.json"
        if not self.stats.failed:
            path.unlink(missing_ok=True)
            return
        content = {
            str(number): {"reason": reason, "traceback": self._traces[number]}
            for number, reason in sorted(self.stats.failed.items())
        }
        text = json.dumps(content, indent=1)
        replace_file(path, lambda temporary: temporary.write_text(text))
