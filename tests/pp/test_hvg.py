"""Highly variable genes: as scanpy."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.sparse as sp

import scanlink as sl
from scanlink.errors import InputError, OptionError
from tests.pp.conftest import make_mudata


@pytest.fixture(scope="module")
def counts() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    mean = rng.lognormal(0, 1.5, size=300)
    return sp.csr_matrix(rng.poisson(mean * rng.gamma(1 / 0.8, 0.8, size=(250, 300))).astype(np.int32))


@pytest.mark.parametrize(
    "options",
    [{}, {"n_top": 40}, {"min_mean": 0.1, "max_mean": 6, "min_disp": 0.2}],
    ids=["default", "n_top", "limits"],
)
def test_highly_variable_genes__matches_scanpy(counts, options):
    import scanpy as sc
    from anndata import AnnData

    mdata = make_mudata(counts.copy(), sp.csr_matrix((250, 1), dtype=np.int32))
    sl.pp.highly_variable_genes(mdata, **options)
    expected = AnnData(counts.astype(np.float32))
    sc.pp.normalize_total(expected, target_sum=1e4)
    sc.pp.log1p(expected)
    named = {"n_top_genes" if name == "n_top" else name: value for name, value in options.items()}
    sc.pp.highly_variable_genes(expected, flavor="seurat", **named)
    found = mdata["rna"].var
    assert 0 < found["highly_variable"].sum() < 300
    for name in ("highly_variable", "means", "dispersions", "dispersions_norm"):
        np.testing.assert_array_equal(found[name].to_numpy(), expected.var[name].to_numpy())


def test_highly_variable_genes__counts_stay_raw(counts):
    mdata = make_mudata(counts.copy(), sp.csr_matrix((250, 1), dtype=np.int32))
    sl.pp.highly_variable_genes(mdata)
    assert mdata["rna"].X.dtype == np.int32
    assert (counts != mdata["rna"].X).nnz == 0
    assert "hvg" not in mdata["rna"].uns


def test_highly_variable_genes__is_the_same_on_disk(backed):
    opened, whole = backed
    for data in (opened, whole):
        sl.pp.highly_variable_genes(data, n_top=15)
    assert opened["rna"].var["highly_variable"].equals(whole["rna"].var["highly_variable"])


def test_highly_variable_genes__finds_the_genes_that_vary():
    rng = np.random.default_rng(1)
    mean = np.repeat(rng.lognormal(0, 1, size=200), 2)
    spread = np.tile([0.05, 3.0], 200)
    rna = rng.poisson(mean * rng.gamma(1 / spread, spread, size=(400, 400)))
    mdata = make_mudata(sp.csr_matrix(rna.astype(np.int32)), sp.csr_matrix((400, 1), dtype=np.int32))
    sl.pp.highly_variable_genes(mdata, n_top=200)
    marked = mdata["rna"].var["highly_variable"].to_numpy()
    assert marked[1::2].mean() > 0.9


def test_highly_variable_genes__refuses_normalised_data(counts):
    mdata = make_mudata(sp.csr_matrix(counts / 3.0), sp.csr_matrix((250, 1), dtype=np.int32))
    with pytest.raises(InputError, match="rna holds fractional values"):
        sl.pp.highly_variable_genes(mdata)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flavor": "vst"}, "flavor is 'vst', expected 'mvp'"),
        ({"n_top": 0}, "n_top is 0"),
        ({"n_top": 10**6}, "from 1 to the"),
    ],
)
def test_highly_variable_genes__refuses_options(mdata, options, message):
    with pytest.raises(OptionError, match=message):
        sl.pp.highly_variable_genes(mdata, **options)


def test_highly_variable_genes__says_how_to_install_scanpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scanpy", None)
    mdata = sl.ds.simulate(n_cells=50, n_genes=10, n_peaks=60, n_links=4, n_interactions=1).mdata
    with pytest.raises(OptionError, match=r"scanpy, which is not installed: pip install 'scanlink\[hvg\]'"):
        sl.pp.highly_variable_genes(mdata)
