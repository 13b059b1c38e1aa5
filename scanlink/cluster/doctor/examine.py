"""Check a profile before a person waits a night for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from scanlink.cluster.doctor.host import check_address, check_folder, check_inputs, check_local, check_memory
from scanlink.cluster.doctor.probe import compile_kernels
from scanlink.cluster.doctor.report import Check, Report
from scanlink.cluster.doctor.slurm import check_slurm, elsewhere
from scanlink.cluster.doctor.start import start, workers_of
from scanlink.cluster.doctor.workers import check_worker
from scanlink.cluster.profile import Profile, load_profile
from scanlink.cluster.walltime import lifetime_of
from scanlink.errors import OptionError

__all__ = ["Check", "Report", "doctor"]

# A worker that leaves sooner has hardly begun.
_SHORT_LIFE = 300.0


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
        As for :func:`scanlink.cluster.client`.
    folder
        Run folder; made if need be, and left without a trace of the checks. None leaves its checks out.
    files
        Input files.
    wait
        Seconds until the first worker has to be there.
    workers
        How many are started: one, or two.
    listener
        Is told each check when it is made.

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
        found = load_profile(profile)
    except OptionError as error:
        report.add("fault", "profile", str(error), "correct it; cluster_configs/ has profiles to copy")
        return report
    report.add("ok", "profile", _describe(found))
    place = None if folder is None else Path(folder).resolve()
    nodes = []
    if found.kind == "local":
        check_local(found, report)
    elif found.kind not in ("none", "running"):
        check_memory(found, report)
        _lifetime(found, report)
        if found.kind == "slurm":
            nodes = elsewhere(check_slurm(found, report))
        check_address(found, nodes, report)
        _logs(found, report)
    check_inputs(list(files), report)
    if place is not None:
        check_folder(place, report)
    if not report.ok:
        if found.kind != "none":
            report.add("untried", "workers", "none is started before the faults above are mended")
        return report
    if found.kind == "none":
        times = compile_kernels()
        report.add("ok", "kernels", f"ready after {times['first']:.1f} s; machine code: {times['cache'] or 'not kept'}")
        return report
    with start(found, report, wait=wait, workers=workers) as client:
        if client is not None:
            for address in list(workers_of(client))[:workers]:
                check_worker(client, address, found, place, list(files), report)
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


def _lifetime(profile: Profile, report: Report) -> None:
    life = lifetime_of([str(word) for word in profile.options["worker_extra_args"]], where="worker-extra-args")
    if life is None:
        return
    shortest, longest = life.seconds - life.stagger, life.seconds + life.stagger
    said = f"workers take work for {shortest / 60:.0f} to {longest / 60:.0f} min of {profile.options['walltime']}"
    if shortest < _SHORT_LIFE:
        report.add(
            "warning", "lifetime", said + ", and starting one takes a good part of it", "walltime: an hour or more"
        )
    else:
        report.add("ok", "lifetime", said)


def _logs(profile: Profile, report: Report) -> None:
    folder = Path(str(profile.options.get("log_directory", "."))).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".scanlink-doctor"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        report.add(
            "fault",
            "log folder",
            f"{folder} cannot be written: {error.strerror or error}",
            "log-directory: a folder that you may write, and that the nodes see",
        )
        return
    report.add("ok", "log folder", f"{folder.resolve()} can be written here")
