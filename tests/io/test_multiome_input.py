"""Every format gives the same MuData; real data; and what bad input is told."""

from __future__ import annotations

import gzip
import logging
import re
from functools import partial
from pathlib import Path

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import rdata
import scipy.io
from anndata import AnnData
from anndata.io import read_elem
from scipy import sparse

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.opening import quiet
from scanlink.io.releases import mmread_csr, pulling


def write_part(folder: Path, distinct, modality: str, kind: str) -> Path:
    counts = getattr(distinct, modality)
    names = distinct.genes if modality == "rna" else distinct.peaks
    path = folder / f"{modality}.{kind}"
    if kind == "h5ad":
        distinct.adata(modality).write_h5ad(path)
    elif kind in ("csv", "csv.gz", "tsv"):
        pd.DataFrame(counts.T, index=names, columns=distinct.cells).to_csv(path, sep="\t" if kind == "tsv" else ",")
    elif kind == "txt":  # as R's write.table writes: cells x features here, and a header one field short
        path = folder / f"{modality}.txt"
        lines = ["\t".join(f'"{name}"' for name in names)]
        lines += ["\t".join([f'"{cell}"', *map(str, row)]) for cell, row in zip(distinct.cells, counts, strict=True)]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "mtx":
        scipy.io.mmwrite(path, sparse.coo_matrix(counts.T))
        (folder / ("genes.tsv" if modality == "rna" else "peaks.tsv")).write_text("\n".join(names) + "\n")
        (folder / "barcodes.tsv").write_text("\n".join(distinct.cells) + "\n")
    elif kind == "mtx.gz":  # cells x features, names with a header and row numbers, as R's write.csv writes them
        with gzip.open(path, "wb") as file:
            scipy.io.mmwrite(file, sparse.coo_matrix(counts))
        for label, rows in ((f"{modality}_features.csv", names), (f"{modality}_barcodes.csv", distinct.cells)):
            (folder / label).write_text('"","x"\n' + "".join(f'"{i}","{row}"\n' for i, row in enumerate(rows, 1)))
    return path


@pytest.mark.parametrize("rna", ["h5ad", "csv", "csv.gz", "tsv", "txt", "mtx", "mtx.gz"])
@pytest.mark.parametrize("atac", ["h5ad", "txt", "mtx"])
def test_read__pairs_of_any_format_agree(tmp_path: Path, distinct, rna: str, atac: str) -> None:
    mdata = sl.io.read(
        rna=write_part(tmp_path, distinct, "rna", rna), atac=write_part(tmp_path, distinct, "atac", atac)
    )
    sl.io.check(mdata)
    assert mdata.obs_names.tolist() == distinct.cells
    assert mdata["rna"].var_names.tolist() == distinct.genes
    assert mdata["atac"].var_names.tolist() == distinct.peaks
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna)
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)


@pytest.mark.parametrize("name", ["atac_peaks.bed", "atac_peaks.bed.gz"])
def test_read__peaks_of_a_bed_of_cell_ranger(tmp_path: Path, distinct, name: str) -> None:
    paths = {modality: write_part(tmp_path, distinct, modality, "mtx") for modality in ("rna", "atac")}
    (tmp_path / "peaks.tsv").unlink()
    comments = "# id=pbmc\n# pipeline_name=cellranger-arc\n#\n# primary_contig=chr1\n"
    text = comments + "".join("\t".join(re.split("[:-]", peak)) + "\n" for peak in distinct.peaks)
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    mdata = sl.io.read(**paths, atac_features=tmp_path / name)
    assert mdata["atac"].var_names.tolist() == distinct.peaks
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)


def test_read__pbmc10k_is_what_rdata_reads(shared: Path) -> None:
    folder = shared / "pbmc10k"
    mdata = sl.io.read(rna=folder / "rna_matrix.rds", atac=folder / "atac_matrix.rds", cells=folder / "metafile.rds")
    sl.io.check(mdata)
    assert [mdata[m].shape for m in ("rna", "atac")] == [(11_457, 100), (11_457, 100)]
    assert list(mdata.obs) == ["nUMI", "celltype", "percent.mito"]
    assert (mdata.obs["celltype"] == "CD14-Mono").sum() == 3_152
    assert mdata.obs["celltype"].nunique() == 29
    with pytest.warns(UserWarning, match="Missing constructor"):
        raw = rdata.read_rds(folder / "rna_matrix.rds")
    expected = sparse.csc_matrix((raw.x, raw.i, raw.p), shape=raw.Dim).T
    assert (expected != mdata["rna"].X).nnz == 0
    assert mdata["rna"].var_names.tolist() == raw.Dimnames[0].tolist()
    assert mdata["atac"].var.loc["chr1-10046-10340"].tolist() == ["chr1", 10046, 10340]
    assert mdata.uns["scanlink"]["read"]["lost"] == {"rna": 0, "atac": 0, "cells": 0}


def test_read__scent_simulation_from_mtx(shared: Path) -> None:
    folder = shared / "scent_R_simulated" / "inputs"
    mdata = sl.io.read(rna=folder / "rna.mtx", atac=folder / "atac.mtx", cells=folder / "metadata.csv", one_based=True)
    assert [mdata[m].shape for m in ("rna", "atac")] == [(1_400, 40), (1_400, 154)]
    assert (mmread_csr(str(folder / "rna.mtx")).T.tocsr() != mdata["rna"].X).nnz == 0
    metadata = pd.read_csv(folder / "metadata.csv")
    assert mdata.obs["nUMI"].tolist() == metadata["nUMI"].tolist()
    assert mdata.obs["batch"].tolist() == metadata["batch"].tolist()
    assert mdata["atac"].var.loc["chr1-1878114-1879337"].tolist() == ["chr1", 1_878_113, 1_879_337]


@pytest.mark.parametrize(
    ("file", "n_cells", "n_genes", "n_peaks", "columns"),
    [
        ("a549/a549_scicar_counts.h5mu", 2_641, 1_185, 52_761, {"time_h", "total_umi_all_genes"}),
        ("bmmc/bmmc_multiome_A_counts.h5mu", 500, 600, 600, {"cell_type", "batch", "pct_counts_mt", "atac_fragments"}),
        ("pbmc_muon/test_rna_atac.h5mu", 1_000, 45, 174, set()),
    ],
)
def test_read__real_h5mu(shared: Path, file: str, n_cells: int, n_genes: int, n_peaks: int, columns: set[str]) -> None:
    mdata = sl.io.read(shared / file)
    sl.io.check(mdata)
    assert (mdata.n_obs, mdata["rna"].n_vars, mdata["atac"].n_vars) == (n_cells, n_genes, n_peaks)
    assert columns <= set(mdata.obs)
    assert not [name for name in mdata.obs if ":" in name]
    with h5py.File(shared / file) as content:
        for modality in ("rna", "atac"):
            oracle = read_elem(content[f"mod/{modality}/X"])  # mudata 0.3.1 and 0.4 do not read files of muon 0.1
            assert (oracle != mdata[modality].X).nnz == 0


def test_read_h5mu__of_muon_which_did_not_say_what_a_modality_is(distinct, tmp_path: Path) -> None:
    with quiet():
        whole = sl.io.assemble(distinct.adata("rna"), distinct.adata("atac"))
        whole["rna"].layers["counts"], whole["rna"].raw = whole["rna"].X, whole["rna"]
        whole.write(tmp_path / "x.h5mu")
    expected = sl.io.read(tmp_path / "x.h5mu")
    with h5py.File(tmp_path / "x.h5mu", "r+") as content:
        for group in (content, content["mod"], *content["mod"].values()):
            group.attrs.clear()
    found = [sl.io.read(tmp_path / "x.h5mu", layer=layer) for layer in (None, {"rna": "counts"}, {"rna": "raw"})]
    for mdata in found:
        pd.testing.assert_frame_equal(mdata.obs, expected.obs)
        for modality in ("rna", "atac"):
            pd.testing.assert_frame_equal(mdata[modality].var, expected[modality].var)
            assert (mdata[modality].X != expected[modality].X).nnz == 0


@pytest.mark.parametrize("pull", [None, False, True])
def test_read_h5mu__does_not_depend_on_how_mudata_treats_columns(shared: Path, pull: bool | None) -> None:
    path = shared / "bmmc" / "bmmc_multiome_A_counts.h5mu"
    expected = sl.io.read(path)
    with pulling(pull):  # None is the default of 0.3, False that of 0.4
        pd.testing.assert_frame_equal(sl.io.read(path).obs, expected.obs)


@pytest.mark.parametrize("pull", [None, False, True])
def test_quiet__puts_the_option_of_mudata_back(pull: bool | None) -> None:
    with pulling(pull):
        before = pull_of_mudata()
        with quiet():
            assert pull_of_mudata() is False
        with pytest.raises(KeyError), quiet():
            raise KeyError
        assert pull_of_mudata() is before


def pull_of_mudata() -> bool | None:
    """Give what mudata does now, of which 0.3 tells only by setting it."""
    if hasattr(mudata, "settings"):
        return mudata.settings.pull_on_update
    value = mudata.set_options(pull_on_update=None).opts["pull_on_update"]
    mudata.set_options(pull_on_update=value)
    return value


def test_read_h5mu__backed_keeps_counts_on_disk(shared: Path) -> None:
    path = shared / "bmmc" / "bmmc_multiome_A_counts.h5mu"
    ours, whole = sl.io.read(path, backed=True), sl.io.read(path)
    sl.io.check(ours)
    assert not sparse.issparse(ours["rna"].X)
    assert (ours["rna"].X[:] != whole["rna"].X).nnz == 0
    assert (ours["atac"].X[10:20] != whole["atac"].X[10:20]).nnz == 0
    pd.testing.assert_frame_equal(ours.obs, whole.obs)
    pd.testing.assert_frame_equal(ours["atac"].var, whole["atac"].var)


def test_read_h5mu__maps_names_and_drops_other_modalities(tmp_path: Path, distinct, caplog) -> None:
    rna = distinct.adata("rna")
    rna.obs["depth"] = range(12)
    protein = AnnData(np.ones((12, 1)))
    protein.obs_names, protein.var_names = distinct.cells, ["CD3"]
    with quiet():
        mdata = mudata.MuData({"gex": rna, "peaks": distinct.adata("atac"), "prot": protein})
        mdata.obs["gex:depth"], mdata.obs["peaks:n"], mdata.obs["donor"] = range(12), range(12), "d1"
        mdata.write(tmp_path / "x.h5mu")
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        ours = sl.io.read(tmp_path / "x.h5mu", rna_key="gex", atac_key="peaks")
    assert (sl.io.read(tmp_path / "x.h5mu")["rna"].X != ours["rna"].X).nnz == 0  # names that are usual are found
    assert list(ours.mod) == ["rna", "atac"]
    assert "modalities other than rna and atac are dropped: 'prot'" in caplog.text
    assert sorted(ours.obs) == ["depth", "donor", "n"]
    with pytest.raises(MissingKeyError, match="no modality 'genes'; modalities found: 'gex', 'peaks', 'prot'"):
        sl.io.read(tmp_path / "x.h5mu", rna_key="genes")


def test_read_h5mu__our_name_wins_over_others_for_it(tmp_path: Path, distinct, caplog) -> None:
    """Nothing tells a key that was left out from one that says our name: rna is rna, also beside gex."""
    other = distinct.adata("rna")
    other.X = other.X * 3
    with quiet():
        mudata.MuData({"gex": other, "rna": distinct.adata("rna"), "ATAC": distinct.adata("atac")}).write(
            tmp_path / "x.h5mu"
        )
    for read in (sl.io.read_h5mu, sl.io.read, partial(sl.io.read, rna_key="rna")):
        caplog.clear()
        np.testing.assert_array_equal(read(tmp_path / "x.h5mu")["rna"].X.toarray(), distinct.rna)
        assert "x.h5mu: of the modalities 'gex', 'rna', 'rna' is read as rna" in caplog.text
    asked = sl.io.read_h5mu(tmp_path / "x.h5mu", rna_key="gex")
    np.testing.assert_array_equal(asked["rna"].X.toarray(), 3 * distinct.rna)
    with quiet():
        mudata.MuData({"gex": other, "gene": distinct.adata("rna"), "atac": distinct.adata("atac")}).write(
            tmp_path / "y.h5mu"
        )
    with pytest.raises(OptionError, match=r"y\.h5mu: several modalities may be rna: 'gex', 'gene'\. Pass rna_key="):
        sl.io.read_h5mu(tmp_path / "y.h5mu")


def test_read_h5mu__backed_puts_cells_in_step(tmp_path: Path, distinct) -> None:
    with quiet():
        mudata.MuData({"rna": distinct.adata("rna"), "atac": distinct.adata("atac")[::-1].copy()}).write(
            tmp_path / "x.h5mu"
        )
    ours, whole = sl.io.read(tmp_path / "x.h5mu", backed=True), sl.io.read(tmp_path / "x.h5mu")
    assert ours["atac"].obs_names.equals(ours["rna"].obs_names)
    assert (ours["atac"].X.to_memory() != whole["atac"].X).nnz == 0


def test_read__h5ad_with_both_feature_types(tmp_path: Path, distinct) -> None:
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression"] * 5 + ["Peaks"] * 4}, index=distinct.genes + distinct.peaks
    )
    both = AnnData(np.hstack([distinct.rna, distinct.atac]), obs=pd.DataFrame(index=distinct.cells), var=var)
    both.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(sl.io.read(tmp_path / "x.h5ad")["atac"].X.toarray(), distinct.atac)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "tsv.gz", "parquet"])
@pytest.mark.parametrize("label", ["cell", "Barcodes", "my_own_name", None])
def test_read__finds_the_barcodes_of_a_table_of_cells(tmp_path: Path, distinct, suffix: str, label: str | None) -> None:
    table = pd.DataFrame({"celltype": list("ab") * 6}, index=pd.Index(distinct.cells, name=label))
    path = tmp_path / f"cells.{suffix}"
    if suffix == "parquet":
        (table if label is None else table.reset_index()).to_parquet(path)
    else:
        table.to_csv(path, sep="," if suffix == "csv" else "\t")
    rna, atac = (write_part(tmp_path, distinct, modality, "h5ad") for modality in ("rna", "atac"))
    mdata = sl.io.read(rna=rna, atac=atac, cells=path)
    assert list(mdata.obs) == ["celltype"]
    assert mdata.obs["celltype"].tolist() == list("ab") * 6


def test_read__reports_what_each_side_lost(tmp_path: Path, distinct) -> None:
    rna, atac = (write_part(tmp_path, distinct, modality, "csv") for modality in ("rna", "atac"))
    cells = pd.DataFrame({"cell": [*distinct.cells[:9], "AAAA-1"], "n": range(10)})
    report = sl.io.read(rna=rna, atac=atac, cells=cells).uns["scanlink"]["read"]
    assert report["lost"] == {"rna": 3, "atac": 3, "cells": 1}
    assert report["source"] == {"rna": str(rna), "atac": str(atac), "cells": "a table"}


def bad_csv(folder: Path, distinct) -> dict:
    path = folder / "bad.csv"
    path.write_text(",A,B\nNOC2L,1,x\n")
    return {"rna": path, "atac": write_part(folder, distinct, "atac", "csv")}


def truncated(kind: str):
    def make(folder: Path, distinct) -> dict:
        path = write_part(folder, distinct, "rna", kind)
        path.write_bytes(path.read_bytes()[:-40])
        return {"rna": path, "atac": write_part(folder, distinct, "atac", "csv")}

    return make


def named(name: str, content: bytes = b"nothing of the kind"):
    def make(folder: Path, distinct) -> dict:
        (folder / name).write_bytes(content)
        return {"path": folder / name}

    return make


def as_rna(name: str, content: bytes = b"nothing of the kind"):
    def make(folder: Path, distinct) -> dict:
        (folder / name).write_bytes(content)
        return {"rna": folder / name, "atac": write_part(folder, distinct, "atac", "csv")}

    return make


def without_names(folder: Path, distinct) -> dict:
    given = {"rna": write_part(folder, distinct, "rna", "mtx"), "atac": write_part(folder, distinct, "atac", "csv")}
    (folder / "genes.tsv").unlink()
    return given


def wrong_names(folder: Path, distinct) -> dict:
    given = {"rna": write_part(folder, distinct, "rna", "mtx"), "atac": write_part(folder, distinct, "atac", "csv")}
    (folder / "genes.tsv").write_text("NOC2L\n")
    return given


def nearest(folder: Path, distinct) -> dict:
    (folder / "filtered_feature_bc_matrix.h5").write_bytes(b"x")
    return {"path": folder / "filtered_feature_bc_matrx.h5"}


def other_table(folder: Path, distinct) -> dict:
    rna, atac = (write_part(folder, distinct, modality, "csv") for modality in ("rna", "atac"))
    return {"rna": rna, "atac": atac, "cells": pd.DataFrame({"celltype": ["a", "b"], "n": [1.0, 2.0]}, index=[5, 6])}


BAD = {
    "misspelt": (nearest, InputError, "Did you mean 'filtered_feature_bc_matrix.h5'"),
    "no folder": (lambda f, d: {"path": f / "no" / "x.h5mu"}, InputError, "The folder .* does not exist either"),
    "no suffix": (named("counts"), InputError, "unknown suffix ''; expected .h5mu"),
    "loom": (named("counts.loom"), InputError, "unknown suffix '.loom'"),
    "one matrix": (named("rna.csv"), InputError, r"goes with another: read\(rna=, atac=\)"),
    "empty h5mu": (named("x.h5mu", b""), InputError, "the file is empty"),
    "no h5mu": (named("x.h5mu"), InputError, "not an HDF5 file"),
    "no h5ad": (named("x.h5ad"), InputError, "not an HDF5 file"),
    "no h5": (named("x.h5"), InputError, "not an HDF5 file"),
    "empty folder": (lambda f, d: {"path": f}, InputError, "no matrix.mtx or matrix.mtx.gz"),
    "nothing": (lambda f, d: {}, OptionError, r"needs a path .* or both rna= and atac="),
    "only rna": (lambda f, d: {"rna": f / "x.rds"}, OptionError, "or both rna= and atac="),
    "all": (lambda f, d: {"path": f, "rna": f}, OptionError, "not all of them"),
    "backed folder": (lambda f, d: {"path": f, "backed": True}, OptionError, "one file .* not with a folder"),
    "backed pair": (lambda f, d: {"rna": "x", "atac": "y", "backed": True}, OptionError, "works with one file"),
    "layer 10x": (lambda f, d: {"path": "x.h5", "layer": "counts"}, OptionError, "10x files have no layers"),
    "folder as rna": (lambda f, d: {"rna": f, "atac": f}, InputError, "no matrix.mtx or matrix.mtx.gz in this folder"),
    "no rds": (as_rna("x.rds"), InputError, "x.rds: cannot be read as an .rds file"),
    "gz of nothing": (as_rna("x.csv.gz"), InputError, "not a gzip file although it is named .gz"),
    "binary csv": (as_rna("x.csv", b"\xff\xfe\x00,\x01\n"), InputError, "x.csv: not a text file"),
    "tabs in csv": (
        as_rna("x.csv", b"\tA\tB\nNOC2L\t1\t2\n"),
        InputError,
        "found 1 fields in the first line and 1 fields in the second",
    ),
    "ragged csv": (as_rna("x.csv", b",A,B\nNOC2L,1,2\nHES4,1,2,3\n"), InputError, "x.csv: cannot be read"),
    "word in csv": (bad_csv, InputError, "'x' in row 'NOC2L', column 'B' is not a number"),
    "no mtx": (as_rna("x.mtx"), InputError, "x.mtx: cannot be read as a matrix in Matrix Market format"),
    "truncated h5ad": (truncated("h5ad"), InputError, "truncated or was copied incompletely"),
    "truncated gz": (truncated("csv.gz"), InputError, "truncated or was copied incompletely"),
    "truncated mtx": (truncated("mtx.gz"), InputError, "truncated or was copied incompletely"),
    "mtx without names": (without_names, InputError, "no file with the names of its features was found beside it"),
    "mtx with other names": (wrong_names, InputError, "genes.tsv has 1 names .*; do the three files belong together"),
    "mtx with lines missing": (
        as_rna("x.mtx", b"%%MatrixMarket matrix coordinate real general\n2 2 9\n1 1 1\n"),
        InputError,
        "x.mtx",
    ),
    "other table": (other_table, InputError, "no column holds barcodes of the matrices"),
}


@pytest.mark.parametrize("case", BAD)
def test_read__bad_input_is_told_what_is_wrong(tmp_path: Path, distinct, case: str) -> None:
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        sl.io.read(**make(tmp_path, distinct))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.98])
def test_read__truncated_h5mu_and_rds(tmp_path: Path, shared: Path, share: float) -> None:
    for source, name in (("bmmc/bmmc_multiome_A_counts.h5mu", "x.h5mu"), ("pbmc10k/rna_matrix.rds", "x.rds")):
        whole = (shared / source).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"x\.h5mu: the file is truncated or was copied incompletely"):
        sl.io.read(tmp_path / "x.h5mu")
    with pytest.raises(InputError, match=r"x\.rds: the file is truncated or was copied incompletely"):
        sl.io.read(rna=tmp_path / "x.rds", atac=shared / "pbmc10k" / "atac_matrix.rds")


def test_read__square_mtx_has_features_in_rows(tmp_path: Path, distinct) -> None:
    part = distinct.adata("rna")[:5].copy()
    scipy.io.mmwrite(tmp_path / "rna.mtx", part.X.T.tocoo())
    (tmp_path / "genes.tsv").write_text("\n".join(distinct.genes))
    (tmp_path / "cells.tsv").write_text("\n".join(distinct.cells[:5]))
    mdata = sl.io.read(rna=tmp_path / "rna.mtx", atac=write_part(tmp_path, distinct, "atac", "csv"))
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna[:5])


@pytest.mark.parametrize(
    ("kind", "names", "words"),
    [
        ("pair", {"atac_features": "x"}, "atac_features= would not be used: "),
        ("whole", {"barcodes": "x", "rna_features": "y"}, "rna_features= and barcodes= would not .*x.h5mu or"),
    ],
)
def test_read__names_that_would_not_be_used_are_refused(tmp_path: Path, distinct, kind, names, words) -> None:
    given = {"path": tmp_path / "x.h5mu"}
    if kind == "pair":
        given = {name: write_part(tmp_path, distinct, name, "h5ad") for name in ("rna", "atac")}
    with pytest.raises(OptionError, match=words):
        sl.io.read(**given, **names)


def test_read__a_folder_of_peaks_alone(tmp_path: Path, distinct) -> None:
    """As cellranger-atac leaves it: matrix.mtx, barcodes.tsv, peaks.bed."""
    folder = tmp_path / "filtered_peak_bc_matrix"
    folder.mkdir()
    scipy.io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(distinct.atac.T))
    (folder / "barcodes.tsv").write_text("\n".join(distinct.cells) + "\n")
    beds = [f"{row.chrom}\t{row.start}\t{row.end}\n" for row in sl.io.parse_peaks(distinct.peaks).itertuples()]
    (folder / "peaks.bed").write_text("".join(beds))
    mdata = sl.io.read(rna=write_part(tmp_path, distinct, "rna", "h5ad"), atac=folder)
    assert mdata["atac"].var_names.tolist() == distinct.peaks
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)


def test_read__names_of_mtx_given_by_keyword(tmp_path: Path, distinct) -> None:
    scipy.io.mmwrite(tmp_path / "rna.mtx", sparse.coo_matrix(distinct.rna.T))
    scipy.io.mmwrite(tmp_path / "atac.mtx", sparse.coo_matrix(distinct.atac))
    (tmp_path / "who").write_text("\n".join(distinct.cells))
    (tmp_path / "what").write_text("\n".join(distinct.genes))
    beds = [f"{row.chrom}\t{row.start}\t{row.end}" for row in sl.io.parse_peaks(distinct.peaks).itertuples()]
    (tmp_path / "where.bed").write_text("\n".join(beds))
    mdata = sl.io.read(
        rna=tmp_path / "rna.mtx",
        atac=tmp_path / "atac.mtx",
        rna_features=tmp_path / "what",
        atac_features=tmp_path / "where.bed",
        barcodes=tmp_path / "who",
    )
    assert mdata["atac"].var_names.tolist() == distinct.peaks
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna)
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)


def test_read__swapped_files(shared: Path) -> None:
    folder = shared / "pbmc10k"
    with pytest.raises(InputError, match="looks swapped"):
        sl.io.read(rna=folder / "atac_matrix.rds", atac=folder / "rna_matrix.rds")
    with pytest.raises(InputError, match=r"a matrix was expected for rna, found a data.frame"):
        sl.io.read(rna=folder / "metafile.rds", atac=folder / "rna_matrix.rds")
    with pytest.raises(InputError, match=r"a data.frame of cells was expected, found a matrix"):
        sl.io.read(rna=folder / "rna_matrix.rds", atac=folder / "atac_matrix.rds", cells=folder / "rna_matrix.rds")


def test_read__missing_barcode_column(shared: Path) -> None:
    folder = shared / "pbmc10k"
    with pytest.raises(MissingKeyError, match=r"no column 'barcode'; columns found: 'cell', 'nUMI', 'celltype'"):
        sl.io.read(
            rna=folder / "rna_matrix.rds",
            atac=folder / "atac_matrix.rds",
            cells=folder / "metafile.rds",
            barcode="barcode",
        )


def test_read__permission_denied(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "x.h5mu").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # chmod would not stop root, as which containers run tests
    with pytest.raises(InputError, match=r"permission denied; a .h5mu file was expected"):
        sl.io.read(tmp_path / "x.h5mu")


def test_read__ambiguous_orientation_is_said(tmp_path: Path, caplog) -> None:
    (tmp_path / "rna.csv").write_text(",c1,c2\nNOC2L,1,2\nHES4,0,1\n")
    (tmp_path / "atac.csv").write_text(",d1,d2\nchr1:1-2,1,2\nchr1:3-4,0,1\n")
    with (
        caplog.at_level(logging.WARNING, logger="scanlink"),
        pytest.raises(InputError, match="no cell is on all sides"),
    ):
        sl.io.read(rna=tmp_path / "rna.csv", atac=tmp_path / "atac.csv")
    assert "cannot tell from the names which side of the rna matrix holds the cells" in caplog.text
