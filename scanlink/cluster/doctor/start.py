"""Start one or two workers as a profile says, and find out why none comes."""

from __future__ import annotations

import getpass
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from scanlink.cluster.client import client as open_client
from scanlink.cluster.client import environment_kept, problem
from scanlink.cluster.doctor.report import Report
from scanlink.cluster.doctor.slurm import run
from scanlink.cluster.profile import Profile, load_profile
from scanlink.cluster.queues import Ended, how_it_ended, logs_of
from scanlink.cluster.walltime import format_walltime, seconds_of
from scanlink.errors import OptionError, RunError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["last_words", "remedy_for", "remedy_for_reason", "start", "workers_of"]

_WALLTIME = 600
_DEATH_TIMEOUT = 45
_LONGER = "wait longer (--wait), or ask for less of cores, memory and walltime"
# What the last words of a job mean, and what to change; the first that fits.
_LAST_WORDS = {
    r"No module named '?(distributed|dask|tornado|msgpack)": "python: an interpreter that has scanlink and Dask, such "
    "as {here}; the profile's is {python}",
    r"Invalid value for '--tls": "shared-temp-directory: a folder that the nodes see too, for the credentials of the "
    "workers; left out, it is log-directory",
    r"is not a valid network interface": "interface: one that the nodes have too; they have those that the line lists",
    r"mktemp: ": "local-directory: a folder of the node that you may write",
    r"(Timed out|timed out|Connection refused|No route to host|unreachable|Name or service not known)": "interface: a "
    "network that nodes and this host share (ib0, eno1, ...); or ask whether a firewall closes the ports between them, "
    "and run the driver in a job then (scanlink submit)",
    r"(MemoryError|\boom|OOM|Out Of Memory|memory limit|Cannot allocate memory|\bKilled\b)": "memory: more; what takes "
    "more than its job asked for is killed",
    r"(No such file or directory|not found|Permission denied|cannot execute)": "python: one that the nodes can start, "
    "on a file system that they share; here {here} runs. If the line names another file, correct job-script-prologue",
}
# What Slurm says of a job that waits, and what to change.
_REASONS = {
    "Resources": f"the nodes are busy: {_LONGER}",
    "Priority": f"other jobs go first: {_LONGER}",
    "PartitionDown": "queue: another partition; this one is down",
    "PartitionInactive": "queue: another partition; this one is inactive",
    "PartitionTimeLimit": "walltime: less than the partition allows",
    "ReqNodeNotAvail": "nodes are away or reserved, for maintenance perhaps (scontrol show reservation): a shorter "
    "walltime may fit before it",
    "BadConstraints": "job-extra-directives: what they ask for is on no node",
    "InvalidAccount": "account: one of yours",
    "InvalidQOS": "job-extra-directives: a --qos of yours",
}
# How Python says what went wrong: the cause stands above what followed from it.
_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Killed\w*): .*$", re.MULTILINE)


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
            opened = stack.enter_context(_open_small(profile, workers))
            fault = _wait(opened, name, report, begin, wait, workers, profile)
            if fault is not None:
                report.add("fault", "start", *fault)
            else:
                client, number = opened, len(workers_of(opened))
                came = f"{number} worker{'' if number == 1 else 's'} {time.monotonic() - begin:.1f} s after submission"
                report.add("ok", "start", came)
        except (OptionError, RunError) as error:
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


def last_words(ended: Ended) -> str:
    """Quote the lines of a job's log that say what went wrong, or if none does its last ones; empty without a log.

    Examples
    --------
    >>> from pathlib import Path
    >>> log = "Traceback ...\\n  File ...\\nValueError: 'ib0' is not there\\n\\nRuntimeError: Nanny failed to start.\\n"
    >>> print(last_words(Ended("FAILED", "1:0", "n1", Path("a.err"), log)))
    its log, a.err, says:
      ValueError: 'ib0' is not there
      RuntimeError: Nanny failed to start.
    """
    errors = list(dict.fromkeys(_ERROR.findall(ended.text)))
    if not errors:
        return ended.last_lines
    return f"its log, {ended.log}, says:\n" + "\n".join(f"  {line[:200]}" for line in errors[-4:])


def remedy_for(words: str, profile: Profile) -> str:
    """Say what to change, from the log of a job."""
    for pattern, remedy in _LAST_WORDS.items():
        if re.search(pattern, words):
            return remedy.format(here=sys.executable, python=profile.options.get("python"))
    if not words:
        return f"log-directory: a folder that the nodes see too; it is {profile.options.get('log_directory')}"
    return "what the last lines of its log say"


def remedy_for_reason(reason: str) -> str:
    """Say what to change, from the reason for which Slurm lets a job wait."""
    for word, remedy in _REASONS.items():
        if word in reason:
            return remedy
    if re.search(r"QOS|Assoc|Limit", reason):
        return (
            "jobs, cores or memory: fewer; a limit of your account is reached (sacctmgr show associations user=$USER)"
        )
    return "man squeue, JOB REASON CODES, says what it means"
