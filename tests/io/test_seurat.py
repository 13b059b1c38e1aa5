"""Objects of R's SeuratObject 4.1.3, made by seurat.R beside: three assays, of which one is Signac's."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.rds import read_rds
from scanlink.io.seurat import Seurat

V4, V5 = (Path(__file__).with_name(f"seurat{version}.rds") for version in (4, 5))
# As seurat.R has them: features x cells.
RNA = np.array([[0, 2, 1, 0, 3], [1, 0, 0, 4, 0], [5, 0, 0, 0, 1]])
ATAC = np.array([[1, 0, 1, 0, 0], [0, 2, 0, 0, 1]])


@pytest.mark.parametrize("given", [{"path": V4}, {"rna": V4, "atac": V4, "cells": V4}], ids=["whole", "pair"])
def test_read__takes_counts_not_data_and_metadata_of_a_seurat_object(given: dict) -> None:
    mdata = sl.io.read(**given)
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), RNA.T)
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), ATAC.T)
    assert mdata["rna"].var_names.tolist() == ["NOC2L", "HLA-A", "MT-CO1"]
    assert mdata["atac"].var["start"].tolist() == [10, 30]
    assert mdata.obs["celltype"].astype(str).tolist() == list("BTBTB")
    assert mdata.obs["nCount_RNA"].tolist() == RNA.sum(0).tolist()


def test_read__takes_the_assay_that_is_named() -> None:
    mdata = sl.io.read(V4, rna_key="ADT")
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), RNA[:2].T)
    with pytest.raises(MissingKeyError, match="no assay 'peaks' for atac; assays found: 'RNA', 'ATAC', 'ADT'"):
        sl.io.read(V4, atac_key="peaks")
    with pytest.raises(MissingKeyError, match="no assay 'guide' for guide"):
        sl.io.read_screen(V4)


def test_read__seurat_5_is_told_the_lines_of_r_and_its_other_assays_are_read() -> None:
    with pytest.raises(InputError, match=r"'RNA' is of Seurat 5") as error:
        sl.io.read(V5)
    assert "saveRDS(as(LayerData(JoinLayers(object[['RNA']]), layer = 'counts'), 'dgCMatrix'), 'rna.rds')" in str(
        error.value
    )
    assert "saveRDS(object[[]], 'cells.rds')" in str(error.value)
    mdata = sl.io.read(rna=V4, atac=V5, cells=V5)
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), ATAC.T)


def test_seurat__says_which_of_several_assays_it_takes(caplog) -> None:
    content = read_rds(V4)
    assert isinstance(content, Seurat)
    assays = {**content.assays, "peaks": content.assays["ATAC"]}
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        np.testing.assert_array_equal(Seurat("x.rds", assays, content.cells).matrix("atac").matrix.toarray(), ATAC)
    assert "of the assays 'ATAC', 'peaks', 'ATAC' is read as atac" in caplog.text
    del assays["ATAC"]
    np.testing.assert_array_equal(Seurat("x.rds", assays, content.cells).matrix("atac").matrix.toarray(), ATAC)
    assays["macs2"] = assays["peaks"]
    with pytest.raises(OptionError, match=r"several assays may be atac: 'peaks', 'macs2'\. Pass atac_key="):
        Seurat("x.rds", assays, content.cells).matrix("atac")
