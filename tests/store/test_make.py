"""Making a store: nothing looks complete that is not, and what killed makers left goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import scanlink as sl
from scanlink import ds
from scanlink.errors import InputError, RunError
from scanlink.io.opening import quiet
from scanlink.store import new as module
from scanlink.store.make import write_store
from scanlink.store.store import Store

MAKE = """
import sys, resource, signal
import scanlink as sl
from scanlink.errors import RunError
from scanlink.store.make import write_store
mdata = sl.io.read(sys.argv[1], backed=True)
if len(sys.argv) > 3:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
print("ready", flush=True)
try:
    write_store(mdata, sys.argv[2], entries=2_000, chunk_rows=3)
except RunError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    data = ds.simulate(n_cells=3_000, n_genes=60, n_peaks=300, n_links=20, n_interactions=2, seed=1)
    data.write(tmp_path_factory.mktemp("data"))
    return next(tmp_path_factory.getbasetemp().glob("data*/*.h5mu"))


@pytest.fixture
def mdata():
    return ds.simulate(n_cells=150, n_genes=12, n_peaks=40, n_links=4, n_interactions=0, seed=1).mdata


# Kills the maker at the n-th call of a function.
KILL = """
import importlib, os, signal, sys
module, path, n = sys.argv[3].split(":")
owner = importlib.import_module("scanlink.store." + module)
*outer, name = path.split(".")
for part in outer:
    owner = getattr(owner, part)
whole, calls = getattr(owner, name), []
def call(*args, **options):
    calls.append(1)
    if len(calls) == int(n):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **options)
setattr(owner, name, call)
del sys.argv[3]
"""


@pytest.mark.parametrize(
    "moment",
    [
        "spool:Spool.add:1",
        "spool:Spool.add:40",
        "new:NewStore.tables:1",
        "columns:ColumnWriter.add:2",
        "new:NewStore.seal:1",
        "new:sync_folder:1",
        "new:_move:1",
        "new:os.replace:2",
    ],
)
def test_write_store__killed_at_any_time_leaves_nothing_that_looks_complete(file, tmp_path, moment):
    """And the next maker removes what the killed one left."""
    maker = subprocess.run([sys.executable, "-c", KILL + MAKE, str(file), str(tmp_path / "store"), moment])
    assert maker.returncode == -signal.SIGKILL
    with pytest.raises(InputError, match="is not a scan store"):
        Store.open(tmp_path / "store")
    assert list(tmp_path.glob(".store.*"))
    write_store(sl.io.read(file), tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_write_store__a_full_disk_leaves_nothing(file, tmp_path, share):
    """Here by a limit on the size of a file: while spooling, and while the columns are written."""
    whole = write_store(sl.io.read(file), tmp_path / "whole")
    largest = max(whole.manifest["bytes"].values())
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(file), str(out / "store"), str(int(largest * share))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the scan store" in done.stdout
    assert "cannot be written: File too large. Free some space" in done.stdout
    assert list(out.iterdir()) == []


def test_write_store__leaves_nothing_when_it_is_interrupted(mdata, tmp_path, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.NewStore, "seal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_store(mdata, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_write_store__keeps_the_old_store_when_the_new_one_fails(mdata, tmp_path, monkeypatch):
    old = write_store(mdata, tmp_path / "store").checksum
    monkeypatch.setattr(module.NewStore, "tables", lambda *_: (_ for _ in ()).throw(OSError(28, os.strerror(28))))
    with quiet():
        fewer = mdata[:100].copy()
    with pytest.raises(RunError, match="No space left on device"):
        write_store(fewer, tmp_path / "store")
    assert Store.open(tmp_path / "store").checksum == old
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def left_behind(folder: Path, machine: str, pid: int, *, age: float) -> Path:
    left = folder / f".store.{machine}-{pid}-0123abcd"
    left.mkdir()
    (left / "rna_spool").write_bytes(b"x")
    for path in (left / "rna_spool", left):
        os.utime(path, (time.time() - age, time.time() - age))
    return left


def test_new_store__does_not_touch_makers_that_may_be_alive(mdata, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = module._machine()
    alive = left_behind(tmp_path, here, os.getppid(), age=1e6)
    elsewhere = left_behind(tmp_path, "00000000", gone.pid, age=3_600)
    dead = left_behind(tmp_path, here, gone.pid, age=0)
    forgotten = left_behind(tmp_path, "11111111", gone.pid, age=1e6)
    write_store(mdata, tmp_path / "store")
    assert alive.exists()
    assert elsewhere.exists()
    assert not dead.exists()
    assert not forgotten.exists()


def test_write_store__two_makers_at_a_time_leave_one_store(file, tmp_path):
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKE, str(file), str(tmp_path / "store")], stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [maker.wait() for maker in makers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert Store.open(tmp_path / "store").n_cells == 3_000


def test_store__levels_are_what_the_columns_say(mdata, tmp_path):
    store = write_store(mdata, tmp_path / "store", entries=100)
    for name in ("celltype", "donor", "batch"):
        for modality, n in (("rna", 12), ("atac", 40)):
            n_cells, counts = store.level_counts(modality, name)
            assert n_cells == store.cells[name].astype(str).value_counts().to_dict()
            for feature in range(n):
                of_levels = store.cells[name].astype(str).iloc[store.column(modality, feature)[0]]
                expected = of_levels.value_counts().reindex(list(n_cells), fill_value=0)
                np.testing.assert_array_equal(counts[feature], expected)
    assert store.level_counts("rna", "percent.mito") is None
