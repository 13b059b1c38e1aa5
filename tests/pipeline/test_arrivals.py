"""Tables that come while a run is going on: whole, once each, and those of the run."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from processes import kill_driver

import scanlink as sl
from scanlink.errors import InputError, RunError
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.pipeline.status_json import status_of
from scanlink.run import held_by

OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {p_value: robust, ladder: none, seed: 3, block_genes: 4}
epistasis: {p_value: robust, ladder: none, seed: 5, links_fdr: 0.5}
kendall: {}
report: false
cluster: none
"""
TABLES = {"scan": "links", "epistasis": "epistasis", "kendall": "kendall"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    sl.ds.simulate(n_cells=900, n_genes=16, n_peaks=60, n_links=30, n_interactions=4, seed=2).write(folder / "data")
    (folder / "run.yaml").write_text(OPTIONS)
    return folder


def followed(folder: Path, out: list[tuple[float, str, str, pd.DataFrame]]) -> threading.Thread:
    def work() -> None:
        for analysis, group, table in sl.follow(folder, interval=0.02):
            out.append((time.monotonic(), analysis, group, table))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def run(project):
    came: list[tuple[float, str, str, pd.DataFrame]] = []
    thread = followed(project / "out", came)
    outcome = pipeline.run(config.load_run(project / "run.yaml"), project / "out")
    end = time.monotonic()
    thread.join(timeout=60)
    return project / "out", outcome, came, end


def same(early: pd.DataFrame, table: pd.DataFrame) -> None:
    """A table that came early is that of the run, but for rates over groups that are not there yet."""
    if "fdr_all" in early:
        assert early["fdr_all"].isna().all()
        assert table.loc[table["status"] == "ok", "fdr_all"].notna().all()
    early, table = (each.drop(columns="fdr_all", errors="ignore") for each in (early, table))
    pd.testing.assert_frame_equal(early, table, check_dtype=False)


def test_follow__gives_each_group_once_while_others_are_computed(run):
    _, outcome, came, end = run
    names = [(analysis, group) for _, analysis, group, _ in came]
    assert len(names) == len(set(names))
    assert {group for analysis, group in names if analysis == "scan"} == set(outcome.tables["links"]["group"])
    # Most came before the run had ended, and the first before the last was tested.
    assert sum(when < end for when, *_ in came) >= len(came) - 2
    assert names.index(("epistasis", names[0][1])) < max(names.index(n) for n in names if n[0] == "scan")


def test_follow__tables_are_those_of_the_run(run):
    _, outcome, came, _ = run
    for analysis, name in TABLES.items():
        groups = {group: table for _, one, group, table in came if one == analysis}
        whole = outcome.tables[name]
        parts = [groups[group] for group in whole["group"].unique()]
        same(pd.concat(parts, ignore_index=True), whole)


def test_follow__of_a_finished_run_gives_the_same_also_without_its_list(run, tmp_path):
    folder, _, came, _ = run
    again = list(sl.follow(folder, wait=0))
    assert {x[:2] for x in again} == {x[1:3] for x in came}
    old = Path(shutil.copytree(folder, tmp_path / "old", ignore=shutil.ignore_patterns("arrivals")))
    tables = {(analysis, group): table for analysis, group, table in sl.follow(old, wait=0)}
    for analysis, group, table in again:
        same(table, tables[analysis, group])


def test_follow__rates_over_all_groups_are_missing_until_all_are_there(project, tmp_path):
    came: list[dict[str, object]] = []
    tables = []

    def listen(entry: dict[str, object]) -> None:
        came.append(entry)
        tables.append(pd.read_parquet(tmp_path / "out" / str(entry["file"])))

    options = config.load_run(project / "run.yaml", changes=["links.scope=all", "epistasis=null", "kendall=null"])
    outcome = pipeline.run(options, tmp_path / "out", listener=listen)
    assert len(came) == outcome.tables["links"]["group"].nunique() > 1
    assert all(table["fdr"].isna().all() for table in tables)
    links = outcome.tables["links"]
    assert links.loc[links["status"] == "ok", "fdr"].notna().all()
    early = pd.concat(sorted(tables, key=lambda table: table["group"].iloc[0]), ignore_index=True)
    same(early.drop(columns="fdr"), links.drop(columns="fdr"))


def test_follow__what_an_earlier_run_left_is_not_that_of_the_one_going_on(run, tmp_path):
    folder = Path(shutil.copytree(run[0], tmp_path / "out"))
    came: list[tuple[float, str, str, pd.DataFrame]] = []
    options = config.load_run(run[0].parent / "run.yaml", changes=["scan.seed=4", "scan.formula=log(nUMI)"])
    began = threading.Event()

    def watch() -> None:
        while held_by(folder) is None:
            time.sleep(0.001)
        began.set()
        for analysis, group, table in sl.follow(folder, interval=0.02):
            came.append((0.0, analysis, group, table))

    thread = threading.Thread(target=watch)
    thread.start()
    outcome = pipeline.run(options, folder)
    thread.join(timeout=60)
    assert began.is_set()
    tables = [table for _, analysis, _, table in came if analysis == "scan"]
    links = outcome.tables["links"]
    early = pd.concat(sorted(tables, key=lambda table: table["group"].iloc[0]), ignore_index=True)
    same(early, links)


def test_follow__says_where_no_run_is_going_on(tmp_path):
    with pytest.raises(RunError, match=r"no run is going on in .*none has left anything here"):
        list(sl.follow(tmp_path, wait=0))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, expected a run folder"):
        list(sl.follow(tmp_path / "file"))


def test_follow__a_run_that_was_killed_is_waited_for_and_gone_on_with(project, tmp_path):
    out = tmp_path / "out"
    words = ["run", str(project / "run.yaml"), "--out", str(out), "--set", "scan.block_genes=1"]
    command = [sys.executable, "-m", "scanlink", *words]
    kill_driver(command, when=lambda: any(out.glob("arrivals/links-*.parquet")))
    assert status_of(out)["state"] == "stopped"
    came = []
    with pytest.raises(RunError, match="tables have come, and it is not finished"):
        came += [analysis for analysis, _, _ in sl.follow(out, wait=0)]
    thread_came: list[tuple[float, str, str, pd.DataFrame]] = []
    thread = followed(out, thread_came)
    outcome = pipeline.run(config.load_run(project / "run.yaml", changes=["scan.block_genes=1"]), out)
    thread.join(timeout=60)
    groups = {group for _, analysis, group, _ in thread_came if analysis == "scan"}
    assert groups == set(outcome.tables["links"]["group"])


def test_record__times_are_booked_to_the_analysis_that_took_them(run):
    folder, *_ = run
    record = json.loads((folder / "provenance.json").read_text())
    seconds, blocks = record["seconds"], record["blocks"]
    stages = [value for stage, value in seconds.items() if stage != "total"]
    assert sum(stages) == pytest.approx(seconds["total"], rel=0.1)
    for analysis in TABLES:
        own = sum(group["core_seconds"] for group in blocks[analysis].values())
        # Without workers the tasks' time is wall time, and there is planning and writing beside.
        assert seconds[analysis] >= own > 0


def test_record__a_long_follower_is_not_booked_to_the_first(project, tmp_path):
    changes = ["kendall=null", "epistasis.p_value=bootstrap", "epistasis.ladder=[[3000,null]]"]
    outcome = pipeline.run(config.load_run(project / "run.yaml", changes=changes), tmp_path / "out")
    tasks = {name: sum(one.task_seconds for one in own.values()) for name, own in outcome.stats.items()}
    assert outcome.seconds["epistasis"] >= tasks["epistasis"] * 0.95
    assert outcome.seconds["scan"] + outcome.seconds["epistasis"] <= outcome.seconds["total"]


def test_status__as_json_has_blocks_tables_and_reasons(run, tmp_path):
    folder, outcome, came, _ = run
    status = status_of(folder)
    assert list(status) == ["schema", "folder", "state", "prepared", "analyses", "tables", "finished", "seconds"]
    assert (status["schema"], status["state"], status["prepared"]) == (1, "finished", True)
    by_name = {analysis["name"]: analysis for analysis in status["analyses"]}
    assert list(by_name) == list(TABLES)
    for name, analysis in by_name.items():
        assert analysis["is_there"]
        n_blocks = sum(stats.n_blocks for stats in outcome.stats[name].values())
        assert analysis["blocks"] == analysis["done"] == n_blocks > 0
    assert [driver["state"] for driver in by_name["scan"]["drivers"]] == ["finished"]
    assert len(status["tables"]) == len(came)
    with pytest.raises(InputError, match="holds no run of scanlink"):
        status_of(tmp_path)
