"""Small multiome files in every format, all with the same counts."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from anndata import AnnData
from scipy import sparse

from scanlink.io.opening import quiet


@dataclass(frozen=True)
class Multiome:
    """Counts, cells x features, with the names that files are written with."""

    rna: np.ndarray
    atac: np.ndarray
    cells: list[str]
    genes: list[str]
    gene_ids: list[str]
    peaks: list[str]

    def adata(self, modality: str, **changes: object) -> AnnData:
        names = self.genes if modality == "rna" else self.peaks
        with quiet():
            return AnnData(
                sparse.csr_matrix(changes.get("X", getattr(self, modality))),
                obs=pd.DataFrame(index=pd.Index(changes.get("cells", self.cells), dtype=object)),
                var=pd.DataFrame(index=pd.Index(changes.get("names", names), dtype=object)),
            )


@pytest.fixture
def multiome() -> Multiome:
    rng = np.random.default_rng(1)
    bases = np.array(list("ACGT"))
    cells = ["".join(rng.choice(bases, 16)) + "-1" for _ in range(12)]
    genes = ["MIR1302-2HG", "NOC2L", "HLA-A", "TBCE", "TBCE"]
    return Multiome(
        rna=rng.poisson(1.0, (12, 5)),
        atac=rng.poisson(0.7, (12, 4)),
        cells=cells,
        genes=genes,
        gene_ids=[f"ENSG0000000000{i}" for i in range(5)],
        peaks=["chr1:9-20", "chr1:30-50", "KI270728.1:5-10", "chrX:100-200"],
    )


@pytest.fixture
def distinct(multiome: Multiome) -> Multiome:
    """The same without a gene symbol that occurs twice, for formats that have no ids."""
    return Multiome(**{**multiome.__dict__, "genes": ["MIR1302-2HG", "NOC2L", "HLA-A", "TBCE", "HES4"]})


@pytest.fixture
def tenx_h5(multiome: Multiome, tmp_path: Path) -> Path:
    path = tmp_path / "filtered_feature_bc_matrix.h5"
    _write_10x_h5(path, multiome)
    return path


@pytest.fixture
def write_10x_h5() -> Callable[..., None]:
    return _write_10x_h5


def _write_10x_h5(path: Path, multiome: Multiome, *, types: tuple[str, str] = ("Gene Expression", "Peaks")) -> None:
    counts = sparse.csr_matrix(np.hstack([multiome.rna, multiome.atac]))
    n_genes, n_peaks = len(multiome.genes), len(multiome.peaks)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["barcodes"] = np.array(multiome.cells, dtype="S")
        matrix["data"] = counts.data.astype(np.int32)
        matrix["indices"] = counts.indices.astype(np.int64)
        matrix["indptr"] = counts.indptr.astype(np.int64)
        matrix["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = matrix.create_group("features")
        features["id"] = np.array(multiome.gene_ids + multiome.peaks, dtype="S")
        features["name"] = np.array(multiome.genes + multiome.peaks, dtype="S")
        features["feature_type"] = np.array([types[0]] * n_genes + [types[1]] * n_peaks, dtype="S")
        features["genome"] = np.array(["GRCh38"] * (n_genes + n_peaks), dtype="S")
        features["interval"] = np.array(["chr1:1-2"] * n_genes + multiome.peaks, dtype="S")
        features["_all_tag_keys"] = np.array(["genome", "interval"], dtype="S")


@pytest.fixture
def tenx_folder(multiome: Multiome, tmp_path: Path) -> Path:
    folder = tmp_path / "filtered_feature_bc_matrix"
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, sparse.coo_matrix(np.hstack([multiome.rna, multiome.atac]).T))
    rows = [f"{i}\t{n}\tGene Expression\tchr1\t1\t2\n" for i, n in zip(multiome.gene_ids, multiome.genes, strict=True)]
    rows += [f"{name}\t{name}\tPeaks\tchr1\t1\t2\n" for name in multiome.peaks]
    (folder / "features.tsv.gz").write_bytes(gzip.compress("".join(rows).encode()))
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("".join(f"{c}\n" for c in multiome.cells).encode()))
    return folder
