"""Multiome files larger than memory: a 10x .h5 of simulated cells, written some hundred cells at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["cell_table", "write_tenx"]

AT_ONCE = 500
# Non-zero genes and peaks of a cell, on average.
GENES_A_CELL, PEAKS_A_CELL = 2_000, 6_000


def write_tenx(path: Path, n_cells: int, *, n_genes: int = 20_000, n_peaks: int = 100_000, seed: int = 0) -> None:
    """Write a file as Cell Ranger ARC does: by cell, gzipped, features of both types side by side.

    How often a feature is non-zero varies as in real data (beta-distributed over features), counts are geometric.
    Nothing depends on anything else: this is about size, not about links.
    """
    import h5py

    rng = np.random.default_rng(seed)
    n_features = n_genes + n_peaks
    share = np.concatenate([_shares(rng, n_genes, GENES_A_CELL), _shares(rng, n_peaks, PEAKS_A_CELL)]).astype("f4")
    rna = rng.geometric(0.45, 1 << 16).astype(np.int32)
    atac = rng.choice(np.array([1, 2, 3, 4], dtype=np.int32), 1 << 16, p=[0.6, 0.3, 0.06, 0.04])
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, dtype in (("data", np.int32), ("indices", np.int64)):
            matrix.create_dataset(
                name,
                shape=(0,),
                maxshape=(None,),
                chunks=(1 << 17,),
                dtype=dtype,
                compression="gzip",
                compression_opts=1,
            )
        ends = [0]
        for first in range(0, n_cells, AT_ONCE):
            size = min(AT_ONCE, n_cells - first)
            rows, columns = np.nonzero(rng.random((size, n_features), dtype=np.float32) < share)
            draw = rng.integers(0, 1 << 16, columns.size)
            counts = np.where(columns < n_genes, rna[draw], atac[draw])
            stop = ends[-1] + columns.size
            for name, values in (("data", counts), ("indices", columns)):
                matrix[name].resize((stop,))
                matrix[name][ends[-1] : stop] = values
            ends.extend((ends[-1] + np.cumsum(np.bincount(rows, minlength=size))).tolist())
        matrix["indptr"] = np.array(ends, dtype=np.int64)
        matrix["shape"] = np.array([n_features, n_cells], dtype=np.int32)
        matrix["barcodes"] = np.array(cell_table(n_cells).index, dtype="S")
        start = np.arange(n_peaks) * 25_000 + 10_000
        peaks = [f"chr1:{a}-{a + 500}" for a in start.tolist()]
        genes = [f"GENE{k}" for k in range(n_genes)]
        features = matrix.create_group("features")
        features["id"] = np.array([f"ENSG{k:011d}" for k in range(n_genes)] + peaks, dtype="S")
        features["name"] = np.array(genes + peaks, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * n_genes + ["Peaks"] * n_peaks, dtype="S")
        features["genome"] = np.array(["GRCh38"] * n_features, dtype="S")
        features["interval"] = np.array(["chr1:0-1"] * n_genes + peaks, dtype="S")


def cell_table(n_cells: int, *, n_types: int = 30, n_donors: int = 50, seed: int = 1) -> pd.DataFrame:
    """Barcodes (index), cell type, donor, nUMI and percent.mito; the first types have the most cells."""
    rng = np.random.default_rng(seed)
    weight = 0.85 ** np.arange(n_types)
    types = np.array([f"type{k:02d}" for k in range(n_types)], dtype=object)
    return pd.DataFrame(
        {
            "celltype": types[rng.choice(n_types, n_cells, p=weight / weight.sum())],
            "donor": np.array([f"donor{k:02d}" for k in range(n_donors)], dtype=object)[
                rng.integers(0, n_donors, n_cells)
            ],
            "nUMI": np.round(np.exp(rng.normal(8.5, 0.4, n_cells))),
            "percent.mito": rng.gamma(4.0, 1.5, n_cells),
        },
        index=[_barcode(k) for k in range(n_cells)],
    )


def _shares(rng: np.random.Generator, n: int, mean_a_cell: int) -> np.ndarray:
    mean = mean_a_cell / n
    return np.clip(rng.beta(0.5, 0.5 * (1 - mean) / mean, n), 0, 0.98)


def _barcode(number: int) -> str:
    # Letters of a number to the base of four, multiplied by an odd number so that neighbours look different.
    mixed = (number * 2_654_435_761) % (1 << 32)
    return "".join("ACGT"[(mixed >> (2 * place)) & 3] for place in range(16)) + "-1"
