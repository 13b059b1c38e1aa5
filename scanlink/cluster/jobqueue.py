"""Dask's clusters of jobs, without the faults that would end a scan, and its Adaptive in units of jobs."""

from __future__ import annotations

import importlib
import math
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import dask
from distributed.core import Status
from distributed.deploy.adaptive import Adaptive
from distributed.deploy.cluster import Cluster

from scanlink.cluster.addresses import has_address, own_address, with_own_address
from scanlink.cluster.defaults import exports
from scanlink.cluster.pages import LOOPBACK, NO_PAGES
from scanlink.cluster.schedulers import SCHEDULERS

if TYPE_CHECKING:
    from scanlink.cluster.keeper import Keeper
    from scanlink.cluster.security import Credentials

__all__ = [
    "JobAdaptive",
    "cluster_class",
    "import_jobqueue",
    "interface_of",
    "job_of",
    "job_script",
    "private",
    "scheduler_options",
]

# Options that are for the cluster, and not for its jobs.
_OF_CLUSTER = ("scheduler_options", "shared_temp_directory")
# Dask's own program for workers; of others not all options are known.
_WORKER = "distributed.cli.dask_worker"
# In a job, as scanlink.files.private_folder: workers take modules and pickles from where they keep their files.
_SCRATCH = (
    'SCANLINK_SCRATCH={}/scanlink-$(id -u); {{ (umask 077; mkdir -p "$SCANLINK_SCRATCH") && '
    '[ -O "$SCANLINK_SCRATCH" ] && [ ! -L "$SCANLINK_SCRATCH" ] && chmod 700 "$SCANLINK_SCRATCH"; }} || '
    'SCANLINK_SCRATCH=$(mktemp -d "$SCANLINK_SCRATCH-XXXXXX") || exit'
)


def import_jobqueue() -> Any:
    """Import dask-jobqueue, without what its import does besides.

    Version 0.9 puts its own handler of Ctrl-C in place, fails in any thread but the main one for that reason, and
    writes a file to ``~/.config/dask``.
    """
    if "dask_jobqueue" in sys.modules:
        return sys.modules["dask_jobqueue"]
    with _IMPORT_LOCK, _without_side_effects():
        return importlib.import_module("dask_jobqueue")


_IMPORT_LOCK = threading.Lock()


@contextmanager
def _without_side_effects() -> Iterator[None]:
    import dask.config

    handler, ensure = signal.signal, dask.config.ensure_file
    signal.signal = lambda *_: None  # type: ignore[assignment]
    dask.config.ensure_file = lambda *_, **__: None  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal, dask.config.ensure_file = handler, ensure


@cache
def cluster_class(kind: str) -> type[Any]:
    """Make dask-jobqueue's class for a queue fit for a :class:`~scanlink.cluster.keeper.Keeper`."""
    scheduler = SCHEDULERS[kind]
    base = getattr(import_jobqueue(), scheduler.dask_class)
    job = type(base.job_cls.__name__, (_KeptJob, base.job_cls), {})
    # The workers are named after the class.
    return type(base.__name__, (_KeptCluster, base), {"job_cls": job, "cancels_many": scheduler.cancels_many})


def private(kind: str, options: dict[str, Any], trust: Credentials, *, near: str | None = None) -> dict[str, Any]:
    """Have workers show credentials, listen on one network, and keep their pages and files to themselves.

    ``near`` is the address of the scheduler where their command does not have it.
    """
    words = [str(word) for word in options["worker_extra_args"]]
    if not any(word.startswith("--dashboard-address") for word in words):
        words += ["--dashboard-address", LOOPBACK]
        words += ["--no-dashboard"] if options.get("worker_command", _WORKER) == _WORKER else []
    words += [] if trust.files is None else trust.files.arguments()
    done = {**options, "worker_extra_args": words, "local_directory": '"$SCANLINK_SCRATCH"'}
    scratch = _SCRATCH.format(options["local_directory"])
    done["job_script_prologue"] = [*exports(NO_PAGES), *options["job_script_prologue"], scratch]
    if not interface_of(kind, options) and not has_address(words):
        done["near"] = near or True
    return done


def scheduler_options(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Have a scheduler of this process listen on the profile's network; without one, on that which leads out."""
    done = dict(options["scheduler_options"])
    if not done.get("host") and not done.get("interface"):
        interface = interface_of(kind, options)
        done |= {"interface": interface} if interface else {"host": own_address()}
    return done


def interface_of(kind: str, options: dict[str, Any]) -> str | None:
    """Find the network interface that a profile, or Dask's own configuration, names."""
    usual = dask.config.get(f"jobqueue.{SCHEDULERS[kind].section}.interface", None)
    interface: str | None = options.get("interface") or usual
    return interface


def job_script(kind: str, options: dict[str, Any], *, scheduler: str, name: str) -> str:
    """Write the script of a job that starts workers, by the complete options of a profile.

    ``scheduler`` is the address of the Dask scheduler, or the options by which a worker finds it; ``name`` the
    worker's.
    """
    keywords = {key: value for key, value in options.items() if key not in _OF_CLUSTER}
    return str(cluster_class(kind).job_cls(scheduler, name=name, **keywords).job_script())


def job_of(worker: Any, cluster: Any) -> str | None:
    """Find the name of the cluster's job that a worker belongs to; None if there is none.

    A worker is called as its job, with a number behind it where a job has several processes.
    """
    if worker in cluster.worker_spec:
        return str(worker)
    name, _, number = str(worker).rpartition("-")
    return name if number.isdigit() and name in cluster.worker_spec else None


class _KeptJob:
    """A job whose submission may fail without an end of the cluster.

    With ``near``, its workers listen where their host reaches the scheduler, or the address that is given.
    """

    refused: str | None = None  # What the queue said when it did not take the job.
    submitted: float = 0.0  # When it was handed in, by ``time.monotonic``.

    def __init__(
        self, scheduler: str | None = None, name: str | None = None, *, near: bool | str = False, **options: Any
    ) -> None:
        if near:
            line, words = with_own_address(options["python"], str(scheduler if near is True else near))
            options["job_script_prologue"] = [*options["job_script_prologue"], line]
            options["worker_extra_args"] = [*options["worker_extra_args"], *words]
        super().__init__(scheduler=scheduler, name=name, **options)  # type: ignore[call-arg]

    @contextmanager
    def job_file(self) -> Iterator[str]:
        """Write the job script where nobody else can put another: dask-jobqueue would only look for a free name."""
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as handle:
            handle.write(self.job_script())  # type: ignore[attr-defined]
            handle.flush()
            yield handle.name

    async def start(self) -> None:
        try:
            await super().start()  # type: ignore[misc]
        except (RuntimeError, ValueError, OSError) as error:
            # A RuntimeError of dask-jobqueue has the command, its output and then its error text.
            self.refused = str(error).rpartition("stderr:\n")[2].strip() or str(error)
            self.status = Status.running
        self.submitted = time.monotonic()

    async def close(self) -> None:
        await super().close()  # type: ignore[misc]
        # dask-jobqueue leaves it at running, which the end of a cluster takes for a fault.
        self.status = Status.closed


class _KeptCluster:
    """A cluster whose jobs are dropped and replaced by its keeper alone."""

    keeper: Keeper | None = None
    cancels_many = False

    def _get_worker_security(self, security: Any) -> None:
        """Leave credentials out of the jobs' options: their arguments have the paths, as a shell takes them."""

    def _update_worker_status(self, op: str, msg: Any) -> None:
        # SpecCluster would close the job of a lost worker, but only where a job has one process, and would then
        # submit one of the same name at some later time.
        Cluster._update_worker_status(self, op, msg)  # type: ignore[arg-type]

    def new_worker_spec(self: Any) -> dict[str, Any]:
        # A name is never used again: the scheduler refuses a worker whose name it still knows.
        name = self._new_worker_name(self._i)
        self._i += 1
        return {name: self.new_spec}

    async def _close(self: Any) -> None:
        if self.keeper is not None:
            await self.keeper.stop()
        await self._cancel_all()
        await super()._close()  # type: ignore[misc]

    async def _cancel_all(self: Any) -> None:
        """Cancel all jobs with one command, and not with one each."""
        if not self.cancels_many or self.status == Status.closed:
            return
        ids = [job.job_id for job in self.workers.values() if job.job_id]
        if ids:
            with suppress(RuntimeError, OSError):
                await self.job_cls._call([self.job_cls.cancel_command, *ids])
        for job in self.workers.values():
            job.job_id = None


class JobAdaptive(Adaptive):
    """Changes the number of jobs that a keeper keeps; ``options`` are those of Dask's class, in numbers of jobs.

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
        return set(self.keeper.at_work)

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
