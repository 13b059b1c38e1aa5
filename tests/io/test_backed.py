"""Counts left in their file: the same data, messages and store as when they are read into memory."""

from __future__ import annotations

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.chunks import collect, iter_chunks, iter_modalities
from scanlink.io.disk import DiskCounts, select
from scanlink.io.hdf5 import Source
from scanlink.io.opening import quiet
from scanlink.store.make import write_store

FORMATS = ["h5", "h5mu csr", "h5mu csc", "h5mu dense", "h5ad csr", "h5ad csc"]


def stored(matrix, kind):
    return matrix.toarray() if kind == "dense" else matrix.asformat(kind)


def joined(multiome, rna, atac, kind):
    """Genes and peaks side by side in one AnnData, as h5ad files of multiome have them."""
    types = ["Gene Expression"] * rna.shape[1] + ["Peaks"] * atac.shape[1]
    names, ids = [*multiome.genes, *multiome.peaks], [*multiome.gene_ids, *multiome.peaks]
    var = pd.DataFrame({"feature_types": types, "gene_ids": ids}, index=names)
    with quiet():
        return AnnData(stored(sp.hstack([rna, atac], format="csr"), kind), pd.DataFrame(index=multiome.cells), var)


@pytest.fixture(params=FORMATS)
def file(request, multiome, tmp_path, write_10x_h5):
    """The same counts in every format that can stay on disk."""
    suffix, _, kind = request.param.partition(" ")
    path = tmp_path / f"x.{suffix}"
    rna, atac = (sp.csr_matrix(counts.astype(np.float32)) for counts in (multiome.rna, multiome.atac))
    if suffix == "h5":
        write_10x_h5(path, multiome)
    elif suffix == "h5ad":
        joined(multiome, rna, atac, kind).write_h5ad(path)
    else:
        parts = {"rna": multiome.adata("rna"), "atac": multiome.adata("atac")}
        parts["rna"].var["gene_ids"] = multiome.gene_ids
        for name, counts in (("rna", rna), ("atac", atac)):
            parts[name].X = stored(counts, kind)
        parts["rna"].obs["sample"] = ["a", "b"] * 6
        with quiet():
            mudata.MuData(parts).write(path)
    return path


@pytest.fixture
def some_cells(multiome):
    """Metadata of ten of the twelve cells, in another order."""
    order = np.random.default_rng(5).permutation(12)[:10]
    cells = [multiome.cells[k] for k in order]
    return pd.DataFrame({"celltype": ["B", "T"] * 5, "age": np.arange(10) + 0.5}, index=cells)


def same_data(ours, whole):
    assert isinstance(ours["rna"].X, DiskCounts)
    assert ours.obs_names.equals(whole.obs_names)
    pd.testing.assert_frame_equal(ours.obs, whole.obs)
    assert ours.uns["scanlink"] == whole.uns["scanlink"]
    for name in ("rna", "atac"):
        pd.testing.assert_frame_equal(ours[name].var, whole[name].var)
        assert (ours[name].X.to_memory() != whole[name].X).nnz == 0
        assert (ours[name].X[2:5, 1] != whole[name].X[2:5, 1]).nnz == 0
        assert (whole[name].X[[4, 1]][:, [2, 0]] != ours[name][[4, 1], [2, 0]].copy().X).nnz == 0
        seen = np.zeros(whole[name].shape, dtype=int)
        for chunk in iter_chunks(ours[name].X, chunk_rows=3):
            seen[chunk.rows, chunk.cols] += chunk.block.toarray().astype(int)
        np.testing.assert_array_equal(seen, whole[name].X.toarray())


def test_read__backed_is_the_same_data(file):
    ours = sl.io.read(file, backed=True)
    sl.io.check(ours)
    same_data(ours, sl.io.read(file))


def test_read__backed_with_fewer_cells_is_the_same_data(file, some_cells):
    same_data(sl.io.read(file, cells=some_cells, backed=True), sl.io.read(file, cells=some_cells))


@pytest.mark.parametrize("entries", [5, 1 << 20])
@pytest.mark.parametrize("chunk_rows", [None, 1, 5])
def test_write_store__checksum_does_not_depend_on_the_way(file, some_cells, tmp_path, entries, chunk_rows):
    whole = sl.io.read(file, cells=some_cells)
    checksum = write_store(whole, tmp_path / "a").checksum
    ours = sl.io.read(file, cells=some_cells.iloc[::-1], backed=True)
    assert write_store(ours, tmp_path / "b", entries=entries, chunk_rows=chunk_rows).checksum == checksum
    with quiet():
        shuffled = whole[np.random.default_rng(1).permutation(10)].copy()
    assert write_store(shuffled, tmp_path / "c", entries=entries, chunk_rows=chunk_rows).checksum == checksum
    manifests = [(tmp_path / name / "manifest.json").read_text() for name in "abc"]
    assert manifests[0] == manifests[1] == manifests[2]


def test_filter_features__leaves_counts_on_disk_if_told(file, tmp_path):
    whole = sl.pp.filter_features(sl.io.read(file), min_fraction=0.5)
    ours = sl.io.read(file, backed=True)
    survey = sl.pp.Survey(ours)
    sl.pp.qc(ours, survey=survey)
    lean = sl.pp.filter_features(ours, min_fraction=0.5, survey=survey, into_memory=False)
    assert isinstance(lean["atac"].X, DiskCounts)
    for name in ("rna", "atac"):
        assert 0 < whole[name].n_vars < (5 if name == "rna" else 4) or name == "atac"
        assert (lean[name].X.to_memory() != whole[name].X).nnz == 0
        pd.testing.assert_frame_equal(lean[name].var, whole[name].var)
    collected = sl.pp.filter_features(sl.io.read(file, backed=True), min_fraction=0.5)
    assert (collected["rna"].X != whole["rna"].X).nnz == 0


@pytest.mark.parametrize("chunk_rows", [None, 1, 5])
def test_collect__is_the_same_on_disk(file, some_cells, chunk_rows):
    ours, whole = (sl.io.read(file, cells=some_cells, backed=backed) for backed in (True, False))
    for name in ("rna", "atac"):
        counts = whole[name].X.toarray()
        for features in (None, np.arange(counts.shape[1]) % 2 == 0):
            expected = counts if features is None else counts[:, features]
            for data in (ours, whole):
                made = collect(data[name].X, np.count_nonzero(expected), features=features, chunk_rows=chunk_rows)
                np.testing.assert_array_equal(made.toarray(), expected)
                assert made.format == "csr"
                assert made.dtype == np.int32
                assert made.has_canonical_format
    for data in (ours, whole):
        sl.pp.components(data, n=1, modalities=("rna", "atac"))
    pd.testing.assert_frame_equal(ours.obs, whole.obs)


def test_collect__joins_duplicates_and_leaves_zeros_out():
    counts = sp.csr_matrix(([1, 2, 0, 4], [1, 1, 0, 0], [0, 2, 3, 4]), shape=(3, 2))
    for matrix in (counts, counts.tocsc(copy=True)):
        assert collect(matrix, 2).toarray().tolist() == [[0, 3], [0, 0], [4, 0]]
        assert collect(matrix, 2).nnz == 2


def test_qc__is_the_same_on_disk(file, some_cells):
    ours, whole = (sl.io.read(file, cells=some_cells, backed=backed) for backed in (True, False))
    for data in (ours, whole):
        sl.pp.qc(data)
    pd.testing.assert_frame_equal(ours.obs, whole.obs)


def test_iter_modalities__reads_a_file_with_both_once(multiome, tmp_path, write_10x_h5, monkeypatch):
    write_10x_h5(tmp_path / "x.h5", multiome)
    ours = sl.io.read(tmp_path / "x.h5", backed=True)
    read, pieces = [], Source.pieces

    def noted(self, *args):
        for piece in pieces(self, *args):
            read.append(piece[:2])
            yield piece

    monkeypatch.setattr(Source, "pieces", noted)
    seen = [name for name, _ in iter_modalities({name: ours[name].X for name in ("rna", "atac")}, chunk_rows=4)]
    assert read == [(0, 4), (4, 8), (8, 12)]
    assert seen == ["rna", "atac"] * 3


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf, 2.0**31])
@pytest.mark.parametrize("suffix", ["h5mu", "h5ad"])
def test_read__backed_says_the_same_of_values_that_are_no_counts(multiome, tmp_path, value, suffix):
    rna, atac = (sp.lil_matrix(counts.astype(float)) for counts in (multiome.rna, multiome.atac))
    rna[7, 2] = rna[9, 1] = value
    path = tmp_path / f"x.{suffix}"
    if suffix == "h5ad":
        adata = joined(multiome, sp.csr_matrix(rna), sp.csr_matrix(atac), "csr")
        adata.layers["counts"] = adata.X.copy()
        adata.write_h5ad(path)
    else:
        parts = {"rna": multiome.adata("rna"), "atac": multiome.adata("atac")}
        parts["rna"].X, parts["rna"].var["gene_ids"] = sp.csr_matrix(rna), multiome.gene_ids
        with quiet():
            mudata.MuData(parts).write(path)
    with pytest.raises(InputError, match="rna: expected raw integer counts, found 2 ") as told:
        sl.io.read(path)
    for use in (lambda data: sl.pp.qc(data), lambda data: write_store(data, tmp_path / "store")):
        with pytest.raises(InputError) as ours:
            use(sl.io.read(path, backed=True))
        assert str(ours.value) == str(told.value)
    assert not (tmp_path / "store").exists()
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_read__backed_takes_layers_and_raw(distinct, tmp_path):
    parts = {"rna": distinct.adata("rna"), "atac": distinct.adata("atac")}
    for data in parts.values():
        data.raw = data.copy()
        data.layers["counts"] = data.X.copy()
        data.X = sp.csr_matrix(data.X * 0.5)
    with quiet():
        mudata.MuData(parts).write(tmp_path / "x.h5mu")
    for layer in ("counts", "raw", {"rna": "counts", "atac": "raw"}):
        same_data(*(sl.io.read(tmp_path / "x.h5mu", layer=layer, backed=backed) for backed in (True, False)))


def test_read__backed_damage_inside_is_said_when_it_is_read(multiome, tmp_path, write_10x_h5):
    path = tmp_path / "x.h5"
    write_10x_h5(path, multiome)
    with h5py.File(path, "r+") as file:
        file["matrix/indices"][5] = 99
    damage = r"x\.h5: matrix: the matrix is damaged: 1 of its \d+ entries name features beyond the 9 that it has"
    with pytest.raises(InputError, match=damage):
        sl.pp.qc(sl.io.read(path, backed=True))


def test_select__refuses_an_order_of_features_that_it_cannot_read(file):
    rna = sl.io.read(file, backed=True)["rna"]
    with pytest.raises(InputError, match="not put into another order"):
        select(rna, features=[2, 1])
    with pytest.raises(InputError, match="but not repeated"):
        select(rna, cells=[2, 2])
