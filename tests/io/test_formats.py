"""The table of formats: what it says is what the readers do."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import scanlink as sl
from scanlink.io.assays import MULTIOME, SCREEN
from scanlink.io.formats import (
    FORMATS,
    TABLES,
    format_of_matrix,
    format_of_whole,
    keeps_tables,
    matrix_words,
    names_beside,
    stays_on_disk,
    whole_words,
)


def test_formats__each_has_a_reader_and_suffixes_of_its_own():
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(row.whole or row.matrix for row in FORMATS)
    # What is about files with both modalities needs a reader of both.
    assert not [row for row in FORMATS if (row.backed or row.layers or row.keys) and not row.whole]


@pytest.mark.parametrize("suffix", [suffix for row in FORMATS for suffix in row.suffixes])
def test_formats__are_found_by_suffix_whatever_its_case(suffix):
    row = next(row for row in FORMATS if suffix in row.suffixes)
    for name in (f"x{suffix}", f"X{suffix.upper()}", f"x{suffix}.gz"):
        if row.whole:
            assert format_of_whole(name, MULTIOME) is format_of_whole(name, SCREEN) is row
        if row.matrix:
            assert format_of_matrix(name, "rna") is row


def test_formats__a_folder_is_one_whatever_its_name(tmp_path):
    folder = tmp_path / "x.h5"
    folder.mkdir()
    assert format_of_whole(folder, MULTIOME).label == "a folder"
    assert format_of_matrix(tmp_path, "rna").label == "a folder"
    store = tmp_path / "x.zarr"
    store.mkdir()
    assert format_of_whole(store, MULTIOME) is format_of_matrix(store, "rna") is format_of_whole("x.zarr", SCREEN)


def test_formats__stand_in_the_docstrings_of_the_readers():
    for call, assay in ((sl.io.read, MULTIOME), (sl.io.read_screen, SCREEN)):
        text = inspect.getdoc(call)
        for row in FORMATS:
            assert all(f"``{suffix}``" in text or suffix == ".txt" for suffix in row.suffixes), (row, call)
        assert f"with {'genes and ' + assay.features}" in whole_words(assay)
    assert matrix_words() == ".h5, .rds, .h5ad, .zarr, a 10x folder, .mtx, .csv or .tsv"
    assert list(TABLES) == [".csv", ".tsv", ".txt", ".parquet", ".rds"]


def test_keeps_tables__of_the_anndata_family():
    assert [name for name in ("x.h5mu", "x.h5ad", "x.h5", "x.csv") if keeps_tables(name)] == ["x.h5mu", "x.h5ad"]


def test_stays_on_disk__only_what_can_be_read_in_pieces(tmp_path: Path):
    names = ("x.h5mu", "x.h5", "x.h5ad", "x.rds", "x.mtx.gz", "x.zarr")
    assert [name for name in names if stays_on_disk(name)] == ["x.h5mu", "x.h5", "x.h5ad"]
    assert not stays_on_disk(tmp_path)


def test_names_beside__finds_tables_beside_a_matrix_that_has_no_names(tmp_path: Path):
    for name in ("rna.mtx.gz", "genes.tsv", "cells.csv.gz", "rna.csv", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in names_beside(tmp_path / "rna.mtx.gz")] == ["cells.csv.gz", "genes.tsv", "rna.csv"]
    assert names_beside(tmp_path / "rna.csv") == names_beside(tmp_path) == names_beside(tmp_path / "no.mtx") == []


def test_formats__readers_are_imported_when_they_read():
    code = "import sys, scanlink.io.formats; print([m for m in ('rdata', 'scipy.io', 'scanpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
