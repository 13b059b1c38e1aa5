"""What the doctor looks at where a worker is: programs, limits, clock, folders on both sides, kernels."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from typing import Any

from scanlink.cluster.doctor import probe
from scanlink.cluster.doctor.report import Case, Finding, call_here, fault, gib, ok, warning
from scanlink.errors import first_few

# MiB/s below which a scan waits for the reading of its store, and seconds by which clocks may differ.
_SLOW, _SKEW = 20.0, 2.0
_NAMES = ("dask", "distributed", "numpy", "numba", "pyarrow", "pandas")
_MUST_AGREE = ("scanlink", "dask", "distributed")
# Text, and run by the worker's own interpreter: it may be of another version, and lack scanlink.
_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version(), "executable": sys.executable}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
try:
    import scanlink, scanlink.stats
    found["scanlink"] = scanlink.__version__
except Exception as error:
    found["scanlink"], found["error"] = None, f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


def versions(ask: Callable[..., Any]) -> dict[str, Any]:
    """Read the versions of the programs on one side, with a function that calls functions there."""
    python = ask(eval, "__import__('sys').executable")
    out = ask(subprocess.check_output, [python, "-c", _VERSIONS, *_NAMES])
    return dict(json.loads(out.splitlines()[-1]))


def check_versions(case: Case) -> Finding:
    return compare_versions(versions(call_here), versions(case.ask))


def compare_versions(here: dict[str, Any], there: dict[str, Any]) -> Finding:
    """Look whether driver and worker can work together, from the versions on both sides."""
    where = f"the worker runs {there['executable']}, the driver {here['executable']}"
    remedy = f"python: {here['executable']}, or the same versions on both sides; {where}"
    different = [name for name in here if name not in ("executable", "error") and here[name] != there.get(name)]
    apart = [f"{name} {there.get(name) or 'absent'} on the worker, {here[name] or 'absent'} here" for name in different]
    minor = here["python"].split(".")[:2] != there["python"].split(".")[:2]
    if minor or any(name in _MUST_AGREE or not there.get(name) for name in different if name != "python"):
        return fault("; ".join(apart) + (f"; {there['error']}" if there.get("error") else ""), remedy)
    if different:
        return warning("; ".join(apart) + ": results may differ in the last digits", remedy)
    listed = ", ".join(f"{name} {here[name]}" for name in here if name != "executable")
    return ok(f"the same on both sides: {listed}")


def check_threads(case: Case) -> Finding:
    threads = {name: value for name, value in case.worker["threads"].items() if value != "1"}
    if threads:
        values = ", ".join(f"{name} is {value or 'not set'}" for name, value in threads.items())
        return warning(
            f"{values}: each process may start as many threads as its node has cores",
            f"job-script-prologue: export {' '.join(f'{name}=1' for name in threads)}",
        )
    if case.worker["nthreads"] != 1:
        many = f"{case.worker['nthreads']} threads in one process of the worker: they wait for each other"
        return warning(many, "processes: as many as cores")
    return ok("one a process, for numba and BLAS as well")


def check_limits(case: Case) -> Finding:
    limit, limits = case.worker["memory_limit"], case.worker["limits"]
    if not limit:
        return warning("the worker has no memory limit: it is not restarted before the machine is full")
    tight = {name: size for name, size in limits.items() if size < 0.98 * limit}
    if tight:
        listed = ", ".join(f"{name} of {gib(size)}" for name, size in tight.items())
        return fault(
            f"the worker thinks that it has {gib(limit)}; there is a {listed}: it will be killed",
            f"memory: {gib(min(tight.values()))} or less; or job-mem: more than memory",
        )
    listed = ", ".join(f"{name} {gib(size)}" for name, size in limits.items()) or "none of the system"
    return ok(f"{gib(limit)} a worker; limits around it: {listed}")


def check_scratch(case: Case) -> Finding:
    folder, error, free = (case.worker[key] for key in ("scratch", "scratch_error", "scratch_free"))
    if error is not None:
        remedy = "local-directory: a folder of the node that you may write"
        return fault(f"{folder} cannot be written on the worker: {error}", remedy)
    if free < 2**30:
        remedy = "local-directory: a folder of the node with more room"
        return warning(f"{folder} on the worker has {gib(free)} free", remedy)
    return ok(f"{folder} on the worker can be written, {gib(free)} free")


def check_clock(case: Case) -> Finding:
    trips = []
    for _ in range(3):
        begin = time.time()
        there = case.ask(time.time)
        end = time.time()
        trips.append((end - begin, there - (begin + end) / 2))
    trip, skew = min(trips)
    apart = f"the worker's clock is {abs(skew):.2f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > max(_SKEW, trip):
        return warning(apart, "ask the staff to set the clocks (ntp); times in logs do not fit together")
    return ok(f"{apart}; an answer takes {1000 * trip:.0f} ms")


def check_shared_folder(case: Case) -> Finding | None:
    if case.folder is None:
        return None
    folder, host = case.folder, _host(case)
    with probe.files_in(folder, "question", "reply") as (question, reply):
        # Its absence is known here now, which NFS may remember for a while after it has appeared.
        assert not reply.exists()
        text = uuid.uuid4().hex
        question.write_text(text)
        answer = case.ask(probe.answer_file, str(folder), question.name, text, reply.name)
        if answer["seconds"] is None:
            place = f"{answer['nearest']} ({answer['mount']})"
            same = f"that folder is another one there ({answer['mount']})"
            return fault(
                f"the worker on {host} does not see what is written here in {folder}: "
                + (same if answer["nearest"] == str(folder) else f"there is only {place}"),
                f"--out: a folder on a file system that nodes and this host share; here it is {probe.mount_of(folder)}",
            )
        if answer["error"]:
            problem = f"the worker on {host} sees {folder} but cannot write it: {answer['error']}"
            return fault(problem, "its rights, or another folder with --out")
        delay = probe.seconds_until(reply, text[::-1], 60.0)
    if delay is None:
        problem = f"what the worker on {host} writes in {folder} is not seen here after 60 s"
        return fault(problem, "--out: a folder on a file system that both sides share")
    both = (
        f"both sides see {folder}; a file from here is there after {answer['seconds']:.2f} s, "
        f"one from there is here after {delay:.2f} s"
    )
    return warning(both, "a mount with a shorter actimeo (ask the staff)") if delay > 30 else ok(both)


def check_speed(case: Case) -> Finding:
    assert case.folder is not None
    with probe.files_in(case.folder, "ours", "theirs") as (ours, theirs):
        write_here = probe.write_speed(str(ours))
        write_there = case.ask(probe.write_speed, str(theirs))
        read_there = case.ask(probe.read_speed, str(ours))
        read_here = probe.read_speed(str(theirs))
    rates = (
        f"this host writes {write_here:.0f}, reads {read_here:.0f} MiB/s; "
        f"{_host(case)} writes {write_there:.0f}, reads {read_there:.0f} MiB/s"
    )
    if min(write_here, read_here, write_there, read_there) < _SLOW:
        return warning(rates, "--out: a faster file system, such as the cluster's scratch")
    return ok(rates)


def check_inputs(case: Case) -> Finding | None:
    unread = [file for file in case.files if not case.ask(os.access, file, os.R_OK)]
    if not unread:
        return None
    return warning(
        f"not to be read on the worker: {first_few(unread, most=3)}",
        "nothing for a driver on this host; a driver that is a job itself (scanlink submit) needs them there",
    )


def check_kernels(case: Case) -> Finding:
    times = case.ask(probe.compile_kernels, patience=300.0)
    case.worker["memory"] = times["memory"]
    kept = f"their machine code is kept in {times['cache']}" if times["cache"] else "it is not kept"
    ready = f"ready after {times['seconds']:.1f} s on the worker; {kept}"
    if times["cache"] or times["seconds"] < 10:
        return ok(ready)
    return warning(f"{ready}: every worker compiles anew", "SCANLINK_JIT_CACHE: a folder of the node")


def check_memory_used(case: Case) -> Finding | None:
    limit, memory = case.worker["memory_limit"], case.worker["memory"]
    if not limit:
        return None
    used = f"worker and nanny take {gib(memory)} of {gib(limit)} before they have data"
    if memory <= 0.6 * limit:
        return ok(used)
    more = f"memory: {gib(4 * memory)} a process"
    return fault(used, more) if memory > 0.8 * limit else warning(used, more)


def _host(case: Case) -> str:
    return str(case.worker["host"] + (f" ({case.worker['node']})" if case.worker["node"] else ""))
