"""Which block is begun next."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from scanlink.run.account import Account
from scanlink.run.work import Job, Work

__all__ = ["Order"]


class Order:
    """Order in which blocks are begun.

    Where nothing follows from a group, the longest first, so that no long one is left when the others are done.

    Where something does, the longest first would end all groups together, near the end, and what follows would wait for
    nearly everything. So group after group: what follows from a group before other groups, within a work the group
    with the most to do first, and in a group the longest first. A block that takes more than half of the time that
    the rest will take on these threads is begun before all others, so that no long one is left here either.

    Parameters
    ----------
    accounts
        Accounts of all works, with their estimates; more may come.
    by_group
        Whether something follows from groups.
    """

    def __init__(self, accounts: Mapping[Work, Account], *, by_group: bool) -> None:
        self._accounts, self._by_group = accounts, by_group

    def sort(self, jobs: list[Job], *, threads: int = 0, late: Collection[Job] = ()) -> None:
        """Sort jobs in place; the next one is the last, from where it is taken.

        Parameters
        ----------
        jobs
            Jobs that are not begun yet.
        threads
            Number of threads that share them; 0 if there is one, or none yet.
        late
            Jobs that come when the rest is done.
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
