"""Planning a large run: time and memory of `scan_rows` for a million cells, 30 groups and all pairs within 500 kb.

    python benchmarks/planning.py [--cells 1000000] [--genes 25000] [--peaks 200000] [--folder FOLDER]

The plan needs no count, only how often features are non-zero in each group, which the store has: so the large arrays
of the store are files without content here (sparse files), and take no disk. Genes and peaks lie at random on 23
chromosomes of 135 Mb. The plan is made in a process of its own, from the store and the table of pairs on disk, as a
run that goes on does. Prints a Markdown table; peak memory is that of the resident set (VmHWM), libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from big_multiome import cell_table
from mudata import MuData
from store import child_of, peak_mib

import scanlink as sl
from scanlink.io.opening import quiet
from scanlink.options import GroupOptions
from scanlink.store.new import NewStore
from scanlink.store.store import Store

CHROMOSOMES, LENGTH = 23, 135_000_000


def hollow_store(folder: Path, n_cells: int, genes: pd.DataFrame, peaks: pd.DataFrame) -> None:
    """A store whose counts were never written, with everything else that a plan reads."""
    folder.mkdir()
    made, rng = NewStore(folder), np.random.default_rng(3)
    made.tables(cell_table(n_cells), {"rna": genes[[]], "atac": peaks[[]]})
    for name, n, mean in (("rna", len(genes), 0.1), ("atac", len(peaks), 0.04)):
        share = rng.beta(0.5, 0.5 * (1 - mean) / mean, n)
        of_levels = [
            np.round(share[:, None] * np.array(level["n_cells"])).astype(np.int32) for level in made.about["levels"]
        ]
        starts = np.concatenate([[0], np.cumsum(of_levels[0].sum(axis=1, dtype=np.int64))])
        np.save(folder / f"{name}_starts.npy", starts)
        np.save(folder / f"{name}_crc.npy", np.zeros(n, dtype=np.uint32))
        for number, counts in enumerate(of_levels):
            np.save(folder / f"{name}_levels_{number}.npy", counts)
        for part, dtype in (("values", np.uint8), ("cells", np.int32)):
            shape = (int(starts[-1]),)
            with open(folder / f"{name}_{part}.npy", "wb") as handle:
                head = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(handle, head)
                handle.truncate(handle.tell() + shape[0] * np.dtype(dtype).itemsize)
        made.digests |= {f"{name}_{part}.npy": "none" for part in ("values", "cells", "starts")}
    made.seal()


def places(rng: np.random.Generator, n: int, length: int, label: str) -> pd.DataFrame:
    """Features at random."""
    chrom = np.sort(rng.integers(0, CHROMOSOMES, n))
    start = rng.integers(0, LENGTH - length, n)
    table = pd.DataFrame({"chrom": [f"chr{k + 1}" for k in chrom], "start": start, "end": start + length})
    table.index = pd.Index([f"{label}{k}" for k in range(n)], dtype=object)
    return table


def plan(*, store: str, pairs: str, folder: str, groupby: str, options: dict) -> dict:
    """Make the plan as a run does that goes on."""
    from scanlink.io.parquet import read_shared
    from scanlink.tl.analysis import Given
    from scanlink.tl.scan.options import ScanOptions
    from scanlink.tl.scan.rows import scan_rows

    idle = peak_mib()
    begin = time.perf_counter()
    table = read_shared(Path(pairs))
    given = Given(Path(folder), {}, Store.open(store), {"pairs": table}, GroupOptions(by=groupby))
    made = scan_rows(given, ScanOptions(**options))
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in made.folder.iterdir()) / 1e6
    found = {"seconds": seconds, "mib": peak_mib(), "idle": idle, "pairs": len(table), "mb": size}
    return found | {"blocks": len(made.blocks), "groups": len(made.groups), "hours": made.cost / 3600}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=25_000)
    parser.add_argument("--peaks", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to put the files; left out, a temporary folder")
    parser.add_argument("--job")
    parser.add_argument("--given")
    given = parser.parse_args()
    if given.job:
        print(json.dumps(plan(**json.loads(given.given))))
        return
    rng = np.random.default_rng(0)
    genes, peaks = places(rng, given.genes, 30_000, "GENE"), places(rng, given.peaks, 500, "PEAK")
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        store, pairs = Path(place, "store"), Path(place, "pairs.parquet")
        hollow_store(store, given.cells, genes, peaks)
        bare = pd.DataFrame(index=["cell"])
        with quiet():
            rna, atac = AnnData(obs=bare, var=genes), AnnData(obs=bare, var=peaks)
            mdata = MuData({"rna": rna, "atac": atac})
        sl.pp.cis_pairs(mdata, genes.assign(gene=genes.index, gene_id=genes.index, strand="+")).to_parquet(pairs)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {given.cells:,} cells x "
            f"{given.genes:,} genes x {given.peaks:,} peaks\n"
        )
        print("| groups by | clusters | groups | pairs | blocks | hours of work | s | MiB (idle) | MB of plan |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for groupby, cluster in (("celltype", None), ("celltype", "donor"), ("donor", None)):
            found = child_of(
                __file__,
                "plan",
                store=str(store),
                pairs=str(pairs),
                folder=place,
                groupby=groupby,
                options={"cluster": cluster},
            )
            print(
                f"| {groupby} | {cluster or 'none'} | {found['groups']} | {found['pairs']:,} | {found['blocks']:,} "
                f"| {found['hours']:,.0f} | {found['seconds']:.0f} | {found['mib']:.0f} ({found['idle']:.0f}) "
                f"| {found['mb']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
