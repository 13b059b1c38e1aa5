"""Dask's Adaptive in units of jobs: as many as the work needs, between a minimum and a maximum."""

from __future__ import annotations

import math
from typing import Any

from distributed.deploy.adaptive import Adaptive

from scanlink.cluster.jobqueue import job_of
from scanlink.cluster.keeper import Keeper

__all__ = ["JobAdaptive"]


class JobAdaptive(Adaptive):
    """Changes the number of jobs that a keeper keeps.

    Parameters
    ----------
    cluster
        Cluster whose jobs are kept.
    keeper
        Keeper of that cluster, which submits.
    options
        Options of Dask's class; minimum and maximum are numbers of jobs.

    Notes
    -----
    Dask's own counts workers. Where a job has several it takes one that is late for a reason to cancel its job, with
    the others that run in it, and it does not see that a job is lost.
    """

    cluster: Any

    def __init__(self, cluster: Any, keeper: Keeper, **options: Any) -> None:
        self.keeper = keeper
        self.processes = int(keeper.profile.options["processes"])
        super().__init__(cluster, **options)

    @property
    def plan(self) -> set[Any]:
        return set(self.cluster.worker_spec)

    @property
    def requested(self) -> set[Any]:
        return set(self.cluster.workers) & set(self.cluster.worker_spec)

    @property
    def observed(self) -> set[Any]:
        return set(self.keeper.workers)

    async def target(self) -> int:
        """Count the jobs that the work needs."""
        return math.ceil(await super().target() / self.processes)

    async def recommendations(self, target: int) -> dict[str, Any]:
        # A lost job is replaced only if the work still needs it.
        self.keeper.wanted = max(target, len(self.plan))
        advice: dict[str, Any] = await super().recommendations(target)
        return advice

    async def workers_to_close(self, target: int) -> list[Any]:
        """Choose the jobs to end: those whose workers are idle."""
        scheduler, cluster = self.cluster.scheduler, self.cluster
        # The scheduler is in this process, and is asked directly: the function would not travel.
        names = scheduler.workers_to_close(
            target=target * self.processes, key=lambda state: job_of(state.name, cluster), attribute="name"
        )
        busy = {job_of(state.name, cluster) for state in scheduler.workers.values() if state.processing}
        return [name for name in {job_of(name, cluster) for name in names} if name is not None and name not in busy]

    async def scale_up(self, n: int) -> None:  # type: ignore[override]
        self.keeper.wanted = n

    async def scale_down(self, workers: list[Any]) -> None:  # type: ignore[override]
        """End jobs, after their results have been handed on."""
        jobs = set(workers)
        self.keeper.wanted = max(self.minimum, len(self.plan - jobs))
        names = [s.name for s in self.cluster.scheduler.workers.values() if job_of(s.name, self.cluster) in jobs]
        if names:
            await self.scheduler.retire_workers(names=names, remove=True, close_workers=True)
        await self.keeper.drop(jobs)
