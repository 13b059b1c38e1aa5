"""Covariates under the names of scanpy, muon and Seurat: taken for ours where these are missing, and said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import MissingKeyError


@pytest.fixture
def data():
    data = sl.ds.simulate(n_cells=300, n_genes=10, n_peaks=60, n_links=8, n_interactions=2, seed=3)
    data.mdata.obs = data.mdata.obs.drop(columns=["nUMI", "percent.mito"])
    return data


def add_scanpy(mdata) -> None:
    """What sc.pp.calculate_qc_metrics writes into each modality, of all genes of which these are a part."""
    for name, extra in (("rna", 700), ("atac", 0)):
        sums = np.asarray(mdata[name].X.sum(axis=1)).ravel()
        mdata[name].obs["total_counts"] = (sums + extra).astype(np.float32)
        mdata[name].obs["n_genes_by_counts"] = (np.asarray((mdata[name].X > 0).sum(axis=1)).ravel()).astype(np.int32)
    mdata["rna"].obs["pct_counts_mt"] = np.linspace(0.5, 20, mdata.n_obs).astype(np.float32)


def test_qc__takes_the_columns_of_scanpy(data, caplog):
    mdata = data.mdata
    add_scanpy(mdata)
    sl.pp.qc(mdata)
    sums = {name: np.asarray(mdata[name].X.sum(axis=1)).ravel() for name in ("rna", "atac")}
    np.testing.assert_array_equal(mdata.obs["nUMI"], sums["rna"] + 700)
    np.testing.assert_array_equal(mdata.obs["nCount_ATAC"], sums["atac"])
    np.testing.assert_allclose(mdata.obs["percent.mito"], np.linspace(0.5, 20, 300), rtol=1e-6)
    assert mdata.obs["nUMI"].dtype == np.int64
    for text in (
        "nUMI is missing: total_counts of rna.obs is taken for it",
        "percent.mito is missing: pct_counts_mt of rna.obs is taken for it",
        "nFeature_RNA is missing: n_genes_by_counts of rna.obs is taken for it",
        "nCount_ATAC is missing: total_counts of atac.obs is taken for it",
        "nFeature_ATAC is missing: n_genes_by_counts of atac.obs is taken for it",
    ):
        assert text in caplog.text


def test_qc__leaves_columns_that_cannot_be_it(data, caplog):
    mdata = data.mdata
    sums = np.asarray(mdata["rna"].X.sum(axis=1)).ravel()
    mdata["rna"].obs["total_counts"] = np.log1p(sums)
    mdata["rna"].obs["nCount_RNA"] = np.maximum(sums - 1, 0)
    mdata["rna"].obs["pct_counts_mt"] = 120.0
    mdata["atac"].obs["total_counts"] = 7
    sl.pp.qc(mdata)
    np.testing.assert_array_equal(mdata.obs["nUMI"], sums)
    assert "total_counts of rna.obs is not taken for it: it is no whole number in 300 of 300 cells" in caplog.text
    assert "nCount_RNA of rna.obs is not taken for it: it is below what the counts say in 300 of 300" in caplog.text
    assert "pct_counts_mt of rna.obs is not taken for it: it goes up to 120, beyond 100 %" in caplog.text
    # A column of the peaks is none of the genes.
    assert "nCount_ATAC is missing, and total_counts of atac.obs is not taken for it: it is below" in caplog.text


def test_qc__keeps_what_is_there_and_computes_anew_where_it_is_told(data):
    mdata = data.mdata
    add_scanpy(mdata)
    mdata.obs["nUMI"] = 50_000
    sl.pp.qc(mdata)
    assert (mdata.obs["nUMI"] == 50_000).all()
    sl.pp.qc(mdata, overwrite=True)
    np.testing.assert_array_equal(mdata.obs["nUMI"], np.asarray(mdata["rna"].X.sum(axis=1)).ravel())


def test_scan__takes_the_columns_of_scanpy_without_qc(data, caplog):
    mdata = data.mdata
    pairs = sl.pp.cis_pairs(mdata, data.genes)
    with pytest.raises(MissingKeyError, match="'nUMI', which is no column"):
        sl.tl.scan(mdata, pairs, p_value="robust", ladder="none")
    add_scanpy(mdata)
    columns = list(mdata.obs)
    found = sl.tl.scan(mdata, pairs, p_value="robust", ladder="none", groupby="celltype")
    assert list(mdata.obs) == columns
    same = sl.tl.scan(
        mdata, pairs, p_value="robust", ladder="none", groupby="celltype", formula="log(total_counts) + pct_counts_mt"
    )
    assert "nUMI is missing: total_counts of rna.obs is taken for it" in caplog.text
    mdata.obs["nUMI"] = mdata["rna"].obs["total_counts"].astype(int)
    mdata.obs["percent.mito"] = mdata["rna"].obs["pct_counts_mt"].astype(float)
    expected = sl.tl.scan(mdata, pairs, p_value="robust", ladder="none", groupby="celltype")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    np.testing.assert_allclose(same["beta"], expected["beta"], rtol=1e-6)


def test_qc__of_a_screen_takes_the_columns_of_seurat():
    data = sl.tl.simulate_screen(n_cells=200, n_genes=4, n_targets=4, seed=1)
    mdata = data.mdata
    sums = np.asarray(mdata["rna"].X.sum(axis=1)).ravel()
    mdata.obs = mdata.obs.drop(columns=["nUMI", "percent.mito"], errors="ignore")
    mdata.obs["nCount_RNA"], mdata.obs["percent.mt"] = sums + 5, 3.5
    sl.pp.screen_qc(mdata)
    np.testing.assert_array_equal(mdata.obs["nUMI"], sums + 5)
    assert (mdata.obs["percent.mito"] == 3.5).all()
