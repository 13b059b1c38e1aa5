"""What driver and scheduler cost: sleeping tasks on 1 to 500 workers, many blocks, and with and without encryption.

    python benchmarks/driver.py                   # minutes; prints three tables
    python benchmarks/driver.py --workers 1 10    # fewer
    python benchmarks/driver.py --workers --blocks --rounds 5    # encryption alone

Driver and Dask scheduler are this process. The workers, one thread each, are objects of a few other processes, because
a worker that sleeps needs no processor; each answers the scheduler, runs tasks and writes parts as any other does. They
share the machine with the driver, so that what is measured is more than a cluster would see.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import psutil
import pyarrow as pa
from distributed import Client, Worker
from distributed.security import Security

from scanlink import cluster
from scanlink.run import Block, Parts, cut, run_blocks

Row = list[str]


def sleep(scale: float, block: Block) -> pa.Table:
    """A task: no work, and a part of a hundred rows."""
    time.sleep(scale * block.cost)
    return pa.table({"row": np.arange(100), "p": np.linspace(0.0, 1.0, 100)})


async def be_workers(address: str, number: int, security: Security) -> None:
    """One of the other processes. Workers do not profile or watch themselves here: 500 would do nothing else."""
    dask.config.set({"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "1h"})
    workers = [
        Worker(
            address,
            nthreads=1,
            memory_limit=0,
            local_directory=tempfile.gettempdir(),
            dashboard=False,
            host="127.0.0.1",
            security=security,
        )
        for _ in range(number)
    ]
    for first in range(0, number, 50):
        await asyncio.gather(*workers[first : first + 50])
    await asyncio.gather(*(worker.finished() for worker in workers))


@contextmanager
def sleepers(client: Client, number: int) -> Iterator[None]:
    """So many workers, up to 125 in each process."""
    command = [sys.executable, __file__, "--be", client.scheduler.address]
    shares = [min(125, number - first) for first in range(0, number, 125)]
    processes = [subprocess.Popen([*command, str(share)], stdin=subprocess.PIPE) for share in shares]
    # What stands in a command is seen by everybody.
    for process in processes:
        assert process.stdin is not None
        with process.stdin as pipe:
            pickle.dump(client.security, pipe)
    try:
        client.wait_for_workers(number, timeout=300)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def timed(client: Client, n_blocks: int, seconds: float, spread: float = 0.0) -> tuple[float, float]:
    """Wall and processor seconds of this process for so many blocks, of ``seconds`` (1 - spread) to (1 + spread)."""
    costs = 1.0 + spread * np.linspace(-1.0, 1.0, n_blocks)
    with tempfile.TemporaryDirectory() as folder:
        blocks = cut(np.arange(n_blocks), [np.random.default_rng(0).permutation(costs)], owners_per_block=1)
        begin, used = time.perf_counter(), time.process_time()
        stats = run_blocks(sleep, seconds, blocks, Parts(Path(folder), "benchmark"), client=client)
        assert stats.n_computed == n_blocks
        return time.perf_counter() - begin, time.process_time() - used


def measure(n_workers: int, seconds: float, rounds: int) -> Row:
    """A line of the first table."""
    with cluster.client("local", n_workers=0) as client:
        assert client is not None
        with sleepers(client, n_workers):
            n_short = max(500, 4 * n_workers)
            short, short_used = timed(client, n_short, 0.0)
            n_long = rounds * n_workers
            long, used = timed(client, n_long, seconds)
            varied, _ = timed(client, n_long, seconds, 0.5)
    return [
        f"{n_workers:,}",
        f"{n_short:,}",
        f"{1e3 * short / n_short:.1f}",
        f"{1e3 * short_used / n_short:.1f}",
        f"{n_long:,}",
        f"{long:.1f}",
        f"{100 * rounds * seconds / long:.1f} %",
        f"{100 * rounds * seconds / varied:.1f} %",
        f"{1e3 * used / n_long:.1f}",
    ]


def measure_encryption(n_blocks: int, rounds: int) -> list[Row]:
    """The lines of the third table: the two in turn, and the least of all rounds, as the machine does other things."""
    times: dict[str, list[tuple[float, float]]] = {"tcp": [], "tls": []}
    for _ in range(rounds):
        for protocol, measured in times.items():
            with cluster.client("local", n_workers=0, protocol=protocol) as client:
                assert client is not None
                with sleepers(client, 10):
                    timed(client, 100, 0.0)
                    measured.append(timed(client, n_blocks, 0.0))
    return [
        [protocol, f"{n_blocks:,}", *(f"{1e3 * min(column) / n_blocks:.2f}" for column in zip(*measured, strict=True))]
        for protocol, measured in times.items()
    ]


def measure_memory(n_blocks: int) -> Row:
    """A line of the second table."""
    with cluster.client("local", n_workers=0) as client:
        assert client is not None
        with sleepers(client, 20):
            timed(client, 500, 0.0)
            before = psutil.Process().memory_info().rss
            wall, used = timed(client, n_blocks, 0.0)
            left = len(client.cluster.scheduler.tasks)
            after = psutil.Process().memory_info().rss
    grown = (after - before) / 2**20
    return [
        f"{n_blocks:,}",
        f"{wall:.0f}",
        f"{1e3 * used / n_blocks:.2f}",
        f"{before / 2**20:.0f}",
        f"{grown:.0f}",
        str(left),
    ]


def show(title: str, head: Row, rows: list[Row]) -> None:
    """Print a table."""
    print(f"\n{title}\n")
    for line in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(line) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 10, 100, 500])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--encrypted-blocks", type=int, default=1_000)
    parser.add_argument("--be", nargs=2, metavar=("ADDRESS", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if options.be:
        asyncio.run(be_workers(options.be[0], int(options.be[1]), pickle.load(sys.stdin.buffer)))
        return
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load before {load:.1f}")
    show(
        f"Sleeping tasks of 0 and of {options.seconds:g} s",
        [
            "workers",
            "tasks of 0 s",
            "ms each",
            "processor ms of driver and scheduler",
            f"tasks of {options.seconds:g} s",
            "s in all",
            "efficiency",
            f"of {options.seconds / 2:g} to {1.5 * options.seconds:g} s",
            "processor ms each",
        ],
        [measure(number, options.seconds, options.rounds) for number in options.workers],
    )
    show(
        "Blocks of one run, 20 workers",
        ["blocks", "s in all", "processor ms each", "MiB of driver and scheduler before", "MiB more", "tasks left"],
        [measure_memory(number) for number in options.blocks],
    )
    show(
        f"Blocks of 0 s in plain text and encrypted, 10 workers, least of {options.rounds}",
        ["protocol", "blocks", "ms each", "processor ms of driver and scheduler each"],
        measure_encryption(options.encrypted_blocks, options.rounds),
    )


if __name__ == "__main__":
    main()
