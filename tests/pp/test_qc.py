"""Covariates of the cells."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError
from tests.pp.conftest import make_mudata

COLUMNS = ["nUMI", "percent.mito", "nFeature_RNA", "nCount_ATAC", "nFeature_ATAC"]


def test_qc__computes_what_scanpy_computes(mdata):
    import scanpy as sc

    rna = mdata["rna"].copy()
    rna.var["mt"] = rna.var_names.str.startswith("MT-")
    sc.pp.calculate_qc_metrics(rna, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    given_mito = mdata.obs["percent.mito"].to_numpy()
    sl.pp.qc(mdata, overwrite=True)
    np.testing.assert_array_equal(mdata.obs["nUMI"], rna.obs["total_counts"])
    np.testing.assert_array_equal(mdata.obs["nFeature_RNA"], rna.obs["n_genes_by_counts"])
    np.testing.assert_allclose(mdata.obs["percent.mito"], rna.obs["pct_counts_mt"], rtol=1e-5)
    np.testing.assert_allclose(mdata.obs["percent.mito"], given_mito, rtol=1e-12)


@given(npst.arrays(np.int32, (7, 5), elements=st.integers(0, 4)))
def test_qc__sums_what_is_in_the_matrices(counts):
    mdata = make_mudata(
        sp.csr_matrix(counts), sp.csr_matrix(counts.T[:, :4].repeat(2, axis=0)[:7]), genes=["a", "b", "c", "d", "MT-x"]
    )
    sl.pp.qc(mdata)
    total = counts.sum(axis=1)
    assert mdata.obs["nUMI"].tolist() == total.tolist()
    np.testing.assert_allclose(mdata.obs["percent.mito"], 100 * counts[:, 4] / np.maximum(total, 1))
    atac = mdata["atac"].X.toarray()
    assert mdata.obs["nCount_ATAC"].tolist() == atac.sum(axis=1).tolist()
    assert mdata.obs["nFeature_ATAC"].tolist() == (atac > 0).sum(axis=1).tolist()


def test_qc__is_the_same_on_disk(backed):
    opened, whole = backed
    for data in (opened, whole):
        sl.pp.qc(data, overwrite=True)
    assert opened.obs[COLUMNS].equals(whole.obs[COLUMNS])


def test_qc__leaves_what_is_there(mdata):
    mdata.obs["nUMI"] = 10 * mdata.obs["nUMI"]
    given = mdata.obs["nUMI"].copy()
    mito = mdata.obs.pop("percent.mito")
    sl.pp.qc(mdata)
    assert mdata.obs["nUMI"].equals(given)
    # The percentage is one of the UMIs that the provider counted.
    np.testing.assert_allclose(mdata.obs["percent.mito"], mito / 10, rtol=1e-12)


def test_qc__does_not_take_a_percentage_of_a_logarithm(mdata, caplog):
    mito = mdata.obs.pop("percent.mito")
    mdata.obs["nUMI"] = np.log(mdata.obs["nUMI"])
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.qc(mdata)
    assert "is it logged?" in caplog.text
    np.testing.assert_allclose(mdata.obs["percent.mito"], mito, rtol=1e-12)


@pytest.mark.parametrize("scale", [np.log, np.log10, np.log1p, lambda depth: depth / 1000])
def test_qc__notices_a_logged_depth_whichever_columns_are_there(mdata, caplog, scale):
    sl.pp.qc(mdata)
    assert not caplog.records
    mdata.obs["nUMI"] = scale(mdata.obs["nUMI"])
    sl.pp.qc(mdata)
    assert f"nUMI in obs is below the sum of the counts in {mdata.n_obs} of" in caplog.text


def test_qc__takes_columns_of_a_modality(mdata):
    given = mdata.obs.pop("nUMI") * 3
    mdata["rna"].obs["nUMI"] = given
    sl.pp.qc(mdata)
    assert mdata.obs["nUMI"].tolist() == given.tolist()


def test_qc__no_mitochondrial_genes_no_column(caplog):
    mdata = make_mudata(sp.csr_matrix([[1, 2]]), sp.csr_matrix([[1]]), genes=["A", "B"])
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.qc(mdata)
    assert "percent.mito is not made: none of 2 genes begins with 'MT-'" in caplog.text
    assert "Give mito_prefix= (input.mito_prefix in run.yaml) or" in caplog.text
    assert sorted(mdata.obs) == sorted(set(COLUMNS) - {"percent.mito"})


def test_qc__takes_another_prefix():
    mdata = make_mudata(sp.csr_matrix([[1, 3]]), sp.csr_matrix([[1]]), genes=["A", "mito:B"])
    sl.pp.qc(mdata, mito_prefix="mito:")
    assert mdata.obs["percent.mito"].tolist() == [75.0]


@pytest.mark.parametrize("prefix", ["MT-", "mt-", "Mt-", "mt:", "MT.", "GRCh38_MT-", "mm10___mt-", "GRCh38-MT-"])
@pytest.mark.parametrize("column", [None, "symbol", "gene_symbols", "feature_name"])
def test_qc__knows_the_usual_prefixes_in_names_and_symbols(prefix, column):
    names = ["MTOR", f"{prefix}Co1"]
    mdata = make_mudata(sp.csr_matrix([[1, 3]]), sp.csr_matrix([[1]]), genes=names if column is None else ["E1", "E2"])
    if column is not None:
        mdata["rna"].var[column] = names
    sl.pp.qc(mdata)
    assert mdata.obs["percent.mito"].tolist() == [75.0]


def test_qc__names_cells_without_umi(caplog):
    mdata = make_mudata(sp.csr_matrix([[0, 0], [1, 1]]), sp.csr_matrix([[1], [1]]), genes=["A", "MT-B"])
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.qc(mdata)
    assert "1 cells have no UMI" in caplog.text
    assert mdata.obs["percent.mito"].tolist() == [0.0, 50.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.nan, 2.0], r"'nUMI'\] is missing or negative in 1 of 3 cells: 'cell1'"),
        ([1, -1, -2], "missing or negative in 2 of 3 cells"),
        (["1", "2", "3"], "has type (object|str), expected numbers"),
    ],
)
def test_qc__refuses_a_bad_column(values, message):
    mdata = make_mudata(
        sp.csr_matrix((3, 2), dtype=np.int32), sp.csr_matrix((3, 2), dtype=np.int32), obs={"nUMI": values}
    )
    with pytest.raises(InputError, match=message):
        sl.pp.qc(mdata)
    sl.pp.qc(mdata, overwrite=True)
    assert mdata.obs["nUMI"].tolist() == [0, 0, 0]


def test_qc__names_the_modality_that_is_missing(mdata):
    del mdata.mod["atac"]
    with pytest.raises(MissingKeyError, match="no modality 'atac' in the data, found 'rna'"):
        sl.pp.qc(mdata)


def test_qc__refuses_what_is_no_mudata(mdata):
    with pytest.raises(InputError, match=r"expected a MuData .* found AnnData"):
        sl.pp.qc(mdata["rna"])
