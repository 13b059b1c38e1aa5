"""Time of a pair where a factor of many levels, such as the cell type or the sample, is in the formula.

    python benchmarks/levels.py [--cells 3000] [--pairs 200] [--levels 1 2 8 29 60]

Simulated data, one process without Dask, default p-values with and without the bootstrap beside them. Each row is
timed after a few pairs have compiled what they need. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np
import pandas as pd

import scanlink as sl

LADDERS = ("none", "capstone")


def timed(mdata: object, pairs: pd.DataFrame, formula: str, ladder: str) -> tuple[float, int]:
    """Seconds of processor for a scan, and its pairs tested."""
    # A column of groups keeps the scan from looking whether the cells are of several types.
    options = {"formula": formula, "ladder": ladder, "min_fraction": 0.0, "groupby": "all"}
    with sl.cluster.client("none") as client:
        sl.tl.scan(mdata, pairs.iloc[:5], client=client, **options)
        begin = time.process_time()
        links = sl.tl.scan(mdata, pairs, client=client, **options)
    return time.process_time() - begin, int((links["status"] == "ok").sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=3_000)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2, 8, 29, 60])
    wanted = parser.parse_args()
    n_genes = max(8, wanted.pairs // 8)
    data = sl.ds.simulate(
        n_cells=wanted.cells, n_genes=n_genes, n_peaks=8 * n_genes, n_links=n_genes, n_interactions=1, seed=1
    )
    pairs = sl.pp.cis_pairs(data.mdata, data.genes).iloc[: wanted.pairs]
    data.mdata.obs["all"] = "all"
    rng = np.random.default_rng(1)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {wanted.cells:,} cells\n")
    print("| levels | ladder | pairs tested | seconds of processor | milliseconds a pair |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for n_levels in wanted.levels:
        # Half of the cells in the first levels, and a tail of small ones, as types are.
        shares = 1.0 / np.arange(1, n_levels + 1)
        data.mdata.obs["level"] = rng.choice(n_levels, wanted.cells, p=shares / shares.sum()).astype(str)
        formula = "log(nUMI) + percent.mito" + (" + level" if n_levels > 1 else "")
        for ladder in LADDERS:
            seconds, tested = timed(data.mdata, pairs, formula, ladder)
            each = f"{1e3 * seconds / tested:.2f}" if tested else ""
            print(f"| {n_levels} | {ladder} | {tested:,} | {seconds:.2f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
