"""Types of features in every door: only genes are genes, only peaks are peaks."""

from __future__ import annotations

import gzip
import logging
import shutil
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.io
from anndata import AnnData
from scipy import sparse

import scanlink as sl
from scanlink.errors import InputError, OptionError
from scanlink.io.feature_types import modality_name
from scanlink.io.opening import quiet

PROTEINS = np.arange(24).reshape(12, 2) + 500
TYPES = {"10x": ("Gene Expression", "Peaks", "Antibody Capture"), "short": ("GEX", "ATAC", "ADT")}


def three(data, names: tuple[str, str, str] = TYPES["10x"], column: str = "feature_types") -> AnnData:
    """Genes, peaks and proteins in one matrix."""
    counts = np.hstack([data.rna, PROTEINS, data.atac])
    var = pd.DataFrame(
        {column: [names[0]] * 5 + [names[2]] * 2 + [names[1]] * 4}, index=[*data.genes, "CD3", "CD19", *data.peaks]
    )
    with quiet():
        return AnnData(sparse.csr_matrix(counts), obs=pd.DataFrame(index=pd.Index(data.cells, dtype=object)), var=var)


def assert_right(mdata, data) -> None:
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), data.rna)
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), data.atac)
    sl.io.check(mdata)
    sl.pp.qc(mdata)
    np.testing.assert_array_equal(mdata.obs["nUMI"], data.rna.sum(1))


@pytest.mark.parametrize("column", ["feature_types", "modality"])
@pytest.mark.parametrize("names", TYPES.values(), ids=TYPES)
def test_read__h5ad_with_other_features(tmp_path: Path, distinct, names, column, caplog) -> None:
    path = tmp_path / "x.h5ad"
    three(distinct, names, column).write(path)
    assert_right(sl.io.read(path), distinct)
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        assert_right(sl.io.read(rna=path, atac=path), distinct)
    assert f"rna: features that are not 'Gene Expression' are dropped: 4 '{names[1]}', 2 '{names[2]}'" in caplog.text
    on_disk = sl.io.read(path, backed=True)
    np.testing.assert_array_equal(on_disk["rna"].X.to_memory().toarray(), distinct.rna)


def test_read__raw_has_types_of_its_own(tmp_path: Path, distinct) -> None:
    adata = three(distinct)
    adata.raw = adata.copy()
    adata.X = adata.X * 0.5
    adata.write(tmp_path / "x.h5ad")
    assert_right(sl.io.read(tmp_path / "x.h5ad", layer="raw"), distinct)


def test_read__h5mu_and_assemble_and_check(tmp_path: Path, distinct) -> None:
    both = three(distinct)
    rna, atac = both[:, :7].copy(), both[:, 7:].copy()
    with quiet():
        mudata.MuData({"GEX": rna, "ATAC": atac}).write(tmp_path / "x.h5mu")
    assert_right(sl.io.read(tmp_path / "x.h5mu"), distinct)
    assert_right(sl.io.assemble(both, both), distinct)
    assert both.n_vars == 11  # what is the user's stays as it is
    by_hand = sl.io.assemble(rna, atac)
    by_hand.mod["rna"].var["feature_types"] = ["Gene Expression"] * 4 + ["Antibody Capture"]
    with pytest.raises(InputError, match=r"rna has 1 features that are not genes by their type: 1 'Antibody Capture'"):
        sl.io.check(by_hand)


def test_read__10x_files_as_a_pair(tmp_path: Path, distinct, write_10x_h5, tenx_folder: Path) -> None:
    write_10x_h5(tmp_path / "gex.h5", distinct, types=("Gene Expression", "Antibody Capture"))
    write_10x_h5(tmp_path / "atac.h5", distinct, types=("Multiplexing Capture", "Peaks"))
    assert_right(sl.io.read(rna=tmp_path / "gex.h5", atac=tmp_path / "atac.h5"), distinct)
    mixed = sl.io.read(rna=tmp_path / "gex.h5", atac=tenx_folder)
    np.testing.assert_array_equal(mixed["atac"].X.toarray(), distinct.atac)
    with pytest.raises(InputError, match="atac: no features of type 'Peaks'; found 5 'Gene Expression', 4 'Antibody"):
        sl.io.read(rna=tmp_path / "gex.h5", atac=tmp_path / "gex.h5")


def test_read__one_mtx_of_both_kinds_as_in_geo(tmp_path: Path, distinct) -> None:
    adata, folder = three(distinct), tmp_path / "geo"
    folder.mkdir()
    prefix = folder / "GSM123_sample_"
    with gzip.open(f"{prefix}matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, sparse.coo_matrix(adata.X.T))
    rows = "".join(f"{name}\t{name}\t{kind}\n" for name, kind in adata.var["feature_types"].items())
    Path(f"{prefix}features.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    Path(f"{prefix}barcodes.tsv.gz").write_bytes(gzip.compress("\n".join(distinct.cells).encode()))
    matrix = Path(f"{prefix}matrix.mtx.gz")
    for given in ({"path": matrix}, {"path": folder}, {"rna": matrix, "atac": matrix}, {"rna": folder, "atac": folder}):
        assert_right(sl.io.read(**given), distinct)
    shutil.copy(matrix, folder / "GSM124_sample_matrix.mtx.gz")
    with pytest.raises(InputError, match=r"2 matrices in this folder, 'GSM123_sample_matrix\.mtx\.gz', 'GSM124"):
        sl.io.read(folder)


def test_read__types_that_are_none_or_a_default_change_nothing(tmp_path: Path, distinct) -> None:
    rna, atac = distinct.adata("rna"), distinct.adata("atac")
    rna.var["feature_types"] = ["protein_coding", "lncRNA"] * 2 + ["protein_coding"]
    atac.var["feature_types"] = "Gene Expression"  # as STARsolo and many scripts write for whatever they count
    assert_right(sl.io.assemble(rna, atac), distinct)


def test_read_screen__guides_and_antibodies_are_no_genes(tmp_path: Path, distinct) -> None:
    adata = three(distinct, ("Gene Expression", "CRISPR Guide Capture", "Antibody Capture"))
    adata.write(tmp_path / "x.h5ad")
    table = pd.DataFrame({"guide": distinct.peaks, "target": ["a", "b", "c", "NTC"]})
    for given in ({"path": tmp_path / "x.h5ad"}, {"rna": tmp_path / "x.h5ad", "guide": tmp_path / "x.h5ad"}):
        mdata = sl.io.read_screen(**given, guides=table)
        np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna)
        np.testing.assert_array_equal(mdata["guide"].X.toarray(), distinct.atac)
        sl.io.check_screen(mdata)


def test_read__square_mtx_is_said(tmp_path: Path, distinct, caplog) -> None:
    def write(n: int, *, transposed: bool) -> dict:
        for name, features in (("rna", distinct.genes[:4]), ("atac", distinct.peaks)):
            counts = getattr(distinct, name)[:n, :4]
            scipy.io.mmwrite(tmp_path / f"{name}.mtx", sparse.coo_matrix(counts.T if transposed else counts))
            (tmp_path / f"{name}_barcodes.tsv").write_text("\n".join(distinct.cells[:n]))
            (tmp_path / f"{name}_features.tsv").write_text("\n".join(features))
        return {"rna": tmp_path / "rna.mtx", "atac": tmp_path / "atac.mtx"}

    for n, transposed in ((5, True), (5, False), (4, True)):
        caplog.clear()
        mdata = sl.io.read(**write(n, transposed=transposed))
        np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna[:n, :4])
        assert ("square (4 x 4)" in caplog.text) == (n == 4)


@pytest.mark.parametrize(
    ("present", "keys", "expected"),
    [
        (["RNA", "rna"], {"rna": "rna"}, "rna"),
        (["gex", "RNA"], {"rna": None}, "RNA"),
        (["gex", "peaks"], {"rna": "rna"}, "gex"),
        (["gex", "rna"], {"rna": "gex"}, "gex"),
        # What another modality is called is not to be had.
        (["gex", "expression"], {"rna": None, "atac": "gex"}, "expression"),
        (["a", "b"], {"rna": None}, "rna"),
    ],
)
def test_modality_name__ours_wins_then_others(present, keys, expected):
    assert modality_name("rna", present, keys) == expected


@pytest.mark.parametrize("present", [["gex", "expression"], ["RNA", "Rna"]])
def test_modality_name__of_several_asks(present):
    with pytest.raises(OptionError, match=r"x\.h5mu: several modalities may be rna: .* Pass rna_key= with one"):
        modality_name("rna", present, {"rna": None}, file="x.h5mu")
