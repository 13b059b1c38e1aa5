"""Check a profile before a person waits a night for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from scanlink.cluster.doctor import host, probe, slurm, workers
from scanlink.cluster.doctor.report import Case, Check, Report, Row, walk
from scanlink.cluster.doctor.start import start, workers_of
from scanlink.cluster.profile import Profile, load_profile
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.errors import OptionError

__all__ = ["Check", "Report", "doctor"]

# What is looked at before anything is started.
_BEFORE = (
    Row("cores", host.check_cores, kinds=("local",)),
    Row("memory", host.check_memory_of_machine, kinds=("local",)),
    Row("memory", host.check_memory_of_jobs, kinds=SCHEDULERS),
    Row("lifetime", host.check_lifetime, kinds=SCHEDULERS),
    Row("queue", slurm.check_queue, kinds=("slurm",)),
    Row("partition", slurm.check_partition, after="queue"),
    Row("job size", slurm.check_size, after="partition"),
    Row("wall time", slurm.check_walltime, after="partition"),
    Row("acceptance", slurm.check_acceptance, after="partition"),
    Row("network", host.check_network, kinds=SCHEDULERS),
    Row("log folder", host.check_log_folder, kinds=SCHEDULERS),
    Row("input", host.check_inputs),
    Row("run folder", host.check_folder),
    Row("space", host.check_space, after="run folder"),
    Row("kernels", host.check_kernels, kinds=("none",)),
)
# What is looked at on each worker.
_ON_WORKER = (
    Row("threads", workers.check_threads),
    Row("limits", workers.check_limits),
    Row("scratch", workers.check_scratch),
    Row("clock", workers.check_clock),
    Row("shared folder", workers.check_shared_folder),
    Row("speed", workers.check_speed, after="shared folder"),
    Row("input", workers.check_inputs),
    Row("kernels", workers.check_kernels),
    Row("memory used", workers.check_memory_used),
)


def doctor(
    profile: str | Path = "local",
    folder: str | Path | None = None,
    *,
    files: Iterable[str] = (),
    wait: float = 120.0,
    workers: int = 1,
    listener: Callable[[Check], object] | None = None,
) -> Report:
    """Look for everything that would keep a run from working with a profile.

    Parameters
    ----------
    profile
        Profile as for :func:`scanlink.cluster.client`.
    folder
        Run folder; made if need be, and left without a trace of the checks. None leaves its checks out.
    files
        Input files.
    wait
        Seconds until the first worker has to be there.
    workers
        How many are started: one, or two.
    listener
        Function that is called with each check when it is made.

    Returns
    -------
    Report
        The checks; ``report.ok`` tells whether there is no fault, ``print(report)`` shows the table.

    Notes
    -----
    What a queue says is looked at first; a job is submitted only if nothing is at fault there. All jobs are cancelled
    at the end.

    Examples
    --------
    >>> report = doctor("none")
    >>> [check.name for check in report.checks]
    ['profile', 'kernels']
    >>> print(doctor("nowhere"))
    FAULT    profile       cluster profile 'nowhere' is not known: ...
    1 fault, 0 warnings: nowhere cannot be used as it is
    """
    report = Report(str(profile), listener=listener)
    try:
        complete = load_profile(profile)
    except OptionError as error:
        report.add("fault", "profile", str(error), "correct it; cluster_configs/ has profiles to copy")
        return report
    report.add("ok", "profile", _describe(complete))
    case = Case(complete, report, None if folder is None else Path(folder).resolve(), list(files))
    walk(_BEFORE, case)
    if complete.kind == "none":
        return report
    if not report.ok:
        report.add("untried", "workers", "none is started before the faults above are mended")
        return report
    with start(complete, report, wait=wait, workers=workers) as client:
        if client is not None:
            for address in list(workers_of(client))[:workers]:
                _examine_worker(case, client, address)
    return report


def _describe(profile: Profile) -> str:
    where = f"{profile.path}: " if profile.path is not None else ""
    options = profile.options
    if profile.kind == "running":
        return f"{where}the scheduler at {profile.address}"
    if profile.kind in ("none", "local"):
        return f"{where}{'workers on this machine' if profile.kind == 'local' else 'no Dask, this process computes'}"
    low, high = profile.jobs.minimum, profile.jobs.maximum
    number = str(high) if low == high else f"{low} to {high}"
    return (
        f"{where}{profile.kind}, {number} jobs of {options['cores']} cores, {options['processes']} processes and "
        f"{options['memory']}, {options.get('walltime', 'no wall time')}"
        + (", as an array (tried as single jobs)" if profile.array is not None else "")
    )


def _examine_worker(case: Case, client: Any, address: str) -> None:
    def ask(function: Any, *words: Any, patience: float = 120.0) -> Any:
        return client.submit(function, *words, workers=[address], pure=False).result(timeout=patience)

    case.ask = ask
    try:
        walk([Row("versions", workers.check_versions)], case)
        if case.report.checks[-1].state == "fault":
            case.report.add("untried", "worker", "the rest is tried once both sides run the same programs")
            return
        case.worker = ask(probe.describe_process)
        walk(_ON_WORKER, case)
    except Exception as error:
        # Whatever it is, the user has to know where it was; workers that die show here as well.
        remedy = "memory: more, if workers die of want of it; else what the log of its job says"
        case.report.add("fault", "worker", f"{type(error).__name__}: {error}", remedy)
