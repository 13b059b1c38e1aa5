"""What the doctor looks at where a worker is: folders on both sides, limits, clock, kernels."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from scanlink.cluster.doctor import probe as probe
from scanlink.cluster.doctor.report import Report, gib
from scanlink.cluster.doctor.versions import Ask, check_versions, versions
from scanlink.cluster.profile import Profile
from scanlink.errors import first_few

__all__ = ["check_worker"]

# Slower than this, MiB/s, the reading of a store is what a scan waits for.
_SLOW = 20.0
_SKEW = 2.0


def check_worker(
    client: Any, address: str, profile: Profile, folder: Path | None, files: list[str], report: Report
) -> None:
    """Everything that is looked at on one worker.

    Parameters
    ----------
    client
        With that worker.
    address
        Of the worker.
    profile
        What it should be.
    folder
        Run folder; None leaves its checks out.
    files
        Input files.
    report
        Gets the checks.
    """

    def ask(function: Any, *words: Any, patience: float = 120.0) -> Any:
        return client.submit(function, *words, workers=[address], pure=False).result(timeout=patience)

    try:
        if not check_versions(versions(), versions(ask), report):
            report.add("untried", "worker", "the rest is tried once both sides run the same programs")
            return
        there = ask(probe.look)
        _limits(there, profile, report)
        _clock(ask, report)
        if folder is not None:
            _folder(ask, there["host"] + (f" ({there['node']})" if there["node"] else ""), folder, report)
        blind = [file for file in files if not ask(os.access, file, os.R_OK)]
        if blind:
            report.add(
                "warning",
                "input",
                f"not to be read on the worker: {first_few(blind, most=3)}",
                "nothing for a driver on this host; a driver that is a job itself (scanlink submit) needs them there",
            )
        _kernels(ask, there, report)
    except Exception as error:
        # Whatever it is, the user has to know where it was; workers that die show here as well.
        report.add(
            "fault",
            "worker",
            f"{type(error).__name__}: {error}",
            "memory: more, if workers die of want of it; else what the log of its job says",
        )


def _limits(there: dict[str, Any], profile: Profile, report: Report) -> None:
    threads = {name: value for name, value in there["threads"].items() if value != "1"}
    if threads:
        said = ", ".join(f"{name} is {value or 'not set'}" for name, value in threads.items())
        report.add(
            "warning",
            "threads",
            f"{said}: each process may start as many threads as its node has cores",
            f"job-script-prologue: export {' '.join(f'{name}=1' for name in threads)}",
        )
    elif there["nthreads"] != 1:
        report.add(
            "warning",
            "threads",
            f"{there['nthreads']} threads in one process of the worker: they wait for each other",
            "processes: as many as cores",
        )
    else:
        report.add("ok", "threads", "one a process, for numba and BLAS as well")
    limit = there["memory_limit"]
    if not limit:
        report.add(
            "warning", "limits", "the worker has no memory limit: it is not restarted before the machine is full"
        )
    tight = {name: size for name, size in there["limits"].items() if limit and size < 0.98 * limit}
    if tight:
        said = ", ".join(f"{name} of {gib(size)}" for name, size in tight.items())
        report.add(
            "fault",
            "limits",
            f"the worker thinks that it has {gib(limit)}; there is a {said}: it will be killed",
            f"memory: {gib(min(tight.values()))} or less; or job-mem: more than memory",
        )
    elif limit:
        said = ", ".join(f"{name} {gib(size)}" for name, size in there["limits"].items()) or "none of the system"
        report.add("ok", "limits", f"{gib(limit)} a worker; limits around it: {said}")
    if not there["scratch_writable"]:
        report.add(
            "fault",
            "scratch",
            f"{there['scratch']} cannot be written on the worker: {there['scratch_error']}",
            "local-directory: a folder of the node that you may write",
        )
    elif there["scratch_free"] < 2**30:
        report.add(
            "warning",
            "scratch",
            f"{there['scratch']} on the worker has {gib(there['scratch_free'])} free",
            "local-directory: a folder of the node with more room",
        )
    else:
        report.add(
            "ok", "scratch", f"{there['scratch']} on the worker can be written, {gib(there['scratch_free'])} free"
        )


def _clock(ask: Ask, report: Report) -> None:
    trips = []
    for _ in range(3):
        begin = time.time()
        there = ask(probe.clock)
        end = time.time()
        trips.append((end - begin, there - (begin + end) / 2))
    trip, skew = min(trips)
    said = f"the worker's clock is {abs(skew):.2f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > max(_SKEW, trip):
        report.add("warning", "clock", said, "ask the staff to set the clocks (ntp); times in logs do not fit together")
    else:
        report.add("ok", "clock", f"{said}; an answer takes {1000 * trip:.0f} ms")


def _folder(ask: Ask, host: str, folder: Path, report: Report) -> None:
    stem = f".scanlink-doctor-{uuid.uuid4().hex[:8]}"
    question, reply, ours, theirs = (f"{stem}-{part}" for part in ("question", "reply", "ours", "theirs"))
    try:
        # Its absence is known here now, which NFS may remember for a while after it has appeared.
        assert not (folder / reply).exists()
        text = uuid.uuid4().hex
        (folder / question).write_text(text)
        found = ask(probe.answer, str(folder), question, reply)
        if found["text"] != text:
            same = f"that folder is another one there ({found['mount']})"
            report.add(
                "fault",
                "shared folder",
                f"the worker on {host} does not see what is written here in {folder}: "
                + (same if found["nearest"] == str(folder) else f"there is only {found['nearest']} ({found['mount']})"),
                f"--out: a folder on a file system that nodes and this host share; here it is {probe.mount_of(folder)}",
            )
            return
        if not found["written"]:
            report.add(
                "fault",
                "shared folder",
                f"the worker on {host} sees {folder} but cannot write it: {found['error']}",
                "its rights, or another folder with --out",
            )
            return
        delay = _delay(folder / reply, text[::-1])
        if delay is None:
            report.add(
                "fault",
                "shared folder",
                f"what the worker on {host} writes in {folder} is not seen here after 60 s",
                "--out: a folder on a file system that both sides share",
            )
            return
        said = (
            f"both sides see {folder}; a file from here is there after {found['seconds']:.2f} s, "
            f"one from there is here after {delay:.2f} s"
        )
        if delay > 30:
            report.add("warning", "shared folder", said, "a mount with a shorter actimeo (ask the staff)")
        else:
            report.add("ok", "shared folder", said)
        here = probe.speed(str(folder), ours, None)
        there = ask(probe.speed, str(folder), theirs, ours)
        here |= probe.speed(str(folder), None, theirs)
        rates = [
            f"{side} writes {r['write']:.0f}, reads {r['read']:.0f} MiB/s"
            for side, r in (("this host", here), (host, there))
        ]
        slow = min(*here.values(), *there.values()) < _SLOW
        report.add(
            "warning" if slow else "ok",
            "speed",
            "; ".join(rates),
            "--out: a faster file system, such as the cluster's scratch" if slow else "",
        )
    finally:
        for name in (question, reply, ours, theirs):
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)


def _delay(path: Path, text: str, patience: float = 60.0) -> float | None:
    begin = time.monotonic()
    while time.monotonic() - begin < patience:
        with suppress(OSError):
            if path.read_text() == text:
                return time.monotonic() - begin
        time.sleep(0.05)
    return None


def _kernels(ask: Ask, there: dict[str, Any], report: Report) -> None:
    times = ask(probe.compile_kernels, patience=300.0)
    kept = f"their machine code is kept in {times['cache']}" if times["cache"] else "it is not kept"
    said = f"ready after {times['first']:.1f} s on the worker; {kept}"
    if times["cache"] or times["first"] < 10:
        report.add("ok", "kernels", said)
    else:
        report.add(
            "warning", "kernels", said + ": every worker compiles anew", "SCANLINK_JIT_CACHE: a folder of the node"
        )
    limit = there["memory_limit"]
    if limit:
        share = times["memory"] / limit
        said = f"worker and nanny take {gib(times['memory'])} of {gib(limit)} before they have data"
        if share > 0.6:
            report.add(
                "fault" if share > 0.8 else "warning",
                "memory used",
                said,
                f"memory: {gib(4 * times['memory'])} a process",
            )
        else:
            report.add("ok", "memory used", said)
