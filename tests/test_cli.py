"""The command line as a user runs it: the same bytes by every way, and after being killed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from command import COMMAND, Scanlink, copied_command
from processes import kill_driver

import scanlink as sl

OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {formula: "log(nUMI) + percent.mito", ladder: [[100, 0.2], [400, null]], seed: 3, block_genes: 2}
cluster: none
report: false
"""


@pytest.fixture(scope="module")
def scanlink(tmp_path_factory) -> Iterator[Scanlink]:
    """The command, each time in a process of its own."""
    with copied_command(tmp_path_factory.mktemp("printed")) as call:
        yield call


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "links.parquet").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    sl.ds.simulate(n_cells=600, n_genes=40, n_peaks=120, n_links=30, n_interactions=3, seed=2).write(folder / "data")
    (folder / "run.yaml").write_text(OPTIONS)
    return folder


@pytest.fixture(scope="module")
def reference(project) -> Path:
    """A run in this process, without Dask."""
    words = ["run", project / "run.yaml", "--out", project / "reference"]
    subprocess.run([*COMMAND, *map(str, words)], capture_output=True, check=True)
    return project / "reference"


def test_run__leaves_the_run_folder_of_the_design(project, reference):
    names = {path.name for path in reference.iterdir()}
    assert names == {
        "arrivals",
        "config.yaml",
        "links.parquet",
        "logs",
        "pairs.parquet",
        "parts",
        "provenance.json",
        "store",
    }
    record = json.loads((reference / "provenance.json").read_text())
    links = pd.read_parquet(reference / "links.parquet")
    assert record["schema"] == 2
    assert record["seeds"] == {"scan": 3}
    assert record["versions"]["scanlink"] == sl.__version__
    assert record["statuses"]["links"] == links["status"].value_counts().to_dict()
    assert record["called"]["links"] == int((links["fdr"] < 0.1).sum()) > 0
    assert {Path(entry["path"]).name for entry in record["inputs"]} == {"multiome.h5mu", "genes.gtf.gz"}
    content = (project / "data" / "multiome.h5mu").read_bytes()
    assert record["inputs"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["peak_memory_mib"]["worker"] > 50
    assert record["seconds"]["total"] > 0


def test_run__is_what_the_library_call_gives(project, reference):
    mdata = sl.io.read(project / "data" / "multiome.h5mu")
    sl.pp.filter_features(mdata, min_fraction=0.05)
    pairs = sl.pp.cis_pairs(mdata, sl.io.read_genes(project / "data" / "genes.gtf.gz"))
    links = sl.tl.scan(mdata, pairs, groupby="celltype", ladder=[(100, 0.2), (400, None)], seed=3)
    pd.testing.assert_frame_equal(links, sl.io.read_links(reference / "links.parquet"), check_exact=True)


def test_run__config_of_the_run_folder_does_the_same_run_again(scanlink, project, reference):
    scanlink("run", reference / "config.yaml", "--out", project / "again")
    assert digest(project / "again") == digest(reference)


def test_run__a_second_time_computes_nothing(scanlink, reference):
    before = digest(reference)
    done = scanlink("run", reference / "config.yaml", "--out", reference)
    assert re.search(r"(\d+) blocks: \1 found finished, 0 computed", done.stdout)
    assert digest(reference) == before


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_run__same_bytes_from_worker_processes(scanlink, project, reference, workers):
    out = project / f"workers-{workers}"
    scanlink("run", project / "run.yaml", "--out", out, "--cluster", "local", "--workers", workers)
    assert digest(out) == digest(reference)


@pytest.mark.parametrize("block_genes", [1, 50, "null"])
def test_run__same_bytes_from_other_blocks(scanlink, project, reference, block_genes):
    out = project / f"blocks-{block_genes}"
    scanlink("run", project / "run.yaml", "--out", out, "--set", f"scan.block_genes={block_genes}")
    assert digest(out) == digest(reference)


def test_scan__slices_merged_give_the_same_bytes(scanlink, project, reference):
    out = project / "slices"
    prepared = scanlink("run", project / "run.yaml", "--out", out, "--until", "pairs")
    assert "store and pairs are in" in prepared.stdout
    words = ("scan", out / "store", out / "pairs.parquet", "--config", project / "run.yaml", "--out", out, "--chunk")
    for chunk in ("3/3", "1/3"):
        scanlink(*words, chunk)
    early = scanlink("merge", out, check=False)
    assert early.returncode == 1
    assert re.search(r"error: \d+ of \d+ blocks are not finished", early.stderr)
    assert not (out / "links.parquet").exists()
    assert "not yet" in scanlink("status", out).stdout
    scanlink(*words, "2/3")
    scanlink("merge", out)
    assert digest(out) == digest(reference)
    record, whole = (json.loads((folder / "provenance.json").read_text()) for folder in (out, reference))
    for name in ("statuses", "called", "seeds", "plans"):
        assert record[name] == whole[name]
    assert re.search(r"CD14-Mono +(\d+) of \1", scanlink("status", out).stdout)


def test_run__names_beside_an_mtx_are_input_too(scanlink, project, tmp_path):
    mdata = sl.io.read(project / "data" / "multiome.h5mu")
    for modality in ("rna", "atac"):
        folder = tmp_path / modality
        folder.mkdir()
        scipy.io.mmwrite(folder / "matrix.mtx", mdata[modality].X.T)
        (folder / "features.tsv").write_text("\n".join(mdata[modality].var_names) + "\n")
        (folder / "barcodes.tsv").write_text("\n".join(mdata.obs_names) + "\n")
    mdata.obs.to_csv(tmp_path / "cells.csv")
    (tmp_path / "run.yaml").write_text(
        f"input: {{rna: rna/matrix.mtx, atac: atac/matrix.mtx, cells: cells.csv}}\n"
        f"genes: {project / 'data' / 'genes.gtf.gz'}\nscan: {{p_value: wald}}\nreport: false\n"
    )
    words = ("run", tmp_path / "run.yaml", "--out")
    scanlink(*words, tmp_path / "out")
    before = digest(tmp_path / "out")
    (tmp_path / "atac" / "barcodes.tsv").write_text("\n".join(mdata.obs_names[::-1]) + "\n")
    scanlink(*words, tmp_path / "out")
    scanlink(*words, tmp_path / "fresh")
    assert digest(tmp_path / "out") == digest(tmp_path / "fresh") != before
    names = [
        Path(entry["path"]).name for entry in json.loads((tmp_path / "out" / "provenance.json").read_text())["inputs"]
    ]
    assert names.count("barcodes.tsv") == 2


def test_run__pairs_that_were_being_replaced_are_made_anew(scanlink, project, tmp_path):
    words = ("run", project / "run.yaml", "--out", tmp_path, "--until", "pairs")
    scanlink(*words)
    right = (tmp_path / "pairs.parquet").read_bytes()
    # As if a run with another window had been killed between its pairs and its stamp.
    pd.read_parquet(tmp_path / "pairs.parquet").iloc[:-10].to_parquet(tmp_path / "pairs.parquet", index=False)
    scanlink(*words)
    assert (tmp_path / "pairs.parquet").read_bytes() == right


def test_run__other_options_keep_the_old_links_under_another_name(scanlink, project, reference, tmp_path):
    fast = ("--set", "scan.p_value=wald")
    scanlink("run", project / "run.yaml", "--out", tmp_path, *fast)
    old = digest(tmp_path)
    failed = scanlink("run", project / "run.yaml", "--out", tmp_path, "--set", "scan.formula=nothing", check=False)
    assert failed.returncode == 1
    assert digest(tmp_path) == old
    assert "nothing" not in (tmp_path / "config.yaml").read_text()
    scanlink("run", project / "run.yaml", "--out", tmp_path, *fast, "--set", "scan.robust=HC0")
    assert hashlib.sha256((tmp_path / "links.previous.parquet").read_bytes()).hexdigest() == old != digest(tmp_path)
    record = (tmp_path / "provenance.json").read_text()
    scanlink("run", project / "run.yaml", "--out", tmp_path, "--until", "pairs", *fast, "--set", "scan.robust=HC0")
    assert (tmp_path / "provenance.json").read_text() == record


def test_run__pairs_of_the_users_own_are_all_in_the_table(scanlink, project, tmp_path):
    mdata = sl.io.read(project / "data" / "multiome.h5mu")
    rare = sl.pp.feature_statistics(mdata["atac"].X).fraction < 0.05
    table = pd.DataFrame(
        {"gene": "GENE1", "peak": mdata["atac"].var_names[[*np.flatnonzero(rare)[:3], *np.flatnonzero(~rare)[:3]]]}
    )
    table.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    (tmp_path / "run.yaml").write_text(
        f"input: {project / 'data' / 'multiome.h5mu'}\npairs: {{path: pairs.tsv}}\n"
        "scan: {p_value: wald, ladder: none}\nreport: false\n"
    )
    scanlink("run", tmp_path / "run.yaml", "--out", tmp_path / "out")
    links = pd.read_parquet(tmp_path / "out" / "links.parquet")
    assert links["peak"].tolist() == table["peak"].tolist()
    assert set(links["status"].iloc[:3]) == {"peak_rare"}


@pytest.mark.parametrize("cluster", ["none", "local"])
@pytest.mark.slow
def test_run__killed_half_way_goes_on_and_gives_the_same_bytes(scanlink, project, reference, cluster):
    out = project / f"killed-{cluster}"
    words = [
        "run",
        project / "run.yaml",
        "--out",
        out,
        "--cluster",
        cluster,
        "--workers",
        2,
        "--set",
        "scan.block_genes=1",
    ]
    command = [*COMMAND, *map(str, words)]
    kill_driver(command, when=lambda: len(list(out.glob("parts/*/block-*.parquet"))) >= 12)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("parts/*/block-*.parquet")}
    assert not (out / "links.parquet").exists()
    done = scanlink(*words)
    found = re.search(r"(\d+) blocks: (\d+) found finished, (\d+) computed", done.stdout)
    assert found
    n_blocks, n_found, n_computed = map(int, found.groups())
    assert n_found >= len(kept) >= 12
    assert n_computed == n_blocks - n_found > 0
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert digest(out) == digest(reference)


@pytest.mark.slow
def test_demo__finds_most_of_what_was_planted(scanlink, tmp_path):
    done = scanlink("demo", "--out", tmp_path / "demo")
    last = next(line for line in done.stdout.splitlines() if line.startswith("all"))
    planted, testable, called, right, beside, wrong = map(int, last.split()[1:7])
    assert planted >= testable > 100
    assert called == right + beside + wrong
    assert right / testable > 0.6
    # A false discovery rate of 0.1 was asked for: what has no planted link nearby has to stay about below it.
    assert wrong / called < 0.15
    assert f"table: {tmp_path / 'demo' / 'links.parquet'}" in done.stdout
    truth = pd.read_csv(tmp_path / "demo" / "data" / "true_links.csv")
    links = pd.read_parquet(tmp_path / "demo" / "links.parquet")
    both = links[links["status"] == "ok"].merge(
        truth[truth["group"].isna()], on=["gene", "peak"], suffixes=("", "_true")
    )
    assert np.corrcoef(both["beta"], both["beta_true"])[0, 1] > 0.7


def test_help__names_every_command(scanlink):
    text = scanlink("--help").stdout
    for command in ("run", "demo", "scan", "merge", "status", "fetch", "init", "check", "schema"):
        assert re.search(rf"\b{command}\b", text)
    assert scanlink("--version").stdout.strip() == f"scanlink {sl.__version__}"


def test_init_check_run_follow__from_files_to_tables_as_a_pipeline_would(scanlink, project, tmp_path):
    data = project / "data"
    scanlink("init", data / "multiome.h5mu", data / "genes.gtf.gz", "--out", tmp_path / "run.yaml")
    again = scanlink("init", data / "multiome.h5mu", "--out", tmp_path / "run.yaml", check=False)
    assert (again.returncode, "add --force" in again.stderr) == (1, True)
    changes = ("--set", "scan.p_value=robust", "--set", "report=false")
    estimate = json.loads(scanlink("check", tmp_path / "run.yaml", "--cluster", "none", "--json", *changes).stdout)
    out = tmp_path / "out"
    done = scanlink("run", tmp_path / "run.yaml", "--out", out, "--cluster", "none", "--follow", *changes)
    links = pd.read_parquet(out / "links.parquet")
    came = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    assert {group for _, group, _, _ in came} == set(links["group"]) == set(estimate["groups"])
    for analysis, group, rows, file in came:
        table = pd.read_parquet(out / file)
        assert (analysis, len(table)) == ("scan", int(rows))
        assert table["beta"].tolist() == pytest.approx(links.loc[links["group"] == group, "beta"].tolist(), nan_ok=True)
    assert json.loads(scanlink("status", out, "--json").stdout)["state"] == "finished"
    lines = scanlink("status", out, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["group"] for line in lines] == [group for _, group, _, _ in came]
    assert json.loads(scanlink("schema").stdout)["title"] == "run.yaml of scanlink"
