from __future__ import annotations

import logging

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError
from scanlink.io.opening import quiet


def test_assemble__keeps_the_cells_of_both_sides_in_the_order_of_rna(distinct) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    mdata = sl.io.assemble(rna[::-1].copy(), atac[2:9].copy())
    sl.io.check(mdata)
    assert mdata.obs_names.tolist() == distinct.cells[2:9][::-1]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna[2:9][::-1])
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac[2:9][::-1])
    assert mdata.uns["scanlink"]["read"]["lost"] == {"rna": 5, "atac": 0}
    assert mdata.uns["scanlink"]["read"]["n_cells"] == {"rna": 12, "atac": 7, "kept": 7}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(order=st.permutations(range(12)))
def test_assemble__does_not_depend_on_the_order_of_atac(distinct, order: list[int]) -> None:
    mdata = sl.io.assemble(distinct.adata("rna"), distinct.adata("atac")[order].copy())
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array, np.float32])
def test_assemble__makes_csr_of_int32_whatever_comes(distinct, kind) -> None:
    rna = distinct.rna.astype(kind) if kind is np.float32 else kind(distinct.rna)
    given_rna = AnnData(sparse.csr_matrix(rna) if sparse.issparse(rna) and rna.format == "coo" else rna)
    given_rna.obs_names, given_rna.var_names = distinct.cells, distinct.genes
    counts = sl.io.assemble(given_rna, distinct.adata("atac"))["rna"].X
    assert counts.format == "csr"
    assert counts.dtype == np.int32
    np.testing.assert_array_equal(counts.toarray(), distinct.rna)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_assemble__true_and_false_are_open_and_closed_peaks_but_no_genes(distinct, kind) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    atac.X = kind(distinct.atac > 0)
    counts = sl.io.assemble(rna, atac)["atac"].X
    assert counts.dtype == np.int32
    np.testing.assert_array_equal(counts.toarray(), distinct.atac > 0)
    rna.X = kind(distinct.rna > 0)
    with pytest.raises(InputError, match="rna: expected raw integer counts, found only true and false"):
        sl.io.assemble(rna, atac)


def test_assemble__leaves_what_it_was_given_alone(distinct) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    rna.var["gene_ids"] = distinct.gene_ids
    rna.X = rna.X.astype(np.float32)
    sl.io.assemble(rna, atac)
    assert rna.X.dtype == np.float32
    assert list(rna.var) == ["gene_ids"]
    assert list(atac.var) == []


def test_assemble__writes_and_reads_back(distinct, tmp_path) -> None:
    cells = pd.DataFrame({"celltype": ["B", "T"] * 6, "nUMI": range(12)}, index=distinct.cells)
    mdata = sl.io.assemble(distinct.adata("rna"), distinct.adata("atac"), cells, source={"rna": "a", "atac": "b"})
    with quiet():
        mdata.write(tmp_path / "x.h5mu")
    again = sl.io.read(tmp_path / "x.h5mu")
    sl.io.check(again)
    pd.testing.assert_frame_equal(again.obs, mdata.obs)
    pd.testing.assert_frame_equal(again["atac"].var, mdata["atac"].var, check_dtype=False, check_categorical=False)
    assert (again["rna"].X != mdata["rna"].X).nnz == 0
    with quiet():
        report = mudata.read_h5mu(tmp_path / "x.h5mu").uns["scanlink"]["read"]
    assert report["n_cells"] == {"rna": 12, "atac": 12, "cells": 12, "kept": 12}
    assert report["source"] == {"rna": "a", "atac": "b"}


def test_assemble__metadata_have_plain_names_and_rna_wins(distinct) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    rna.obs["batch"], atac.obs["batch"] = "one", pd.Categorical(["one"] * 12)
    rna.obs["depth"], atac.obs["depth"] = range(12), range(12, 24)
    atac.obs["only_atac"] = 1.5
    obs = sl.io.assemble(rna, atac).obs
    assert sorted(obs) == ["atac:depth", "batch", "depth", "only_atac"]
    assert obs["depth"].tolist() == list(range(12))
    assert obs["atac:depth"].tolist() == list(range(12, 24))


def test_assemble__table_of_cells_wins_over_what_files_say(distinct) -> None:
    rna = distinct.adata("rna")
    rna.obs["celltype"] = "unknown"
    cells = pd.DataFrame({"celltype": ["B"] * 12}, index=distinct.cells)
    obs = sl.io.assemble(rna, distinct.adata("atac"), cells).obs
    assert set(obs["celltype"]) == {"B"}
    assert set(obs["rna:celltype"]) == {"unknown"}


VALUES = {
    "fractional": (0.5, r"found 1 fractional of \d+ non-zero values, the first NOC2L = 0.5 in cell [ACGT]+-1"),
    "negative": (-2.0, r"found 1 negative of .* NOC2L = -2.0 in cell"),
    "nan": (np.nan, r"found 1 not finite of .* NOC2L = nan in cell"),
    "infinite": (np.inf, r"found 1 not finite of .* NOC2L = inf in cell"),
    "too large": (2.0**31, r"found 1 above 2,147,483,647"),
}


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_assemble__names_values_that_are_not_counts(distinct, case: str, form: str) -> None:
    value, message = VALUES[case]
    counts = distinct.rna.astype(float)
    counts[4, 1] = value
    rna = distinct.adata("rna")
    rna.X = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}[form](counts)
    with pytest.raises(InputError, match=rf"rna: expected raw integer counts, {message}") as caught:
        sl.io.assemble(rna, distinct.adata("atac"))
    assert distinct.cells[4] in str(caught.value) or case == "too large"


def test_assemble__says_where_raw_counts_may_be_and_takes_them_when_asked(distinct) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    with quiet():
        rna.raw = rna.copy()
    rna.layers["counts"] = rna.X.copy()
    rna.X = rna.X * 0.5
    with pytest.raises(InputError, match="has a layer 'counts': pass layer='counts'"):
        sl.io.assemble(rna, atac)
    for layer in ("counts", "raw"):
        mdata = sl.io.assemble(rna, atac, layer={"rna": layer})
        np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna)
    with pytest.raises(MissingKeyError, match="atac has no layer 'counts'; layers found: none"):
        sl.io.assemble(rna, atac, layer="counts")
    del rna.layers["counts"]
    with pytest.raises(InputError, match=r"has .raw: pass layer='raw'"):
        sl.io.assemble(rna, atac)


def test_assemble__duplicates_are_named(distinct, multiome) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    twice = distinct.cells[:11] + distinct.cells[:1]
    with pytest.raises(InputError, match=rf"1 of the barcodes of rna occurs more than once: '{twice[0]}'"):
        sl.io.assemble(distinct.adata("rna", cells=twice), atac)
    with pytest.raises(InputError, match="1 of the barcodes of atac occurs"):
        sl.io.assemble(rna, distinct.adata("atac", cells=twice))
    with pytest.raises(InputError, match="1 of the barcodes of cells occurs"):
        sl.io.assemble(rna, atac, pd.DataFrame(index=twice))
    with pytest.raises(InputError, match="1 of the peaks of atac occurs more than once: 'chr1:9-20'"):
        sl.io.assemble(rna, distinct.adata("atac", names=["chr1:9-20"] * 2 + distinct.peaks[2:]))
    with pytest.raises(InputError, match=r"genes of rna \(which have no column gene_ids.* 'TBCE'"):
        sl.io.assemble(multiome.adata("rna"), atac)
    same_id = multiome.adata("rna")
    same_id.var["gene_ids"] = "ENSG1"
    with pytest.raises(InputError, match=r"genes of rna, even with their ids, .* 'TBCE_ENSG1'"):
        sl.io.assemble(same_id, atac)


def test_assemble__refuses_a_modality_without_features(distinct) -> None:
    with pytest.raises(InputError, match="atac has 12 cells but no peaks"):
        sl.io.assemble(distinct.adata("rna"), distinct.adata("atac")[:, :0].copy())


def test_assemble__swapped_modalities(distinct) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    with pytest.raises(InputError, match="rna looks swapped with atac: features of rna are such as 'chr1:9-20'"):
        sl.io.assemble(atac, rna)
    with pytest.raises(InputError, match="looks swapped, or the genes were given twice"):
        sl.io.assemble(rna, rna)
    with pytest.raises(InputError, match="looks swapped, or the peaks were given twice"):
        sl.io.assemble(atac, atac)


@pytest.mark.parametrize(
    ("rewrite", "explanation"),
    [
        (lambda cell: cell.removesuffix("-1"), "without the suffix '-1'"),
        (lambda cell: f"sample#{cell}", "without a prefix up to '#' in atac"),
        (lambda cell: f"s1_{cell}", "without a prefix up to '_' in atac"),
        (lambda cell: f"{cell}_2", "without a suffix after '_' in atac"),
        (lambda cell: f"{cell}-s1d1", "without the suffix after the second '-' in atac"),
        (str.lower, "without the case of letters in atac"),
        (lambda cell: cell[::-1], "Are the files of the same sample"),
    ],
)
def test_assemble__says_why_no_barcode_matches(distinct, rewrite, explanation: str) -> None:
    atac = distinct.adata("atac", cells=[rewrite(cell) for cell in distinct.cells])
    with pytest.raises(InputError, match="no cell is on all sides") as caught:
        sl.io.assemble(distinct.adata("rna"), atac)
    assert explanation in str(caught.value)
    assert distinct.cells[0] in str(caught.value)


def test_assemble__warns_when_a_side_loses_many_cells(distinct, caplog) -> None:
    cells = [cell if i < 8 else cell.removesuffix("-1") for i, cell in enumerate(distinct.cells)]
    with caplog.at_level(logging.INFO, logger="scanlink"):
        sl.io.assemble(distinct.adata("rna"), distinct.adata("atac", cells=cells))
    loud = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage().split(" (")[0] for record in loud] == [
        "rna lost 4 of 12 cells",
        "atac lost 4 of 12 cells",
    ]
    assert "12 cells of rna and atac would match without the suffix '-1'" in loud[0].getMessage()
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="scanlink"):
        sl.io.assemble(distinct.adata("rna"), distinct.adata("atac")[1:].copy())
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert "rna lost 1 of 12 cells (8.3 %)" in caplog.text


def by_hand(distinct, **changes) -> mudata.MuData:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    atac.var = sl.io.parse_peaks(atac.var_names)
    with quiet():
        return mudata.MuData({"rna": rna, "atac": atac, **changes})


def test_check__takes_what_was_made_by_hand_and_right(distinct) -> None:
    sl.io.check(by_hand(distinct))


def test_check__names_what_is_wrong(distinct) -> None:
    cases = []
    floats = distinct.adata("rna", X=distinct.rna.astype(float))
    cases.append((by_hand(distinct, rna=floats), InputError, r"rna: expected integer counts \(int32\), found float64"))
    halves = distinct.adata("rna", X=distinct.rna * 0.5)
    cases.append((by_hand(distinct, rna=halves), InputError, "rna: expected raw integer counts, found .* fractional"))
    dense = distinct.adata("rna")
    dense.X = distinct.rna
    cases.append((by_hand(distinct, rna=dense), InputError, "expected a sparse CSR matrix .* found ndarray"))
    columns = distinct.adata("rna")
    columns.X = sparse.csc_matrix(distinct.rna)
    cases.append((by_hand(distinct, rna=columns), InputError, "found sparse csc"))
    turned = distinct.adata("rna")[::-1].copy()
    cases.append((by_hand(distinct, rna=turned), InputError, "the same cells in a different order"))
    fewer = distinct.adata("rna")[:5].copy()
    cases.append((by_hand(distinct, rna=fewer), InputError, r"different cells \(5 and 12\)"))
    bare = distinct.adata("atac")
    cases.append((by_hand(distinct, atac=bare), MissingKeyError, "no column 'chrom', 'start', 'end'"))
    reversed_peaks = distinct.adata("atac")
    reversed_peaks.var = sl.io.parse_peaks(distinct.peaks).rename(columns={"start": "end", "end": "start"})
    cases.append((by_hand(distinct, atac=reversed_peaks), InputError, "4 of 4 peaks are empty"))
    swapped = mudata_of({"rna": distinct.adata("atac"), "atac": distinct.adata("rna")})
    cases.append((swapped, InputError, "looks swapped"))
    cases.append((mudata_of({"rna": distinct.adata("rna")}), MissingKeyError, "no modality 'atac'; found: 'rna'"))
    for mdata, error, message in cases:
        with pytest.raises(error, match=message):
            sl.io.check(mdata)


def mudata_of(modalities: dict[str, AnnData]) -> mudata.MuData:
    with quiet():
        return mudata.MuData(modalities)
