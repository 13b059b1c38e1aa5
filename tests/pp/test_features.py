"""Features in enough cells, in pieces."""

from __future__ import annotations

import subprocess
import sys

import mudata
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import scanlink as sl
from scanlink.errors import InputError, OptionError
from scanlink.io.chunks import iter_chunks
from scanlink.io.releases import pulling
from tests.pp.conftest import make_mudata

COUNTS = npst.arrays(
    np.int32, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.sampled_from([0, 0, 0, 1, 2, 50])
)


@given(COUNTS, st.sampled_from(["csr", "csc", "dense"]), st.integers(1, 13))
def test_feature_statistics__agrees_with_numpy(counts, kind, chunk_rows):
    matrix = counts if kind == "dense" else sp.csr_matrix(counts).asformat(kind)
    found = sl.pp.feature_statistics(matrix, chunk_rows=chunk_rows)
    assert found.n_nonzero.tolist() == (counts > 0).sum(axis=0).tolist()
    np.testing.assert_allclose(found.mean, counts.mean(axis=0), rtol=1e-14)
    if len(counts) > 1:
        np.testing.assert_allclose(found.variance, counts.var(axis=0, ddof=1), rtol=1e-10, atol=1e-12)
    else:
        assert np.isnan(found.variance).all()


@given(COUNTS, st.integers(1, 13), st.integers(1, 13))
def test_feature_statistics__does_not_depend_on_chunks(counts, one, other):
    first, second = (sl.pp.feature_statistics(sp.csr_matrix(counts), chunk_rows=rows) for rows in (one, other))
    for name in ("n_nonzero", "mean", "variance"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@given(COUNTS, st.sampled_from(["csr", "csc"]), st.integers(1, 13) | st.none())
def test_iter_chunks__covers_the_matrix_once(counts, kind, chunk_rows):
    again = np.zeros_like(counts)
    for chunk in iter_chunks(sp.csr_matrix(counts).asformat(kind), chunk_rows=chunk_rows):
        again[chunk.rows, chunk.cols] += chunk.block.toarray()
    assert (again == counts).all()


def test_iter_chunks__cuts_by_entries_if_not_told(monkeypatch):
    monkeypatch.setattr("scanlink.io.hdf5.ENTRIES_PER_CHUNK", 10)
    matrix = sp.csr_matrix(np.ones((9, 4), dtype=np.int32))
    assert [chunk.block.nnz for chunk in iter_chunks(matrix)] == [8, 8, 8, 8, 4]


def test_feature_statistics__stored_zeros_and_duplicates_are_no_cells():
    matrix = sp.csr_matrix((np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([0, 1, 3])), shape=(2, 2))
    found = sl.pp.feature_statistics(matrix)
    assert found.n_nonzero.tolist() == [0, 1]
    assert found.mean.tolist() == [0, 1.5]


def test_filter_features__keeps_what_numpy_would_keep(mdata):
    before = mdata.copy()
    assert sl.pp.filter_features(mdata, min_fraction=0.1) is mdata
    for name in ("rna", "atac"):
        keep = (before[name].X.toarray() > 0).mean(axis=0) >= 0.1
        assert 0 < keep.sum() < len(keep)
        assert list(mdata[name].var_names) == list(before[name].var_names[keep])
        assert (before[name].X[:, keep] != mdata[name].X).nnz == 0
        assert mdata[name].var.equals(before[name].var[keep])
        assert mdata.uns["scanlink"]["filter"][name] == {"min_fraction": 0.1, "kept": keep.sum(), "lost": (~keep).sum()}
    assert mdata.n_vars == mdata["rna"].n_vars + mdata["atac"].n_vars
    assert mdata.obs.equals(before.obs)


def test_filter_features__equal_is_enough():
    # 0.07 * 100 is above 7 in floating point.
    counts = np.zeros((100, 2), dtype=np.int32)
    counts[:7, 0] = counts[:6, 1] = 1
    mdata = make_mudata(sp.csr_matrix(counts), sp.csr_matrix(counts))
    sl.pp.filter_features(mdata, min_fraction=0.07)
    assert list(mdata["rna"].var_names) == ["g0"]


def test_filter_features__one_modality_only(mdata):
    genes, peaks = list(mdata["rna"].var_names), mdata["atac"].n_vars
    sl.pp.filter_features(mdata, min_fraction=0.1, modalities="atac")
    assert list(mdata["rna"].var_names) == genes
    assert mdata["atac"].n_vars < peaks


@pytest.mark.parametrize("chunk_rows", [None, 33])
def test_filter_features__backed_gives_the_same_in_memory(backed, chunk_rows, tmp_path):
    opened, whole = backed
    bytes_before = (tmp_path / "x.h5mu").read_bytes()
    found = sl.pp.filter_features(opened, min_fraction=0.1, chunk_rows=chunk_rows)
    sl.pp.filter_features(whole, min_fraction=0.1)
    assert found is not opened
    assert not found.isbacked
    for name in ("rna", "atac"):
        assert found[name].X.format == "csr"
        assert found[name].X.dtype == np.int32
        assert (found[name].X != whole[name].X).nnz == 0
        assert list(found[name].var_names) == list(whole[name].var_names)
        assert list(found[name].var.columns) == list(whole[name].var.columns)
    assert found.obs.astype(object).equals(whole.obs.astype(object))
    assert found.uns["scanlink"] == whole.uns["scanlink"]
    assert (tmp_path / "x.h5mu").read_bytes() == bytes_before


def test_filter_features__can_be_written_and_read(mdata, tmp_path):
    sl.pp.filter_features(mdata)
    with pulling(False):
        mdata.write(tmp_path / "x.h5mu")
        back = mudata.read_h5mu(tmp_path / "x.h5mu")
    assert back.uns["scanlink"]["filter"]["rna"]["kept"] == mdata["rna"].n_vars


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_filter_features__refuses_what_is_no_count(value, kind):
    rna = np.ones((6, 3))
    rna[4, 2] = value
    mdata = make_mudata(sp.csr_matrix(rna).asformat(kind), sp.csr_matrix(np.ones((6, 1), dtype=np.int32)))
    with pytest.raises(
        InputError, match=r"rna holds \w.* values: 1 of .* in cell cell4, feature g2. Expected raw counts"
    ):
        sl.pp.filter_features(mdata, chunk_rows=2)


def test_filter_features__nothing_left_says_what_there_was():
    mdata = make_mudata(sp.csr_matrix([[1], [0]]), sp.csr_matrix([[1], [1]]))
    with pytest.raises(
        InputError, match=r"rna: none of 1 features is non-zero in 0.9 of 2 cells; the most frequent one is in 0.5"
    ):
        sl.pp.filter_features(mdata, min_fraction=0.9)


@pytest.mark.parametrize("fraction", [-0.1, 5, np.nan])
def test_filter_features__refuses_a_percentage(mdata, fraction):
    with pytest.raises(OptionError, match="expected a share between 0 and 1"):
        sl.pp.filter_features(mdata, min_fraction=fraction)


def test_filter_features__refuses_a_view(mdata):
    with pytest.raises(InputError, match="are a view"):
        sl.pp.filter_features(mdata[:100])


def test_feature_statistics__refuses_an_empty_chunk():
    with pytest.raises(OptionError, match="chunk_rows is 0"):
        sl.pp.feature_statistics(sp.csr_matrix((3, 3)), chunk_rows=0)


MEMORY_SCRIPT = """
import sys, tracemalloc
from pathlib import Path
import mudata, numpy as np, pandas as pd, scipy.sparse as sp, sparse
import scanlink as sl
from scanlink.ds.multiome_file import MultiomeWriter, assemble
from scanlink.io.releases import pulling

n_cells, n_peaks, per_cell, at_once = 10_000, 40_000, 1_000, 500
rng = np.random.default_rng(0)
path = Path(sys.argv[1])
with MultiomeWriter(path, n_vars={"rna": 2, "atac": n_peaks}, chunk_cells=at_once) as writer:
    for _ in range(n_cells // at_once):
        # 20 peaks are open in every cell, the others in 2.5 %.
        rare = np.sort(rng.integers(20, n_peaks, size=(at_once, per_cell - 20)), axis=1)
        index = np.hstack([np.tile(np.arange(20), (at_once, 1)), rare]).ravel()
        ones = np.ones(index.size, dtype=np.int32)
        atac = sp.csr_matrix((ones, index, np.arange(at_once + 1) * per_cell), shape=(at_once, n_peaks))
        writer.append(rna=sp.csr_matrix(np.ones((at_once, 2), dtype=np.int32)), atac=atac)
    names = pd.DataFrame(index=[f"c{i}" for i in range(n_cells)])
    genes, peaks = (pd.DataFrame(index=[f"{x}{i}" for i in range(n)]) for x, n in (("g", 2), ("p", n_peaks)))
    writer.finish(assemble(names, {"rna": genes, "atac": peaks}))
with pulling(False):
    data = mudata.read_h5mu(path, backed=True)
size = data["atac"].X.group["data"].shape[0] * 8
tracemalloc.start()
kept = sl.pp.filter_features(data, chunk_rows=100)
print(size, tracemalloc.get_traced_memory()[1], kept["atac"].n_vars)
"""


def test_filter_features__backed_memory_is_that_of_a_chunk(tmp_path):
    # In a process of its own, so that the peak is its own.
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path / "x.h5mu")], capture_output=True, text=True, check=True
    )
    size, peak, n_kept = map(int, done.stdout.split())
    assert size == 10_000 * 1_000 * 8
    assert n_kept == 20
    assert peak < size / 4, f"peak {peak / 1e6:.0f} MB for a matrix of {size / 1e6:.0f} MB"
