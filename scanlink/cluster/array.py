"""The second way on Slurm: a job for the Dask scheduler, and an array of jobs for its workers."""

from __future__ import annotations

import logging
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanlink.cluster.addresses import own_address, with_own_address
from scanlink.cluster.defaults import exports
from scanlink.cluster.jobqueue import cluster_class, interface_of, job_script, private, scheduler_options
from scanlink.cluster.pages import LOOPBACK, PREFIX, announce, gated_scheduler, private_pages
from scanlink.cluster.profile import Profile
from scanlink.cluster.queues import how_it_ended, is_passing, list_jobs, run
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.security import Credentials, credentials
from scanlink.errors import OptionError, RunError
from scanlink.files import create_file

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["array_client", "scheduler_script", "worker_script"]

log = logging.getLogger("scanlink")

# Seconds between two questions to the queue, and between two attempts to reach it; and the number of these.
_PAUSE = 10.0
_ATTEMPTS = 30
# Time after which a scheduler without a driver and without work ends.
_IDLE = "1h"


@contextmanager
def array_client(profile: Profile, parent: Path) -> Iterator[Client]:
    """Submit scheduler and workers, and connect; both are cancelled at the end.

    How they find and know each other is in a private folder below ``parent``, which is removed.

    Raises RunError if Slurm refuses a job, or the scheduler does not start in time: says what its job waits for or died
    of.
    """
    from distributed import Client
    from distributed.utils import json_load_robust

    array = profile.array
    assert array is not None
    with ExitStack() as stack:
        trust = stack.enter_context(credentials(profile.protocol, parent))
        prefix = stack.enter_context(private_pages())
        if array.scheduler is None:
            try:
                stack.enter_context(_scheduler_here(profile, trust, prefix))
            except (ValueError, RuntimeError) as error:
                raise OptionError(f"profile {profile.name}: {error}") from error
            scheduler = None
        else:
            scheduler = _submit(stack, scheduler_script(profile, trust, prefix))
            log.info("submitted to slurm: %s, the Dask scheduler", scheduler)
            _wait(trust.scheduler_file, scheduler, array.wait)
        address = json_load_robust(trust.scheduler_file, timeout=60)["address"]
        workers = _submit(stack, worker_script(profile, trust, address))
        log.info("submitted to slurm: %s, an array of %d, %d at once", workers, array.size, profile.jobs.maximum)
        try:
            client: Any = stack.enter_context(Client(address, security=trust.security, timeout=60))
        except OSError as error:
            raise RunError(
                f"the Dask scheduler of job {scheduler} cannot be reached from this host: {error}"
            ) from error
        client.scanlink_problem = _Watch(client, scheduler, workers)
        announce(client)
        yield client


def worker_script(profile: Profile, trust: Credentials, address: str) -> str:
    """Write the job script of the array, whose scheduler is at ``address``."""
    options, array = private("slurm", profile.options, trust, near=address), profile.array
    assert array is not None
    elements = f"--array=0-{array.size - 1}%{profile.jobs.maximum}"
    options["job_extra_directives"] = [*options["job_extra_directives"], elements]
    # Slurm's variables are filled in by the job's shell. Without a letter Dask would read 27_0 as the number 270.
    name = '"element-${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"'
    file = shlex.quote(str(trust.scheduler_file))
    return job_script("slurm", options, scheduler=f"--scheduler-file {file}", name=name)


def scheduler_script(profile: Profile, trust: Credentials, prefix: str) -> str:
    """Write the job script of the Dask scheduler, with the settings of the profile's section ``distributed``.

    ``prefix`` is that of its pages.
    """
    options, array = profile.options, profile.array
    assert array is not None
    header = {key: options[key] for key in ("queue", "account", "log_directory", "shebang") if options.get(key)}
    keywords = {
        **header,
        "job_extra_directives": [SCHEDULERS["slurm"].no_requeue],
        "job_script_prologue": options["job_script_prologue"],
        **(array.scheduler or {}),
    }
    keywords["job_name"] = keywords.pop("name", f"{options['job_name']}-scheduler")
    prologue = keywords["job_script_prologue"]
    job = cluster_class("slurm").job_cls("", name="scheduler", processes=1, **keywords)
    python = keywords.get("python", options["python"])
    file = shlex.quote(str(trust.scheduler_file))
    words = [python, "-m", "scanlink.cluster.scheduler_job", "--scheduler-file", file, "--port", "0"]
    words += ["--dashboard-address", LOOPBACK]
    # What it writes, such as the scheduler file, is nobody else's.
    prologue = [*prologue, "umask 077", f"export {PREFIX}={prefix}"]
    network = keywords.get("interface") or interface_of("slurm", options)
    if network:
        words += ["--interface", network]
    else:
        line, where = with_own_address(python, f"tcp://{own_address()}:1")
        prologue, words = [*prologue, line], [*words, *where]
    words += [] if trust.files is None else trust.files.arguments()
    settings = {"distributed.scheduler.idle-timeout": _IDLE, **profile.config}
    lines = [str(job.job_header), *prologue, *exports(settings), " ".join(["exec", *words])]
    return "\n".join([str(job.shebang), "", *lines, ""])


def _submit(stack: ExitStack, script: str) -> str:
    """Hand a job script to Slurm, and return the number of the job, which is cancelled with the stack.

    A controller that is away is waited for.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as handle:
        handle.write(script)
        handle.flush()
        for attempt in range(_ATTEMPTS):
            code, out, err = run("sbatch", "--parsable", handle.name)
            if code == 0:
                job = out.strip().split(";")[0]
                stack.callback(run, "scancel", job)
                return job
            if not is_passing(err):
                break
            if attempt == 0:
                log.warning("slurm cannot be reached, and is tried again: %s", err.strip())
            time.sleep(_PAUSE)
    raise RunError(f"slurm refuses a job: {err.strip() or out.strip()}. Change the profile")


def _scheduler_here(profile: Profile, trust: Credentials, prefix: str) -> AbstractContextManager[Any]:
    from distributed import SpecCluster

    # Dask would write it as the umask says.
    create_file(trust.scheduler_file, 0o600)
    options = {
        "scheduler_file": str(trust.scheduler_file),
        "dashboard": True,
        "security": trust.security,
        "protocol": profile.protocol,
        **scheduler_options("slurm", profile.options),
    }
    spec = {"cls": gated_scheduler(prefix), "options": options}
    return SpecCluster(workers={}, scheduler=spec, security=trust.security, silence_logs="critical", name="scanlink")


def _wait(file: Path, job: str, seconds: float) -> None:
    """Wait for the scheduler file, as long as there is hope."""
    begin, next_look, hinted = time.monotonic(), 2.0, False
    while not file.is_file():
        waited = time.monotonic() - begin
        if waited >= next_look or waited >= seconds:
            states = list_jobs("slurm")
            state = None if states is None else states.get(job)
            if states is not None and state is None and not file.is_file():
                raise RunError(_how_scheduler_ended(job))
            now = "it cannot be seen" if state is None else f"it is {state.state} ({state.reason})"
            if waited >= seconds:
                raise RunError(
                    f"the Dask scheduler has not started after {waited:.0f} s: its job is {job}, and {now}. Give "
                    "scanlink.array.wait more seconds, or its job a shorter wall time; "
                    f"{file.parent.parent} has to be a folder that this host and the nodes see"
                )
            if waited > 30 and not hinted:
                hinted = True
                log.info("the Dask scheduler has not started yet: its job is %s, and %s", job, now)
            next_look = waited + min(_PAUSE, max(2.0, 0.2 * waited))
        time.sleep(0.2)


def _how_scheduler_ended(job: str) -> str:
    ended = how_it_ended("slurm", job)
    return f"the job of the Dask scheduler, {job}, {ended}; {ended.last_lines}"


@dataclass
class _Watch:
    """Says why there will be no more workers; asks the queue at most every ten seconds."""

    client: Any
    scheduler: str | None
    workers: str
    _last_look: float = field(default_factory=time.monotonic)
    _problem: str | None = None

    def __call__(self) -> str | None:
        if self._problem is None and time.monotonic() - self._last_look >= _PAUSE:
            self._last_look = time.monotonic()
            self._problem = self._look()
        return self._problem

    def _look(self) -> str | None:
        states = list_jobs("slurm")
        if states is None:
            return None
        if self.scheduler is not None and self.scheduler not in states:
            return _how_scheduler_ended(self.scheduler)
        if any(job.partition("_")[0] == self.workers for job in states):
            return None
        with suppress(OSError):
            if self.client.nthreads():
                return None
        ended = how_it_ended("slurm", self.workers)
        return (
            f"all elements of the array {self.workers} have ended, the last one {ended}; "
            f"{ended.last_lines}\nGive scanlink.array a larger size if they had work to do"
        )
