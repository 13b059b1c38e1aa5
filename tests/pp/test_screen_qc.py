"""Covariates of the cells of a screen."""

from __future__ import annotations

import numpy as np
import pytest
from small_screens import GUIDES, counts, parts

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.opening import quiet

RNA, GUIDE = counts()


@pytest.fixture
def screen():
    mdata = sl.io.assemble_screen(*parts(genes=["NOC2L", "MT-ND1", "TBCE"]), guides=GUIDES)
    sl.pp.assign_guides(mdata, threshold=6)
    return mdata


def test_screen_qc__counts_genes_and_guides(screen):
    sl.pp.screen_qc(screen)
    assert screen.obs["nUMI"].tolist() == RNA.sum(axis=1).tolist()
    assert screen.obs["nFeature_RNA"].tolist() == (RNA > 0).sum(axis=1).tolist()
    np.testing.assert_allclose(screen.obs["percent.mito"], 100 * RNA[:, 1] / RNA.sum(axis=1))
    assert screen.obs["guide_count"].tolist() == (GUIDE >= 6).sum(axis=1).tolist()
    assert screen.obs["guide_UMI"].tolist() == GUIDE.sum(axis=1).tolist()


def test_screen_qc__is_the_same_on_disk(screen, tmp_path):
    sl.pp.screen_qc(screen)
    columns = ["nUMI", "nFeature_RNA", "percent.mito", "guide_count", "guide_UMI"]
    with quiet():
        screen[:, :].copy().write(tmp_path / "x.h5mu")
    opened = sl.io.read_screen(tmp_path / "x.h5mu", backed=True)
    opened.obs = opened.obs[[]]
    sl.pp.screen_qc(opened)
    assert opened.obs[columns].equals(screen.obs[columns])


def test_screen_qc__finds_mitochondrial_genes_by_symbol(screen, caplog):
    screen["rna"].var["symbol"] = screen["rna"].var_names.to_numpy()
    screen["rna"].var_names = ["ENSG01", "ENSG02", "ENSG03"]
    sl.pp.screen_qc(screen)
    np.testing.assert_allclose(screen.obs["percent.mito"], 100 * RNA[:, 1] / RNA.sum(axis=1))
    del screen.obs["percent.mito"], screen["rna"].var["symbol"]
    sl.pp.screen_qc(screen)
    assert "percent.mito is not made: none of 3 genes begins with 'MT-'" in caplog.text
    assert "percent.mito" not in screen.obs


def test_screen_qc__keeps_what_the_user_brought_and_says_so(screen, caplog):
    screen.obs["nUMI"], screen.obs["guide_count"] = 10 * RNA.sum(axis=1), 3
    sl.pp.screen_qc(screen)
    assert screen.obs["guide_count"].tolist() == [3] * 5
    np.testing.assert_allclose(screen.obs["percent.mito"], 10 * RNA[:, 1] / RNA.sum(axis=1))
    n = int(((GUIDE >= 6).sum(axis=1) != 3).sum())
    assert f"guide_count in obs is kept as it is, but by the guides in the data it is another number in {n} of 5" in (
        caplog.text
    )
    assert "guide_UMI in obs" not in caplog.text
    sl.pp.screen_qc(screen, overwrite=True)
    assert screen.obs["guide_count"].tolist() == (GUIDE >= 6).sum(axis=1).tolist()
    assert screen.obs["nUMI"].tolist() == RNA.sum(axis=1).tolist()


def test_screen_qc__tells_when_thresholds_changed(screen, caplog):
    sl.pp.screen_qc(screen)
    sl.pp.screen_qc(screen)
    assert not caplog.records
    sl.pp.assign_guides(screen, threshold=1)
    sl.pp.screen_qc(screen)
    assert "made with other thresholds, or of more guides? overwrite=True" in caplog.text


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("guide_count", ["a"] * 5, r"obs\['guide_count'\] has type .*, expected numbers"),
        ("guide_UMI", [1, 2, np.nan, 3, 4], r"obs\['guide_UMI'\] is missing or negative in 1 of 5 cells"),
        ("nUMI", [1, 2, 3, -4, 5], r"obs\['nUMI'\] is missing or negative in 1 of 5 cells"),
    ],
)
def test_screen_qc__refuses_columns_that_are_no_numbers(screen, column, values, message):
    screen.obs[column] = values
    with pytest.raises(InputError, match=message):
        sl.pp.screen_qc(screen)


def test_screen_qc__refuses_other_data_and_options(screen):
    with pytest.raises(OptionError, match="the survey was made with"):
        sl.pp.screen_qc(screen, survey=sl.pp.Survey(screen, modalities=("rna",)), mito_prefix="mito-")
    with pytest.raises(MissingKeyError, match="no modality 'guide' in the data"):
        sl.pp.screen_qc(sl.ds.simulate(n_cells=60, n_genes=8, n_peaks=40, n_links=4, n_interactions=0).mdata)


def test_screen_qc__of_real_data_is_what_its_file_says(shared):
    mdata = sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    sl.pp.screen_qc(mdata)
    for ours, theirs in (
        ("nUMI", "total_gene_umis"),
        ("nFeature_RNA", "num_expressed_genes"),
        ("guide_UMI", "total_guide_umis"),
    ):
        np.testing.assert_array_equal(mdata.obs[ours], mdata.obs[theirs])
    assert mdata.obs["guide_count"].between(0, mdata.obs["num_expressed_guides"]).all()
