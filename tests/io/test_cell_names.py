"""Row numbers are no barcodes: where a column has those, it is used, and metadata stay with their cells."""

from __future__ import annotations

from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.opening import quiet


def numbered(data, modality: str, order: np.ndarray, first: int = 0, column: str = "barcode") -> AnnData:
    """A modality whose cells, in some order, are called by number, with barcodes in a column."""
    adata = data.adata(modality)[order].copy()
    adata.obs[column] = adata.obs_names.to_numpy()
    adata.obs["n"] = order
    adata.obs_names = pd.Index([str(first + i) for i in range(len(order))], dtype=object)
    return adata


def assert_right(mdata, data) -> None:
    rows = [data.cells.index(name) for name in mdata.obs_names]
    assert len(rows) == 12
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), data.rna[rows])
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), data.atac[rows])
    assert mdata.obs["n"].tolist() == rows


@pytest.mark.parametrize(("first", "column"), [(0, "barcode"), (1, "CellID"), (0, "whatever")])
def test_read__uses_the_column_of_barcodes(tmp_path: Path, distinct, first, column, caplog) -> None:
    shuffled = np.random.default_rng(0).permutation(12)
    rna, atac = numbered(distinct, "rna", np.arange(12), first, column), numbered(distinct, "atac", shuffled, first)
    rna.write(tmp_path / "rna.h5ad"), atac.write(tmp_path / "atac.h5ad")
    del atac.obs["n"]
    assert_right(sl.io.assemble(rna, atac), distinct)
    assert rna.obs_names[0] == str(first)  # what is the user's stays as it is
    assert f"rna: cells are called by row numbers; their barcodes are taken from obs['{column}']" in caplog.text
    cells = pd.DataFrame({"celltype": [f"t{i}" for i in range(12)]}, index=distinct.cells)
    mdata = sl.io.read(rna=tmp_path / "rna.h5ad", atac=tmp_path / "atac.h5ad", cells=cells)
    assert mdata.obs["celltype"].tolist() == [f"t{distinct.cells.index(name)}" for name in mdata.obs_names]


def test_read__h5mu_keeps_what_it_says_of_all_cells(tmp_path: Path, distinct) -> None:
    with quiet():
        made = mudata.MuData({m: numbered(distinct, m, np.arange(12)) for m in ("rna", "atac")})
        made.obs["donor"] = [f"d{i}" for i in range(12)]
        made.write(tmp_path / "x.h5mu")
    for read in (sl.io.read, sl.io.read_h5mu):
        mdata = read(tmp_path / "x.h5mu")
        assert_right(mdata, distinct)
        assert mdata.obs["donor"].tolist() == [f"d{distinct.cells.index(name)}" for name in mdata.obs_names]


def test_assemble__several_columns_are_refused_numbers_alone_are_kept(distinct) -> None:
    rna, atac = (numbered(distinct, modality, np.arange(12)) for modality in ("rna", "atac"))
    rna.obs["atac_barcode"] = distinct.cells[::-1]
    with pytest.raises(InputError, match=r"row numbers .*several columns of obs may hold barcodes: 'barcode', 'atac_b"):
        sl.io.assemble(rna, atac)
    for adata in (rna, atac):
        adata.obs = adata.obs[["n"]]
    assert sl.io.assemble(rna, atac).obs_names.tolist() == [str(i) for i in range(12)]
