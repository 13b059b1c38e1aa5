"""Runs that go on from links to enhancer pairs, group by group: the same tables by every way, and after every fault."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from processes import forget, kill_driver
from texts import assert_same_table

import scanlink as sl
from scanlink.errors import DesignError, MissingKeyError, OptionError
from scanlink.io.parquet import read_shared
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.pipeline.experiment import Prepared
from scanlink.pipeline.follow import Follow
from scanlink.pipeline.multiome import MULTIOME, RunOptions
from scanlink.pipeline.outcome import Outcome
from scanlink.pipeline.status import describe
from scanlink.store.store import Store
from scanlink.tl.epistasis import EPISTASIS
from scanlink.tl.epistasis.options import EpistasisOptions
from scanlink.tl.scan.rows import ScanPlan

OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {p_value: robust, ladder: none, seed: 3, block_genes: 4}
epistasis: {ladder: [[50, 0.2], [200, null]], seed: 5, block_genes: 1}
report: false
cluster: none
"""
TABLES = ("links", "enhancer_pairs", "epistasis", "heterogeneity")
GROUPS = ["B-Memory", "CD14-Mono", "CD4-Naive", "pDC"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    data = sl.ds.simulate(n_cells=1600, n_genes=24, n_peaks=90, n_links=45, n_interactions=6, seed=2)
    data.write(folder / "data")
    (folder / "run.yaml").write_text(OPTIONS)
    return folder


def run(project: Path, out: Path, *changes: str, workers: int | None = None) -> Outcome:
    return pipeline.run(config.load_run(project / "run.yaml", changes=changes), out, workers=workers)


@pytest.fixture(scope="module")
def reference(project) -> Path:
    """A run in this process, without Dask; the only one with a page, which takes longer than its tables."""
    run(project, project / "reference", "report=true")
    assert (project / "reference" / "report.html").is_file()
    return project / "reference"


# More replicates, so that it can be killed in time: they do not change what is a link.
LONGER = ("epistasis.ladder=[[3000,null]]", "scan.block_genes=1")


@pytest.fixture(scope="module")
def longer(project) -> Path:
    """The run that is killed below, whole."""
    run(project, project / "longer", *LONGER)
    return project / "longer"


def copy_of(reference: Path, out: Path) -> Path:
    shutil.copytree(reference, out)
    for name in TABLES:
        (out / f"{name}.parquet").unlink()
    return out


def digests(folder: Path) -> dict[str, str]:
    files = {name: folder / f"{name}.parquet" for name in TABLES}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path.exists()}


def plan_of(folder: Path) -> ScanPlan:
    (found,) = folder.glob("parts/scan-*")
    return ScanPlan(found, folder / "store")


def followed(folder: Path) -> dict[str, dict]:
    return json.loads((plan_of(folder).folder / "followed.json").read_text())["epistasis"]


def parts_of(folder: Path, kind: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob(f"parts/{kind}-*/block-*.parquet")}


def same(found: pd.DataFrame, path: Path, rows: Callable[[pd.DataFrame], pd.Series] | None = None) -> None:
    """The same values as those of a file, or as some of its rows. A file does not say that numbers may be missing."""
    table = pd.read_parquet(path)
    table = table if rows is None else table[rows(table)]
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), table.reset_index(drop=True), check_exact=True, check_dtype=False
    )


def test_run__leaves_the_tables_that_the_library_calls_give(project, reference):
    mdata = sl.io.read(project / "data" / "multiome.h5mu")
    sl.pp.filter_features(mdata, min_fraction=0.05)
    pairs = sl.pp.cis_pairs(mdata, sl.io.read_genes(project / "data" / "genes.gtf.gz"))
    links = sl.tl.scan(mdata, pairs, groupby="celltype", p_value="robust", ladder="none", seed=3)
    epairs = sl.tl.enhancer_pairs(links)
    epi = sl.tl.epistasis(mdata, epairs, groupby="celltype", ladder=[(50, 0.2), (200, None)], seed=5)
    expected = dict(zip(TABLES, (links, epairs, epi, sl.tl.heterogeneity(epi)), strict=True))
    for name, table in expected.items():
        # The plan of several groups at once may have the genes in another order.
        keys = [key for key in ("group", "gene", "peak", "enhancer_1", "enhancer_2") if key in table]
        found = pd.read_parquet(reference / f"{name}.parquet")
        tables = [known.sort_values(keys, ignore_index=True) for known in (table, found)]
        pd.testing.assert_frame_equal(*tables, check_exact=True, check_dtype=False)
    assert epi["group"].unique().tolist() == GROUPS[:3]
    assert (epi["status"] == "ok").sum() > 50
    assert len(expected["heterogeneity"]) > 5


def test_run__record_and_outcome_tell_of_both_stages(project, reference):
    outcome = run(project, reference)
    tables = [outcome.tables[name] for name in TABLES]
    for name, table in zip(TABLES, tables, strict=True):
        same(table, reference / f"{name}.parquet")
    assert len(outcome.called(EPISTASIS)) == int((outcome.tables["epistasis"]["fdr"] < 0.1).sum()) > 0
    assert list(outcome.stats["epistasis"]) == list(outcome.plans["epistasis"]) == GROUPS[:3]
    assert len(outcome.all_stats) == 4
    assert all(stats.n_blocks == stats.n_found > 0 == stats.n_computed for stats in outcome.all_stats)
    assert (outcome.failures, outcome.not_followed) == ([], {})
    record = json.loads((reference / "provenance.json").read_text())
    assert (record["seeds"], record["not_followed"]) == ({"scan": 3, "epistasis": 5}, {})
    assert record["statuses"]["epistasis"] == outcome.tables["epistasis"]["status"].value_counts().to_dict()
    assert record["called"]["epistasis"] == len(outcome.called(EPISTASIS))
    assert record["options"]["epistasis"]["seed"] == 5
    assert list(record["plans"]["epistasis"]) == list(record["blocks"]["epistasis"]) == GROUPS[:3]
    for name, blocks in record["blocks"]["epistasis"].items():
        assert (reference / "parts" / record["plans"]["epistasis"][name] / "plan.json").is_file()
        assert blocks["all"] == blocks["found_finished"] == outcome.stats["epistasis"][name].n_blocks


def test_run__a_group_does_not_wait_for_the_others(reference):
    names = {number: group.name for number, group in enumerate(plan_of(reference).groups)}
    scan = {}
    for block in plan_of(reference).blocks:
        written = plan_of(reference).parts.path(block).stat().st_mtime_ns
        scan[names[block.group]] = max(scan.get(names[block.group], 0), written)
    first = min(scan, key=scan.__getitem__)
    plan = reference / "parts" / followed(reference)[first]["plan"]
    last = max(path.stat().st_mtime_ns for path in plan.glob("block-*"))
    # All enhancer pairs of one group were tested before any other group of the scan was finished.
    assert last < min(written for name, written in scan.items() if name != first)


@pytest.mark.parametrize("change", ["scan.block_genes=1", "epistasis.block_genes=null"])
def test_run__same_bytes_from_other_blocks(project, reference, tmp_path, change):
    run(project, tmp_path / "out", change)
    assert digests(tmp_path / "out") == digests(reference)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_run__same_bytes_from_worker_processes(project, reference, tmp_path, workers):
    outcome = run(project, tmp_path / "out", "cluster=local", workers=workers)
    assert digests(tmp_path / "out") == digests(reference)
    assert sum(stats.n_computed for stats in outcome.stats["epistasis"].values()) == len(
        parts_of(reference, "epistasis")
    )


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["none", "local"])
@pytest.mark.parametrize(("kind", "number"), [("scan", 3), ("epistasis", 1), ("epistasis", 25)])
def test_run__killed_in_either_stage_goes_on_and_gives_the_same_bytes(
    project, reference, longer, tmp_path, cluster, kind, number
):
    out = tmp_path / "out"
    words = ["run", project / "run.yaml", "--out", out, "--cluster", cluster, "--workers", "2"]
    command = [sys.executable, "-c", "from scanlink.cli import main; main()", *map(str, words)]
    for change in LONGER:
        command += ["--set", change]
    kill_driver(command, when=lambda: len(parts_of(out, kind)) >= number)
    kept = parts_of(out, "scan") | parts_of(out, "epistasis")
    assert not any((out / f"{name}.parquet").exists() for name in TABLES)
    half = "\n".join(describe(out))
    assert re.search(r"enhancer pairs +not yet", half)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"(\d+) blocks: (\d+) found finished, (\d+) computed", done.stdout)
    assert found is not None
    assert int(found[1]) == int(found[2]) + int(found[3])
    assert int(found[2]) >= len(kept) >= number
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert digests(out) == digests(longer)
    assert digests(out)["links"] == digests(reference)["links"]


def lose(folder: Path, group: str, kind: str) -> tuple[Path, bytes]:
    """Delete what the workers need of one group, and its parts; returns the file and what was in it."""
    if kind == "scan":
        plan = plan_of(folder)
        number = [known.name for known in plan.groups].index(group)
        path = plan.folder / f"group-{number:04d}.npz"
        gone = [plan.parts.path(block) for block in plan.blocks if block.group == number]
    else:
        path = folder / "parts" / followed(folder)[group]["plan"] / "group-0000.npz"
        gone = list(path.parent.glob("block-*"))
    for part in gone:
        part.unlink()
    content = path.read_bytes()
    path.unlink()
    return path, content


def test_run__a_group_whose_scan_has_failed_blocks_has_no_enhancer_pairs(project, reference, tmp_path, caplog):
    out = copy_of(reference, tmp_path / "out")
    path, content = lose(out, "CD14-Mono", "scan")
    forget()
    outcome = run(project, out)
    assert len(outcome.failures) == len(outcome.stats["scan"][""].failed) == 6
    assert outcome.failures[0].startswith("block 6 of the scan: FileNotFoundError: ")
    assert outcome.not_followed == {"epistasis": {"CD14-Mono": "6 of its 6 blocks were set aside"}}
    assert "no enhancer pairs of group CD14-Mono: 6 of its 6 blocks were set aside" in caplog.text
    assert set(outcome.tables["links"].query("group == 'CD14-Mono'")["status"]) == {"failed"}
    # The others are as they were.
    same(outcome.tables["epistasis"], reference / "epistasis.parquet", lambda table: table["group"] != "CD14-Mono")
    assert list(outcome.plans["epistasis"]) == ["B-Memory", "CD4-Naive"]
    status = "\n".join(describe(out))
    assert re.search(r"CD14-Mono +none: 6 of its 6 blocks were set aside", status)
    assert "block 6 was set aside: FileNotFoundError" in status
    record = json.loads((out / "provenance.json").read_text())
    assert record["not_followed"] == outcome.not_followed
    path.write_bytes(content)
    forget()
    again = run(project, out)
    assert (again.failures, again.not_followed, again.stats["scan"][""].n_computed) == ([], {}, 6)
    assert all(stats.n_computed == 0 for stats in again.stats["epistasis"].values())
    assert digests(out) == digests(reference)


def test_run__enhancer_pairs_of_failed_blocks_are_in_the_table(project, reference, tmp_path):
    out = copy_of(reference, tmp_path / "out")
    path, content = lose(out, "B-Memory", "epistasis")
    forget()
    outcome = run(project, out)
    table = outcome.tables["epistasis"]
    failed = table["status"] == "failed"
    assert table.loc[failed, "group"].unique().tolist() == ["B-Memory"]
    assert failed.sum() == (table["group"] == "B-Memory").sum() > 0
    assert table.loc[failed, ["beta_11", "p_value", "fdr"]].isna().all().all()
    assert len(outcome.failures) == len(outcome.stats["epistasis"]["B-Memory"].failed) > 1
    assert outcome.failures[0].startswith("block 0 of the enhancer pairs of B-Memory: FileNotFoundError")
    assert "block 0 was set aside: FileNotFoundError" in "\n".join(describe(out))
    same(table[~failed], reference / "epistasis.parquet", lambda table: table["group"] != "B-Memory")
    path.write_bytes(content)
    forget()
    run(project, out)
    assert digests(out) == digests(reference)


def test_run__parts_altered_before_are_computed_anew(project, reference, tmp_path):
    out = copy_of(reference, tmp_path / "out")
    altered = [sorted(parts_of(out, kind))[0] for kind in ("scan", "epistasis")]
    for path in altered:
        path.write_bytes(path.read_bytes()[:-20])
    outcome = run(project, out)
    stats = outcome.all_stats
    assert sum(one.n_computed for one in stats) == sum(len(one.damaged) for one in stats) == 2
    assert digests(out) == digests(reference)


def stages_of(folder: Path, kind: type[Follow] = Follow, **changes: object) -> pipeline.Stages:
    """The stages of the run in a folder, as far as all is planned; ``kind`` does what follows."""
    options = config.load(folder / "config.yaml", RunOptions).model_copy(update=changes)
    prepared = Prepared(Store.open(folder / "store"), {"pairs": read_shared(folder / "pairs.parquet")}, [])
    given = MULTIOME.given(options, prepared, folder)
    stages = pipeline.Stages(Outcome(folder), given, MULTIOME.asked(given.sections), lambda: None)
    stages.follow = kind(given, stages.analyses)
    stages.plan(options.model_dump(mode="json"))
    return stages


def test_follow__parts_altered_while_it_runs_are_computed_anew(reference, tmp_path, caplog):
    out = copy_of(reference, tmp_path / "out")

    class Spoiled(Follow):
        spoiled = False

        def then(self, work, group):
            if group == 1 and not self.spoiled:
                self.spoiled = True
                path = work.parts.path(next(block for block in work.blocks if block.group == 1))
                path.write_bytes(path.read_bytes()[:-20])
            return super().then(work, group)

    stages = stages_of(out, Spoiled)
    stages.compute(None)
    stats = stages.outcome.stats["scan"][""]
    assert (stats.n_found, stats.n_computed, list(stats.damaged)) == (23, 1, [6])
    path = sorted(stages.follow.plans(EPISTASIS)[GROUPS[2]].folder.glob("block-*"))[1]
    path.write_bytes(b"")
    stages.tables()
    assert caplog.text.count("cannot be used") == 2
    assert stages.outcome.stats["epistasis"][GROUPS[2]].n_computed == 1
    for name in ("enhancer_pairs", "epistasis"):
        same(stages.outcome.tables[name], reference / f"{name}.parquet")
    assert digests(out) == digests(reference)


@pytest.mark.parametrize(
    "changes",
    [[], ["epistasis.family=negbin", "epistasis.p_value=robust"], ["epistasis.order=3", "epistasis.p_value=wald"]],
    ids=["pairs", "negbin", "sets of three"],
)
def test_run__without_enhancer_pairs_the_tables_have_the_same_columns(project, tmp_path, changes):
    some = run(project, tmp_path / "some", *changes)
    assert len(some.tables["epistasis"]) > 0
    none = run(project, tmp_path / "none", *changes, "links.alpha=1e-300")
    assert [len(none.tables[name]) for name in ("enhancer_pairs", "epistasis")] == [0, 0]
    assert none.stats["epistasis"] == {}
    for name in ("enhancer_pairs", "epistasis"):
        tables = [pq.read_table(tmp_path / out / f"{name}.parquet") for out in ("some", "none")]
        assert tables[0].schema == tables[1].schema
        assert tables[1].num_rows == 0
    assert not (tmp_path / "none" / "heterogeneity.parquet").exists()
    assert "heterogeneity" not in none.tables
    status = "\n".join(describe(tmp_path / "none"))
    assert re.search(r"enhancer pairs of \w+ +0 of 0 blocks\n +B-Memory +no pairs", status)
    assert re.search(r"enhancer pairs +there", status)


def test_run__one_group_has_no_table_across_groups(project, tmp_path):
    outcome = run(project, tmp_path / "out", "groups.only=CD14-Mono")
    assert outcome.tables["epistasis"]["group"].unique().tolist() == ["CD14-Mono"]
    assert "heterogeneity" not in outcome.tables
    assert not (tmp_path / "out" / "heterogeneity.parquet").exists()


def test_run__all_cells_as_one_group(project, tmp_path):
    outcome = run(project, tmp_path / "out", "groups.by=null")
    table = outcome.tables["epistasis"]
    assert set(table["group"]) == set(outcome.tables["enhancer_pairs"]["group"]) == {"all"}
    assert (table["status"] == "ok").any()


def test_run__links_called_over_all_groups(project, reference, tmp_path, caplog):
    out = copy_of(reference, tmp_path / "out")
    with caplog.at_level("INFO", logger="scanlink"):
        outcome = run(project, out, "links.scope=all")
    assert "enhancer pairs are made when the last group is tested" in caplog.text
    expected = sl.tl.enhancer_pairs(outcome.tables["links"])
    assert_same_table(outcome.tables["enhancer_pairs"], expected, check_exact=True)
    assert digests(out)["enhancer_pairs"] != digests(reference)["enhancer_pairs"]
    lose(out, "CD14-Mono", "scan")
    forget()
    failed = run(project, out, "links.scope=all")
    forget()
    assert list(failed.not_followed["epistasis"]) == ["CD14-Mono", "B-Memory", "CD4-Naive", "pDC"]
    reason = "links are called over all groups, and CD14-Mono is not tested as a whole"
    assert failed.not_followed["epistasis"]["B-Memory"] == reason
    assert len(failed.tables["epistasis"]) == 0


def test_run__tables_of_other_options_are_set_aside(project, reference, tmp_path, caplog):
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    before = digests(out)
    # The links of these options are known, their enhancer pairs are others; and it does not come to its end.
    with pytest.raises(DesignError, match="is not finite"):
        run(project, out, "epistasis.formula=log(nUMI - nUMI)")
    assert digests(out) == before
    run(project, out, "epistasis.seed=6")
    assert "epistasis of other data or options are kept as epistasis.previous.parquet" in caplog.text
    kept = {name: out / f"{name}.previous.parquet" for name in TABLES}
    assert [name for name, path in kept.items() if path.exists()] == ["enhancer_pairs", "epistasis", "heterogeneity"]
    assert hashlib.sha256(kept["epistasis"].read_bytes()).hexdigest() == before["epistasis"]
    now = digests(out)
    assert {name for name in TABLES if now[name] != before[name]} == {"epistasis"}
    # Without the stage nothing of it is left beside the links.
    outcome = run(project, out, "epistasis=null")
    assert digests(out) == {"links": before["links"]}
    assert "epistasis" not in outcome.tables
    assert "enhancer pairs" not in "\n".join(describe(out))
    record = json.loads((out / "provenance.json").read_text())
    assert all("epistasis" not in record[name] for name in ("plans", "blocks", "statuses", "called", "seeds"))
    run(project, out)
    assert digests(out) == before


def test_run__other_links_set_only_the_enhancer_pairs_aside(project, reference, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    run(project, out, "links.alpha=0.01")
    assert not (out / "links.previous.parquet").exists()
    assert (out / "enhancer_pairs.previous.parquet").exists()
    assert digests(out)["enhancer_pairs"] != digests(reference)["enhancer_pairs"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("epistasis.formula=log(nUMIs)", MissingKeyError, r"did you mean 'nUMI'\?"),
        ("epistasis.cluster=donors", MissingKeyError, "no column 'donors'"),
        ("epistasis.min_cells=5000", DesignError, "none of the 4 groups can be tested"),
    ],
)
def test_run__what_would_fail_in_the_second_stage_is_said_before_the_first(project, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        run(project, tmp_path / "out", change)
    assert not list(tmp_path.glob("out/parts/*/block-*"))
    assert not (tmp_path / "out" / "config.yaml").exists()


def test_run_options__the_section_may_be_left_out(project, tmp_path):
    def options(change: str, *more: str) -> EpistasisOptions | None:
        return config.load_run(project / "run.yaml", changes=[change, *more]).epistasis

    assert options("epistasis=null") is None
    assert options("epistasis={}") == EpistasisOptions()
    # As config.yaml of a run folder has it when it is changed.
    given = options("epistasis=null", "epistasis.seed=9")
    assert given is not None
    assert given.seed == 9
    with pytest.raises(OptionError, match=r"epistasis.sead: unknown key; did you mean 'seed'\?"):
        options("epistasis.sead=1")
    with pytest.raises(OptionError, match="epistasis: expected a section"):
        options("epistasis=yes")
    config.save(config.load_run(project / "run.yaml", changes=["epistasis=null"]), tmp_path / "run.yaml")
    assert config.load_run(tmp_path / "run.yaml").epistasis is None


def test_follow__dosage_is_warned_of(reference, tmp_path, caplog):
    epistasis = EpistasisOptions(model="separate", coding="dosage", p_value="wald")
    stages_of(copy_of(reference, tmp_path / "out"), epistasis=epistasis)
    assert "coding 'dosage' counts two open enhancers as 2" in caplog.text


def test_run__up_to_the_pairs_there_is_no_second_stage(project, tmp_path):
    options = config.load_run(project / "run.yaml")
    outcome = pipeline.run(options, tmp_path / "out", until="pairs")
    assert outcome.tables == {}
    assert not (tmp_path / "out" / "parts").exists()


def test_status__while_groups_are_still_tested(reference, tmp_path):
    out = copy_of(reference, tmp_path / "out")

    class Stopped(Exception):
        pass

    class Half(Follow):
        def then(self, work, group):
            if self.plans(EPISTASIS):
                raise Stopped
            return super().then(work, group)

    for path in parts_of(out, "epistasis"):
        path.unlink()
    with pytest.raises(Stopped):
        stages_of(out, Half).compute(None)
    status = "\n".join(describe(out))
    assert re.search(r"enhancer pairs of \w+ +1 of \d+ blocks, of 1 of 4 groups\n", status)
    assert len(re.findall(r"\n  \S+ +not yet", status)) == 3
    assert re.search(r"\n  \S+ +1 of \d+, \d+ pairs\n", status)
    assert re.search("driver: process .*, failed .*Stopped", status)
