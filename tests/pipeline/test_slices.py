"""Slices of every analysis without Dask, and what joins them: the same bytes as ``scanlink run`` leaves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from processes import forget

import scanlink as sl
from scanlink.errors import InputError, RunError
from scanlink.io.opening import quiet
from scanlink.pipeline import config, slices
from scanlink.pipeline import run as pipeline
from scanlink.run import RunStats

MULTIOME = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype, only: [CD14-Mono, CD4-Naive]}
scan: {p_value: wald, ladder: none, block_genes: 4}
epistasis: {p_value: wald, ladder: none, links_fdr: 0.5, block_genes: 1}
report: false
cluster: none
"""
SCREEN = """\
input: {path: data/screen.h5mu}
genes: data/genes.bed
screen: {formula: "prep_batch + offset(log(nUMI))", n_controls: 6, block_genes: 1, seed: 3}
interactions: {formula: "prep_batch + offset(log(nUMI))", n_controls: 4, min_both: 4, block_genes: 1, seed: 3}
report: false
cluster: none
"""
N = 3


@dataclass(frozen=True)
class Project:
    """A run.yaml, the folder of its finished run, and the tables and plans that it leaves."""

    options: Path
    reference: Path
    tables: tuple[str, ...]
    plans: tuple[str, ...]

    def slice(self, out: Path, number: int, *changes: str) -> RunStats:
        store, pairs = self.reference / "store", self.reference / "pairs.parquet"
        return slices.compute_slice(store, pairs, out, chunk=(number, N), options_file=self.options, changes=changes)

    def slices(self, out: Path) -> None:
        for number in range(1, N + 1):
            self.slice(out, number)


def run(options: Path, out: Path) -> None:
    pipeline.run(config.load_run(options), out)


@pytest.fixture(scope="module")
def multiome(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("multiome")
    data = sl.ds.simulate(n_cells=700, n_genes=16, n_peaks=100, n_links=40, n_interactions=8, seed=2)
    data.write(folder / "data")
    (folder / "run.yaml").write_text(MULTIOME)
    run(folder / "run.yaml", folder / "reference")
    tables = ("links", "enhancer_pairs", "epistasis", "heterogeneity")
    return Project(folder / "run.yaml", folder / "reference", tables, ("scan", "epistasis", "epistasis"))


@pytest.fixture(scope="module")
def screen(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("screen")
    (folder / "data").mkdir()
    data = sl.tl.simulate_screen(n_cells=800, n_genes=8, n_targets=20, guides_per_cell=6.0, seed=2)
    with quiet():
        data.mdata.write(folder / "data" / "screen.h5mu")
    bed = data.genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=data.genes["strand"])
    bed.to_csv(folder / "data" / "genes.bed", sep="\t", header=False, index=False)
    (folder / "run.yaml").write_text(SCREEN)
    run(folder / "run.yaml", folder / "reference")
    tables = ("screen", "interactions", "target_pairs")
    return Project(folder / "run.yaml", folder / "reference", tables, ("interactions", "screen"))


@pytest.fixture(params=["multiome", "screen"])
def project(request) -> Project:
    return request.getfixturevalue(request.param)


def digests(folder: Path, tables: tuple[str, ...]) -> dict[str, str]:
    return {name: hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest() for name in tables}


def plans(folder: Path) -> list[str]:
    return sorted(path.parent.name.partition("-")[0] for path in folder.glob("parts/*/plan.json"))


def record_of(folder: Path) -> dict:
    return json.loads((folder / "provenance.json").read_text())


def test_slices__merged_are_the_tables_of_the_run(project, tmp_path):
    assert all(len(pd.read_parquet(project.reference / f"{name}.parquet")) > 0 for name in project.tables)
    for number in (3, 1, 2):
        project.slice(tmp_path, number)
    outcome = slices.merge(tmp_path)
    assert digests(tmp_path, project.tables) == digests(project.reference, project.tables)
    assert sorted(outcome.tables) == sorted(project.tables)
    ours, whole = record_of(tmp_path), record_of(project.reference)
    for name in ("plans", "statuses", "called", "seeds", "not_followed"):
        assert ours[name] == whole[name]


def test_slices__are_dealt_out_once_and_are_found_again(project, tmp_path):
    starting = [plan for plan in project.plans if plan != "epistasis"]
    first = [project.slice(tmp_path / "out", number) for number in (1, 2)]
    assert plans(tmp_path / "out") == sorted(starting)
    first.append(project.slice(tmp_path / "out", 3))
    assert all(stats.n_computed == stats.n_blocks - stats.n_found > 0 for stats in first)
    project.slice(tmp_path / "out", 1)
    project.slice(tmp_path / "out", 2)
    again = [project.slice(tmp_path / "out", number) for number in (1, 2, 3)]
    assert [stats.n_computed for stats in again] == [0, 0, 0]
    assert sum(stats.n_blocks for stats in again) == len(list(tmp_path.glob("out/parts/*/block-*.parquet")))
    assert all(stats.n_found == stats.n_blocks for stats in again)


def test_slices__blocks_that_failed_are_an_error_whatever_is_computed_after_them(project, tmp_path):
    name = project.tables[0].replace("links", "scan")
    for number in (1, 2, 3):
        project.slice(tmp_path / "out", number)
    (plan,) = tmp_path.glob(f"out/parts/{name}-*")
    lost = sorted(plan.glob("block-*.parquet"))[0]
    content = (plan / "group-0000.npz").read_bytes()
    lost.unlink()
    (plan / "group-0000.npz").unlink()
    forget()
    with pytest.raises(RunError, match=r"1 of \d+ blocks failed: .block 0: FileNotFoundError"):
        project.slices(tmp_path / "out")
    (plan / "group-0000.npz").write_bytes(content)
    project.slices(tmp_path / "out")
    slices.merge(tmp_path / "out")
    assert digests(tmp_path / "out", project.tables) == digests(project.reference, project.tables)


def test_slices__a_second_pass_computes_followers_in_slices(multiome, tmp_path):
    for number in (1, 2):
        multiome.slice(tmp_path, number)
    assert plans(tmp_path) == ["scan"]
    # The slice that finds the whole scan there goes on with its share of what follows.
    multiome.slice(tmp_path, 3)
    assert plans(tmp_path) == list(multiome.plans[::-1]) == ["epistasis", "epistasis", "scan"]
    parts = [len(list(tmp_path.glob("parts/epistasis-*/block-*.parquet")))]
    for number in (1, 2):
        assert multiome.slice(tmp_path, number).n_computed > 0
        parts.append(len(list(tmp_path.glob("parts/epistasis-*/block-*.parquet"))))
    whole = len(list(multiome.reference.glob("parts/epistasis-*/block-*.parquet")))
    assert 0 < parts[0] < parts[1] < parts[2] == whole
    assert [multiome.slice(tmp_path, number).n_computed for number in (1, 2, 3)] == [0, 0, 0]
    outcome = slices.merge(tmp_path)
    assert [stats.n_computed for stats in outcome.all_stats] == [0, 0, 0]
    assert digests(tmp_path, multiome.tables) == digests(multiome.reference, multiome.tables)


def test_slices__links_over_all_groups_are_followed_when_all_are_there(multiome, tmp_path):
    changes = ("links.scope=all", "links.alpha=0.2")
    for number in (1, 2, 3, 1, 2):
        multiome.slice(tmp_path / "slices", number, *changes)
    outcome = slices.merge(tmp_path / "slices")
    assert sum(stats.n_computed for stats in outcome.all_stats) == 0
    pipeline.run(config.load_run(multiome.options, changes=changes), tmp_path / "run")
    assert digests(tmp_path / "slices", multiome.tables[:3]) == digests(tmp_path / "run", multiome.tables[:3])


def test_merge__names_blocks_that_are_missing(project, tmp_path):
    for number in (1, 3):
        project.slice(tmp_path, number)
    with pytest.raises(RunError, match=r"\d+ of \d+ blocks are not finished \(blocks '\d+'.*the missing chunks"):
        slices.merge(tmp_path)
    assert not list(tmp_path.glob("[!p]*.parquet"))
    assert not (tmp_path / "provenance.json").exists()
    project.slice(tmp_path, 2)
    slices.merge(tmp_path)
    assert digests(tmp_path, project.tables) == digests(project.reference, project.tables)


def test_merge__refuses_a_folder_with_two_scans(project, tmp_path):
    name = "scan" if "scan" in project.plans else "screen"
    for number in (1, 2, 3):
        project.slice(tmp_path, number)
    project.slice(tmp_path, 1, f"{name}.robust=HC0")
    with pytest.raises(InputError, match=rf"holds 2 scans \({name}-\w+, {name}-\w+\), expected one"):
        slices.merge(tmp_path)
    with pytest.raises(InputError, match=r"holds 0 scans \(none\), expected one"):
        slices.merge(project.options.parent / "data")


def test_merge__takes_rates_anew_but_no_other_test(multiome, tmp_path):
    for number in (1, 2, 3):
        multiome.slice(tmp_path, number)
    assert "epistasis" in slices.merge(tmp_path).tables
    strict = slices.merge(tmp_path, changes=["links.method=by", "epistasis=null", "scan.robust=HC0"])
    links = strict.tables["links"]
    known = pd.read_parquet(multiome.reference / "links.parquet")
    pd.testing.assert_frame_equal(
        *(table.drop(columns=["fdr", "fdr_all"]) for table in (links, known)), check_dtype=False
    )
    assert (links["fdr"] >= known["fdr"])[links["fdr"].notna()].all()
    # Tables of what is no longer asked for do not stand beside these.
    assert list(strict.tables) == ["links"]
    assert not (tmp_path / "epistasis.parquet").exists()
    assert (tmp_path / "epistasis.previous.parquet").exists()


def test_merge__a_screen_whose_genes_have_one_target_each(screen, tmp_path, caplog):
    pairs = pd.read_parquet(screen.reference / "pairs.parquet").drop_duplicates("gene").drop_duplicates("target")
    pairs.to_parquet(tmp_path / "few.parquet", index=False)
    for number in (1, 2, 3):
        slices.compute_slice(
            screen.reference / "store",
            tmp_path / "few.parquet",
            tmp_path / "out",
            chunk=(number, N),
            options_file=screen.options,
        )
    assert "no gene has two targets" in caplog.text
    outcome = slices.merge(tmp_path / "out")
    assert len(outcome.tables["screen"].query("kind == 'discovery'")) == len(pairs)
    assert plans(tmp_path / "out") == ["screen"]
