"""``scanlink run`` of a CRISPR screen: the tables of the library, the same bytes by every way and after every fault."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import InputError, OptionError
from scanlink.io.opening import quiet
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.pipeline.outcome import Outcome
from scanlink.pipeline.screen import ScreenRunOptions

OPTIONS = """\
input: {path: data/screen.h5mu}
genes: data/genes.bed
screen: {formula: "prep_batch + guide_count + offset(log(nUMI))", n_controls: 12, block_genes: 1, seed: 3}
interactions:
  formula: "prep_batch + guide_count + offset(log(nUMI))"
  p_value: permutation
  permutations: [[50, 0.3], [200, null]]
  controls: [shuffled]
  n_controls: 6
  block_genes: 2
  seed: 3
report: false
cluster: none
"""
TABLES = ("screen", "interactions", "target_pairs", "pairs")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("screen")
    (folder / "data").mkdir()
    data = sl.tl.simulate_screen(n_cells=1200, n_genes=5, n_targets=12, guides_per_cell=5.0, seed=2)
    with quiet():
        data.mdata.write(folder / "data" / "screen.h5mu")
    table = data.genes
    bed = table[["chrom", "start", "end", "gene"]].assign(score=0, strand=table["strand"])
    bed.to_csv(folder / "data" / "genes.bed", sep="\t", header=False, index=False)
    (folder / "run.yaml").write_text(OPTIONS)
    return folder


def run(project: Path, out: Path, *changes: str, workers: int | None = None) -> Outcome:
    options = config.load_run(project / "run.yaml", changes=changes)
    assert isinstance(options, ScreenRunOptions)
    return pipeline.run(options, out, workers=workers)


@pytest.fixture(scope="module")
def reference(project) -> Path:
    """A run in this process, without Dask."""
    run(project, project / "reference")
    return project / "reference"


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest() for name in TABLES}


def test_run__leaves_the_tables_of_the_library(project, reference):
    mdata = sl.io.read_screen(project / "data" / "screen.h5mu")
    sl.pp.assign_guides(mdata)
    sl.pp.screen_qc(mdata)
    pairs = sl.pp.screen_pairs(mdata, sl.io.read_genes(project / "data" / "genes.bed"))
    formula = "prep_batch + guide_count + offset(log(nUMI))"
    screen = sl.tl.screen(mdata, pairs, formula=formula, n_controls=12, seed=3)
    both = sl.tl.target_pairs(pairs, mdata["guide"].var)
    two = sl.tl.screen_interactions(
        mdata,
        both,
        formula=formula,
        p_value="permutation",
        permutations=[(50, 0.3), (200, None)],
        controls=["shuffled"],
        n_controls=6,
        seed=3,
    )
    for name, table in (("screen", screen), ("interactions", two)):
        found = pd.read_parquet(reference / f"{name}.parquet")
        pd.testing.assert_frame_equal(
            found.astype({"distance": float}), table.astype({"distance": float}), check_exact=True, check_dtype=False
        )
    assert (screen["status"] == "ok").sum() > 10
    assert (two["status"] == "ok").any()
    record = json.loads((reference / "provenance.json").read_text())
    assert set(record["plans"]) == {"screen", "interactions"}
    assert (
        record["statuses"]["screen"]["shuffled"]
        == screen.loc[screen["kind"] == "shuffled", "status"].value_counts().to_dict()
    )


def test_run__two_workers_give_the_same_bytes(project, reference, tmp_path):
    run(project, tmp_path / "out", "cluster=local", workers=2)
    assert digests(tmp_path / "out") == digests(reference)


def test_run__goes_on_from_what_is_finished(project, reference, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    lost = sorted(out.glob("parts/*/block-*.parquet"))[::3]
    for path in lost:
        path.unlink()
    damaged = sorted(out.glob("parts/*/block-*.parquet"))[0]
    content = bytearray(damaged.read_bytes())
    damaged.write_bytes(bytes(content[: len(content) // 2]))
    outcome = run(project, out)
    stats = outcome.all_stats
    assert sum(one.n_computed for one in stats) == len(lost) + 1
    assert sum(len(one.damaged) for one in stats) == 1
    assert digests(out) == digests(reference)


def test_run__sets_tables_of_other_options_aside(project, reference, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    run(project, out, "screen.seed=4", "interactions=null")
    assert (out / "screen.previous.parquet").exists()
    assert (out / "interactions.previous.parquet").exists()
    assert not (out / "interactions.parquet").exists()
    assert not (out / "target_pairs.parquet").exists()


def test_command_line__says_what_came_of_it(project, reference, tmp_path):
    words = [sys.executable, "-m", "scanlink", "run", str(project / "run.yaml"), "--out"]
    until = subprocess.run(
        [*words, str(tmp_path / "a"), "--until", "pairs"], capture_output=True, text=True, check=True
    )
    assert "store and pairs are in" in until.stdout
    assert not (tmp_path / "a" / "screen.parquet").exists()
    shutil.copytree(reference, tmp_path / "b")
    again = subprocess.run([*words, str(tmp_path / "b")], capture_output=True, text=True, check=True)
    assert " 0 computed" in again.stdout
    assert "control shuffled" in again.stdout
    assert "pairs of targets of a gene asked for" in again.stdout
    assert digests(tmp_path / "b") == digests(reference)


def test_cell_cycle__is_scored_when_a_formula_asks(project, tmp_path):
    mdata = sl.io.read_screen(project / "data" / "screen.h5mu")
    names = mdata.obs.columns
    assert {"s_score", "g2m_score"} <= set(names)
    outcome = run(
        project, tmp_path / "out", "screen.formula=s_score + g2m_score + offset(log(nUMI))", "interactions=null"
    )
    assert (outcome.tables["screen"]["status"] == "ok").any()
    # Without the columns they are computed, which these few genes do not allow.
    mdata.obs = mdata.obs.drop(columns=["s_score", "g2m_score"])
    with quiet():
        mdata.write(tmp_path / "bare.h5mu")
    with pytest.raises(InputError, match=r"S|cell cycle|cell-cycle"):
        run(
            project,
            tmp_path / "other",
            f"input.path={tmp_path / 'bare.h5mu'}",
            "screen.formula=s_score + offset(log(nUMI))",
            "interactions=null",
        )
    assert not (tmp_path / "other" / "screen.parquet").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("screen.sead=1", "did you mean 'seed'"),
        ("screen.p_value=lrt", "p_value"),
        ("screen.permutations=[[100, 0.1], [50, null]]", "each stage goes on"),
        ("guides.threshold=0", "threshold"),
        ("scan={}", "scan: unknown key"),
        ("pairs.path=nowhere.csv", "nowhere.csv"),
        ("input.guides=nowhere.csv", "nowhere.csv"),
        ("input.path=nowhere.h5mu", "nowhere.h5mu"),
    ],
)
def test_bad_options__are_said_before_anything_is_computed(project, tmp_path, change, says):
    with pytest.raises((OptionError, InputError), match=says):
        run(project, tmp_path / "out", change)
    assert not (tmp_path / "out" / "screen.parquet").exists()


def test_example__has_the_defaults(project):
    example = Path(__file__).parents[2] / "examples" / "screen.yaml"
    options = config.load_run(example)
    assert isinstance(options, ScreenRunOptions)
    default = ScreenRunOptions(input="a.h5mu", genes="b.gtf", interactions={})
    for name in ("groups", "guides", "pairs", "screen", "interactions", "report", "cluster", "links"):
        assert getattr(options, name) == getattr(default, name), name


def test_table_of_pairs__with_the_names_of_others(project, reference, tmp_path):
    pairs = pd.read_parquet(reference / "pairs.parquet").head(4)
    table = pairs.rename(columns={"gene": "response_id", "target": "grna_target"})[["response_id", "grna_target"]]
    table.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    outcome = run(project, tmp_path / "out", f"pairs.path={tmp_path / 'pairs.tsv'}", "interactions=null")
    own = outcome.tables["screen"].query("kind == 'discovery'")
    assert len(own) == 4
    whole = pd.read_parquet(reference / "screen.parquet").set_index(["kind", "gene", "target"])["beta"]
    known = [whole["discovery", row.gene, row.target] for row in own.itertuples()]
    np.testing.assert_array_equal(own["beta"], known)
