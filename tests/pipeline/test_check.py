"""What is said of a run.yaml before it is run: the same errors as the run, and figures that the run bears out."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError, ScanlinkError
from scanlink.io.opening import quiet
from scanlink.options import section_model
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.pipeline.begin import begin
from scanlink.pipeline.check import check
from scanlink.pipeline.experiments import json_schema
from scanlink.pipeline.multiome import RunOptions
from scanlink.pipeline.outline import Outline
from scanlink.pipeline.screen import ScreenRunOptions

OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {p_value: robust, ladder: none}
epistasis: {p_value: robust, ladder: none}
kendall: {}
report: false
cluster: none
"""
SCREEN = """\
input: data/screen.h5mu
genes: data/genes.bed
screen: {n_controls: 10}
interactions: {n_controls: 10}
report: false
cluster: none
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    sl.ds.simulate(n_cells=900, n_genes=20, n_peaks=80, n_links=20, n_interactions=2, seed=2).write(folder / "data")
    data = sl.tl.simulate_screen(n_cells=1_000, n_genes=10, n_targets=20, guides_per_cell=6.0, seed=2)
    with quiet():
        data.mdata.write(folder / "data" / "screen.h5mu")
    data.genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=data.genes["strand"]).to_csv(
        folder / "data" / "genes.bed", sep="\t", header=False, index=False
    )
    (folder / "run.yaml").write_text(OPTIONS)
    (folder / "screen.yaml").write_text(SCREEN)
    return folder


def checked(project: Path, *changes: str, file: str = "run.yaml"):
    return check(config.load_run(project / file, changes=changes))


def test_check__says_what_the_run_will_test(project, tmp_path):
    estimate = checked(project)
    outcome = pipeline.run(config.load_run(project / "run.yaml", changes=["epistasis=null"]), tmp_path / "out")
    links = outcome.tables["links"]
    cells = links.drop_duplicates("group").set_index("group")["n_cells"].to_dict()
    assert {name: n_cells for name, (n_cells, _) in estimate.groups.items()} == cells
    n_pairs = len(links) // len(cells)
    assert 0.9 * n_pairs <= estimate.n_pairs <= 1.1 * n_pairs <= 1.1 * estimate.n_pairs_most
    n_blocks = sum(stats.n_blocks for own in outcome.stats.values() for stats in own.values())
    assert 0.8 * n_blocks <= estimate.n_blocks <= 1.25 * n_blocks
    assert set(estimate.seconds) | set(estimate.later) == {"scan", "epistasis", "kendall"}
    assert "900 cells in 4 groups" in list(estimate.lines())


def test_check__counts_the_cells_of_the_query(project):
    kept = checked(project, "cells.query=celltype in ['CD14-Mono', 'B-Memory']")
    assert set(kept.groups) == {"B-Memory", "CD14-Mono"}
    assert kept.n_cells == sum(n_cells for n_cells, _ in kept.groups.values()) < 900
    later = checked(project, "cells.query=pct_counts_mt < 20 and celltype == 'CD14-Mono'")
    assert later.n_cells == 900
    assert "of all cells: the query needs pct_counts_mt, computed from the counts" in list(later.lines())
    with pytest.raises(MissingKeyError, match="did you mean 'celltype'"):
        checked(project, "cells.query=celtype == 'CD14-Mono'")


def test_check_and_run__have_components_for_the_formula(project, tmp_path):
    changes = ["cells.components=3", "groups={}", "scan.formula=log(nUMI) + atac_1 + atac_3", "epistasis=null"]
    checked(project, *changes)
    outcome = pipeline.run(config.load_run(project / "run.yaml", changes=changes), tmp_path / "out")
    mdata = sl.io.read(project / "data" / "multiome.h5mu")
    pairs = outcome.tables["links"][["gene", "peak", "distance"]]
    sl.pp.components(mdata, n=3)
    links = sl.tl.scan(mdata, pairs, formula="log(nUMI) + atac_1 + atac_3", ladder="none")
    assert links["beta"].notna().any()
    pd.testing.assert_series_equal(outcome.tables["links"]["beta"], links["beta"])
    with pytest.raises(MissingKeyError, match="atac_4"):
        checked(project, "cells.components=3", "scan.formula=log(nUMI) + atac_4")


def test_check__of_a_screen(project, tmp_path):
    estimate = checked(project, file="screen.yaml")
    outcome = pipeline.run(config.load_run(project / "screen.yaml"), tmp_path / "out")
    asked = outcome.tables["screen"]["kind"].isin(["discovery", "positive_control", "positive"]).sum()
    assert estimate.n_pairs == estimate.n_pairs_most == asked > 0
    assert estimate.n_rows == len(outcome.tables["screen"]) + len(outcome.tables["interactions"])
    assert {"screen", "interactions"} == set(estimate.seconds)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ("groups.by=cell_type", MissingKeyError, "no column 'cell_type'"),
        ("groups.only=[NK]", MissingKeyError, "no cell has celltype 'NK'"),
        ("scan.formula=log(nUMIs)", MissingKeyError, "did you mean 'nUMI'"),
        ("epistasis.formula=donors", MissingKeyError, "did you mean 'donor'"),
        ("scan.formula=celltype+donor+log(0*nUMI)", ScanlinkError, "not finite"),
        ("genes=data/gene.gtf.gz", InputError, "Did you mean 'genes.gtf.gz'"),
        ("input=data/multiom.h5mu", InputError, "Did you mean 'multiome.h5mu'"),
        ("cluster=slurmm", OptionError, "cluster profile 'slurmm' is not known"),
    ],
)
def test_check__finds_what_the_run_would_stop_at(project, tmp_path, change, kind, message, monkeypatch):
    # Before counts are read.
    monkeypatch.setattr(Outline, "fractions", lambda self, modality: pytest.fail("counts were looked at"))
    if "log(0" in change:
        monkeypatch.undo()
    with pytest.raises(kind, match=message.replace("(", r"\(")):
        checked(project, change)
    with pytest.raises(kind, match=message.replace("(", r"\(")):
        pipeline.run(config.load_run(project / "run.yaml", changes=[change]), tmp_path / "out")


def test_check__says_which_groups_are_not_tested(project):
    estimate = checked(project, "scan.min_cells=100", "epistasis=null")
    small = {name: problem for name, (n_cells, problem) in estimate.groups.items() if n_cells < 100}
    assert small
    assert all("at least 100 needed" in problem for problem in small.values())
    assert all(not problem for n_cells, problem in estimate.groups.values() if n_cells >= 100)


@pytest.mark.parametrize(("profile", "cores"), [("none", 1), ("slurm", 20), ("slurm-array", None)])
def test_check__counts_the_cores_of_a_profile(project, profile, cores):
    estimate = checked(project, f"cluster={profile}")
    jobs = sl.cluster.load_profile(profile)
    assert estimate.cores == (cores or jobs.jobs.maximum * jobs.options["processes"])


def test_check__leaves_nothing(project):
    before = sorted(project.rglob("*"))
    checked(project)
    assert sorted(project.rglob("*")) == before


def test_check__looks_for_types_beyond_the_components_that_a_run_will_have(project, tmp_path, caplog):
    def in_common() -> float:
        found = re.search(r"have ([\d.]+) times in common", caplog.text)
        caplog.clear()
        assert found
        return float(found[1])

    changes = ["groups={}", "epistasis=null", "kendall=null"]
    checked(project, *changes, "scan.formula=log(nUMI)")
    without = in_common()
    changes += ["cells.components=3", "scan.formula=log(nUMI) + atac_1 + atac_2 + atac_3"]
    checked(project, *changes)
    in_check = in_common()
    pipeline.run(config.load_run(project / "run.yaml", changes=changes), tmp_path / "out")
    assert abs(in_check - in_common()) <= 0.2
    assert in_check < without - 0.4


def test_begin__writes_a_run_that_works(project, tmp_path):
    text, found = begin([project / "data" / "multiome.h5mu", project / "data" / "genes.gtf.gz"], tmp_path)
    (tmp_path / "run.yaml").write_text(text)
    options = config.load_run(tmp_path / "run.yaml")
    assert options.input.path == str(project / "data" / "multiome.h5mu")
    assert options.genes.path == str(project / "data" / "genes.gtf.gz")
    assert options.groups.by == "celltype"
    assert any("celltype" in line for line in found)
    assert set(check(options).groups) == {"B-Memory", "CD14-Mono", "CD4-Naive", "pDC"}
    # Keys that are comments have their defaults: as keys they change nothing.
    keys = "\n".join(re.sub(r"^# (?=( *)(\w+):( |$))", "", line) for line in text.splitlines())
    assert len(yaml.safe_load(keys)) > len(yaml.safe_load(text))
    (tmp_path / "run.yaml").write_text(keys)
    whole = config.load_run(tmp_path / "run.yaml")
    for name in type(options).model_fields:
        if getattr(options, name) is not None:
            assert getattr(whole, name) == getattr(options, name), name


def test_begin__reads_what_cannot_stay_on_disk(tmp_path):
    folder = Path(__file__).parents[1] / "io"
    text, _ = begin([folder / "seurat4.rds"], tmp_path)
    assert yaml.safe_load(text)["input"].endswith("seurat4.rds")
    # What is wrong with a file is said once, not for each experiment that it could be of.
    with pytest.raises(InputError, match=r"layers .* are not read here") as error:
        begin([folder / "seurat5.rds"], tmp_path)
    assert str(error.value).count("are not read here") == 1


def test_begin__tells_a_screen_from_a_scan(project, tmp_path):
    text, _ = begin([project / "data" / "screen.h5mu", project / "data" / "genes.bed"], tmp_path)
    content = yaml.safe_load(text)
    assert "screen" in content
    assert "scan" not in content


def test_begin__two_matrices_and_a_table(tmp_path):
    cells = [f"{''.join(letters)}-1" for letters in itertools.product("ACGT", repeat=3)]
    (tmp_path / "rna_counts.csv").write_text(f",{','.join(cells)}\nNOC2L{',0,2' * 32}\n")
    (tmp_path / "atac_counts.csv").write_text(f",{','.join(cells)}\nchr1:10-20{',1,0' * 32}\n")
    rows = [f"{cell},s{k % 3},{'BT'[k % 2]},{k}" for k, cell in enumerate(cells)]
    (tmp_path / "metadata.csv").write_text("\n".join(["barcode,orig.ident,seurat_annotations,nCount", *rows, ""]))
    text, found = begin(sorted(tmp_path.glob("*.csv")), tmp_path)
    content = yaml.safe_load(text)
    assert content["input"] == {"rna": "rna_counts.csv", "atac": "atac_counts.csv", "cells": "metadata.csv"}
    assert content["groups"] == {"by": "seurat_annotations"}
    assert content["genes"] == {"gencode": 44}
    assert any("GENCODE 44" in line for line in found)


def test_begin__says_what_it_cannot_tell(tmp_path):
    (tmp_path / "a.csv").write_text(",x\ny,1\n")
    with pytest.raises(OptionError, match="neither suffix nor name tells what it holds"):
        begin([tmp_path / "a.csv"], tmp_path)
    (tmp_path / "a.loom").write_text("x")
    with pytest.raises(InputError, match="unknown suffix"):
        begin([tmp_path / "a.loom"], tmp_path)
    (tmp_path / "rna.csv").write_text(",x\ny,1\n")
    with pytest.raises(InputError, match="are no whole input"):
        begin([tmp_path / "rna.csv"], tmp_path)


def test_schema__has_every_key_with_its_words():
    schema = json_schema()
    sides = {"screen": schema["then"], "multiome": schema["else"]}
    for side, model in (("screen", ScreenRunOptions), ("multiome", RunOptions)):
        assert list(sides[side]["properties"]) == list(model.model_fields)
        assert sides[side]["additionalProperties"] is False
        for name, field in model.model_fields.items():
            assert sides[side]["properties"][name]["description"] == field.description
            section = section_model(field.annotation)
            if section is not None:
                keys = schema["$defs"][section.__name__]["properties"]
                assert {key: said["description"] for key, said in keys.items()} == {
                    key: inner.description for key, inner in section.model_fields.items()
                }
    assert {"type": ["string", "integer"]} in sides["multiome"]["properties"]["input"]["anyOf"]
    assert schema["if"] == {"anyOf": [{"required": ["screen"]}, {"required": ["interactions"]}]}


def test_schema__takes_the_examples_and_refuses_a_wrong_key():
    jsonschema = pytest.importorskip("jsonschema")
    schema, examples = json_schema(), Path(__file__).parents[2] / "examples"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("run.yaml", "screen.yaml"):
        assert validator.is_valid(yaml.safe_load((examples / name).read_text())), name
    short = {"input": "a.h5mu", "genes": "g.gtf", "groups": {"by": "cluster", "only": [0, 1]}}
    assert validator.is_valid(short)
    assert validator.is_valid(short | {"groups": {"only": "all"}})
    assert not validator.is_valid(short | {"scna": {}})
    assert not validator.is_valid(short | {"scan": {"family": "gauss"}})
