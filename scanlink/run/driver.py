"""The driver: has blocks computed, here or by the workers of a Dask client, and leaves one part a block.

It knows no statistics: any picklable function of a context and a block that returns a table will do. When a group of
blocks is complete, further work may follow from it while other groups are still computed.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from scanlink.errors import RunError, first_few
from scanlink.run.account import Account, Order
from scanlink.run.blocks import Block
from scanlink.run.compute import Here
from scanlink.run.farm import Farm
from scanlink.run.parts import PartError, Parts
from scanlink.run.progress import Progress
from scanlink.run.stop import raise_if_stopped
from scanlink.run.work import Event, RunStats, Task, Then, Tick, Work

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["run_blocks", "run_work"]

log = logging.getLogger("scanlink")

# A network file system may take a minute to show here what was written elsewhere. Seconds, and seconds between looks.
_SHOWN_WITHIN, _LOOK = 120.0, 1.0


def run_blocks(
    task: Task,
    context: Any,
    blocks: Sequence[Block],
    parts: Parts,
    *,
    client: Client | None = None,
    retries: int = 2,
    problem: Callable[[], str | None] = lambda: None,
    name: str = "",
) -> RunStats:
    """Compute the blocks of one work whose parts are not there yet, as :func:`run_work` does.

    A block that fails again and again is set aside, and does not keep the others from being computed. Its reason is in
    the log and in what is returned, and with its traceback in ``failed.json``.
    """
    work = Work(task, context, blocks, parts, name)
    return run_work([work], client=client, retries=retries, problem=problem)[work]


def run_work(
    works: Iterable[Work],
    *,
    client: Client | None = None,
    retries: int = 2,
    problem: Callable[[], str | None] = lambda: None,
    then: Then | None = None,
    completed: Callable[[Work, int], None] = lambda work, group: None,
) -> dict[Work, RunStats]:
    """Compute the blocks of some works whose parts are not there yet, and of the works that follow from their groups.

    Without a client they are computed in this process, one after another. Workers may come and go, and there need be
    none at first; a block that raised there is tried ``retries`` times more. ``problem`` is called now and then, such
    as :meth:`FolderLock.problem`; a text stops the run.

    ``then(work, group)`` is called in this process, once for each group of each work that is no leaf, when all blocks
    of that group have their parts and these are seen here: found finished, or computed. It returns further works, or
    none, whose blocks are computed while those of other groups still are. The workers have something to do meanwhile,
    but nothing is sent to them: it may take seconds, not minutes.

    ``completed(work, group)`` is called in the same way, before ``then``, for the groups of all works.

    Returns what was done for each work, in the order in which they became known. A group of which blocks were set aside
    is not gone on from, because what follows would be of a part of it only; ``unfollowed`` says so, and the same
    command goes on from it once the blocks succeed.

    Raises RunError if the run cannot go on: the folder is lost or full, the scheduler or all workers are lost for good,
    or every one of the first blocks of a work fails. What is finished is kept. What ``then`` raises ends the run in the
    same way; but a :class:`PartError`, where parts of that group were altered since they were written, has these
    computed anew and ``then`` called again, once.
    """
    accounts: dict[Work, Account] = {}
    # Longest first, unless something waits for a group to be complete.
    order = Order(accounts, by_group=then is not None)
    crew: Farm | Here = Here(order, problem=problem)
    if client is not None:
        crew = Farm(client, order, retries=retries, problem=problem)
    job = os.environ.get("SLURM_JOB_ID")
    dashboard = getattr(client, "scanlink_dashboard", getattr(client, "dashboard_link", None))
    with Progress(pid=os.getpid(), job=job, dashboard=dashboard) as progress, crew:
        driver = _Driver(crew, progress, accounts, then, completed)
        driver.add(works)
        while crew.busy or driver.waiting:
            for event in crew.step(wait=not driver.ready):
                # A block that failed may have failed of the signal.
                raise_if_stopped()
                driver.record(event)
            # Not more than one group a step, so that blocks are sent between them.
            driver.follow_one_group()
            driver.report_progress()
    return {work: account.stats for work, account in accounts.items()}


class _Driver:
    """What is known of the works, and where each group stands: open, ended, seen to be complete, closed."""

    def __init__(
        self,
        crew: Farm | Here,
        progress: Progress,
        accounts: dict[Work, Account],
        then: Then | None,
        completed: Callable[[Work, int], None],
    ) -> None:
        self._crew, self._progress, self._accounts = crew, progress, accounts
        self._then, self._completed = then, completed
        # Ended groups whose parts are not all seen here, with the time when that is too late.
        self._ended: list[tuple[Account, int, float]] = []
        # Complete groups that something may follow from.
        self.ready: deque[tuple[Account, int]] = deque()
        self._next_check = 0.0
        self._workers = self._threads = 1

    @property
    def waiting(self) -> bool:
        """Tell whether there are groups without open blocks to be dealt with."""
        return bool(self._ended or self.ready)

    def add(self, works: Iterable[Work], *, depth: int = 0) -> None:
        """Take works on, and have computed what is not finished of them."""
        for work in works:
            if any(work.marker == other.marker for other in self._accounts):
                raise ValueError(f"two works leave their parts in {work.parts.folder}: each needs a folder of its own")
            account = Account(work, place=len(self._accounts), depth=depth)
            self._accounts[work] = account
            # Before a block is sent: the workers look for the file.
            self._progress.add(account.stats, work.marker)
            self._crew.add(account.pending)
            for group in sorted(account.open, key=account.rank.__getitem__):
                self._note_if_ended(account, group)
            if not account.open:
                self._finish(account)
        self._check_ended()

    def record(self, event: Event) -> None:
        if isinstance(event, Tick):
            self._workers, self._threads = event.workers, event.threads
            return
        account = self._accounts[event.job.work]
        account.record(event)
        self._note_if_ended(account, event.job.block.group)

    def follow_one_group(self) -> None:
        """Look which groups are complete, and take on what follows from one of them."""
        self._check_ended()
        if not self.ready:
            return
        assert self._then is not None
        account, group = self.ready.popleft()
        try:
            works = list(self._then(account.work, group))
        except PartError as error:
            jobs = account.reopen(group)
            if not jobs:
                raise
            log.warning("%s", error)
            self._crew.add(jobs)
            return
        self.add(works, depth=account.depth + 1)
        self._close(account, group)

    def report_progress(self) -> None:
        """Report how far it is to those who watch."""
        accounts, seconds_left = self._accounts.values(), None
        if self._threads and any(account.stats.n_computed for account in accounts):
            seconds_left = sum(max(account.left, 0.0) * account.model.mean() for account in accounts) / self._threads
        self._progress.report(workers=self._workers, threads=self._threads, seconds_left=seconds_left)

    def _note_if_ended(self, account: Account, group: int) -> None:
        """Put a group whose blocks are all done or set aside among those to be checked."""
        if account.has_ended(group):
            self._ended.append((account, group, time.monotonic() + _SHOWN_WITHIN))
            self._next_check = 0.0

    def _check_ended(self) -> None:
        """Check which ended groups are complete: parts written on other hosts have to be seen on this one first."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _LOOK
        ended, self._ended = self._ended, []
        for account, group, too_late in ended:
            unseen = account.unseen_parts(group)
            if not unseen:
                self._complete(account, group)
            elif now < too_late:
                self._ended.append((account, group, too_late))
            else:
                raise RunError(
                    f"workers wrote {len(unseen)} parts that do not appear in {account.work.parts.folder} on this host "
                    f"(blocks {first_few(unseen)}): name a folder on a file system that driver and workers share"
                )

    def _complete(self, account: Account, group: int) -> None:
        """Have a group followed whose parts are all seen here, or close it where nothing follows."""
        failures = account.describe_failures(group)
        if failures is None:
            self._completed(account.work, group)
        if self._then is None or account.work.leaf:
            self._close(account, group)
        elif failures is not None:
            account.stats.unfollowed[group] = failures
            log.info("group %d of %s is not gone on from: %s", group, account.work.parts.folder.name, failures)
            self._close(account, group)
        else:
            self.ready.append((account, group))

    def _close(self, account: Account, group: int) -> None:
        """Close a group, and the work with its last one."""
        account.open.remove(group)
        if not account.open:
            self._finish(account)

    def _finish(self, account: Account) -> None:
        account.close()
        self._progress.finish(account.stats)
