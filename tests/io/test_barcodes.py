"""Cells are the same on all sides, or the difference is said."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.opening import quiet


def barcodes(n: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), 16)) + "-1" for _ in range(n)]


def side(names: list[str], features: list[str]) -> ad.AnnData:
    counts = sp.csr_matrix(np.arange(1, len(names) + 1)[:, None] * np.ones((1, len(features)), dtype=int))
    return ad.AnnData(counts, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=features))


def join(rna: list[str], second: list[str], cells: list[str] | None = None, *, screen: bool = False):
    table = None if cells is None else pd.DataFrame({"score": range(len(cells))}, index=cells)
    if not screen:
        return sl.io.assemble(side(rna, ["A"]), side(second, ["chr1:10-20"]), table)
    guides = pd.DataFrame({"guide": ["g1"], "target": ["enh1"]})
    return sl.io.assemble_screen(side(rna, ["A"]), side(second, ["g1"]), table, guides=guides)


OURS, OTHERS = barcodes(400, 1), barcodes(1200, 2)


@pytest.mark.parametrize("screen", [False, True])
def test_barcodes__that_coincide_by_chance_are_refused(screen):
    with pytest.raises(InputError, match=r"only 40 cells are on all sides .*rna has 400.*has 400.*equal by chance"):
        join(OURS, OURS[:40] + OTHERS[:360], screen=screen)


@pytest.mark.parametrize("screen", [False, True])
@pytest.mark.parametrize(
    ("second", "cells", "n_cells"),
    [
        (OURS[::-1] + OTHERS, None, 400),  # all droplets on one side
        (OURS[:25], None, 25),  # a few cells on one side
        (OURS[:250] + OTHERS[:150], None, 250),  # each side called its own cells
        (OURS, OURS[:20], 20),  # a table of one type
        (OURS, OURS + OTHERS, 400),  # a table of all samples
        (OURS, OURS[:120] + OTHERS, 120),  # a table of all samples, filtered
    ],
)
def test_subsets__keep_their_cells_and_counts(second, cells, n_cells, screen):
    mdata = join(OURS, second, cells, screen=screen)
    assert mdata.n_obs == n_cells
    other = mdata["guide" if screen else "atac"]
    for name in mdata.obs_names[:: max(1, n_cells // 5)]:
        assert mdata["rna"][name].X.toarray()[0, 0] == OURS.index(name) + 1
        assert other[name].X.toarray()[0, 0] == second.index(name) + 1


def test_a_table_of_another_sample__is_refused():
    with pytest.raises(InputError, match=r"only 20 cells are on all sides \(rna, atac, cells\)"):
        join(OURS, OURS, OURS[:20] + OTHERS)


def read(folder, table: pd.DataFrame, **options):
    table.to_csv(folder / "cells.csv", index=False)
    for name, features in (("rna", ["A"]), ("atac", ["chr1:10-20"])):
        side(OURS, features).write_h5ad(folder / f"{name}.h5ad")
    return sl.io.read(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad", cells=folder / "cells.csv", **options)


def test_rival_columns_of_barcodes__are_refused_until_one_is_named(tmp_path):
    table = pd.DataFrame({"first": OURS[1:] + OURS[:1], "second": OURS, "score": range(400)})
    with pytest.raises(InputError, match=r"2 columns hold barcodes of the matrices, and differ: 'first' .*'second'"):
        read(tmp_path, table)
    assert read(tmp_path, table, barcode="second").obs["score"].tolist() == list(range(400))
    same = table.assign(first=OURS)
    assert read(tmp_path, same).obs["score"].tolist() == list(range(400))
    of_10x = table.rename(columns={"first": "atac_barcode", "second": "gex_barcode"})
    assert read(tmp_path, of_10x).obs["score"].tolist() == list(range(400))


def test_rows_without_a_barcode__are_left_out_and_said(tmp_path, caplog):
    table = pd.DataFrame({"barcode": [*OURS[:398], None, None], "score": range(400)})
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        assert read(tmp_path, table).n_obs == 398
    assert "2 of 400 rows have no barcode" in caplog.text


@pytest.mark.parametrize("missing", [np.nan, None, "nan", ""])
def test_missing_ids__stay_missing_and_the_gene_goes_by_its_name(tmp_path, missing):
    rna, atac = side(OURS, ["A", "B"]), side(OURS, ["chr1:10-20"])
    rna.var["gene_ids"] = ["ENSG00000000001", missing]
    mdata = sl.io.assemble(rna, atac)
    assert mdata["rna"].var["gene_id"].isna().tolist() == [False, True]
    genes = pd.DataFrame({"chrom": "chr1", "start": 5, "end": [100, 200], "strand": "+", "gene": ["X", "B"]})
    genes["gene_id"] = ["ENSG00000000001", "ENSG00000000002"]
    with quiet():
        mdata.write_h5mu(tmp_path / "x.h5mu")
    for data in (mdata, sl.io.read(tmp_path / "x.h5mu")):
        assert sl.pp.cis_pairs(data, genes)["gene"].tolist() == ["A", "B"]
