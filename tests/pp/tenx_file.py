"""A small 10x .h5 of multiome data, as Cell Ranger ARC writes it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp

import scanlink as sl

__all__ = ["SIMULATED", "gene_intervals", "write_10x"]

SIMULATED = sl.ds.simulate(n_cells=260, n_genes=12, n_peaks=60, n_links=10, n_interactions=2, seed=4)


def gene_intervals() -> list[str]:
    """Where 10x says that the genes are, one of them nowhere."""
    ids = SIMULATED.genes["gene_id"].str.replace(r"\.\d+$", "", regex=True)
    genes = SIMULATED.genes.set_index(ids).loc[SIMULATED.mdata["rna"].var["gene_id"]]
    return [*(f"{gene.chrom}:{gene.start}-{gene.end}" for gene in genes.iloc[:-1].itertuples()), ""]


def write_10x(path: Path) -> Path:
    """Write the simulated counts as Cell Ranger ARC does; two genes have one symbol, and peaks no coordinates."""
    rna, atac = SIMULATED.mdata["rna"], SIMULATED.mdata["atac"]
    counts = sp.csr_matrix(sp.hstack([rna.X, atac.X]))
    symbols = rna.var_names.to_numpy(dtype=object).copy()
    symbols[1] = symbols[0]
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["barcodes"] = np.array(rna.obs_names, dtype="S")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(counts, name).astype(np.int64)
        matrix["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = matrix.create_group("features")
        features["id"] = np.array([*rna.var["gene_id"], *atac.var_names], dtype="S")
        features["name"] = np.array([*symbols, *atac.var_names], dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * rna.n_vars + ["Peaks"] * atac.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * counts.shape[1], dtype="S")
        features["interval"] = np.array([*gene_intervals(), *atac.var_names], dtype="S")
        features["_all_tag_keys"] = np.array(["genome", "interval"], dtype="S")
    return path
