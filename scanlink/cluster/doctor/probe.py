"""What the doctor does where workers are, and for comparison here: look, write, read, compute."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def describe_process() -> dict[str, Any]:
    """Describe this process: host, Slurm's node, variables of threads, limits in bytes, threads, and its scratch."""
    worker = _worker()
    scratch = Path(tempfile.gettempdir() if worker is None else worker.local_directory)
    scratch_error = None
    try:
        try_to_write(scratch)
    except OSError as error:
        scratch_error = str(error.strerror)
    return {
        "host": socket.gethostname().partition(".")[0],
        "node": os.environ.get("SLURMD_NODENAME", ""),
        "threads": {name: os.environ.get(name) for name in _THREADS},
        "limits": memory_limits(),
        "memory_limit": None if worker is None else worker.memory_manager.memory_limit,
        "nthreads": None if worker is None else worker.state.nthreads,
        "scratch": str(scratch),
        "scratch_error": scratch_error,
        "scratch_free": shutil.disk_usage(scratch).free if scratch.is_dir() else 0,
    }


@contextmanager
def files_in(folder: Path, *names: str) -> Iterator[list[Path]]:
    """Choose names of files in a folder that nobody else has, and remove the files at the end."""
    stem = f".scanlink-doctor-{uuid.uuid4().hex[:8]}"
    files = [folder / f"{stem}-{name}" for name in names]
    try:
        yield files
    finally:
        for file in files:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def try_to_write(folder: Path) -> None:
    """Write a file in a folder and remove it; raises OSError if that cannot be done."""
    probe = folder / f".scanlink-doctor-{uuid.uuid4().hex[:8]}"
    probe.write_bytes(b"x")
    probe.unlink()


def memory_limits() -> dict[str, int]:
    """Read the bytes that this process may use, by what limits it: ``ulimit -v`` and the cgroup, where they do."""
    limits = {}
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft != resource.RLIM_INFINITY:
        limits["ulimit -v"] = soft
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
            # The job's limit may stand above the step's.
            for folder in [Path(path.lstrip("/")), *Path(path.lstrip("/")).parents]:
                with suppress(OSError, ValueError):
                    size = int((Path("/sys/fs/cgroup") / root / folder / name).read_text())
                    # Without a limit, version 1 has a number as large as can be.
                    if size < 2**60:
                        limits["cgroup"] = min(size, limits.get("cgroup", size))
    return limits


def mount_of(path: str | Path) -> str:
    """Name the kind and place of the file system that a path is on, such as ``nfs4 at /home``.

    Examples
    --------
    >>> mount_of("/proc/self") in ("proc at /proc", "")
    True
    """
    longest, kind = "", ""
    with suppress(OSError):
        real = os.path.realpath(path)
        for line in Path("/proc/mounts").read_text().splitlines():
            _, place, kind_there = line.split()[:3]
            place = place.replace("\\040", " ")
            # Of mounts at one place the last hides the others.
            if len(place) >= len(longest) and (real == place or real.startswith(place.rstrip("/") + "/")):
                longest, kind = place, kind_there
    return f"{kind} at {longest}" if longest else ""


def seconds_until(path: Path, text: str, patience: float) -> float | None:
    """Wait until a file has this text, and return the seconds; None if it has not after so many."""
    begin = time.monotonic()
    while time.monotonic() - begin < patience:
        with suppress(OSError):
            if path.read_text() == text:
                return time.monotonic() - begin
        time.sleep(0.05)
    return None


def answer_file(folder: str, question: str, text: str, reply: str) -> dict[str, Any]:
    """Wait for a file that the other side has written, and write one for it, with the same text backwards.

    Returns the ``seconds`` until the file was there, None if it never was, the ``error`` of writing, the folder, or the
    ``nearest`` above it that exists here, and the file system that is its ``mount``.
    """
    path = Path(folder)
    nearest = next(place for place in [path, *path.parents] if place.exists())
    answer: dict[str, Any] = {"seconds": None, "error": "", "nearest": str(nearest), "mount": mount_of(nearest)}
    if path.is_dir():
        answer["seconds"] = seconds_until(path / question, text, 10.0)
    if answer["seconds"] is not None:
        try:
            (path / reply).write_text(text[::-1])
        except OSError as error:
            answer["error"] = error.strerror or str(error)
    return answer


def write_speed(path: str, mib: int = 32) -> float:
    """Write a file of so many MiB to the disk, and return the MiB/s."""
    block = os.urandom(2**20)
    begin = time.monotonic()
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return mib / max(time.monotonic() - begin, 1e-6)


def read_speed(path: str) -> float:
    """Read a file, as far as the system obeys from the disk, and return the MiB/s."""
    with open(path, "rb") as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin, size = time.monotonic(), 0
        while block := file.read(2**20):
            size += len(block)
    return size / 2**20 / max(time.monotonic() - begin, 1e-6)


def compile_kernels() -> dict[str, Any]:
    """Fit, test and resample one pair of 500 cells: this compiles, or reads what was compiled.

    Returns the ``seconds``, the ``cache`` of machine code, or "", and as ``memory`` the resident bytes of this process
    afterwards, with those of the nanny above it.
    """
    begin = time.monotonic()
    import numpy as np

    from scanlink.stats import Covariates, GeneReplicates, Ladder, Weights, calibrated_p, climb
    from scanlink.stats._compile import cache_folder

    rng = np.random.default_rng(0)
    n = 500
    depth, accessible = rng.normal(size=n), rng.random(n) < 0.2
    counts = rng.poisson(np.exp(-0.5 + 0.4 * depth + 0.5 * accessible)).astype(float)
    design = np.column_stack([np.ones(n), accessible, depth])

    gene = GeneReplicates(Covariates.of(design[:, [0, 2]], np.zeros(n)), counts)
    climb([(gene, [gene.pair(accessible)])], Ladder.of([(200, None)]), Weights(1, n))
    calibrated_p(counts, design, target=1)
    return {"seconds": time.monotonic() - begin, "cache": str(cache_folder() or ""), "memory": _resident()}


def _resident() -> int:
    import psutil

    process = psutil.Process()
    size = process.memory_info().rss
    if _worker() is not None:
        # The nanny counts for the queue, though not for Dask.
        with suppress(psutil.Error, AttributeError):
            size += process.parent().memory_info().rss
    return int(size)


def _worker() -> Any:
    try:
        from distributed import get_worker

        return get_worker()
    except (ImportError, ValueError):
        return None
