"""What the doctor looks at on this host: the network, the run folder, cores and memory."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from pathlib import Path
from typing import Any

from scanlink.cluster.doctor.probe import mount_of, speed
from scanlink.cluster.doctor.report import Report, gib
from scanlink.cluster.profile import Profile
from scanlink.errors import first_few

__all__ = ["check_address", "check_folder", "check_inputs", "check_local", "check_memory"]

# What a worker and its nanny take before they have data, what is too little, and enough for a genome (1.2 GiB).
_NAKED, _LEAST, _USUAL = 300 * 2**20, 512 * 2**20, 2 * 2**30
_LEAST_SPACE, _USUAL_SPACE = 2**30, 20 * 2**30


def check_memory(profile: Profile, report: Report) -> None:
    """Whether a worker could live in the memory that the profile gives it."""
    from dask.utils import parse_bytes

    processes = int(profile.options.get("processes", 1))
    share = parse_bytes(profile.options["memory"]) / processes
    said = f"{profile.options['memory']} for {processes} process{'' if processes == 1 else 'es'}"
    if share < _LEAST:
        report.add(
            "fault",
            "memory",
            f"{said}: a worker and its nanny take about {gib(_NAKED)} before they have any data",
            f"memory: {2 * processes}GiB, or more where groups of cells are large",
        )
    elif share < _USUAL:
        report.add(
            "warning",
            "memory",
            f"{said}: a group of the size of a genome has taken 1.2 GiB a worker",
            f"memory: {2 * processes}GiB, or more, unless the data are small",
        )
    else:
        report.add("ok", "memory", f"{said}")


def check_address(profile: Profile, others: list[str], report: Report) -> None:
    """Whether the scheduler's network is one of this host, and one that nodes can reach.

    Parameters
    ----------
    profile
        Of a queue.
    others
        Nodes that are other hosts than this one.
    report
        Gets the check.
    """
    import psutil
    from distributed.utils import get_ip

    networks = {
        name: address.address
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET
    }
    listed = ", ".join(f"{name} ({address})" for name, address in networks.items())
    scheduler = profile.options.get("scheduler_options", {})
    name = scheduler.get("interface") or profile.options.get("interface")
    if name and name not in networks:
        best = [other for other in networks if other != "lo"] or ["lo"]
        report.add(
            "fault",
            "network",
            f"interface {name!r} does not exist on this host; there are {listed}",
            f"interface: {best[0]}, or another one that driver and nodes share (left out: the one that leads out)",
        )
        return
    address = str(networks[name] if name else scheduler.get("host") or get_ip())
    where = f"{name} ({address})" if name else address
    if address.startswith("127.") and others:
        report.add(
            "fault",
            "network",
            f"the scheduler would listen on {where}, out of reach of {first_few(others, most=3)}",
            f"interface: one that the nodes reach; there are {listed}",
        )
        return
    report.add("ok", "network", f"the scheduler listens on {where}")


def check_folder(folder: Path, report: Report) -> dict[str, float] | None:
    """Whether a run folder can be written here, how fast, and how much room it has.

    Returns
    -------
    dict or None
        Speeds of this host, MiB/s; None if the folder cannot be written.
    """
    name = f".scanlink-doctor-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            rates = speed(str(folder), name, None)
        finally:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        report.add(
            "fault",
            "run folder",
            f"{folder} cannot be written here: {error.strerror or error}",
            "name another folder with --out, or change its rights",
        )
        return None
    mount = mount_of(folder)
    report.add("ok", "run folder", f"{folder} ({mount}) can be written here, {rates['write']:.0f} MiB/s")
    free = shutil.disk_usage(folder).free
    _space(report, "space", f"run folder: {gib(free)} free", free, "name a folder on a larger file system with --out")
    return rates


def _space(report: Report, name: str, found: str, free: float, remedy: str) -> None:
    state = "fault" if free < _LEAST_SPACE else "warning" if free < _USUAL_SPACE else "ok"
    report.add(state, name, found, "" if state == "ok" else f"{remedy}, or free some space")  # type: ignore[arg-type]


def check_inputs(files: list[str], report: Report) -> None:
    """Whether the input files can be read here."""
    bad = [file for file in files if not os.access(file, os.R_OK)]
    if bad:
        report.add("fault", "input", f"cannot be read here: {first_few(bad, most=3)}", "correct the paths in run.yaml")
    elif files:
        report.add("ok", "input", f"{len(files)} files can be read here")


def check_local(profile: Profile, report: Report) -> None:
    """Whether this machine has the cores and the memory of its workers."""
    import psutil
    from dask.utils import parse_bytes

    from scanlink.run.local import available_cores

    cores = available_cores()
    workers = int(profile.options.get("n_workers") or cores)
    threads = workers * int(profile.options.get("threads_per_worker") or 1)
    limit: Any = profile.options.get("memory_limit", "auto")
    memory = psutil.virtual_memory()
    if threads > cores:
        report.add(
            "warning",
            "cores",
            f"{workers} workers with {threads} threads on {cores} cores: they wait for each other",
            f"n_workers: {cores}, threads_per_worker: 1",
        )
    else:
        report.add("ok", "cores", f"{workers} workers on {cores} cores")
    share = memory.total / workers if limit in ("auto", 0, None) else parse_bytes(limit)
    said = f"{workers} workers of {gib(share)} on a machine with {gib(memory.total)}, {gib(memory.available)} free"
    if share < _LEAST:
        report.add(
            "fault",
            "memory",
            f"{said}: a worker and its nanny take about {gib(_NAKED)} before they have any data",
            "n_workers: fewer, or memory_limit: more",
        )
    elif workers * min(share, _USUAL) > memory.total:
        report.add("warning", "memory", f"{said}: not enough if all are full", "n_workers: fewer")
    else:
        report.add("ok", "memory", said)
