"""Start one or two workers as a profile says, and find out why none comes."""

from __future__ import annotations

import getpass
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanlink.cluster.client import client as open_client
from scanlink.cluster.client import problem
from scanlink.cluster.doctor.remedies import last_words, remedy_for, remedy_for_reason
from scanlink.cluster.doctor.report import Report
from scanlink.cluster.doctor.slurm import run
from scanlink.cluster.profile import Profile, load_profile
from scanlink.cluster.queues import Ended, how_it_ended
from scanlink.cluster.walltime import format_walltime, seconds_of
from scanlink.errors import OptionError, RunError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["start", "workers_of"]

_WALLTIME = 600
_DEATH_TIMEOUT = 45


@contextmanager
def start(profile: Profile, report: Report, *, wait: float, workers: int) -> Iterator[Client | None]:
    """A client with at least one worker, or None and a fault that says why there is none.

    Parameters
    ----------
    profile
        What to start; jobs get a short wall time and a name of their own.
    report
        Gets the checks.
    wait
        Seconds until a worker has to be there.
    workers
        How many are waited for.
    """
    slurm = profile.kind == "slurm"
    name = f"scanlink-doctor-{os.getpid()}-{uuid.uuid4().hex[:4]}"
    with ExitStack() as stack:
        if slurm:
            # Whatever has this name at the end was started here.
            stack.callback(run, "scancel", f"--user={getpass.getuser()}", f"--name={name}")
            stack.enter_context(_job_name(name))
        begin = time.monotonic()
        client = None
        try:
            opened = stack.enter_context(_opened(profile, workers))
            if _waited(opened, name if slurm else None, report, begin, wait, workers, profile):
                client = opened
                number = len(workers_of(client))
                came = f"{number} worker{'' if number == 1 else 's'} {time.monotonic() - begin:.1f} s after submission"
                report.add("ok", "start", came)
        except (OptionError, RunError) as error:
            report.add("fault", "start", str(error), "mend the profile as the message says")
        yield client


@contextmanager
def _job_name(name: str) -> Iterator[None]:
    """Jobs that are submitted meanwhile have this name, whatever their script says."""
    before = os.environ.get("SBATCH_JOB_NAME")
    os.environ["SBATCH_JOB_NAME"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["SBATCH_JOB_NAME"]
        else:
            os.environ["SBATCH_JOB_NAME"] = before


@contextmanager
def _opened(profile: Profile, workers: int) -> Iterator[Any]:
    if profile.kind == "local":
        with open_client(profile.name, n_workers=workers) as client:
            yield client
        return
    if profile.kind == "running":
        with open_client(profile.name) as client:
            yield client
        return
    import dask

    from scanlink.cluster.client import _queue

    short = _shortened(profile, workers)
    # An array is tried as single jobs: they are the same, and there is no scheduler's job to wait for.
    with dask.config.set(short.config), _queue(replace(short, array=None)) as client:
        yield client


def _shortened(profile: Profile, workers: int) -> Profile:
    """The profile with few jobs, which are short so that they start soon, and give up soon."""
    jobs = -(-workers // int(profile.options.get("processes", 1)))
    changes: dict[str, Any] = {"jobs": jobs, "death_timeout": _DEATH_TIMEOUT}
    if "walltime" in profile.options:
        asked = seconds_of(profile.options["walltime"], profile.kind, where="walltime")
        if asked > _WALLTIME:
            try:
                walltime = format_walltime(_WALLTIME, profile.kind)
                return load_profile(profile.path or profile.name, walltime=walltime, **changes)
            except OptionError:
                # The profile gives its workers a lifetime of their own.
                pass
    return load_profile(profile.path or profile.name, **changes)


@dataclass(frozen=True)
class _Job:
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


def _waited(
    client: Any, name: str | None, report: Report, begin: float, wait: float, workers: int, profile: Profile
) -> bool:
    """Whether a worker has come; if not, there is a fault in the report."""
    jobs: list[_Job] = []
    while True:
        present = len(workers_of(client))
        waited = time.monotonic() - begin
        if present >= workers or (present and waited > wait):
            break
        if name is not None:
            jobs = _jobs(name)
            ended = next((job for job in jobs if job.ended), None)
            if ended is not None and not present:
                _say_ended(ended, report, profile)
                return False
        trouble = problem(client)
        if trouble and not present:
            report.add("fault", "start", trouble, remedy_for(trouble, profile))
            return False
        if waited > wait:
            _say_late(jobs, report, profile, waited)
            return False
        time.sleep(0.5)
    if present < workers:
        late = ", ".join(
            f"{job.number} is {job.state.lower()} ({job.reason})" for job in jobs if job.state != "RUNNING"
        )
        report.add("warning", "start", f"{present} of {workers} workers came in {wait:.0f} s: {late or 'others run'}")
    return True


def workers_of(client: Any) -> dict[str, Any]:
    """The workers of a client, by address."""
    # Without a number, the scheduler tells of five at most.
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


def _end_of(job: _Job, profile: Profile) -> Ended:
    # Slurm does not say the name of a log in which it has filled in the job's number itself.
    name = Path(str(profile.options.get("log_directory", "."))) / f"{profile.options.get('job_name')}-{job.number}"
    return how_it_ended("slurm", job.number, logs=[name.with_suffix(".err"), name.with_suffix(".out")])


def _say_ended(job: _Job, report: Report, profile: Profile) -> None:
    ended = _end_of(job, profile)
    words = last_words(ended)
    where = f" on {job.node}" if job.node else ""
    report.add(
        "fault",
        "start",
        f"job {job.number}{where} ended as {job.state} before a worker came from it; {words or 'it has left no log'}",
        remedy_for(ended.text, profile),
    )


def _say_late(jobs: list[_Job], report: Report, profile: Profile, waited: float) -> None:
    pending = [job for job in jobs if job.state == "PENDING"]
    running = [job for job in jobs if not job.ended and job.state != "PENDING"]
    if running:
        job = running[0]
        ended = _end_of(job, profile)
        words = last_words(ended)
        report.add(
            "fault",
            "start",
            f"job {job.number} runs on {job.node}, but after {waited:.0f} s no worker has come from it; "
            f"{words or 'its log is empty'}",
            "interface: a network that nodes and this host share; or a longer --wait, where programs load slowly",
        )
    elif pending:
        job = pending[0]
        report.add(
            "fault", "start", f"job {job.number} has waited {waited:.0f} s: {job.reason}", remedy_for_reason(job.reason)
        )
    else:
        report.add(
            "fault",
            "start",
            f"no worker has come in {waited:.0f} s",
            "look into the queue and at its logs"
            if profile.kind != "running"
            else "start workers: dask worker ADDRESS",
        )
