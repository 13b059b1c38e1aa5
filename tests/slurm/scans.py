"""Scans on a real Slurm that tests do something to, and what has to be true at their end."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

import scanlink as sl

__all__ = ["Scan", "digest", "kill", "make_project", "worker_processes", "write_profile"]

# A hundred blocks of a tenth of a second or more.
OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {ladder: [[6000, null]], seed: 1, block_genes: 1}
report: false
"""

# For Dask's --preload: what a test does to a scan has to come before its end, however fast or busy the machine is.
PAUSE = """\
import time
from pathlib import Path
from scanlink.run import compute as place

compute = place.compute_block

def later(block, **words):
    time.sleep({seconds})
    while Path({hold!r}).exists():
        time.sleep(0.05)
    return compute(block, **words)

def dask_setup(worker):
    place.compute_block = later
"""


def make_project(folder: Path) -> Path:
    """Data and run.yaml, and ``reference``: the same run in this process, without Dask."""
    sl.ds.simulate(n_cells=1500, n_genes=26, n_peaks=80, n_links=20, n_interactions=0, seed=2).write(folder / "data")
    (folder / "run.yaml").write_text(OPTIONS)
    subprocess.run(command(folder, folder / "reference", "local"), check=True, capture_output=True)
    return folder


def command(project: Path, out: Path, cluster: str | Path) -> list[str]:
    words = [sys.executable, "-m", "scanlink", "run", project / "run.yaml", "--out", out, "--cluster", cluster]
    return [str(word) for word in words]


def write_profile(
    folder: Path, *, jobs: int = 3, pause: float = 0.2, array: dict[str, Any] | None = None, **options: Any
) -> Path:
    """A profile of small jobs on loopback, whose logs are in ``folder``; its workers wait before each block.

    They wait a little, and as long as there is a file ``hold`` beside the profile. ``array`` is for the second way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    preload = folder / "pause.py"
    preload.write_text(PAUSE.format(seconds=pause, hold=str(folder / "hold")))
    arguments = ["--preload", str(preload), *options.pop("worker_extra_args", [])]
    slurm = {
        "cores": 1,
        "processes": 1,
        "memory": "500MiB",
        "walltime": "00:20:00",
        "interface": "lo",
        "log-directory": str(folder / "jobs"),
        "worker-extra-args": arguments,
        **{key.replace("_", "-"): value for key, value in options.items()},
    }
    content = {
        "jobqueue": {"slurm": slurm},
        "distributed": {"scheduler": {"allowed-failures": 20}},
        "scanlink": {"jobs": jobs} | ({} if array is None else {"array": array}),
    }
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def digest(folder: Path, table: str = "links") -> str:
    return hashlib.sha256((folder / f"{table}.parquet").read_bytes()).hexdigest()


def worker_processes(job: str | None = None) -> list[psutil.Process]:
    """The processes that compute, children of Dask's nannies, of a Slurm job or of all."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if "spawn_main" not in " ".join(process.info["cmdline"] or []):
                continue
            about = process.environ()
            # Another Slurm of this machine has jobs of the same numbers.
            number = about.get("SLURM_JOB_ID")
            if about.get("SLURM_CONF") == os.environ["SLURM_CONF"] and number and job in (None, number):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill(process: psutil.Process | int) -> None:
    """SIGKILL for a process, which may have ended already."""
    with suppress(psutil.NoSuchProcess):
        (psutil.Process(process) if isinstance(process, int) else process).kill()


class Scan:
    """A ``scanlink run`` in a process of its own, which a ``with`` block ends if it has not ended by itself.

    Every part that was there at one time has to be the same file at the end: it was not computed again.
    """

    def __init__(self, project: Path, out: Path, profile: str | Path, *, log: Path | None = None) -> None:
        self.project, self.out, self.profile = project, out, profile
        self.log = log or out.with_suffix(".log")
        self.hold = Path(profile).with_name("hold")
        self.seen: dict[str, tuple[int, int]] = {}
        self.expect_anew: set[str] = set()
        self.said = ""
        self.found = self.computed = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Scan:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                command(self.project, self.out, self.profile), stdout=output, stderr=output, start_new_session=True
            )
        return self

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @contextmanager
    def held(self) -> Iterator[None]:
        """No worker goes on to another block while this block lasts, so that the scan cannot end before."""
        self.hold.touch()
        try:
            yield
        finally:
            self.hold.unlink()

    def parts(self) -> dict[str, tuple[int, int]]:
        """Number and time of the files of the parts that are there."""
        found = {}
        for path in self.out.glob("parts/scan-*/block-*.parquet"):
            about = path.stat()
            found[path.name] = (about.st_ino, about.st_mtime_ns)
        return found

    def look(self) -> int:
        """Note which parts are there."""
        now = self.parts()
        for name, about in now.items():
            self.seen.setdefault(name, about)
        return len(now)

    def wait_for(self, true: Callable[[], object], what: str, *, seconds: float = 400) -> None:
        assert self.process is not None
        end = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, f"it has ended before {what}:\n{self.output()}"
            assert time.monotonic() < end, f"{seconds:g} s are over, and it is not so that {what}:\n{self.output()}"
            time.sleep(0.1)

    def wait_for_parts(self, number: int) -> None:
        self.wait_for(lambda: self.look() >= number, f"{number} parts are there")

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, *, code: int = 0, seconds: float = 600) -> str:
        """Wait for its end; returns what it printed."""
        assert self.process is not None
        stop = time.monotonic() + seconds
        while self.process.poll() is None:
            self.look()
            assert time.monotonic() < stop, f"it has not ended after {seconds:g} s:\n{self.output()}"
            time.sleep(0.2)
        said = self.output()
        assert self.process.returncode == code, said
        counts = re.search(r"(\d+) blocks: (\d+) found finished, (\d+) computed", said)
        if counts:
            self.found, self.computed = int(counts[2]), int(counts[3])
        return said

    def assert_same_as(self, reference: Path, *, of: str) -> None:
        """The same bytes, and no finished part computed again; prints the counts."""
        assert digest(self.out) == digest(reference), "another table"
        now = self.parts()
        anew = {name for name, about in self.seen.items() if now.get(name) != about}
        print(
            f"{of}: {len(now)} blocks, {self.found} found finished by the last driver and {self.computed} computed, "
            f"{len(anew)} of {len(self.seen)} parts that were seen finished before computed again"
        )
        assert anew == self.expect_anew
