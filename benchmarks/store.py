"""The scan store: time, size and memory of its maker, memory of a worker, and the time that a column takes.

    python benchmarks/store.py [--cells 10000 30000 100000] [--genes 20000] [--peaks 100000] [--folder FOLDER]

Simulates a 10x .h5 file of each size (big_multiome.py) and makes its store in a process of its own; another process
scans blocks of it, on all features and on half of them. The largest size takes some 15 GB of disk and 40 minutes on
two cores. Prints Markdown tables. Peak memory is that of the resident set of the process (VmHWM), interpreter and
libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from big_multiome import cell_table, write_tenx

GROUP, N_GENES, N_PEAKS = "type10", 150, 10


def child(job: str, **given: Any) -> dict:
    """Run one of the jobs below in a fresh process; what it found."""
    return child_of(__file__, job, **given)


def child_of(script: str, job: str, **given: Any) -> dict:
    """The same, of any script."""
    command = [sys.executable, script, "--job", job, "--given", json.dumps(given)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def peak_mib() -> float:
    """Largest resident set of this process; unlike ru_maxrss it knows nothing of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def make(*, file: str, store: str, n_cells: int, features: int, backed: bool) -> dict:
    """Read, sum, and write the store; ``features``: every that many-th."""
    import scanlink as sl
    from scanlink.io.disk import select
    from scanlink.store.make import write_store

    idle = peak_mib()
    begin = time.perf_counter()
    mdata = sl.io.read(file, cells=cell_table(n_cells), backed=backed)
    opened = time.perf_counter()
    sl.pp.qc(mdata, survey=sl.pp.Survey(mdata))
    summed = time.perf_counter()
    if features > 1:
        for name in ("rna", "atac"):
            mdata.mod[name] = select(mdata[name], features=np.arange(0, mdata[name].n_vars, features))
    write_store(mdata, store)
    seconds = {"open": opened - begin, "sum": summed - opened, "store": time.perf_counter() - summed}
    return {"seconds": seconds, "mib": peak_mib(), "idle": idle}


def work(*, store: str, folder: str, pairs: str) -> dict:
    """Scan a few blocks as a worker does."""
    from scanlink.tl.scan.block import scan_block
    from scanlink.tl.scan.rows import ScanPlan

    plan = ScanPlan(Path(folder), Path(store))
    blocks = [block for block in plan.blocks if plan.groups[block.group].name == GROUP]
    idle = peak_mib()
    rows = sum(scan_block(plan, block).num_rows for block in blocks)
    assert plan.options.p_value == "robust"
    return {"mib": peak_mib(), "idle": idle, "rows": rows, "blocks": len(blocks)}


def planned(*, store: str, folder: str, pairs: str) -> dict:
    """Write a plan for the worker."""
    from scanlink.options import GroupOptions
    from scanlink.store.store import Store
    from scanlink.tl.analysis import Given
    from scanlink.tl.scan.options import ScanOptions
    from scanlink.tl.scan.rows import scan_rows

    table = pd.read_parquet(pairs)
    begin = time.perf_counter()
    given = Given(Path(folder), {}, Store.open(store), {"pairs": table}, GroupOptions(by="celltype"))
    plan = scan_rows(given, ScanOptions(ladder="none", block_genes=30))
    return {"folder": str(plan.folder), "seconds": time.perf_counter() - begin, "mib": peak_mib()}


def read(*, store: str, n: int) -> dict:
    """Milliseconds to read a column: first from the disk, then from the cache of the system."""
    from scanlink.store.store import Store

    opened = Store.open(store)
    rng = np.random.default_rng(0)
    found = {}
    for modality, size in (("rna", len(opened.genes)), ("atac", len(opened.peaks))):
        features = rng.choice(size, n, replace=False).tolist()
        for kind in ("cold", "warm"):
            if kind == "cold":
                for path in Path(store).glob(f"{modality}_*.npy"):
                    with open(path, "rb") as handle:
                        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            entries = sum(opened.column(modality, feature)[0].size for feature in features)
            found[f"{modality} {kind}"] = 1000 * (time.perf_counter() - begin) / n
        found[f"{modality} entries"] = entries / n
    begin = time.perf_counter()
    Store.open(store)
    found["open"] = 1000 * (time.perf_counter() - begin)
    return found


def size_of(folder: Path) -> float:
    """GB of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def worker_memory(folder: Path, store: Path) -> dict:
    """The worker's numbers on a store, for pairs of features that a store of half the features has, too."""
    names = {kind: pd.read_parquet(store / f"{kind}.parquet")["name"] for kind in ("genes", "peaks")}
    step = 2 if not store.name.endswith("half") else 1
    genes = names["genes"][:: step * 40][:N_GENES]
    peaks = names["peaks"][:: step * 4].to_numpy()
    rng = np.random.default_rng(2)
    rows = [(gene, peak) for gene in genes for peak in peaks[rng.choice(peaks.size, N_PEAKS, replace=False)]]
    pairs = folder / "pairs.parquet"
    pd.DataFrame(rows, columns=["gene", "peak"]).to_parquet(pairs)
    plan = child("planned", store=str(store), folder=str(folder / f"{store.name}-plan"), pairs=str(pairs))
    return child("work", store=str(store), folder=plan["folder"], pairs=str(pairs))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--peaks", type=int, default=100_000)
    parser.add_argument("--in-memory-up-to", type=int, default=10_000, help="cells that are also read into memory")
    parser.add_argument("--folder", type=Path, help="where to put the files; left out, a temporary folder")
    parser.add_argument("--job")
    parser.add_argument("--given")
    options = parser.parse_args()
    if options.job:
        print(
            json.dumps(
                {"make": make, "planned": planned, "work": work, "read": read}[options.job](**json.loads(options.given))
            )
        )
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.genes:,} genes x "
        f"{options.peaks:,} peaks\n"
    )
    print(
        "| cells | counts | 10x .h5 GB | read | s open + sum + store | maker MiB (idle) | store GB "
        "| worker MiB (idle) | with half the features | open ms | gene ms cold / warm | peak ms cold / warm |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        for n_cells in options.cells:
            folder = Path(place, str(n_cells))
            folder.mkdir()
            one_size(folder, n_cells, options)
            shutil.rmtree(folder)


def one_size(folder: Path, n_cells: int, options: argparse.Namespace) -> None:
    file = folder / "matrix.h5"
    write_tenx(file, n_cells, n_genes=options.genes, n_peaks=options.peaks)
    for backed in (True, False) if n_cells <= options.in_memory_up_to else (True,):
        whole, half = folder / f"store{backed:d}", folder / f"store{backed:d}-half"
        given = {"file": str(file), "n_cells": n_cells, "backed": backed}
        made = child("make", store=str(whole), features=1, **given)
        manifest = json.loads((whole / "manifest.json").read_text())
        counts = sum((manifest["bytes"][f"{name}_cells.npy"] - 128) // 4 for name in ("rna", "atac"))
        seconds = made["seconds"]
        cells = [
            f"{n_cells:,}",
            f"{counts:,}",
            f"{file.stat().st_size / 1e9:.2f}",
            "in pieces" if backed else "in memory",
            " + ".join(f"{seconds[name]:.0f}" for name in ("open", "sum", "store")),
            f"{made['mib']:.0f} ({made['idle']:.0f})",
            f"{size_of(whole):.2f}",
        ]
        if backed:
            times = child("read", store=str(whole), n=200)
            full = worker_memory(folder, whole)
            child("make", store=str(half), features=2, **given)
            less = worker_memory(folder, half)
            cells += [
                f"{full['mib']:.0f} ({full['idle']:.0f})",
                f"{less['mib']:.0f} ({less['idle']:.0f})",
                f"{times['open']:.1f}",
            ]
            cells += [f"{times[f'{m} cold']:.2f} / {times[f'{m} warm']:.2f}" for m in ("rna", "atac")]
        else:
            cells += ["", "", "", "", ""]
        print(f"| {' | '.join(cells)} |", flush=True)
        shutil.rmtree(whole)


if __name__ == "__main__":
    main()
