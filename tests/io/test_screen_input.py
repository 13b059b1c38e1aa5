"""Reading CRISPR screens, from every format, and what is refused."""

from __future__ import annotations

import logging

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.io
from anndata import AnnData
from scipy import sparse
from small_screens import CELLS, GUIDES, counts, parts

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.disk import DiskCounts
from scanlink.io.opening import quiet


def write_csv(folder, *, flip=False):
    """A pair of dense matrices, cells in rows or in columns."""
    for name, adata in zip(("rna", "guide"), parts(), strict=True):
        frame = adata.to_df().astype(int)
        (frame if flip else frame.T).to_csv(folder / f"{name}.csv")
    return {"rna": folder / "rna.csv", "guide": folder / "guide.csv"}


def write_mtx(folder):
    paths = {}
    for name, adata in zip(("rna", "guide"), parts(), strict=True):
        paths[name] = folder / f"{name}.mtx"
        scipy.io.mmwrite(paths[name], sparse.coo_matrix(adata.X.T))
        (folder / f"{name}_features.tsv").write_text("\n".join(adata.var_names) + "\n")
    (folder / "barcodes.tsv").write_text("\n".join(CELLS) + "\n")
    return paths


def write_h5mu(folder, keys=("rna", "guide"), *, obs=None, **more):
    rna, guide = parts()
    path = folder / "x.h5mu"
    with quiet():
        mdata = mudata.MuData(dict(zip(keys, (rna, guide), strict=True)) | more)
        for name, values in (obs or {}).items():
            mdata.obs[name] = values
        mdata.write(path)
    return path


def write_10x(folder, *, kind="CRISPR Guide Capture"):
    rna, guide = parts()
    matrix = sparse.csr_matrix(sparse.hstack([rna.X, guide.X]))
    path = folder / "filtered_feature_bc_matrix.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(CELLS, dtype="S")
        group["data"], group["indices"], group["indptr"] = matrix.data.astype(np.int32), matrix.indices, matrix.indptr
        group["shape"] = np.array(matrix.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        names = [*rna.var_names, *guide.var_names]
        features["id"] = np.array(["ENSG01", "ENSG02", "ENSG03", *guide.var_names], dtype="S")
        features["name"] = np.array(names, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * 3 + [kind] * 6, dtype="S")
        for column in ("genome", "pattern", "read", "sequence"):
            features[column] = np.array(["x"] * 9, dtype="S")
    return path


def write_10x_folder(folder):
    rna, guide = parts()
    path = folder / "filtered_feature_bc_matrix"
    path.mkdir()
    scipy.io.mmwrite(path / "matrix.mtx", sparse.coo_matrix(sparse.hstack([rna.X, guide.X]).T))
    rows = [f"{name}\t{name}\tGene Expression\n" for name in rna.var_names]
    rows += [f"{name}\t{name}\tCRISPR Guide Capture\n" for name in guide.var_names]
    (path / "features.tsv").write_text("".join(rows))
    (path / "barcodes.tsv").write_text("\n".join(CELLS) + "\n")
    return path


def write_h5ad(folder):
    rna, guide = parts()
    both = AnnData(
        sparse.csr_matrix(sparse.hstack([rna.X, guide.X])),
        obs=rna.obs,
        var=pd.DataFrame(
            {"feature_types": ["Gene Expression"] * 3 + ["CRISPR Guide Capture"] * 6},
            index=[*rna.var_names, *guide.var_names],
        ),
    )
    both.write_h5ad(folder / "both.h5ad")
    rna.write_h5ad(folder / "rna.h5ad")
    guide.write_h5ad(folder / "guide.h5ad")
    return folder / "both.h5ad", {"rna": folder / "rna.h5ad", "guide": folder / "guide.h5ad"}


def read_each(folder):
    both, pair = write_h5ad(folder)
    yield sl.io.read_screen(both, guides=GUIDES)
    yield sl.io.read_screen(both, guides=GUIDES, backed=True)
    yield sl.io.read_screen(**pair, guides=GUIDES)
    yield sl.io.read_screen(write_10x_folder(folder), guides=GUIDES)
    yield sl.io.read_screen(**write_csv(folder), guides=GUIDES)
    yield sl.io.read_screen(**write_csv(folder, flip=True), guides=GUIDES)
    yield sl.io.read_screen(**write_mtx(folder), guides=GUIDES)
    yield sl.io.read_screen(write_h5mu(folder), guides=GUIDES)
    yield sl.io.read_screen(write_10x(folder), guides=GUIDES)
    yield sl.io.read_screen(write_10x(folder), guides=GUIDES, backed=True)
    yield sl.io.read_screen(write_h5mu(folder), guides=GUIDES, backed=True)


def test_read_screen__gives_the_same_from_every_format(tmp_path):
    expected = [matrix[:, :] for matrix in counts()]
    for mdata in read_each(tmp_path):
        sl.io.check_screen(mdata)
        assert list(mdata.mod) == ["rna", "guide"]
        assert mdata.obs_names.tolist() == CELLS
        found = [mdata[name].X for name in ("rna", "guide")]
        found = [matrix.to_memory() if isinstance(matrix, DiskCounts) else matrix for matrix in found]
        for matrix, dense in zip(found, expected, strict=True):
            np.testing.assert_array_equal(matrix.toarray(), dense)
        assert not isinstance(mdata["guide"].X, DiskCounts)
        assert mdata["rna"].var_names.tolist() == ["NOC2L", "HES4", "TBCE"]
        assert mdata["guide"].var["target"].tolist() == GUIDES["target"].tolist()
        assert mdata["guide"].var["start"].tolist()[:4] == [50_000, 50_000, 90_000, 999]
        assert mdata.uns["scanlink"]["read"]["n_guides"] == 6


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_read_screen__reads_the_table_of_guides_and_that_of_cells_from_files(tmp_path, suffix):
    write = {
        "csv": lambda table, path: table.to_csv(path, index=False),
        "tsv": lambda table, path: table.to_csv(path, sep="\t", index=False),
        "parquet": lambda table, path: table.to_parquet(path, index=False),
    }[suffix]
    cells = pd.DataFrame({"cell": CELLS[:4], "prep_batch": list("aabb"), "nUMI": [9, 8, 7, 6]})
    paths = {"guides": tmp_path / f"guides.{suffix}", "cells": tmp_path / f"cells.{suffix}"}
    write(GUIDES, paths["guides"])
    write(cells, paths["cells"])
    mdata = sl.io.read_screen(**write_csv(tmp_path), **paths)
    assert mdata.obs["prep_batch"].tolist() == list("aabb")
    assert mdata.uns["scanlink"]["read"]["lost"] == {"rna": 1, "guide": 1, "cells": 0}
    in_memory = sl.io.read_screen(**write_csv(tmp_path), guides=GUIDES)["guide"].var
    pd.testing.assert_frame_equal(mdata["guide"].var, in_memory)


@pytest.mark.parametrize("keys", [("gene", "guide"), ("RNA", "gRNA"), ("gex", "crispr"), ("rna", "sgrna")])
def test_read_screen__finds_the_modalities(tmp_path, keys):
    obs = {"prep_batch": list("aabbb"), f"{keys[0]}:depth": [1, 2, 3, 4, 5], f"{keys[1]}:umis": [5, 4, 3, 2, 1]}
    mdata = sl.io.read_screen(write_h5mu(tmp_path, keys, obs=obs), guides=GUIDES)
    assert mdata.obs.columns.tolist() == ["prep_batch", "depth", "umis"]


def test_read_screen__takes_the_modalities_that_are_named(tmp_path, caplog):
    rna, guide = parts()
    path = write_h5mu(tmp_path, ("rna", "hto"), gRNA=guide[:, :3].copy(), protein=rna[:, :1].copy())
    mdata = sl.io.read_screen(path, guides=GUIDES, guide_key="hto")
    assert mdata["guide"].n_vars == 6
    assert "modalities other than rna and guide are dropped: 'gRNA', 'protein'" in caplog.text
    with pytest.raises(
        MissingKeyError, match=r"no modality 'x'; modalities found: 'rna', 'hto', .* rna_key= and guide_key="
    ):
        sl.io.read_screen(path, guides=GUIDES, guide_key="x")


def test_read_screen__asks_where_several_modalities_may_be_meant(tmp_path):
    _, guide = parts()
    path = write_h5mu(tmp_path, ("rna", "gRNA"), crispr=guide.copy())
    with pytest.raises(OptionError, match=r"several modalities may be guide: 'gRNA', 'crispr'. Pass guide_key="):
        sl.io.read_screen(path, guides=GUIDES)
    with pytest.raises(MissingKeyError, match="no modality 'guide'; modalities found: 'rna', 'hto'"):
        sl.io.read_screen(write_h5mu(tmp_path, ("rna", "hto")), guides=GUIDES)


def test_read_screen__reads_a_real_file_with_its_own_table_of_guides(shared):
    mdata = sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    sl.io.check_screen(mdata)
    assert (mdata.n_obs, mdata["rna"].n_vars, mdata["guide"].n_vars) == (9_704, 112, 55)
    # Plain names, and no gene:... or guide:... beside them.
    assert mdata.obs.columns.tolist() == [
        *("prep_batch", "within_batch_chip", "within_chip_lane", "num_expressed_genes", "total_gene_umis"),
        *("num_expressed_guides", "total_guide_umis"),
    ]
    np.testing.assert_array_equal(mdata["rna"].X.sum(axis=1).A1, mdata.obs["total_gene_umis"])
    assert {"symbol", "gene_chr"} <= set(mdata["rna"].var)
    guides = mdata["guide"].var
    assert (guides["target"] == "non-targeting").sum() == 25
    own = guides[guides["target"] != "non-targeting"]
    assert (own.groupby("target")["start"].agg(["size", "nunique"]) == [2, 1]).all(axis=None)
    by_target = own.groupby("target")
    np.testing.assert_array_equal(by_target["start"].first(), by_target["intended_target_start"].min())
    np.testing.assert_array_equal(by_target["end"].first(), by_target["intended_target_end"].max())
    assert guides.loc[guides["target"] == "non-targeting", ["chrom", "start", "end"]].isna().all(axis=None)


def test_read_screen__survives_being_written_and_read(tmp_path):
    mdata = sl.io.read_screen(**write_csv(tmp_path), guides=GUIDES)
    sl.pp.assign_guides(mdata)
    with quiet():
        mdata.write(tmp_path / "y.h5mu")
    again = sl.io.read_screen(tmp_path / "y.h5mu")
    known = mdata["guide"].var
    assert again["guide"].var.columns.tolist() == known.columns.tolist()
    pd.testing.assert_frame_equal(again["guide"].var.astype(known.dtypes), known, check_categorical=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"read_screen\(\) needs a path .* or both rna= and guide="),
        ({"rna": "a.csv"}, r"or both rna= and guide="),
        ({"path": "x.h5mu", "rna": "a.csv"}, "either a path with both modalities, or rna= and guide="),
        ({"rna": "a.csv", "guide": "b.csv", "backed": True}, "backed=True works with one file"),
        ({"rna": "a.csv", "guide": "b.csv", "guide_key": "x"}, "are names in one file"),
        ({"path": "x.h5", "guide_key": "x"}, "rna_key= and guide_key= work with .h5mu, .rds and .zarr files only"),
        ({"path": "x.h5", "layer": "counts"}, "layer= works with .h5mu, .h5ad and .zarr files only"),
    ],
)
def test_read_screen__refuses_options_that_do_not_go_together(given, message):
    with pytest.raises(OptionError, match=message):
        sl.io.read_screen(**given)


def test_read_screen__names_files_that_are_wrong(tmp_path):
    with pytest.raises(InputError, match=r"unknown suffix '.csv'; expected .h5mu, .* read_screen\(rna=, guide=\)"):
        sl.io.read_screen("x.csv")
    with pytest.raises(InputError, match="no such file"):
        sl.io.read_screen(tmp_path / "none.h5mu")
    message = (
        r"no features of type 'CRISPR Guide Capture'; found 6 'Peaks', 3 'Gene Expr.* The matrix of a CRISPR screen"
    )
    with pytest.raises(InputError, match=message):
        sl.io.read_screen(write_10x(tmp_path, kind="Peaks"), guides=GUIDES)
    with pytest.raises(MissingKeyError, match=r"guide.var has no column of targets, .* as guides="):
        sl.io.read_screen(write_10x(tmp_path))


def changed(rna=None, guide=None, cells=None, names=None):
    """The parts with other counts of guides, barcodes or names."""
    ours, theirs = parts()
    ours = ours if rna is None else AnnData(rna, obs=ours.obs, var=ours.var)
    theirs = theirs if guide is None else AnnData(guide, obs=theirs.obs, var=theirs.var)
    with quiet():
        if cells is not None:
            theirs.obs_names = cells
        if names is not None:
            theirs.var_names = names
    return ours, theirs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guide": counts()[1] - 1.0}, r"guide: expected raw integer counts, found .* negative"),
        ({"guide": counts()[1] / 3}, r"guide: expected raw integer counts, found .* fractional"),
        ({"rna": counts()[0] * np.nan}, r"rna: expected raw integer counts, found .* not finite"),
        ({"cells": [CELLS[0], *CELLS[:4]]}, "1 of the barcodes of guide occurs more than once"),
        ({"cells": [f"lane1_{cell}" for cell in CELLS]}, r"no cell is on all sides \(rna, guide\).*without a prefix"),
        ({"names": ["g1", "g1", "g3", "g4", "nt1", "nt2"]}, "1 of the guides of guide occurs more than once: 'g1'"),
        ({"names": ["g1", "g2", "g3", "g4", "nt1", "nt9"]}, r"1 of 6 guides of the matrix are not in it \('nt9'\)"),
    ],
)
def test_assemble_screen__refuses_what_is_wrong(change, message):
    with pytest.raises(InputError, match=message):
        sl.io.assemble_screen(*changed(**change), guides=GUIDES)


def test_assemble_screen__tells_when_modalities_are_swapped():
    rna, guide = parts()
    with pytest.raises(
        InputError, match=r"rna looks swapped with guide: features of rna are such as 'g1', 'g2', .* Exch"
    ):
        sl.io.assemble_screen(guide, rna, guides=GUIDES)
    guide.var["target"] = GUIDES["target"].to_numpy()
    with pytest.raises(InputError, match="rna looks swapped with guide"):
        sl.io.assemble_screen(guide, rna)
    rna.var_names = ["chr1:10-20", "chr1:30-40", "chr2:10-20"]
    with pytest.raises(InputError, match="rna holds peaks, it seems"):
        sl.io.assemble_screen(rna, guide)


def test_assemble_screen__says_what_is_odd(caplog):
    caplog.set_level(logging.INFO, logger="scanlink")
    rna, guide = counts()
    rna[2], guide[:, 2] = 0, 0
    mdata = sl.io.assemble_screen(*changed(rna=rna, guide=guide, cells=[*CELLS[:4], "other"]), guides=GUIDES)
    assert mdata.n_obs == 4
    assert "read 4 cells x 3 genes and 6 guides: 4 of 3 targets, 2 non-targeting" in caplog.text
    assert "1 of 6 guides are in no cell: 'g3'" in caplog.text
    assert "1 of 4 cells have no count of any gene" in caplog.text
    assert "rna lost 1 of 5 cells" in caplog.text
    sl.io.assemble_screen(*parts(), guides=GUIDES.assign(target="enh1", start=1, end=9, chrom="chr1"))
    assert "no guide is non-targeting" in caplog.text


def test_assemble_screen__changes_nothing_that_it_is_given():
    rna, guide = parts()
    table = GUIDES.copy()
    sl.io.assemble_screen(rna, guide, guides=table)
    assert list(guide.var) == list(rna.var) == []
    pd.testing.assert_frame_equal(table, GUIDES)


def test_check_screen__refuses_what_was_made_by_hand_and_is_wrong():
    good = sl.io.assemble_screen(*parts(), guides=GUIDES)
    sl.io.check_screen(good)
    for change, message in (
        (lambda m: m.mod.pop("guide"), "the MuData has no modality 'guide'; found: 'rna'"),
        (lambda m: m["guide"].var.pop("target"), "guide.var has no column 'target'"),
    ):
        with quiet():
            bad = good.copy()
        change(bad)
        with pytest.raises(MissingKeyError, match=message):
            sl.io.check_screen(bad)
    with quiet():
        bad = good.copy()
    bad["guide"].X = sparse.csr_matrix(np.full((5, 6), 0.5))
    with pytest.raises(InputError, match="guide: expected raw integer counts"):
        sl.io.check_screen(bad)
    with quiet():
        bad = mudata.MuData({"rna": good["rna"], "guide": good["guide"][::-1].copy()})
    with pytest.raises(
        InputError, match=r"rna and guide have the same cells in a different order .*assemble_screen\(rna"
    ):
        sl.io.check_screen(bad)
    with pytest.raises(InputError, match="expected a MuData with 'rna' and 'guide', found DataFrame"):
        sl.io.check_screen(GUIDES)
