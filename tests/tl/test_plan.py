"""The plan: the same wherever its costs come from, whole or not there, and read in slices."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError
from scanlink.options import GroupOptions
from scanlink.pp.groups import group_members
from scanlink.run import Block
from scanlink.stats import Ladder
from scanlink.store.make import write_store
from scanlink.store.npy import ArrayFile
from scanlink.store.store import Store
from scanlink.tl.analysis import Given
from scanlink.tl.designs import FEW_CLUSTERS
from scanlink.tl.scan import pair_costs as _costs
from scanlink.tl.scan import rows
from scanlink.tl.scan.block import scan_block
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.pair_costs import PairCosts, nonzero_cells
from scanlink.tl.scan.rows import ScanPlan, scan_rows


@pytest.fixture(scope="module")
def data():
    return sl.ds.simulate(n_cells=400, n_genes=30, n_peaks=120, n_links=20, n_interactions=2, seed=3)


@pytest.fixture(scope="module")
def pairs(data):
    return sl.pp.cis_pairs(data.mdata, data.genes)


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    return write_store(data.mdata, tmp_path_factory.mktemp("made") / "store")


@pytest.fixture
def uncounted(store, monkeypatch):
    """The store as if no column had been counted when it was made."""
    monkeypatch.setattr(Store, "level_counts", lambda *_: None)
    return store


def planned(store, pairs, folder, **options):
    groupby = options.pop("groupby", "celltype")
    groups = options.pop("groups", None)
    given = Given(folder, {}, store, {"pairs": pairs}, GroupOptions(by=groupby, only=groups))
    return scan_rows(given, ScanOptions(**options))


def contents(plan):
    return {path.name: path.read_bytes() for path in plan.folder.iterdir() if path.suffix == ".npy"}


@pytest.mark.parametrize("groups", [None, ("CD14-Mono",), ("CD4-Naive", "CD14-Mono")])
def test_scan_rows__is_the_same_with_and_without_the_counts_by_level(store, pairs, tmp_path, groups, monkeypatch):
    reads = []
    column = Store.column
    monkeypatch.setattr(Store, "column", lambda self, *a: reads.append(a) or column(self, *a))
    counted = planned(store, pairs, tmp_path / "a", groups=groups)
    assert not reads
    monkeypatch.setattr(Store, "level_counts", lambda *_: None)
    read = planned(store, pairs, tmp_path / "b", groups=groups)
    assert reads
    assert read.about == counted.about
    assert contents(read) == contents(counted)


def test_scan_rows__all_cells_need_no_pass(store, pairs, tmp_path, monkeypatch):
    # That several types of cells may be mixed is looked for in some cells of some features.
    monkeypatch.setattr(rows, "warn_of_one_group", lambda *_: None)
    monkeypatch.setattr(Store, "column", lambda *_: pytest.fail("a column was read"))
    assert [group.name for group in planned(store, pairs, tmp_path, groupby=None).groups] == ["all"]


def test_nonzero_cells__counts_what_there_is(store, data, monkeypatch):
    members = group_members(store.cells, "celltype", ("CD14-Mono", "CD4-Naive"))
    features = np.arange(120, dtype=np.int32)
    order = store.cells.index
    expected = np.array(
        [(data.mdata[order[cells].tolist()]["atac"].X > 0).sum(axis=0).A1 for cells in members.values()]
    )
    np.testing.assert_array_equal(nonzero_cells(store, "atac", features, "celltype", members), expected)
    # A column that says something else than the groups is not believed.
    np.testing.assert_array_equal(nonzero_cells(store, "atac", features, "donor", members), expected)
    monkeypatch.setattr(Store, "level_counts", lambda *_: None)
    np.testing.assert_array_equal(nonzero_cells(store, "atac", features, "celltype", members), expected)
    monkeypatch.setattr(_costs, "_FEW_ENTRIES", 0)
    guessed = nonzero_cells(store, "atac", features, "celltype", members)
    share = expected.sum(axis=0) / sum(map(len, members.values()))
    assert np.corrcoef(guessed[0], share)[0, 1] > 0.9
    np.testing.assert_array_equal(guessed, nonzero_cells(store, "atac", features, "celltype", members))


def test_scan_rows__guessed_costs_change_blocks_but_no_result(uncounted, pairs, tmp_path, monkeypatch):
    exact = planned(uncounted, pairs, tmp_path, p_value="wald")
    monkeypatch.setattr(_costs, "_FEW_ENTRIES", 0)
    guessed = planned(uncounted, pairs, tmp_path, p_value="wald")
    assert exact.folder != guessed.folder

    def rows(plan):
        tables = [scan_block(plan, block).to_pandas() for block in plan.blocks]
        return pd.concat(tables, ignore_index=True)

    pd.testing.assert_frame_equal(rows(exact), rows(guessed), check_exact=True)


def test_scan_rows__is_found_again_and_damage_made_good(store, pairs, tmp_path):
    plan = planned(store, pairs, tmp_path)
    written = contents(plan)
    stamp = (plan.folder / "plan.json").stat().st_mtime_ns
    assert planned(store, pairs, tmp_path).folder == plan.folder
    assert (plan.folder / "plan.json").stat().st_mtime_ns == stamp
    for harm in (b"", b"\x93NUMPY\x01\x00", written["blocks.npy"][:-8], written["pairs_gene.npy"]):
        (plan.folder / "blocks.npy").write_bytes(harm)
        with pytest.raises(InputError, match="holds no whole plan of a scan"):
            _ = ScanPlan(plan.folder, plan.store).blocks
        assert planned(store, pairs, tmp_path).blocks == plan.blocks
    assert contents(plan) == written


def test_plan__workers_read_the_rows_of_their_block_only(store, pairs, tmp_path, monkeypatch):
    plan = planned(store, pairs, tmp_path)
    reads = []
    read = ArrayFile.read
    monkeypatch.setattr(ArrayFile, "read", lambda self, *a: reads.append((self.path.name, *a)) or read(self, *a))
    block = Block(0, 0, 7, 11, 1.0)
    gene, peak = plan.pairs_of(block)
    assert reads == [("pairs_gene.npy", 7, 11), ("pairs_peak.npy", 7, 11)]
    np.testing.assert_array_equal(gene, plan.row_array("gene")[7:11])
    np.testing.assert_array_equal(peak, plan.row_array("peak")[7:11])
    # And neither the table of cells, nor names, nor the other blocks.
    opened = Store.open(store.path)
    for name in ("cells", "genes", "peaks"):
        monkeypatch.setattr(Store, name, property(lambda _: pytest.fail("a worker read a table")))
    monkeypatch.setattr(ScanPlan, "blocks", property(lambda _: pytest.fail("a worker read all blocks")))
    assert scan_block(ScanPlan(plan.folder, opened.path), block).num_rows == 4


def test_plan__says_which_columns_there_are(store, pairs, tmp_path):
    for options in ({"groupby": "cel"}, {"cluster": "dono"}):
        with pytest.raises(MissingKeyError, match=r"columns are 'celltype', 'donor', 'batch'|'batch'"):
            planned(store, pairs, tmp_path, **options)


def test_pair_costs__are_made_one_group_at_a_time(store):
    members = group_members(store.cells, "celltype", None)
    described = [
        type("Group", (), {"n_cells": cells.size, "terms": ("a",), "status": None})() for cells in members.values()
    ]
    gene, peak = np.arange(30, dtype=np.int32), np.arange(30, dtype=np.int32)
    costs = PairCosts(
        gene,
        peak,
        groups=described,
        ladders=[Ladder.of("none")] * len(described),
        options=ScanOptions(),
        expressed=nonzero_cells(store, "rna", gene, "celltype", members),
        opened=nonzero_cells(store, "atac", peak, "celltype", members),
    )
    first, again = iter(costs), list(costs)
    assert len(again) == len(members)
    assert all(np.array_equal(next(first), seconds) for seconds in again)
    with pytest.raises(StopIteration):
        next(first)


def test_scan_rows__costs_of_few_clusters_have_no_bootstrap_in_them(store, pairs, tmp_path):
    def cost(name: str, **options: Any) -> float:
        return planned(store, pairs, tmp_path / name, cluster="donor", **options).cost

    assert store.cells["donor"].nunique() < FEW_CLUSTERS
    assert cost("few", ladder="scent") == cost("none", ladder="none")
    alone = planned(store, pairs, tmp_path / "alone", ladder="scent").cost
    assert alone > cost("again", ladder="none")


@pytest.mark.slow
def test_scan_rows__a_large_run_is_planned_in_little_memory(tmp_path):
    """A tenth of the size of benchmarks/planning.py."""
    import planning

    words = ["--cells", "100000", "--genes", "2500", "--peaks", "20000", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, planning.__file__, *words], capture_output=True, text=True, check=True)
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith(("| celltype", "| donor"))]
    assert len(rows) == 3
    for row in rows:
        assert float(row[6]) < 30
        assert float(row[7].split()[0]) < 700


def test_plan__is_json_without_blocks(store, pairs, tmp_path):
    plan = planned(store, pairs, tmp_path, block_genes=1)
    about = json.loads((plan.folder / "plan.json").read_text())
    assert about["n_blocks"] == len(plan.blocks) > 30
    assert (plan.folder / "plan.json").stat().st_size < 10_000
