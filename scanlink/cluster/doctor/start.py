"""Start one or two workers as a profile says, and find out why none comes."""

from __future__ import annotations

import getpass
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from scanlink.cluster.client import client as open_client
from scanlink.cluster.client import environment_kept, problem
from scanlink.cluster.doctor.report import Report, last_words, remedy_for, remedy_for_reason
from scanlink.cluster.doctor.slurm import run
from scanlink.cluster.profile import Profile, load_profile
from scanlink.cluster.queues import Ended, how_it_ended, logs_of
from scanlink.cluster.walltime import format_walltime, seconds_of
from scanlink.errors import OptionError, RunError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["start", "workers_of"]

_WALLTIME = 600
_DEATH_TIMEOUT = 45


@contextmanager
def start(profile: Profile, report: Report, *, wait: float, workers: int) -> Iterator[Client | None]:
    """Open a client with at least one worker, or None and a fault in the report that says why there is none."""
    name = f"scanlink-doctor-{os.getpid()}-{uuid.uuid4().hex[:4]}" if profile.kind == "slurm" else None
    with ExitStack() as stack:
        if name is not None:
            # Whatever has this name at the end was started here.
            stack.callback(run, "scancel", f"--user={getpass.getuser()}", f"--name={name}")
            stack.enter_context(environment_kept("SBATCH_JOB_NAME"))
            # It goes before what a job's script says.
            os.environ["SBATCH_JOB_NAME"] = name
        begin = time.monotonic()
        client = None
        try:
            client = stack.enter_context(_open_small(profile, workers))
            fault = _wait(client, name, report, begin, wait, workers, profile)
            if fault is not None:
                client = None
                report.add("fault", "start", *fault)
            else:
                number = len(workers_of(client))
                came = f"{number} worker{'' if number == 1 else 's'} {time.monotonic() - begin:.1f} s after submission"
                report.add("ok", "start", came)
        except (OptionError, RunError) as error:
            client = None
            report.add("fault", "start", str(error), "mend the profile as the message says")
        yield client


def _open_small(profile: Profile, workers: int) -> AbstractContextManager[Any]:
    """Open a client with few workers; jobs are short so that they start soon, and give up soon."""
    if profile.kind == "running":
        return open_client(profile.name)
    if profile.kind == "local":
        return open_client(profile.name, n_workers=workers)
    jobs = -(-workers // int(profile.options.get("processes", 1)))
    source, changes = profile.path or profile.name, {"jobs": jobs, "death_timeout": _DEATH_TIMEOUT}
    short = load_profile(source, **changes)
    if "walltime" in profile.options:
        seconds = seconds_of(profile.options["walltime"], profile.kind, where="walltime")
        # A profile that gives its workers a lifetime of their own keeps its wall time.
        with suppress(OptionError):
            if seconds > _WALLTIME:
                short = load_profile(source, walltime=format_walltime(_WALLTIME, profile.kind), **changes)
    # An array is tried as single jobs: they are the same, and there is no scheduler's job to wait for.
    return open_client(replace(short, array=None))


class _Job(NamedTuple):
    number: str
    state: str
    reason: str
    node: str

    @property
    def ended(self) -> bool:
        return self.state not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED")


def _jobs(name: str) -> list[_Job]:
    code, out = run("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%i|%T|%r|%N")
    return [_Job(*line.split("|", 3)) for line in out.splitlines() if line.count("|") >= 3] if code == 0 else []


def _wait(
    client: Any, name: str | None, report: Report, begin: float, wait: float, workers: int, profile: Profile
) -> tuple[str, str] | None:
    """Wait for workers; returns what is at fault if none comes, and what to change."""
    jobs: list[_Job] = []
    while True:
        present = len(workers_of(client))
        waited = time.monotonic() - begin
        if present >= workers:
            return None
        if present and waited > wait:
            break
        if name is not None:
            jobs = _jobs(name)
            ended = next((job for job in jobs if job.ended), None)
            if ended is not None and not present:
                return _of_ended(ended, profile)
        trouble = problem(client)
        if trouble and not present:
            return trouble, remedy_for(trouble, profile)
        if waited > wait:
            return _of_late(jobs, profile, waited)
        time.sleep(0.5)
    late = ", ".join(f"{job.number} is {job.state.lower()} ({job.reason})" for job in jobs if job.state != "RUNNING")
    report.add("warning", "start", f"{present} of {workers} workers came in {wait:.0f} s: {late or 'others run'}")
    return None


def workers_of(client: Any) -> dict[str, Any]:
    """List the workers of a client, by address."""
    # Without a number, the scheduler tells of five at most.
    return dict(client.scheduler_info(n_workers=-1)["workers"])


def _end_of(job: _Job, profile: Profile) -> Ended:
    # Slurm does not say the name of a log in which it has filled in the job's number itself.
    return how_it_ended("slurm", job.number, logs=logs_of(profile.options, job.number))


def _of_ended(job: _Job, profile: Profile) -> tuple[str, str]:
    ended = _end_of(job, profile)
    words = last_words(ended) or "it has left no log"
    where = f" on {job.node}" if job.node else ""
    text = f"job {job.number}{where} ended as {job.state} before a worker came from it; {words}"
    return text, remedy_for(ended.text, profile)


def _of_late(jobs: list[_Job], profile: Profile, waited: float) -> tuple[str, str]:
    for job in jobs:
        if not job.ended and job.state != "PENDING":
            words = last_words(_end_of(job, profile)) or "its log is empty"
            return (
                f"job {job.number} runs on {job.node}, but after {waited:.0f} s no worker has come from it; {words}",
                "interface: a network that nodes and this host share; or a longer --wait, where programs load slowly",
            )
    for job in jobs:
        if job.state == "PENDING":
            return f"job {job.number} has waited {waited:.0f} s: {job.reason}", remedy_for_reason(job.reason)
    remedy = (
        "start workers: dask worker ADDRESS" if profile.kind == "running" else "look into the queue and at its logs"
    )
    return f"no worker has come in {waited:.0f} s", remedy
