"""What the doctor looks at on this host: cores, memory, network, folders. Each check finds one thing, or nothing."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

from scanlink.cluster.doctor.probe import compile_kernels, files_in, mount_of, try_to_write, write_speed
from scanlink.cluster.doctor.report import Case, Finding, fault, gib, ok, warning
from scanlink.cluster.walltime import lifetime_of
from scanlink.errors import first_few

# Memory that is too little for a worker, and enough for a genome (1.2 GiB).
_LEAST, _USUAL = 512 * 2**20, 2 * 2**30
_TOO_LITTLE = f"a worker and its nanny take about {gib(300 * 2**20)} before they have any data"
_LEAST_SPACE, _USUAL_SPACE = 2**30, 20 * 2**30
# Seconds of a worker's life in which it hardly gets anything done.
_SHORT_LIFE = 300.0


def check_cores(case: Case) -> Finding:
    workers, cores = _workers_and_cores(case)
    threads = workers * int(case.profile.options.get("threads_per_worker") or 1)
    if threads > cores:
        return warning(
            f"{workers} workers with {threads} threads on {cores} cores: they wait for each other",
            f"n_workers: {cores}, threads_per_worker: 1",
        )
    return ok(f"{workers} workers on {cores} cores")


def check_memory_of_machine(case: Case) -> Finding:
    import psutil
    from dask.utils import parse_bytes

    workers, _ = _workers_and_cores(case)
    limit: Any = case.profile.options.get("memory_limit", "auto")
    memory = psutil.virtual_memory()
    share = memory.total / workers if limit in ("auto", 0, None) else parse_bytes(limit)
    size = f"{workers} workers of {gib(share)} on a machine with {gib(memory.total)}, {gib(memory.available)} free"
    if share < _LEAST:
        return fault(f"{size}: {_TOO_LITTLE}", "n_workers: fewer, or memory_limit: more")
    if workers * min(share, _USUAL) > memory.total:
        return warning(f"{size}: not enough if all are full", "n_workers: fewer")
    return ok(size)


def _workers_and_cores(case: Case) -> tuple[int, int]:
    from scanlink.run.local import available_cores

    cores = available_cores()
    return int(case.profile.options.get("n_workers") or cores), cores


def check_memory_of_jobs(case: Case) -> Finding:
    from dask.utils import parse_bytes

    memory, processes = case.profile.options["memory"], int(case.profile.options.get("processes", 1))
    share = parse_bytes(memory) / processes
    size = f"{memory} for {processes} process{'' if processes == 1 else 'es'}"
    if share < _LEAST:
        more = f"memory: {2 * processes}GiB, or more where groups of cells are large"
        return fault(f"{size}: {_TOO_LITTLE}", more)
    if share < _USUAL:
        more = f"memory: {2 * processes}GiB, or more, unless the data are small"
        return warning(f"{size}: a group of the size of a genome has taken 1.2 GiB a worker", more)
    return ok(size)


def check_lifetime(case: Case) -> Finding | None:
    options = case.profile.options
    life = lifetime_of([str(word) for word in options["worker_extra_args"]], where="worker-extra-args")
    if life is None:
        return None
    shortest, longest = life.seconds - life.stagger, life.seconds + life.stagger
    span = f"workers take work for {shortest / 60:.0f} to {longest / 60:.0f} min of {options['walltime']}"
    if shortest < _SHORT_LIFE:
        return warning(f"{span}, and starting one takes a good part of it", "walltime: an hour or more")
    return ok(span)


def check_network(case: Case) -> Finding:
    import psutil
    from distributed.utils import get_ip

    networks = {
        name: address.address
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET
    }
    listed = ", ".join(f"{name} ({address})" for name, address in networks.items())
    scheduler = case.profile.options.get("scheduler_options", {})
    name = scheduler.get("interface") or case.profile.options.get("interface")
    if name and name not in networks:
        best = [other for other in networks if other != "lo"] or ["lo"]
        return fault(
            f"interface {name!r} does not exist on this host; there are {listed}",
            f"interface: {best[0]}, or another one that driver and nodes share (left out: the one that leads out)",
        )
    address = str(networks[name] if name else scheduler.get("host") or get_ip())
    where = f"{name} ({address})" if name else address
    here = socket.gethostname().partition(".")[0]
    others = [node.name for node in case.nodes if node.host.partition(".")[0] != here]
    if address.startswith("127.") and others:
        return fault(
            f"the scheduler would listen on {where}, out of reach of {first_few(others, most=3)}",
            f"interface: one that the nodes reach; there are {listed}",
        )
    return ok(f"the scheduler listens on {where}")


def check_log_folder(case: Case) -> Finding:
    folder = Path(str(case.profile.options.get("log_directory", "."))).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try_to_write(folder)
    except OSError as error:
        remedy = "log-directory: a folder that you may write, and that the nodes see"
        return fault(f"{folder} cannot be written: {error.strerror or error}", remedy)
    return ok(f"{folder.resolve()} can be written here")


def check_inputs(case: Case) -> Finding | None:
    bad = [file for file in case.files if not os.access(file, os.R_OK)]
    if bad:
        return fault(f"cannot be read here: {first_few(bad, most=3)}", "correct the paths in run.yaml")
    return ok(f"{len(case.files)} files can be read here") if case.files else None


def check_folder(case: Case) -> Finding | None:
    if case.folder is None:
        return None
    try:
        case.folder.mkdir(parents=True, exist_ok=True)
        with files_in(case.folder, "speed") as (file,):
            rate = write_speed(str(file))
    except OSError as error:
        remedy = "name another folder with --out, or change its rights"
        return fault(f"{case.folder} cannot be written here: {error.strerror or error}", remedy)
    return ok(f"{case.folder} ({mount_of(case.folder)}) can be written here, {rate:.0f} MiB/s")


def check_space(case: Case) -> Finding:
    assert case.folder is not None
    free = shutil.disk_usage(case.folder).free
    size = f"run folder: {gib(free)} free"
    remedy = "name a folder on a larger file system with --out, or free some space"
    if free < _LEAST_SPACE:
        return fault(size, remedy)
    return warning(size, remedy) if free < _USUAL_SPACE else ok(size)


def check_kernels(case: Case) -> Finding | None:
    if not case.report.ok:
        return None
    times = compile_kernels()
    return ok(f"ready after {times['seconds']:.1f} s; machine code: {times['cache'] or 'not kept'}")
