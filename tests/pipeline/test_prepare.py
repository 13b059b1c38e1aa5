"""Files to store and pairs: in pieces as in memory, hashed once, and a change is told."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pandas as pd
import pytest
from texts import assert_same_table

import scanlink as sl
from scanlink.io.disk import DiskCounts
from scanlink.io.opening import quiet
from scanlink.pipeline import record as provenance
from scanlink.pipeline.multiome import RunOptions, prepare
from scanlink.pipeline.run import run


@pytest.fixture
def project(tmp_path):
    data = sl.ds.simulate(n_cells=300, n_genes=30, n_peaks=120, n_links=20, n_interactions=2, seed=3)
    data.write(tmp_path)
    return tmp_path


def options(project, **changes):
    given = {"input": str(project / "multiome.h5mu"), "genes": str(project / "genes.gtf.gz"), "report": False} | changes
    return RunOptions(**given)


@pytest.mark.parametrize("pairs", [{}, {"min_fraction": 0.3, "window": 200_000}, {"highly_variable": True}])
def test_prepare__in_pieces_gives_the_same_store_as_in_memory(project, monkeypatch, pairs):
    read, ways = sl.io.read, []

    def noted(*args, backed, **named):
        mdata = read(*args, backed=backed and ways is not None, **named)
        if ways is not None:
            ways.append(isinstance(mdata["rna"].X, DiskCounts))
        return mdata

    monkeypatch.setattr(sl.io, "read", noted)
    pieces = prepare(options(project, pairs=pairs), project / "a")
    assert ways == [True]
    ways = None
    memory = prepare(options(project, pairs=pairs), project / "b")
    assert pieces.store.manifest == memory.store.manifest
    pd.testing.assert_frame_equal(pieces.tables["pairs"], memory.tables["pairs"])
    again = prepare(options(project, pairs=pairs), project / "a")
    assert again.store.checksum == memory.store.checksum
    assert_same_table(again.tables["pairs"], memory.tables["pairs"])


def test_prepare__takes_the_prefix_of_mitochondrial_genes(project):
    with quiet():
        mdata = sl.io.read(project / "multiome.h5mu")
        right = mdata.obs.pop("percent.mito")
        mdata.obs = mdata.obs.drop(columns=[name for name in mdata.obs if name.endswith("percent.mito")])
        for part in mdata.mod.values():
            part.obs = part.obs.drop(columns="percent.mito", errors="ignore")
        mdata["rna"].var_names = mdata["rna"].var_names.str.replace("MT-", "mito_", regex=False)
        mdata.update()
        mdata.write_h5mu(project / "odd.h5mu")
    odd = str(project / "odd.h5mu")
    assert "percent.mito" not in prepare(options(project, input=odd), project / "a").store.cells
    for number, prefix in enumerate(("mito_", ["mt:", "mito_"])):
        folder = project / f"b{number}"
        store = prepare(options(project, input={"path": odd, "mito_prefix": prefix}), folder).store
        np.testing.assert_allclose(store.cells["percent.mito"], right[store.cells.index], rtol=1e-9)


def test_prepare__tells_which_file_and_option_changed(project, caplog):
    folder = project / "out"
    first = prepare(options(project), folder).store.checksum
    caplog.clear()
    assert prepare(options(project), folder).store.checksum == first
    assert "was made from something else" not in caplog.text
    again = sl.ds.simulate(n_cells=299, n_genes=30, n_peaks=120, n_links=20, n_interactions=2, seed=3)
    old = (project / "multiome.h5mu").stat().st_size
    with quiet():
        again.mdata.write(project / "multiome.h5mu")
    caplog.clear()
    assert prepare(options(project, pairs={"window": 400_000}), folder).store.checksum != first
    said = next(record.message for record in caplog.records if "was made from something else" in record.message)
    new = (project / "multiome.h5mu").stat().st_size
    assert f"multiome.h5mu was {old:,} bytes of 2" in said
    assert f"and is {new:,} bytes of 2" in said
    assert "pairs.window was 500000 and is 400000" in said
    assert "genes.gtf" not in said


def test_run__never_mixes_links_of_changed_data(project, caplog):
    given = options(project, scan={"p_value": "wald"}, groups={"by": "celltype"}, cluster="none")
    run(given, project / "out")
    again = sl.ds.simulate(n_cells=300, n_genes=30, n_peaks=120, n_links=20, n_interactions=2, seed=4)
    again.write(project)
    changed = run(given, project / "out").tables["links"]
    assert "multiome.h5mu was" in caplog.text
    fresh = run(given, project / "fresh").tables["links"]
    pd.testing.assert_frame_equal(changed, fresh, check_exact=True)


@pytest.fixture
def hashed(monkeypatch):
    """Files that were hashed."""
    seen = []
    checksum = provenance.checksum
    monkeypatch.setattr(provenance, "checksum", lambda path: seen.append(path.name) or checksum(path))
    return seen


def test_describe_inputs__hashes_a_large_file_once(tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(provenance, "_BIG", 5)
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(b"123456")
    small.write_bytes(b"1234")
    long_ago = time.time_ns() - 10**10
    os.utime(large, ns=(long_ago, long_ago))
    names = [str(large), None, str(small), str(tmp_path / "absent")]
    first = provenance.describe_inputs(names)
    assert [entry["bytes"] for entry in first] == [6, 4]
    assert json.loads(json.dumps(first)) == first
    hashed.clear()
    second = provenance.describe_inputs(names, known=first)
    assert hashed == ["small"]
    assert [entry["sha256"] for entry in second] == [entry["sha256"] for entry in first]
    third = provenance.describe_inputs(names, known=second)
    assert hashed == ["small", "small"]
    assert third[0]["sha256"] == first[0]["sha256"]


@pytest.mark.parametrize("change", ["content and time", "content in the same moment", "another file", "size"])
def test_describe_inputs__sees_a_large_file_that_changed(tmp_path, monkeypatch, change):
    monkeypatch.setattr(provenance, "_BIG", 2)
    path = tmp_path / "large"
    path.write_bytes(b"123456")
    when = time.time_ns() - (0 if change == "content in the same moment" else 10**11)
    os.utime(path, ns=(when, when))
    before = provenance.describe_inputs([str(path)])
    if change == "another file":
        (tmp_path / "other").write_bytes(b"654321")
        os.replace(tmp_path / "other", path)
    else:
        path.write_bytes(b"65432" if change == "size" else b"654321")
    if change == "content and time":
        when += 10**9
    os.utime(path, ns=(when, when))
    after = provenance.describe_inputs([str(path)], known=before)
    assert after[0]["sha256"] != before[0]["sha256"]
    assert after[0]["sha256"] == provenance.checksum(path)


def test_changes__names_files_that_came_and_went():
    before = {"inputs": [{"path": "a.h5", "sha256": "1" * 64, "bytes": 5, "modified_ns": 0}], "version": "0.1"}
    now = {"inputs": [{"path": "b", "sha256": "2" * 64, "bytes": None}], "version": "0.2"}
    assert provenance.changes(before, now) == [
        "a.h5 is no longer among the files",
        "b was not among the files",
        "version was '0.1' and is '0.2'",
    ]
    assert provenance.changes(before, before) == []
    moved = {"inputs": [{"path": "a.h5", "sha256": "3" * 64, "bytes": None}], "version": "0.1"}
    assert provenance.changes(before, moved) == [
        "a.h5 was 5 bytes of 1970-01-01 00:00:00+00:00 (checksum 111111111111) and is another folder "
        "(checksum 333333333333)"
    ]


def test_survey__does_not_depend_on_the_way(project):
    ours, whole = (sl.io.read(project / "multiome.h5mu", backed=backed) for backed in (True, False))
    for name in ("rna", "atac"):
        found, expected = sl.pp.Survey(ours)[name], sl.pp.Survey(whole)[name]
        for part in ("total", "seen", "mito", "n_nonzero", "sums", "squares"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
        dense = whole[name].X.toarray().astype(np.int64)
        np.testing.assert_array_equal(found.total, dense.sum(axis=1))
        np.testing.assert_array_equal(found.squares, (dense**2).sum(axis=0))
        np.testing.assert_array_equal(found.n_nonzero, (dense > 0).sum(axis=0))


def test_scan__of_counts_on_disk_is_that_in_memory(project):
    ours, whole = (sl.io.read(project / "multiome.h5mu", backed=backed) for backed in (True, False))
    genes = sl.io.read_genes(project / "genes.gtf.gz")
    pairs = sl.pp.cis_pairs(whole, genes)
    links = [sl.tl.scan(data, pairs, groupby="celltype", p_value="robust", ladder="none") for data in (ours, whole)]
    pd.testing.assert_frame_equal(*links, check_exact=True)
