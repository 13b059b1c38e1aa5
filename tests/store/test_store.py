"""The scan store: what it holds, and that it is whole or not there."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest

from scanlink import ds
from scanlink.errors import InputError, MissingKeyError, RunError
from scanlink.io.opening import quiet
from scanlink.store.make import permuted, write_store
from scanlink.store.npy import ArrayWriter
from scanlink.store.store import Store


@pytest.fixture(scope="module")
def mdata():
    return ds.simulate(n_cells=150, n_genes=12, n_peaks=40, n_links=4, n_interactions=0, seed=1).mdata


def test_write_store__holds_every_count_in_order_of_barcode(mdata, tmp_path):
    store = write_store(mdata, tmp_path / "store")
    order = np.argsort(mdata.obs_names.to_numpy(dtype=str))
    assert store.cells.index.tolist() == sorted(mdata.obs_names)
    np.testing.assert_array_equal(store.cells["nUMI"], mdata.obs["nUMI"].to_numpy()[order])
    for modality, names in (("rna", store.genes), ("atac", store.peaks)):
        dense = mdata[modality].X.toarray()[order]
        assert names.tolist() == mdata[modality].var_names.tolist()
        for feature in range(len(names)):
            column = np.zeros(150, dtype=int)
            cells, values = store.column(modality, feature)
            column[cells] = values
            np.testing.assert_array_equal(column, dense[:, feature])


def test_write_store__checksum_is_of_the_content(mdata, tmp_path):
    with quiet():
        shuffled, fewer = mdata[::-1].copy(), mdata[:149].copy()
    checksum = write_store(mdata, tmp_path / "a").checksum
    assert write_store(shuffled, tmp_path / "b").checksum == checksum
    assert write_store(fewer, tmp_path / "c").checksum != checksum


def test_write_store__replaces_a_store_of_other_data_and_keeps_one_of_the_same(mdata, tmp_path):
    write_store(mdata, tmp_path / "store")
    (tmp_path / "store" / "note").write_text("kept")
    write_store(mdata, tmp_path / "store")
    assert (tmp_path / "store" / "note").exists()
    with quiet():
        fewer = mdata[:149].copy()
    assert len(write_store(fewer, tmp_path / "store").cells) == 149
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_write_store__leaves_nothing_when_the_disk_is_full(mdata, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(ArrayWriter, "add", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_store(mdata, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: (path / "manifest.json").unlink(), "manifest.json cannot be read"),
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json cannot be read"),
        (lambda path: (path / "manifest.json").write_text(json.dumps({"format": 0})), "format 0, expected 2"),
        (lambda path: (path / "manifest.json").write_text("[]"), "format None, expected 2"),
        (lambda path: (path / "rna_values.npy").unlink(), "rna_values.npy has None bytes"),
        (lambda path: os.truncate(path / "atac_cells.npy", 100), "atac_cells.npy has 100 bytes, expected"),
    ],
)
def test_store__refuses_what_is_damaged(mdata, tmp_path, harm, message):
    write_store(mdata, tmp_path / "store")
    harm(tmp_path / "store")
    with pytest.raises(InputError, match=message):
        Store.open(tmp_path / "store")


def test_store__reads_only_the_columns_of_cells_that_are_asked_for(mdata, tmp_path):
    mdata.obs["cell"], mdata.obs["sample"] = np.arange(150), [None if k % 3 else "a" for k in range(150)]
    store = write_store(mdata, tmp_path / "store")
    assert store.cell_columns == list(mdata.obs.columns)
    part = store.cell_table(["sample", "cell"])
    pd.testing.assert_frame_equal(part, store.cells[["sample", "cell"]])
    expected = mdata.obs["cell"].reindex(sorted(mdata.obs_names))
    np.testing.assert_array_equal(part["cell"], expected)
    assert part["sample"].isna().sum() == 100
    assert "cells" in store.__dict__
    del mdata.obs["cell"], mdata.obs["sample"]


def test_positions__names_what_is_absent(mdata, tmp_path):
    store = write_store(mdata, tmp_path / "store")
    assert store.positions("rna", store.genes[[3, 1]]).tolist() == [3, 1]
    with pytest.raises(MissingKeyError, match=r"1 peaks of the pairs are not in the data .*'chr9:1-2'"):
        store.positions("atac", ["chr9:1-2"])


def test_permuted__moves_whole_profiles_and_nothing_else(mdata, tmp_path):
    store = write_store(mdata, tmp_path / "store")
    source = np.random.default_rng(1).permutation(150)
    moved = permuted(store, source, tmp_path / "moved")
    assert Store.open(tmp_path / "moved").checksum == moved.checksum != store.checksum
    assert moved.manifest.keys() == store.manifest.keys()
    assert moved.cells.equals(store.cells)
    again = write_store(shuffled_peaks(mdata, store, source), tmp_path / "again")
    assert moved.manifest == again.manifest
    for feature in range(len(store.genes)):
        np.testing.assert_array_equal(moved.column("rna", feature), store.column("rna", feature))
    for feature in range(len(store.peaks)):
        before, after = np.zeros(150, dtype=int), np.zeros(150, dtype=int)
        cells, values = store.column("atac", feature)
        before[cells] = values
        cells, values = moved.column("atac", feature)
        assert (np.diff(cells) > 0).all()
        assert (cells.dtype, values.dtype) == (np.int32, np.int32)
        after[cells] = values
        np.testing.assert_array_equal(after, before[source])


def shuffled_peaks(mdata, store, source):
    """The same done to the data: what the checksum and the numbers by level must be."""
    with quiet():
        moved = mdata[store.cells.index].copy()
        moved["atac"].X = moved["atac"].X[source]
    return moved


def test_permuted__back_again_is_the_same_store(mdata, tmp_path):
    store = write_store(mdata, tmp_path / "store")
    source = np.random.default_rng(2).permutation(150)
    moved = permuted(store, source, tmp_path / "moved")
    assert permuted(moved, np.argsort(source), tmp_path / "back").manifest == store.manifest


def test_permuted__copies_where_it_cannot_link(mdata, tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(18, os.strerror(18))

    store = write_store(mdata, tmp_path / "store")
    linked = permuted(store, np.arange(150)[::-1], tmp_path / "linked")
    monkeypatch.setattr(os, "link", refuse)
    assert permuted(store, np.arange(150)[::-1], tmp_path / "copied").checksum == linked.checksum


@pytest.mark.parametrize("source", [np.arange(149), np.zeros(150, dtype=int), np.arange(150) + 1])
def test_permuted__refuses_what_is_no_permutation(mdata, tmp_path, source):
    store = write_store(mdata, tmp_path / "store")
    with pytest.raises(InputError, match=r"source has 1\d\d positions, expected each of 0 to 149 once"):
        permuted(store, source, tmp_path / "moved")


def test_permuted__leaves_nothing_when_the_disk_is_full(mdata, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, os.strerror(28))

    store = write_store(mdata, tmp_path / "store")
    monkeypatch.setattr(ArrayWriter, "add", full)
    with pytest.raises(RunError, match=r"scan store .* No space left on device"):
        permuted(store, np.arange(150), tmp_path / "moved")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
