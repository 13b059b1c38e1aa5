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
    """What is known of a work; reads every part that it has already.

    A group is open until its blocks are done or set aside and the driver has closed it; the work is finished when all
    its groups are closed.

    Parameters
    ----------
    work
        Which.
    place
        Works that came before it.
    depth
        0 for a work that was given, 1 for one that followed from it, and so on.

    Attributes
    ----------
    stats
        Told to the caller in the end, and to those who watch meanwhile.
    model
        How long its blocks take; two tasks may be estimated on different scales.
    left
        Estimated seconds of blocks that are neither done nor set aside.
    pending
        Blocks that were not done when it began.
    open
        Numbers of the groups that are not closed.
    rank
        Place of each group among those of the work: the one with the most to do comes first.
    """

    def __init__(self, work: Work, *, place: int = 0, depth: int = 0) -> None:
        self.work, self.place, self.depth = work, place, depth
        self._begin = time.monotonic()
        done, damaged = work.parts.inspect(work.blocks)
        self.stats = RunStats(n_blocks=len(work.blocks), n_found=len(done), damaged=damaged)
        if done:
            log.info("%d of %d blocks are finished already", len(done), len(work.blocks))
        for number, fault in damaged.items():
            log.warning("the part of block %d is damaged and computed anew: %s", number, fault)
        self.model = CostModel()
        self.pending = [Job(work, block) for block in work.blocks if block.number not in done]
        self.left = sum(job.block.cost for job in self.pending)
        self._groups: dict[int, list[Block]] = {number: [] for number in work.groups}
        for block in work.blocks:
            self._groups.setdefault(block.group, []).append(block)
        self.open = set(self._groups)
        self._unsettled = Counter(job.block.group for job in self.pending)
        cost: dict[int, float] = defaultdict(float)
        for _, block in self.pending:
            cost[block.group] += block.cost
        ordered = sorted(self._groups, key=lambda number: (-cost[number], number))
        self.rank = {number: rank for rank, number in enumerate(ordered)}
        self._computed: set[int] = set()
        self._mended: set[int] = set()
        self._traces: dict[int, str] = {}

    def hear(self, event: Done | Failed) -> None:
        """Note what became of a block.

        Raises
        ------
        RunError
            If nothing but failures has been heard of the first blocks.
        """
        block, stats = event.job.block, self.stats
        self._unsettled[block.group] -= 1
        self.left -= block.cost
        if isinstance(event, Failed):
            stats.failed[block.number], self._traces[block.number] = event.reason, event.trace
            log.error("%s is set aside: %s", event.job, event.reason)
            self._give_up_if_hopeless()
            return
        if event.found:
            # By a worker of this run, which died before it could say so.
            log.debug("the part of %s was there already", event.job)
        self._computed.add(block.number)
        stats.n_computed += 1
        stats.peak_mib = max(stats.peak_mib, event.mib)
        if event.seconds is not None and not event.found:
            stats.task_seconds += event.seconds
            self.model.observe(block, event.seconds)

    def _give_up_if_hopeless(self) -> None:
        if len(self.stats.failed) >= _HOPELESS and not self.stats.n_computed:
            reasons = list(self.stats.failed.values())
            raise RunError(
                f"the first {len(reasons)} blocks all failed, and none was computed: "
                f"{first_few(dict.fromkeys(reasons))}. Mend that first; the same command tries again"
            )

    def settled(self, group: int) -> bool:
        """Whether every block of the group is done or set aside."""
        return not self._unsettled[group]

    def hidden(self, group: int) -> list[int]:
        """Numbers of blocks of the group that were computed elsewhere, and whose parts are not seen here yet."""
        wanted = {block.number for block in self._groups[group]} & self._computed
        return sorted(wanted - self.work.parts.present()) if wanted else []

    def losses(self, group: int) -> str | None:
        """What of the group was set aside, if anything."""
        lost = sum(block.number in self.stats.failed for block in self._groups[group])
        return f"{lost} of its {len(self._groups[group])} blocks were set aside" if lost else None

    def reopen(self, group: int) -> list[Job]:
        """Blocks of a settled group whose parts were altered since: they are to be computed again, but only once."""
        done, damaged = self.work.parts.inspect(self._groups[group])
        lost = [block for block in self._groups[group] if block.number not in done | self._mended]
        for block in lost:
            if block.number in self._computed:
                self._computed.remove(block.number)
                self.stats.n_computed -= 1
            else:
                self.stats.n_found -= 1
            self._mended.add(block.number)
            self._unsettled[group] += 1
            self.left += block.cost
        self.stats.damaged |= damaged
        return [Job(self.work, block) for block in lost]

    def end(self) -> None:
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
