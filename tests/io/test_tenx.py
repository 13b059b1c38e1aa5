from __future__ import annotations

import gzip
import logging
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.opening import quiet


def assert_counts(mdata, multiome) -> None:
    sl.io.check(mdata)
    assert mdata.obs_names.tolist() == multiome.cells
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), multiome.rna)
    np.testing.assert_array_equal(mdata["atac"].X.toarray(), multiome.atac)
    assert mdata["rna"].var["gene_id"].tolist() == multiome.gene_ids
    assert mdata["rna"].var_names.tolist() == [
        "MIR1302-2HG",
        "NOC2L",
        "HLA-A",
        "TBCE_ENSG00000000003",
        "TBCE_ENSG00000000004",
    ]
    assert mdata["atac"].var_names.tolist() == multiome.peaks
    assert mdata["atac"].var["start"].tolist() == [9, 30, 5, 100]


def test_read_10x_h5__gives_the_counts_that_were_written(tenx_h5: Path, multiome) -> None:
    assert_counts(sl.io.read(tenx_h5), multiome)


@pytest.mark.parametrize("packed", [True, False])
def test_read_10x_mtx__gives_the_counts_that_were_written(tenx_folder: Path, multiome, packed: bool) -> None:
    if not packed:  # as STARsolo writes it
        for file in list(tenx_folder.iterdir()):
            file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
            file.unlink()
    assert_counts(sl.io.read(tenx_folder), multiome)


def test_read_10x__agrees_with_muon(tenx_h5: Path, tenx_folder: Path) -> None:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever muon and umap say when they are imported
        import muon

        oracles = [
            muon.read_10x_h5(tenx_h5, extended=False),
            muon.read_10x_mtx(tenx_folder, extended=False, make_unique=False),
        ]
    for ours, theirs in zip((sl.io.read_10x_h5(tenx_h5), sl.io.read_10x_mtx(tenx_folder)), oracles, strict=True):
        for modality in ("rna", "atac"):
            assert ours[modality].obs_names.tolist() == theirs[modality].obs_names.tolist()
            np.testing.assert_array_equal(ours[modality].X.toarray(), theirs[modality].X.toarray())
        assert ours["atac"].var_names.tolist() == theirs["atac"].var_names.tolist()
        assert ours["rna"].var["symbol"].tolist() == theirs["rna"].var_names.tolist()


def test_read_10x_h5__reports_genes_renamed(tenx_h5: Path, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="scanlink"):
        report = sl.io.read_10x_h5(tenx_h5).uns["scanlink"]["read"]
    assert report["n_renamed_genes"] == 2
    assert report["renamed_genes"] == "TBCE_ENSG00000000003,TBCE_ENSG00000000004"
    assert "2 genes share a symbol" in caplog.text


def test_read_10x_h5__joins_a_table_of_cells(tenx_h5: Path, multiome, tmp_path: Path) -> None:
    table = tmp_path / "cells.tsv"
    table.write_text("barcode\tcelltype\n" + "".join(f"{cell}\tB\n" for cell in multiome.cells[3:]))
    mdata = sl.io.read(tenx_h5, cells=table)
    assert mdata.obs_names.tolist() == multiome.cells[3:]
    assert mdata.obs["celltype"].tolist() == ["B"] * 9
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), multiome.rna[3:])


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9, 0.999])
def test_read_10x_h5__truncated_file_is_named(tenx_h5: Path, share: float) -> None:
    whole = tenx_h5.read_bytes()
    tenx_h5.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"filtered_feature_bc_matrix\.h5: .*truncated or was copied incompletely"):
        sl.io.read(tenx_h5)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (("Gene Expression", "Antibody Capture"), r"no features of type 'Peaks'; found 5 'Gene Expression', 4 'Antib"),
        (("CRISPR Guide Capture", "Peaks"), r"no features of type 'Gene Expression'; found 5 'CRISPR Guide Capture'"),
        (("Peaks", "Gene Expression"), "rna looks swapped with atac"),
    ],
)
def test_read_10x_h5__feature_types_are_listed(
    tmp_path: Path, multiome, write_10x_h5, types: tuple[str, str], message: str
) -> None:
    write_10x_h5(tmp_path / "x.h5", multiome, types=types)
    with pytest.raises(InputError, match=message):
        sl.io.read(tmp_path / "x.h5")


def test_read_10x_h5__other_hdf5_is_refused(tmp_path: Path, multiome) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("mod")
    with pytest.raises(InputError, match=r"found the groups 'mod' \(this is a .h5mu or .h5ad file"):
        sl.io.read(tmp_path / "x.h5")


def test_read_10x_mtx__truncated_and_missing_files(tenx_folder: Path) -> None:
    matrix = tenx_folder / "matrix.mtx.gz"
    whole = matrix.read_bytes()
    matrix.write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"matrix.mtx.gz: the file is truncated"):
        sl.io.read(tenx_folder)
    matrix.write_bytes(whole)
    (tenx_folder / "features.tsv.gz").unlink()
    with pytest.raises(InputError, match="no file with the names of its features"):
        sl.io.read(tenx_folder)
    matrix.unlink()
    with pytest.raises(InputError, match=r"no matrix.mtx .* found 'barcodes.tsv.gz'"):
        sl.io.read(tenx_folder)
