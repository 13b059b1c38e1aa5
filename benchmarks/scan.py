"""Throughput and memory of the scan: a group of real size through `scanlink run`, and growth with what it depends on.

    python benchmarks/scan.py [--out FOLDER] [--every 1] [--skip-ladder] [--growth-only]

The group has 3,152 cells, 8,767 genes and 33,887 peaks at their real places, and simulated counts (genome.py); names
and places are those of the reference data (environment variable SCANLINK_SHARED, default ../shared). A worker process
a core. Some 30 minutes on two cores; ``--every 20`` takes every twentieth gene. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from genome import write_group

import scanlink as sl
from scanlink.stats import bootstrap_tail, fit_poisson, gene_null, peak_null, robust_p, sandwich_se
from scanlink.store.store import Store
from scanlink.tl.analysis import Given
from scanlink.tl.scan.cells import GroupCells
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.rows import scan_rows

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "data"
PBMC = SHARED / "pbmc10k"
BODIES = PBMC / "gencode_v44_gene_bodies.bed.gz"


def run(folder: Path, name: str, scan: dict) -> tuple[pd.DataFrame, dict]:
    """One `scanlink run` on the group in the folder; its links and its provenance record."""
    options = {"input": "group.h5mu", "genes": str(BODIES), "pairs": {"min_fraction": 0.05}, "scan": scan}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(options))
    command = [sys.executable, "-c", "from scanlink.cli import main; main()", "run", f"{name}.yaml", "--out", name]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    out = folder / name
    return pd.read_parquet(out / "links.parquet"), json.loads((out / "provenance.json").read_text())


def group_of_real_size(folder: Path, *, every: int, ladder: bool) -> None:
    planted = write_group(folder / "group.h5mu", PBMC, BODIES, every=every)
    print("| p-value | pairs tested | replicates | links | planted ones | s in all | s scan | MiB driver / worker |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    # Robust errors and calibrated p-values are in every run.
    runs: dict[str, dict] = {"tail": {"p_value": "tail", "ladder": "none"}}
    if ladder:
        runs["bootstrap, ladder scent"] = {"p_value": "bootstrap", "ladder": "scent"}
    for name, scan in runs.items():
        links, record = run(folder, name.split(",")[0], scan)
        tested = links[links["status"] == "ok"]
        called = tested[tested["fdr"] < 0.1]
        true = called.merge(planted, on=["gene", "peak"]).shape[0]
        memory = record["peak_memory_mib"]
        print(
            f"| {name} | {len(tested):,} | {replicates_of(tested['n_boot']):,} | {len(called):,} | {true:,} "
            f"| {record['seconds']['total']:.0f} | {record['seconds']['scan']:.0f} "
            f"| {memory['driver']:.0f} / {memory['worker']:.0f} |",
            flush=True,
        )


def replicates_of(n_boot: pd.Series) -> int:
    """Replicates of all stages together, from those of the last one."""
    sizes = np.array([100, 500, 2_500, 25_000, 50_000])
    until = dict(zip(sizes.tolist(), np.cumsum(sizes).tolist(), strict=True))
    return int(sum(until.get(int(n), 0) for n in n_boot))


def where_the_time_goes(folder: Path) -> None:
    """Median microseconds of each part of a test, without the bootstrap, over a sample of pairs."""
    store = Store.open(next(folder.glob("*/store")))
    pairs = pd.read_parquet(next(folder.glob("*/links.parquet")), columns=["gene", "peak", "status"])
    pairs = pairs[pairs["status"] == "ok"].iloc[:: max(1, len(pairs) // 400)]
    with tempfile.TemporaryDirectory() as place:
        given = Given(Path(place), {}, store, {"pairs": pairs[["gene", "peak"]]})
        plan = scan_rows(given, ScanOptions(p_value="tail", ladder="none"))
        group = GroupCells(store, plan, 0)
    parts: dict[str, list[float]] = {}

    def timed(name: str, function: Callable, *given, **options):
        begin = time.perf_counter()
        found = function(*given, **options)
        parts.setdefault(name, []).append(1e6 * (time.perf_counter() - begin))
        return found

    for row in pairs.itertuples():
        gene = timed("read a gene", group.gene, int(store.positions("rna", [row.gene])[0]))
        peak = timed("read a peak", group.peak, int(store.positions("atac", [row.peak])[0]))
        counts, design, at = gene.counts, group.design_with(peak), group.target
        fit = timed("fit, R's path", fit_poisson, counts, design, offset=group.offset)
        timed("sandwich error", sandwich_se, counts, fit.fitted, design, fit.covariance, target=at)
        timed("tail", bootstrap_tail, counts, design, target=at, estimate=float(fit.coef[at]), start=fit.coef)
        of_gene = timed("calibrated p: gene, once for its pairs", gene_null, counts, group.design)
        of_peak = timed("calibrated p: peak, once for its pairs", peak_null, peak.counts, group.design)
        timed("calibrated p: pair", robust_p, of_gene, of_peak)
        group.test(gene, peak)
        timed("all of a pair, gene and peak known", group.test, gene, peak)
    print("\n| part | microseconds, median |\n| --- | --- |")
    for name, seconds in parts.items():
        print(f"| {name} | {float(np.median(seconds)):.0f} |")


def growth(folder: Path) -> None:
    """Seconds on one core, in this process, with one thing changed at a time."""
    print("\n| cells | pairs tested | replicates | seconds | microseconds a pair | a pair and replicate |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    cases = [(n, 1, 500) for n in (1_000, 3_152, 10_000)] + [(3_152, 4, 500)]
    cases += [(3_152, 1, r) for r in (0, 100, 2_500, 10_000)]
    for n_cells, every, replicates in cases:
        path = folder / f"growth-{n_cells}.h5mu"
        if not path.exists():
            write_group(path, PBMC, BODIES, n_cells=n_cells, every=200)
        mdata = sl.io.read(path)
        genes = sl.io.read_genes(BODIES)
        pairs = sl.pp.cis_pairs(mdata, genes).iloc[::every]
        scan = (
            {"p_value": "bootstrap", "ladder": [(replicates, None)]}
            if replicates
            else {"p_value": "tail", "ladder": "none"}
        )
        with sl.cluster.client("none") as client:
            sl.tl.scan(mdata, pairs.iloc[:20], client=client, **scan)
            begin = time.perf_counter()
            links = sl.tl.scan(mdata, pairs, client=client, **scan)
        seconds, tested = time.perf_counter() - begin, int((links["status"] == "ok").sum())
        pair = 1e6 * seconds / tested
        each = f"{pair / replicates:.1f}" if replicates else ""
        print(f"| {n_cells:,} | {tested:,} | {replicates} | {seconds:.1f} | {pair:.0f} | {each} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="keep the data and run folders here")
    parser.add_argument("--every", type=int, default=1, help="take each n-th gene")
    parser.add_argument("--skip-ladder", action="store_true", help="leave out the bootstrap of the group of real size")
    parser.add_argument("--growth-only", action="store_true")
    wanted = parser.parse_args()
    if not BODIES.is_file():
        sys.exit("the reference data are not there: set SCANLINK_SHARED to the folder that holds data/")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (wanted.out or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
        if not wanted.growth_only:
            group_of_real_size(folder, every=wanted.every, ladder=not wanted.skip_ladder)
            where_the_time_goes(folder)
        growth(folder)


if __name__ == "__main__":
    main()
