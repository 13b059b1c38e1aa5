"""A real Slurm for the tests of this folder: started once a session, always stopped."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# The daemons are where an ordinary user does not look.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Slurm:
    """What a test may ask of the Slurm that runs, and do to it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    def _ask(self, *command: str, check: bool = True) -> str:
        environment = {**os.environ, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, env=environment)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self, *, state: str = "PENDING,RUNNING", name: str | None = None) -> list[str]:
        """Ids of the jobs in these states, in order; elements of an array are each their own."""
        only = [] if name is None else [f"--name={name}"]
        lines = self._ask("squeue", "--noheader", "--array", f"--states={state}", "--format=%i", *only).split()
        return sorted(lines, key=lambda job: [int(n) for n in job.split("_")])

    def running_jobs(self, *, name: str | None = None) -> list[str]:
        """Ids of the jobs that run."""
        return self.jobs(state="RUNNING", name=name)

    def cancel(self, *jobs: str) -> None:
        """Cancel jobs as a user would."""
        self._ask("scancel", *jobs)

    def cancel_all(self) -> None:
        """Cancel every job, and wait until none runs; they may take a while to complete."""
        for job in self.jobs():
            self._ask("scancel", job, check=False)
        self.wait_until(lambda: not self.jobs(), "all jobs are gone")

    def set_time_limit(self, job: str, seconds: float) -> None:
        """Let a running job reach its wall time in so many seconds; Slurm looks only every 30 s."""
        end = (datetime.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        self._ask("scontrol", "update", f"JobId={job}", f"EndTime={end}")

    def field(self, job: str, name: str) -> str:
        """A field of ``scontrol show job``, such as ``JobState``."""
        words = self._ask("scontrol", "show", "job", job, "--oneliner").split()
        return dict(word.partition("=")[::2] for word in words).get(name, "")

    def node_of(self, job: str) -> str:
        """Node that a running job is on."""
        return self._ask("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()

    @contextmanager
    def controller_away(self) -> Iterator[Callable[[], None]]:
        """Slurm without its controller, until the block ends or the function that is given is called."""
        number = (self.folder / "run" / "slurmctld.pid").read_text().strip()
        os.kill(int(number), signal.SIGTERM)
        self.wait_until(lambda: not Path("/proc", number).exists(), "the controller has ended")
        environment = {**os.environ, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}
        program = shutil.which("slurmctld", path=PATH)
        gone = [True]

        def back() -> None:
            if gone:
                gone.clear()
                subprocess.run([program], check=True, capture_output=True, env=environment)

        try:
            yield back
        finally:
            back()

    @staticmethod
    def wait_until(true: Callable[[], object], what: str, *, seconds: float = 400) -> None:
        """Wait until something holds, or fail and say what did not; on a busy machine that may take its time."""
        begin = time.monotonic()
        while not true():
            if time.monotonic() - begin > seconds:
                pytest.fail(f"after {seconds:g} s it is still not so that {what}")
            time.sleep(0.25)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm of three nodes n1, n2, n3 with partitions debug, short (1 min) and preempt."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"Slurm is not installed: no {', '.join(missing)} (munge slurmctld slurmd slurm-client)")
    script = Path(__file__).with_name("slurm.sh")
    # Below /tmp: the path of a socket has to be short.
    kept = os.environ.get("SLURM_CI_DIR")
    folder = Path(kept or f"/tmp/scanlink-slurm-{os.getpid()}")
    port = os.environ.get("SLURM_CI_PORT") or str(20000 + 8 * (os.getpid() % 1500))
    settings = {**os.environ, "SLURM_CI_DIR": str(folder), "SLURM_CI_PORT": port, "SLURM_CI_NODES": "3"}
    # So that Slurm is stopped as well where a runner ends the tests.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        started = subprocess.run(["bash", script, "start"], check=False, capture_output=True, text=True, env=settings)
        assert started.returncode == 0, started.stderr
        yield Slurm(folder, tmp_path_factory.mktemp("home"))
    finally:
        signal.signal(signal.SIGTERM, before)
        subprocess.run(["bash", script, "stop"], check=False, capture_output=True, env=settings)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def slurm_environment(slurm: Slurm) -> Iterator[None]:
    """What a shell on that cluster has; home and Dask's configuration as in an account that is used the first time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm.folder / "etc" / "slurm.conf"))
        patch.setenv("HOME", str(slurm.home))
        patch.setenv("DASK_CONFIG", str(slurm.home / ".config" / "dask"))
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        yield


@pytest.fixture
def quiet_slurm(slurm: Slurm) -> Iterator[Slurm]:
    """The same Slurm, and no job of this test is left to the next."""
    yield slurm
    slurm.cancel_all()
    # What a test leaves open is warned of here, and not in one that comes later.
    gc.collect()
