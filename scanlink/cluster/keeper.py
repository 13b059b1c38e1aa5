"""Keep the number of jobs: replace the lost and the expired, and give up where none ever brings a worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scanlink.cluster.failures import PACE, Failures, Pace, explain, is_limit
from scanlink.cluster.jobqueue import job_of
from scanlink.cluster.queues import JobState, how_it_ended, is_passing, list_jobs, logs_of
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.walltime import lifetime_of
from scanlink.errors import RunError

if TYPE_CHECKING:
    from scanlink.cluster.profile import Profile

__all__ = ["Keeper"]

log = logging.getLogger("scanlink")


@dataclass
class _Life:
    """When workers of a job were seen first and last, by ``time.monotonic``."""

    first: float
    last: float


@dataclass
class Keeper:
    """Replaces the jobs of a cluster, whose class is from :func:`~scanlink.cluster.jobqueue.cluster_class`.

    It acts within the cluster's loop. A job is dropped when it was refused, when it has no worker and the queue has it
    no more, or when its workers have been away for a while. It has failed if it was refused, or ended without a worker
    or soon after one, unless it was taken away from outside (cancelled, preempted, node lost). Jobs that have not
    failed are replaced at once.
    """

    cluster: Any
    profile: Profile
    pace: Pace = field(default_factory=lambda: PACE)
    wanted: int = 0  # Number of jobs that is kept.
    problem: str | None = None  # Why no more jobs are submitted; None while all is well.
    _lives: dict[str, _Life] = field(default_factory=dict)
    _failures: Failures = field(default_factory=Failures)
    _states: dict[str, JobState] | None = None
    _list_at: float = 0.0
    _listed_at: float = 0.0
    _list_pause: float = 0.0
    _begin: float = field(default_factory=time.monotonic)
    _said_what_jobs_wait_for: bool = False
    _had_worker: bool = False
    _task: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def at_work(self) -> set[str]:
        """Names of the jobs that have workers."""
        names = (job_of(state.name, self.cluster) for state in self.cluster.scheduler.workers.values())
        return {name for name in names if name is not None}

    async def start(self) -> None:
        """Submit the first jobs, and look after them from now on; RunError if the queue refuses them all for good."""
        self.wanted = self.profile.jobs.minimum
        self._list_pause = self.pace.ask
        await self._submit()
        refused = [job.refused for job in self.cluster.workers.values()]
        if refused and all(why and not is_passing(why) and not is_limit(why) for why in refused):
            raise RunError(
                f"{self.profile.kind} refuses the jobs: {refused[0]}. Change the profile {self.profile.name}"
            )
        self._task = asyncio.ensure_future(self._look_on())

    async def stop(self) -> None:
        """End looking after the jobs."""
        self._stop.set()
        if self._task is not None:
            # A question to the queue is let come to its end, unless the queue does not answer.
            await asyncio.wait({self._task}, timeout=5)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def drop(self, names: Iterable[str]) -> None:
        """Cancel jobs and forget them."""
        for name in names:
            self.cluster.worker_spec.pop(name, None)
            self._lives.pop(name, None)
        await self.cluster._correct_state()

    async def _look_on(self) -> None:
        while not self._stop.is_set():
            try:
                await self.look()
            except Exception:
                log.warning("a look at the jobs of the cluster failed; the next follows", exc_info=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self.pace.look)

    async def look(self) -> None:
        """Look at workers and jobs, drop what is gone, and submit what is missing."""
        now = time.monotonic()
        lost = self._note_workers(now)
        alone = [name for name in self.cluster.workers if name not in self.at_work]
        if lost or (alone and now >= self._list_at):
            # Jobs that have lost their workers are on their way out; the others may be in the queue for long.
            leaving = any(name in self._lives for name in alone)
            self._list_pause = self.pace.ask if leaving else min(1.5 * self._list_pause, self.pace.ask_longest)
            self._states, self._listed_at = await asyncio.to_thread(list_jobs, self.profile.kind), now
            self._list_at = time.monotonic() + self._list_pause
        self._note_workers(time.monotonic())
        gone = [name for name in self.cluster.workers if self._is_gone(name)]
        if gone:
            await self._note_gone(gone)
            await self.drop(gone)
        self._forget_or_give_up()
        if self.problem is None and time.monotonic() >= self._failures.not_before:
            await self._submit()
        self._say_what_jobs_wait_for()

    def _note_workers(self, now: float) -> bool:
        """Write down which jobs have workers, and say whether one has lost its last since the look before."""
        present = self.at_work
        for name in present:
            self._lives.setdefault(name, _Life(now, now)).last = now
        if present and not self._had_worker:
            self._had_worker = True
            log.info("the first worker is there after %.0f s", now - self._begin)
        return any(name not in present and life.last >= self._listed_at for name, life in self._lives.items())

    def _is_gone(self, name: str) -> bool:
        job = self.cluster.workers[name]
        if job.refused is not None:
            return True
        if name in self.at_work:
            return False
        if self._states is not None and job.job_id not in self._states and job.submitted < self._listed_at:
            return True
        life = self._lives.get(name)
        return life is not None and time.monotonic() - life.last > self.pace.silent

    async def _note_gone(self, gone: list[str]) -> None:
        """Count the jobs that are gone as failures or as losses; a few stand for all."""
        failed = passing = ""
        new = False
        python = str(self.profile.options["python"])
        for name in gone[:3]:
            job, life = self.cluster.workers.get(name), self._lives.get(name)
            if job is None:
                continue
            if job.refused is not None:
                if is_passing(job.refused):
                    passing = job.refused
                else:
                    failed = f"{self.profile.kind} refuses the jobs: {job.refused}"
                    new |= job.submitted > self._failures.when
                continue
            ended = await asyncio.to_thread(
                how_it_ended, self.profile.kind, job.job_id, logs=logs_of(self.profile.options, job.job_id)
            )
            when = "" if life is not None else " before a worker came from it"
            log.info("job %s %s%s", job.job_id, ended, when)
            young = life is None or life.last - life.first < self._shortest_life()
            if young and not ended.from_outside:
                failed = f"job {job.job_id} {ended}{when}{explain(ended, python)}"
                new |= job.submitted > self._failures.when
        # Jobs that were submitted before the last failure belong to that one.
        if failed and new:
            self._failures.note(failed, self.pace)
        elif passing:
            self._failures.note_passing(f"{self.profile.kind} cannot be reached: {passing}", self.pace)

    def _shortest_life(self) -> float:
        lifetime = lifetime_of([str(a) for a in self.profile.options["worker_extra_args"]], where="")
        return min(self.pace.young, self.pace.young if lifetime is None else 0.5 * lifetime.seconds)

    def _forget_or_give_up(self) -> None:
        """Forget failures once a later job does well; give up if there is nothing left to hope for."""
        failures, young = self._failures, self._shortest_life()
        grown = [
            self.cluster.workers.get(name) for name, life in self._lives.items() if life.last - life.first >= young
        ]
        if any(job is not None and job.submitted > failures.when for job in grown):
            failures.count = 0
        if failures.count >= self.pace.attempts and not self.cluster.worker_spec:
            self.problem = f"no worker has come in {failures.count} attempts: {failures.why}"
        reasons = self._reasons()
        never = SCHEDULERS[self.profile.kind].never
        if 0 < len(reasons) == len(self.cluster.workers) and all(reason in never for reason in reasons.values()):
            job, reason = next(iter(reasons.items()))
            self.problem = f"{len(reasons)} jobs pend and will never start: {reason} (job {job}). Change the profile"

    def _reasons(self) -> dict[str, str]:
        """Say why each job pends that the queue was asked about."""
        ids = [job.job_id for job in self.cluster.workers.values()]
        states = {} if self._states is None else self._states
        return {i: states[i].reason for i in ids if i in states and states[i].pending}

    def _say_what_jobs_wait_for(self) -> None:
        early = time.monotonic() - self._begin < self.pace.hint
        if self._said_what_jobs_wait_for or self._had_worker or early or not self.cluster.workers:
            return
        self._said_what_jobs_wait_for = True
        reasons = self._reasons()
        shown = ", ".join(f"{job} ({reason})" if reason else job for job, reason in list(reasons.items())[:5])
        pending = f"jobs {shown}{' and more' if len(reasons) > 5 else ''} pend" if reasons else "jobs run or start"
        total = self.wanted * self.profile.options["processes"]
        log.info("0 of %d workers yet: %s; the work begins with the first", total, pending)

    async def _submit(self) -> None:
        missing = min(self.wanted - len(self.cluster.worker_spec), self.pace.at_once)
        if missing <= 0:
            return
        before = set(self.cluster.workers)
        for _ in range(missing):
            self.cluster.worker_spec.update(self.cluster.new_worker_spec())
        await self.cluster._correct_state()
        new = [job for name, job in self.cluster.workers.items() if name not in before and job.refused is None]
        if new:
            self._failures.passing = 0
            self._list_pause, self._list_at = self.pace.ask, time.monotonic() + self.pace.ask
            more = " and more" if len(new) > 5 else ""
            log.info("submitted to %s: %s%s", self.profile.kind, ", ".join(str(job.job_id) for job in new[:5]), more)
