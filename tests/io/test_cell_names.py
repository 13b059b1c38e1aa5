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
    del rna.obs["atac_barcode"]
    rna.obs["index"] = [str(3 * i) for i in range(12)]  # as of a table that was numbered anew twice
    assert_right(sl.io.assemble(rna, atac), distinct)
    for adata in (rna, atac):
        adata.obs = adata.obs[["n"]]
    assert sl.io.assemble(rna, atac).obs_names.tolist() == [str(i) for i in range(12)]


def test_assemble__cells_of_the_same_row_numbers_are_the_same_whichever_side_has_barcodes(distinct, caplog) -> None:
    """Row numbers were right before they were replaced on one side only."""
    order = np.random.default_rng(1).permutation(12)
    right = [distinct.cells[i] for i in order]
    for has in ("rna", "atac", "cells"):
        sides = {modality: numbered(distinct, modality, order) for modality in ("rna", "atac")}
        cells = pd.DataFrame({"barcode": right, "n": order}, index=[str(i) for i in range(12)])
        for side, adata in sides.items():
            if side != has:
                del adata.obs["barcode"]
        mdata = sl.io.assemble(**sides, cells=cells if has == "cells" else cells[["n"]])
        assert_right(mdata, distinct)
        assert mdata.obs_names.tolist() == right
        assert f"cells are called by the row numbers of {has}, and get its barcodes" in caplog.text
        assert sides["rna"].obs_names[0] == "0"


def test_assemble__barcodes_of_the_other_whitelist_do_not_part_the_same_row_numbers(distinct, caplog) -> None:
    rna, atac = (numbered(distinct, modality, np.arange(12)) for modality in ("rna", "atac"))
    complement = str.maketrans("ACGT", "TGCA")
    atac.obs["barcode"] = [name.translate(complement) for name in distinct.cells]
    mdata = sl.io.assemble(rna, atac)
    assert_right(mdata, distinct)
    assert mdata.obs_names.tolist() == distinct.cells
    assert "their own in 'barcode', such as " in caplog.text
    assert "barcodes of ATAC were not translated to those of RNA" in caplog.text
    # The same list, written in another way and in another order, says that row numbers are not of the same cells.
    atac.obs["barcode"] = [name.removesuffix("-1") for name in reversed(distinct.cells)]
    with pytest.raises(InputError, match=r"no cell is on all sides.*12 cells .* would match without the suffix '-1'"):
        sl.io.assemble(rna, atac)
    with pytest.raises(InputError, match="no cell is on all sides"):
        sl.io.assemble(rna[:11].copy(), atac)


def test_assemble__row_numbers_that_differ_are_refused_or_doubted(distinct, caplog) -> None:
    """Where a cell was left out before cells were numbered, all after it are called as their neighbours are."""
    rna, fewer = numbered(distinct, "rna", np.arange(12)), numbered(distinct, "atac", np.delete(np.arange(12), 3))
    later = numbered(distinct, "atac", np.arange(12), first=1)
    assert_right(sl.io.assemble(rna, later), distinct)
    assert sl.io.assemble(rna, fewer).obs_names.tolist() == [*distinct.cells[:3], *distinct.cells[4:]]
    bare = rna.copy()
    for adata in (bare, later):
        adata.obs = adata.obs[["n"]]
    for one in (rna, bare):
        with pytest.raises(
            InputError, match=r"rna and atac are called by row numbers \(rna has 12, from 0; atac has 12, from 1\)"
        ):
            sl.io.assemble(one, later)
    with pytest.raises(InputError, match=r"atac has 11, from 0\), and rna has no column of barcodes, so which"):
        sl.io.assemble(bare, fewer)
    fewer.obs = fewer.obs[["n"]]
    assert "row numbers (" not in caplog.text
    assert sl.io.assemble(bare, fewer).n_obs == 11
    assert "atac has 11, from 0), and rna and atac have no column of barcodes. Equal numbers are taken" in caplog.text
    caplog.clear()
    fewer.obs_names = [str(n) for n in fewer.obs["n"]]  # as of a part of all that were numbered
    assert sl.io.assemble(bare, fewer).obs_names.tolist() == [str(i) for i in range(12) if i != 3]
    assert "row numbers (" not in caplog.text


def test_read_screen__names_the_sides_whose_row_numbers_differ(tmp_path: Path, distinct) -> None:
    for modality, first in {"rna": 0, "guide": 1}.items():
        adata = numbered(distinct, "rna", np.arange(12), first)
        adata.obs = adata.obs[["n"]]
        adata.write(tmp_path / f"{modality}.h5ad")
    cells = pd.DataFrame({"batch": ["a"] * 12}, index=distinct.cells)
    guides = pd.DataFrame({"guide": distinct.genes, "target": "t"})
    with pytest.raises(InputError, match=r"cells of rna and guide are called by row numbers .* guide has 12, from 1"):
        sl.io.read_screen(rna=tmp_path / "rna.h5ad", guide=tmp_path / "guide.h5ad", cells=cells, guides=guides)


def test_assemble__a_table_of_all_cells_goes_by_row_numbers_or_barcodes(distinct) -> None:
    rna, shuffled = numbered(distinct, "rna", np.arange(12)), numbered(distinct, "atac", np.arange(12)[::-1])
    del shuffled.obs["n"]
    donors = pd.DataFrame({"donor": [f"d{i}" for i in range(12)]}, index=[str(i) for i in range(12)])
    with pytest.raises(InputError, match=r"row numbers of rna and atac are not of the same cells: 12 differ, .*'0'"):
        sl.io.assemble(rna, shuffled, obs=donors)
    for atac, obs in ((shuffled, donors.set_axis(distinct.cells)), (shuffled[::-1].copy(), donors)):
        atac.obs_names = donors.index
        mdata = sl.io.assemble(rna, atac, obs=obs)
        assert_right(mdata, distinct)
        assert mdata.obs["donor"].tolist() == donors["donor"].tolist()
