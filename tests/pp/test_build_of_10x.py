"""Where 10x places genes tells another build in every door by which its data come."""

from __future__ import annotations

import gzip
import logging
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from pp.tenx_file import SIMULATED, write_10x

import scanlink as sl
from scanlink.io.opening import quiet

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique"),
    pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning"),
    pytest.mark.filterwarnings("ignore:This setting will be removed:DeprecationWarning"),
]


@pytest.fixture
def tenx(tmp_path) -> Path:
    return write_10x(tmp_path / "filtered_feature_bc_matrix.h5")


def with_scanpy(tenx: Path) -> AnnData:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy as sc

        return sc.read_10x_h5(tenx, gex_only=False)


def modalities(tenx: Path) -> tuple[AnnData, AnnData]:
    adata = with_scanpy(tenx)
    types = adata.var["feature_types"]
    return adata[:, types == "Gene Expression"].copy(), adata[:, types == "Peaks"].copy()


def as_folder(tenx: Path) -> MuData:
    """As Cell Ranger ARC writes it: places in the last three columns, empty where there are none."""
    adata = with_scanpy(tenx)
    folder = tenx.parent / "folder"
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, sp.coo_matrix(adata.X.T))
    var = adata.var.assign(name=adata.var_names)
    parts = var["interval"].str.extract(r"^(?P<chrom>.+):(?P<start>\d+)-(?P<end>\d+)$").fillna("")
    table = np.column_stack([var[["gene_ids", "name", "feature_types"]].astype(str), parts])
    (folder / "features.tsv.gz").write_bytes(gzip.compress("".join("\t".join(row) + "\n" for row in table).encode()))
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("".join(f"{c}\n" for c in adata.obs_names).encode()))
    return sl.io.read(folder)


def as_two_files(tenx: Path) -> MuData:
    paths = {}
    for name, adata in zip(("rna", "atac"), modalities(tenx), strict=True):
        paths[name] = tenx.parent / f"{name}.h5"
        with h5py.File(tenx) as whole, h5py.File(paths[name], "w") as file:
            matrix, counts = file.create_group("matrix"), sp.csr_matrix(adata.X)
            whole.copy("matrix/barcodes", matrix)
            for part in ("data", "indices", "indptr"):
                matrix[part] = getattr(counts, part).astype(np.int64)
            matrix["shape"] = np.array(counts.shape[::-1])
            rows = slice(0, adata.n_vars) if name == "rna" else slice(-adata.n_vars, None)
            for column, values in whole["matrix/features"].items():
                matrix[f"features/{column}"] = values[:] if column.startswith("_") else values[rows]
    return sl.io.read(**paths)


def written(tenx: Path, suffix: str) -> MuData:
    path = tenx.parent / f"x{suffix}"
    with quiet():
        adata = with_scanpy(tenx)
        adata.write_zarr(path) if suffix == ".zarr" else adata.write(path)
    return sl.io.read(path)


def as_h5mu(tenx: Path) -> MuData:
    with quiet():
        MuData(dict(zip(("rna", "atac"), modalities(tenx), strict=True))).write(tenx.parent / "x.h5mu")
    return sl.io.read(tenx.parent / "x.h5mu")


DOORS = {
    ".h5": sl.io.read,
    ".h5, backed": lambda tenx: sl.io.read(tenx, backed=True),
    "two .h5": as_two_files,
    "folder": as_folder,
    ".h5ad": lambda tenx: written(tenx, ".h5ad"),
    ".zarr": lambda tenx: written(tenx, ".zarr"),
    ".h5mu": as_h5mu,
    "a pair of scanpy's": modalities,
    "one AnnData of scanpy's": with_scanpy,
}


def annotations() -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The right one, one of another build, and how many of the 54 genes placed lie elsewhere in that."""
    genes = SIMULATED.genes
    moved = genes.assign(start=genes["start"] + 30_000, end=genes["end"] + 30_000)
    placed = genes.iloc[:-1]
    tss = np.where(placed["strand"] == "-", placed["end"] - 1, placed["start"]) + 30_000
    n_far = int((np.maximum(placed["start"] - tss, tss - placed["end"] + 1) >= 10_000).sum())
    assert 30 < n_far < 54
    return genes, moved, n_far


@pytest.mark.parametrize("door", DOORS)
def test_cis_pairs__sees_where_10x_places_genes(tenx, door, caplog):
    data = DOORS[door](tenx)
    genes, moved, n_far = annotations()
    with caplog.at_level(logging.WARNING, "scanlink"):
        pairs = sl.pp.cis_pairs(data, genes)
        assert "build" not in caplog.text
        sl.pp.cis_pairs(data, moved)
    assert "genes and peaks may be of different genome builds: " in caplog.text
    assert f"{n_far} of 54 genes lie 10 kb or more from where the data have them" in caplog.text
    assert len(pairs) == len(sl.pp.cis_pairs(SIMULATED.mdata, genes))


def test_read__zarr_is_what_h5ad_is(tenx):
    pytest.importorskip("zarr")
    of_zarr, of_h5ad = written(tenx, ".zarr"), written(tenx, ".h5ad")
    for name in ("rna", "atac"):
        assert of_zarr[name].var.astype(str).equals(of_h5ad[name].var.astype(str))


def test_screen_pairs__sees_where_10x_places_genes(tenx, caplog):
    rna, peaks = modalities(tenx)
    places = peaks.var_names[:6].str.extract(r"^(.+):(\d+)-(\d+)$")
    file = tenx.parent / "screen.h5"
    with h5py.File(tenx) as whole, h5py.File(file, "w") as made:
        whole.copy("matrix", made)
        kinds = ["Gene Expression"] * rna.n_vars + ["CRISPR Guide Capture"] * peaks.n_vars
        del made["matrix/features/feature_type"]
        made["matrix/features/feature_type"] = np.array(kinds, dtype="S")
    guides = places.set_axis(["chrom", "start", "end"], axis=1).astype({"start": int, "end": int})
    guides = guides.assign(guide=peaks.var_names[:6], target=[f"enh{k}" for k in range(6)])
    rest = guides.iloc[:0].reindex(range(peaks.n_vars - 6)).assign(guide=peaks.var_names[6:], target="non-targeting")
    data = sl.io.read_screen(file, guides=pd.concat([guides, rest]))
    genes, moved, n_far = annotations()
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.screen_pairs(data, genes)
        assert "build" not in caplog.text
        sl.pp.screen_pairs(data, moved)
    assert f"genes and targets may be of different genome builds: {n_far} of 54 genes lie 10 kb or more" in caplog.text
