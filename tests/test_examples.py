"""The examples run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

import scanlink as sl
from scanlink.options import section_model
from scanlink.pipeline import config
from scanlink.pipeline.multiome import RunOptions
from scanlink.pipeline.screen import ScreenRunOptions

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@pytest.mark.slow
def test_library__finds_links():
    done = subprocess.run([sys.executable, EXAMPLES / "library.py"], capture_output=True, text=True, check=True)
    assert "CD14-Mono" in done.stdout
    # What Dask says about itself is no business of a user's script.
    assert "distributed" not in done.stderr


def test_run_yaml__is_valid_and_gives_the_defaults():
    options = config.load_run(EXAMPLES / "run.yaml")
    defaults = RunOptions(input="x.h5mu", genes="g.gtf")
    assert options.groups.by == "celltype"
    for section in ("pairs", "scan", "links", "cluster"):
        assert getattr(options, section) == getattr(defaults, section)


@pytest.mark.parametrize(("name", "model"), [("run", RunOptions), ("screen", ScreenRunOptions)])
def test_examples__have_every_key_with_its_default(name, model):
    content = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    options = config.load_run(EXAMPLES / f"{name}.yaml")
    assert list(content) == list(model.model_fields)
    for key, field in model.model_fields.items():
        section = section_model(field.annotation)
        if section is None:
            assert getattr(options, key) == field.default, key
            continue
        assert list(content[key]) == list(section.model_fields), key
        for inner, about in section.model_fields.items():
            if (key, inner) not in {("input", "path"), ("input", "guides"), ("genes", "path"), ("groups", "by")}:
                # As the model makes it of its default.
                assert getattr(getattr(options, key), inner) == about.get_default(), f"{key}.{inner}"


def test_job_array__slices_as_slurm_would_call_it(tmp_path):
    sl.ds.simulate(n_cells=200, n_genes=10, n_peaks=30, n_links=4, n_interactions=0, seed=1).write(tmp_path)
    options = tmp_path / "run.yaml"
    options.write_text(
        "input: multiome.h5mu\ngenes: genes.gtf.gz\nreport: false\n"
        "scan: {p_value: robust, ladder: none, block_genes: 1}\n"
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "scanlink").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from scanlink.cli import main; main()" "$@"\n'
    )
    (bin_ / "scanlink").chmod(0o755)
    path = {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
    out = tmp_path / "results"

    def call(*words: object, **environment: str) -> None:
        subprocess.run([*map(str, words)], env={**os.environ, **path, **environment}, check=True, capture_output=True)

    call("scanlink", "run", options, "--out", out, "--until", "pairs")
    for task in "12":
        call("bash", EXAMPLES / "job_array.sh", options, out, SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_COUNT="2")
    call("scanlink", "merge", out)
    assert (pd.read_parquet(out / "links.parquet")["status"] == "ok").any()


@pytest.mark.slow
def test_notebook__runs_cell_by_cell(tmp_path):
    text = (EXAMPLES / "cluster" / "notebook.py").read_text()
    # As in a kernel, where the cells are no file that a worker could import.
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 faults" in done.stdout
    assert "60 of 60 blocks are finished already" in done.stderr


@pytest.mark.parametrize("name", ["job_array.sh", "cluster/login_node.sh", "cluster/driver_job.sh"])
def test_scripts__are_bash_and_say_how_they_are_called(name):
    subprocess.run(["bash", "-n", EXAMPLES / name], check=True)
    lines = (EXAMPLES / name).read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert any(f"examples/{name}" in line for line in lines[:5])
    assert "set -euo pipefail" in lines


@pytest.mark.parametrize("name", ["login_node.sh", "driver_job.sh"])
def test_cluster_scripts__run_where_there_is_no_queue(tmp_path, name):
    sl.ds.simulate(n_cells=200, n_genes=10, n_peaks=30, n_links=4, n_interactions=0, seed=1).write(tmp_path)
    (tmp_path / "run.yaml").write_text(
        "input: multiome.h5mu\ngenes: genes.gtf.gz\nscan: {p_value: robust, ladder: none}\nreport: false\n"
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "scanlink").write_text(f'#!/bin/sh\nexec {sys.executable} -m scanlink "$@"\n')
    (bin_ / "scanlink").chmod(0o755)
    # A server of tmux of its own, so that nobody else's is touched.
    environment = {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "TMUX_TMPDIR": str(tmp_path), "TMUX": ""}
    command = [EXAMPLES / "cluster" / name, "run.yaml", "results", "none"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, **environment}, check=True, capture_output=True)
    end = time.monotonic() + 60
    while not (tmp_path / "results" / "provenance.json").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (pd.read_parquet(tmp_path / "results" / "links.parquet")["status"] == "ok").any()
