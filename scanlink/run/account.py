"""The driver's account of works: what is finished, what is left and how long it will take, and what is begun next."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from scanlink.errors import RunError, first_few
from scanlink.files import replace_file
from scanlink.run.blocks import Block
from scanlink.run.work import Done, Failed, Job, RunStats, Work

__all__ = ["Account", "CostModel", "Order"]

log = logging.getLogger("scanlink")

# When so many blocks failed and none did not, the rest would do the same.
_HOPELESS = 20
# Seconds of estimated cost that a group needs before its own ratio counts as much as that of all groups.
_WEIGHT = 30.0


class CostModel:
    """Ratio of measured to estimated seconds, by group, drawn towards that of all groups.

    ``seconds = cost * (took_g + w r) / (cost_g + w)`` with ``r = took / cost`` over all groups: groups differ in how
    well they are estimated, and a group of which little is known yet is taken to be like the others.
    """

    def __init__(self) -> None:
        self._cost: dict[int, float] = defaultdict(float)
        self._took: dict[int, float] = defaultdict(float)

    def observe(self, block: Block, seconds: float) -> None:
        """Take note that a block took so many seconds."""
        self._cost[block.group] += block.cost
        self._took[block.group] += seconds

    def seconds(self, block: Block) -> float:
        """Estimate the seconds that a block will take."""
        took, cost = self._took[block.group], self._cost[block.group]
        return block.cost * ((took + _WEIGHT * self.mean()) / (cost + _WEIGHT))

    def mean(self) -> float:
        """Return measured over estimated seconds of all blocks that are finished."""
        cost, took = sum(self._cost.values()), sum(self._took.values())
        return took / cost if cost > 0 and took > 0 else 1.0


class Account:
    """The driver's account of one work; making it reads every part that the work has already.

    A group is open until its blocks are done or set aside and the driver has closed it; the work is finished when all
    its groups are closed. ``place`` is the number of works that came before it; ``depth`` is 0 for a work that was
    given, 1 for one that followed from it, and so on.
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
        # Two tasks may be estimated on different scales.
        self.model = CostModel()
        # Jobs of the blocks that were not done when it began, and estimated seconds of those that still are not.
        self.pending = [Job(work, block) for block in work.blocks if block.number not in finished]
        self.left = sum(job.block.cost for job in self.pending)
        self._groups: dict[int, list[Block]] = {number: [] for number in work.groups}
        for block in work.blocks:
            self._groups.setdefault(block.group, []).append(block)
        # Numbers of the groups that are not closed.
        self.open = set(self._groups)
        self._n_unfinished = Counter(job.block.group for job in self.pending)
        cost: dict[int, float] = defaultdict(float)
        for _, block in self.pending:
            cost[block.group] += block.cost
        # The group with the most to do comes first.
        ordered = sorted(self._groups, key=lambda number: (-cost[number], number))
        self.rank = {number: rank for rank, number in enumerate(ordered)}
        self._computed: set[int] = set()
        self._recomputed: set[int] = set()
        self._traces: dict[int, str] = {}

    def record(self, event: Done | Failed) -> None:
        """Record what became of a block; raises RunError if every one of the first blocks failed."""
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


class Order:
    """Order in which blocks are begun; accounts may be added to it, and ``by_group`` is whether something follows from
    groups.

    Where nothing does, the longest first, so that no long one is left when the others are done.

    Where something does, the longest first would end all groups together, near the end, and what follows would wait for
    nearly everything. So group after group: what follows from a group before other groups, within a work the group with
    the most to do first, and in a group the longest first. A block that takes more than half of the time that the rest
    will take on these threads is begun before all others, so that no long one is left here either.
    """

    def __init__(self, accounts: Mapping[Work, Account], *, by_group: bool) -> None:
        self._accounts, self._by_group = accounts, by_group

    def sort(self, jobs: list[Job], *, threads: int = 0, late: Collection[Job] = ()) -> None:
        """Sort jobs in place; the next one is the last, from where it is taken.

        ``threads`` share them; 0 if there is one, or none yet. Jobs that are ``late`` come when the rest is done.
        """
        seconds = {job: self._accounts[job.work].model.seconds(job.block) for job in jobs}
        long = sum(seconds.values()) / threads / 2 if threads else float("inf")

        def key(job: Job) -> tuple[bool, float, int, int, int, float, int]:
            account, took = self._accounts[job.work], seconds[job]
            if not self._by_group:
                return job in late, 0.0, 0, 0, 0, -took, job.block.number
            urgent = -took if took > long else 0.0
            rank = account.rank[job.block.group]
            return job in late, urgent, -account.depth, account.place, rank, -took, job.block.number

        jobs.sort(key=key, reverse=True)
