"""What the doctor does where workers are, and for comparison here: look, write, read, compute."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["answer", "clock", "compile_kernels", "look", "memory_limits", "mount_of", "speed"]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def look() -> dict[str, Any]:
    """Host, limits, threads and scratch of the process that this runs in.

    Returns
    -------
    dict
        ``host``; ``threads``: value of each variable that sets a number of threads; ``limits``: as
        :func:`memory_limits`; ``memory_limit`` (bytes, None outside a worker); ``nthreads``; ``scratch``, its free
        bytes and whether it can be written.

    Examples
    --------
    >>> look()["scratch_writable"]
    True
    """
    found: dict[str, Any] = {
        "host": socket.gethostname().partition(".")[0],
        "node": os.environ.get("SLURMD_NODENAME", ""),
        "threads": {name: os.environ.get(name) for name in _THREADS},
        "limits": memory_limits(),
        "memory_limit": None,
        "nthreads": None,
        "scratch": tempfile.gettempdir(),
    }
    worker = _worker()
    if worker is not None:
        found["memory_limit"] = worker.memory_manager.memory_limit
        found["nthreads"] = worker.state.nthreads
        found["scratch"] = worker.local_directory
    scratch = Path(found["scratch"])
    probe = scratch / f".scanlink-doctor-{uuid.uuid4().hex[:8]}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
        found["scratch_writable"] = True
    except OSError as error:
        found["scratch_writable"] = False
        found["scratch_error"] = error.strerror
    found["scratch_free"] = shutil.disk_usage(scratch).free if scratch.is_dir() else 0
    return found


def memory_limits() -> dict[str, int]:
    """Bytes that this process may use, by what limits it: ``ulimit -v`` and the cgroup, where they do.

    Examples
    --------
    >>> all(limit > 0 for limit in memory_limits().values())
    True
    """
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


def clock() -> float:
    """The time here, seconds since 1970."""
    return time.time()


def mount_of(path: str | Path) -> str:
    """Kind and place of the file system that a path is on, such as ``nfs4 at /home``.

    Examples
    --------
    >>> mount_of("/proc/self") in ("proc at /proc", "")
    True
    """
    best, kind = "", ""
    with suppress(OSError):
        real = os.path.realpath(path)
        for line in Path("/proc/mounts").read_text().splitlines():
            _, place, this = line.split()[:3]
            place = place.replace("\\040", " ")
            # Of mounts at one place the last hides the others.
            if len(place) >= len(best) and (real == place or real.startswith(place.rstrip("/") + "/")):
                best, kind = place, this
    return f"{kind} at {best}" if best else ""


def answer(folder: str, question: str, reply: str, patience: float = 10.0) -> dict[str, Any]:
    """Look for a file that the other side has written, and write one for it.

    Parameters
    ----------
    folder
        Where both are.
    question, reply
        Names of the files; the content of the second is that of the first, backwards.
    patience
        Seconds until the first has to be there.

    Returns
    -------
    dict
        ``text``: content of the first, None if it never appeared; ``seconds`` until it did; ``written``; ``nearest``:
        the folder, or the nearest above it that exists here; ``mount``: its file system.
    """
    path = Path(folder)
    nearest = next(place for place in [path, *path.parents] if place.exists())
    found: dict[str, Any] = {
        "text": None,
        "written": False,
        "error": "",
        "nearest": str(nearest),
        "mount": mount_of(nearest),
    }
    begin = time.monotonic()
    while path.is_dir():
        try:
            found["text"] = (path / question).read_text()
            break
        except OSError as error:
            found["error"] = error.strerror or str(error)
        if time.monotonic() - begin > patience:
            break
        time.sleep(0.05)
    found["seconds"] = time.monotonic() - begin
    if found["text"] is not None:
        try:
            (path / reply).write_text(found["text"][::-1])
            found["written"] = True
        except OSError as error:
            found["error"] = error.strerror or str(error)
    return found


def speed(folder: str, write: str | None, read: str | None, mib: int = 32) -> dict[str, float]:
    """Write a file, and read one that another host has written.

    Parameters
    ----------
    folder
        Where.
    write, read
        Names; None leaves it out.
    mib
        Size of the file that is written, MiB.

    Returns
    -------
    dict
        ``write`` and ``read`` in MiB/s, to the disk and, as far as the system obeys, from it.
    """
    rates = {}
    if write is not None:
        block = os.urandom(2**20)
        begin = time.monotonic()
        with open(Path(folder) / write, "wb") as file:
            for _ in range(mib):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        rates["write"] = mib / max(time.monotonic() - begin, 1e-6)
    if read is not None:
        with open(Path(folder) / read, "rb") as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin, size = time.monotonic(), 0
            while block := file.read(2**20):
                size += len(block)
        rates["read"] = size / 2**20 / max(time.monotonic() - begin, 1e-6)
    return rates


def compile_kernels() -> dict[str, Any]:
    """Fit, test and resample one pair of 500 cells, twice: the first time compiles, or reads what was compiled.

    Returns
    -------
    dict
        ``first`` and ``second``, seconds; ``cache``: the folder of machine code, or ""; ``memory``: resident bytes of
        this process afterwards, and of the nanny above it.

    Examples
    --------
    >>> times = compile_kernels()
    >>> 0 < times["second"] < times["first"] + 1
    True
    """
    begin = time.monotonic()
    import numpy as np

    from scanlink.stats import Covariates, GeneReplicates, Ladder, Weights, calibrated_p, climb
    from scanlink.stats._compile import cache_folder

    rng = np.random.default_rng(0)
    n = 500
    depth, opened = rng.normal(size=n), rng.random(n) < 0.2
    counts = rng.poisson(np.exp(-0.5 + 0.4 * depth + 0.5 * opened)).astype(float)
    design = np.column_stack([np.ones(n), opened, depth])

    def once() -> None:
        gene = GeneReplicates(Covariates.of(design[:, [0, 2]], np.zeros(n)), counts)
        climb([(gene, [gene.pair(opened)])], Ladder.of([(200, None)]), Weights(1, n))
        calibrated_p(counts, design, target=1)

    once()
    first, begin = time.monotonic() - begin, time.monotonic()
    once()
    return {
        "first": first,
        "second": time.monotonic() - begin,
        "cache": str(cache_folder() or ""),
        "memory": _resident(),
    }


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
