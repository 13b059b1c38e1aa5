"""Submit the driver of a run as a Slurm job, or as a chain of jobs of which each goes on where the last one stopped."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from scanlink.cluster.profile import load_profile
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.submit_script import CORES, DriverJob, mebibytes
from scanlink.errors import OptionError, RunError
from scanlink.files import replace_file

__all__ = ["DriverJob", "driver_job", "job_name", "submit", "waiting_or_running"]


def job_name(folder: Path) -> str:
    """Name a run's driver jobs after its folder, with a hash of the whole path."""
    path = folder.resolve()
    word = re.sub(r"[^A-Za-z0-9_.]+", "-", path.name).strip("-.")[:40] or "run"
    return f"scanlink-{word}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}"


def driver_job(
    folder: Path,
    *,
    cluster: str = "local",
    walltime: str = "04:00:00",
    memory: str | None = None,
    cores: int | None = None,
    queue: str | None = None,
    account: str | None = None,
    links: int | None = None,
    extra: Sequence[str] = (),
) -> DriverJob:
    """Describe the job that runs the driver of a folder whose options are in ``logs/driver.yaml``.

    Parameters
    ----------
    folder
        Run folder.
    cluster
        Profile that says where the workers come from.
    walltime
        Wall time of one job, as Slurm writes it.
    memory
        Memory of one job, such as ``4GiB``; None takes 4 GiB for the driver, or for each worker of a local profile.
    cores
        Cores of one job; None takes one, or for a local profile as many as it has workers: 4 where it does not say.
    queue, account
        Partition and account; None takes those of the profile.
    links
        Most jobs of the chain; None for a single job.
    extra
        More options of sbatch, such as ``--qos=long``.

    Returns
    -------
    DriverJob
        A job that :func:`submit` takes.

    Raises
    ------
    OptionError
        If the profile, the memory or the wall time cannot be used.

    Examples
    --------
    >>> job = driver_job(Path("/data/my run"), cluster="local", cores=8, links=20)
    >>> job.name, job.memory, job.margin
    ('scanlink-my-run-7b70a9', 32768, 300)
    """
    folder = folder.resolve()
    profile = load_profile(cluster)
    local = profile.kind == "local"
    if cores is None:
        workers = profile.options.get("n_workers") if local else 1
        cores = workers if isinstance(workers, int) and workers > 0 else 4
    command = [sys.executable, "-m", "scanlink", "run", str(folder / "logs" / "driver.yaml"), "--out", str(folder)]
    return DriverJob(
        name=job_name(folder),
        folder=folder,
        command=[*command, "--workers", CORES] if local else command,
        workdir=Path.cwd(),
        walltime=walltime,
        memory=mebibytes("4GiB") * (cores if local else 1) if memory is None else mebibytes(memory),
        cores=cores,
        queue=queue or profile.options.get("queue") if profile.kind == "slurm" else queue,
        account=account or profile.options.get("account") if profile.kind == "slurm" else account,
        links=links,
        extra=tuple(extra),
        scheduler=profile.kind if profile.kind in SCHEDULERS else "slurm",
    )


def waiting_or_running(name: str) -> list[tuple[str, str]]:
    """List the jobs of a name in the queue, whoever submitted them: number, and state such as ``pending (Dependency)``.

    Raises RunError if Slurm does not answer.
    """
    lines = _slurm("squeue", "--noheader", f"--name={name}", "--format=%i|%T|%r").splitlines()
    jobs = []
    for line in lines:
        number, state, reason = line.split("|", 2)
        jobs.append((number, state.lower() + (f" ({reason})" if state == "PENDING" else "")))
    return sorted(jobs)


def submit(job: DriverJob, save_options: Callable[[Path], object]) -> str:
    """Write a driver's job script into its run folder, and submit it.

    Parameters
    ----------
    job
        Job from :func:`driver_job`.
    save_options
        Function that writes the options of the run to a path.

    Returns
    -------
    str
        Number of the job.

    Raises
    ------
    RunError
        If a driver of this folder is in the queue already, or Slurm does not take the job.
    OptionError
        If the job cannot be written as a script, or its queue is not Slurm.

    Examples
    --------
    >>> job = driver_job(Path("/data/my run"), cluster="pbs")
    >>> submit(job, lambda path: path.touch())
    Traceback (most recent call last):
    scanlink.errors.OptionError: jobs and chains of the driver are for Slurm; this profile is for pbs. ...
    """
    script = job.script()
    if job.scheduler != "slurm":
        program = SCHEDULERS[job.scheduler].submit
        raise OptionError(
            f"jobs and chains of the driver are for Slurm; this profile is for {job.scheduler}. What --dry-run prints "
            f"is a start: put the directives of {program} in place of #SBATCH. Or give scanlink run "
            "on a login node, in tmux (examples/cluster/login_node.sh)"
        )
    queued = waiting_or_running(job.name)
    if queued:
        jobs = ", ".join(f"job {number} is {state}" for number, state in queued)
        raise RunError(
            f"a driver of {job.folder} is in the queue already: {jobs}. Let it go on (scanlink status "
            f"{job.folder} tells how far it is), or stop it first: scancel --name={job.name}"
        )
    replace_file(job.logs / "driver.yaml", save_options)
    replace_file(job.path, lambda temporary: _executable(temporary, script))
    return _slurm("sbatch", "--parsable", str(job.path)).strip().partition(";")[0]


def _executable(path: Path, script: str) -> None:
    path.write_text(script)
    mode = path.stat().st_mode
    # Who may read it may run it.
    path.chmod(mode | (mode & 0o444) >> 2)


def _slurm(*words: str) -> str:
    if shutil.which(words[0]) is None:
        raise OptionError(
            f"{words[0]} is not there: a driver job needs Slurm. Give this command on a login node of the cluster, or "
            "see what it would submit with --dry-run"
        )
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RunError(
            f"{words[0]} refused ({done.stderr.strip() or f'exit code {done.returncode}'}): {' '.join(words)}"
        )
    return done.stdout
