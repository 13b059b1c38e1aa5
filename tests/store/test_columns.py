"""Columns on disk: their types, and that any damage is found when a column is read."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from scanlink import ds
from scanlink.errors import InputError
from scanlink.store.columns import ColumnReader, ColumnWriter
from scanlink.store.make import write_store
from scanlink.store.npy import ArrayFile
from scanlink.store.store import Store


def written(folder, counts):
    """A modality of a dense matrix, cells x features, on disk; its reader."""
    columns = sp.csc_array(counts)
    writer = ColumnWriter(
        folder, "rna", n_features=counts.shape[1], n_entries=columns.nnz, largest=int(counts.max(initial=0))
    )
    with writer:
        writer.add(columns.indptr, columns.indices, columns.data)
    (folder / "manifest.json").write_text(json.dumps({"sha256": "known"}))
    return ColumnReader(folder, "rna", "known")


def dense(reader, shape):
    out = np.zeros(shape, dtype=np.int64)
    for feature in range(shape[1]):
        cells, values = reader.read(feature)
        assert (cells.dtype, values.dtype) == (np.int32, np.int32)
        out[cells, feature] = values
    return out


@pytest.mark.parametrize(
    ("largest", "dtype"), [(255, "u1"), (256, "<u2"), (65_535, "<u2"), (65_536, "<i4"), (2**31 - 1, "<i4")]
)
def test_columns__values_are_of_the_smallest_type_that_holds_them(tmp_path, largest, dtype):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.7, (9, 6))
    counts[:, 2] = 0
    counts[3, 4] = largest
    reader = written(tmp_path, counts)
    np.testing.assert_array_equal(dense(reader, counts.shape), counts)
    assert np.load(tmp_path / "rna_values.npy").dtype == np.dtype(dtype)
    # Other programs read it as three arrays.
    parts = [np.load(tmp_path / f"rna_{name}.npy") for name in ("values", "cells", "starts")]
    np.testing.assert_array_equal(sp.csc_array(tuple(parts), shape=counts.shape).toarray(), counts)


def test_columns__a_byte_changed_anywhere_is_found(tmp_path):
    counts = np.random.default_rng(1).poisson(2.0, (5, 3))
    reader = written(tmp_path, counts)
    for part in ("values", "cells", "starts", "crc"):
        path = tmp_path / f"rna_{part}.npy"
        sound = path.read_bytes()
        begin = len(sound) - np.load(path).nbytes
        for place in range(begin, len(sound)):
            spoilt = bytearray(sound)
            spoilt[place] ^= 1
            path.write_bytes(spoilt)
            with pytest.raises(InputError, match=r"gene number \d cannot be read: .* delete the folder"):
                dense(ColumnReader(tmp_path, "rna", "known"), counts.shape)
        path.write_bytes(sound)
    np.testing.assert_array_equal(dense(reader, counts.shape), counts)


@pytest.mark.parametrize("part", ["values", "cells", "starts", "crc"])
@pytest.mark.parametrize("left", [0, 40, -1])
def test_columns__a_file_cut_short_is_found(tmp_path, part, left):
    counts = np.full((5, 3), 2)
    written(tmp_path, counts)
    path = tmp_path / f"rna_{part}.npy"
    os.truncate(path, left if left >= 0 else path.stat().st_size - 1)
    with pytest.raises(InputError, match=rf"rna_{part}.npy: gene number \d cannot be read: .*The store is damaged"):
        dense(ColumnReader(tmp_path, "rna", "known"), counts.shape)


def test_columns__a_feature_that_does_not_exist_is_an_error(tmp_path):
    reader = written(tmp_path, np.ones((2, 3), dtype=int))
    for feature in (-1, 3):
        with pytest.raises(InputError, match="do not exist"):
            reader.read(feature)


def test_columns__files_are_opened_again_when_the_disk_lost_them(tmp_path, monkeypatch):
    counts = np.random.default_rng(2).poisson(2.0, (5, 3))
    reader = written(tmp_path, counts)
    reader.read(0)
    stale = OSError(116, os.strerror(116))
    reads = ArrayFile.read
    monkeypatch.setattr(
        ArrayFile, "read", lambda self, *a: (_ for _ in ()).throw(stale) if self in lost else reads(self, *a)
    )
    lost = set(reader._files.values())
    np.testing.assert_array_equal(dense(reader, counts.shape), counts)
    lost = set(reader._files.values())
    (tmp_path / "manifest.json").write_text(json.dumps({"sha256": "another"}))
    with pytest.raises(InputError, match="was replaced or removed while it was read"):
        reader.read(1)


def test_columns__a_store_replaced_before_the_first_read_is_not_taken_for_the_old_one(tmp_path):
    reader = written(tmp_path, np.ones((5, 3), dtype=int))
    written(tmp_path, np.full((5, 3), 2))
    (tmp_path / "manifest.json").write_text(json.dumps({"sha256": "another"}))
    with pytest.raises(InputError, match="was replaced or removed while it was read"):
        reader.read(0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    data = ds.simulate(n_cells=150, n_genes=12, n_peaks=40, n_links=4, n_interactions=0, seed=1)
    return write_store(data.mdata, tmp_path_factory.mktemp("made") / "store")


def test_store__travels_as_its_path(store):
    before = store.column("rna", 3)
    assert len(store.cells) == 150
    sent = pickle.dumps(store)
    assert len(sent) < 300
    again = pickle.loads(sent)
    assert again == store
    np.testing.assert_array_equal(again.column("rna", 3), before)


def test_store__is_read_after_a_fork(store):
    """Parent and children read by position and not from where the others left off."""
    expected = [store.column("atac", k) for k in range(40)]
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            same = all(
                np.array_equal(a, b)
                for _ in range(30)
                for k in range(40)
                for a, b in zip(store.column("atac", k), expected[k], strict=True)
            )
            os._exit(0 if same else 1)
        children.append(child)
    for _ in range(30):
        for k in range(40):
            np.testing.assert_array_equal(store.column("atac", k), expected[k])
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from scanlink.store.columns import ColumnReader, ColumnWriter
folder, n = Path(sys.argv[1]), 400_000
folder.mkdir()
(folder / "manifest.json").write_text('{"sha256": "known"}')
writer = ColumnWriter(folder, "rna", n_features=n, n_entries=100 * n, largest=1)
with writer:
    cells, ones = np.tile(np.arange(100, dtype=np.int32), n // 100), np.ones(n, dtype=np.uint8)
    for _ in range(100):
        writer.add(np.arange(0, n + 1, 100), cells, ones)
"""
READ = """
import sys
from pathlib import Path
from scanlink.store.columns import ColumnReader
def resident():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
reader = ColumnReader(Path(sys.argv[1]), "rna", "known")
reader.read(0)
before = resident()
for feature in range(0, 400_000, 40):
    assert reader.read(feature)[0].size == 100
print(resident() - before)
"""


def test_columns__reading_takes_no_memory_that_grows_with_the_features(tmp_path):
    """200 MB of columns in all parts of the file, read by a process that stays as small as after the first."""
    for script in (MEMORY, READ):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "big")], capture_output=True, text=True, check=True
        )
    assert int(done.stdout) < 2_000, f"{done.stdout} kB more"


def test_store__says_where_it_is_damaged(store, tmp_path):
    import shutil

    shutil.copytree(store.path, tmp_path / "store")
    path = tmp_path / "store" / "atac_values.npy"
    spoilt = bytearray(path.read_bytes())
    spoilt[-1] ^= 4
    path.write_bytes(spoilt)
    opened = Store.open(tmp_path / "store")
    assert opened.column("rna", 0)[0].size
    with pytest.raises(InputError, match=r"atac_cells.npy or atac_values.npy: peak number 39 .* checksum is wrong"):
        opened.column("atac", 39)
