"""The examples that are about Slurm, run on one as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import scanlink as sl

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder as a user has it: options, a profile, and scanlink on the path."""
    folder = tmp_path_factory.mktemp("project")
    sl.ds.simulate(n_cells=300, n_genes=12, n_peaks=40, n_links=6, n_interactions=0, seed=1).write(folder)
    (folder / "run.yaml").write_text(
        "input: multiome.h5mu\ngenes: genes.gtf.gz\nscan: {p_value: robust, ladder: none, block_genes: 1}\n"
    )
    (folder / "profile.yaml").write_text(
        'jobqueue:\n  slurm: {queue: debug, cores: 1, memory: 1GiB, walltime: "01:00:00", interface: lo}\n'
        "scanlink: {jobs: 2}\n"
    )
    bin_ = folder / "bin"
    bin_.mkdir()
    (bin_ / "scanlink").write_text(f'#!/bin/sh\nexec {sys.executable} -m scanlink "$@"\n')
    (bin_ / "scanlink").chmod(0o755)
    return folder


def call(project: Path, *words: object, **environment: str) -> str:
    path = {"PATH": f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*map(str, words)],
        cwd=project,
        env={**os.environ, **path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def n_ok(folder: Path) -> int:
    return int((pd.read_parquet(folder / "links.parquet")["status"] == "ok").sum())


def test_job_array__tests_all_slices(quiet_slurm, project):
    call(project, "scanlink", "run", "run.yaml", "--out", "array", "--until", "pairs")
    call(project, "sbatch", "--array=1-3", "--mem=1G", EXAMPLES / "job_array.sh", "run.yaml", "array")
    quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "the slices are done")
    call(project, "scanlink", "merge", "array")
    assert n_ok(project / "array") > 0


def test_driver_job__starts_workers_from_within_its_job(quiet_slurm, project):
    call(project, "sbatch", EXAMPLES / "cluster" / "driver_job.sh", "run.yaml", "inside", "profile.yaml")
    quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "driver and workers are done")
    assert n_ok(project / "inside") > 0


def test_login_node__goes_on_without_its_shell(quiet_slurm, project, tmp_path):
    out = tmp_path / "out"
    # Without tmux; tests/test_examples.py has it with tmux, where that is installed.
    words = (EXAMPLES / "cluster" / "login_node.sh", "run.yaml", out, "profile.yaml")
    said = call(project, *words, PATH=_without_tmux(project, tmp_path))
    assert "0 faults" in said
    assert "it runs as process" in said
    log = out / "logs" / "driver.log"
    quiet_slurm.wait_until(lambda: log.exists() and "table:" in log.read_text(), "the driver is done")
    quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "the workers are gone")
    assert n_ok(out) > 0


def _without_tmux(project: Path, folder: Path) -> str:
    """A path with everything that is on it but tmux."""
    tools = folder / "tools"
    tools.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else []:
            if program.name != "tmux" and not (tools / program.name).exists():
                (tools / program.name).symlink_to(program)
    return f"{project / 'bin'}{os.pathsep}{tools}"


def test_notebook__with_workers_that_are_jobs(quiet_slurm, project, tmp_path):
    text = (EXAMPLES / "cluster" / "notebook.py").read_text()
    assert 'profile = "local"' in text
    text = text.replace('profile = "local"', f'profile = "{project / "profile.yaml"}"')
    # As in a kernel, where the cells are no file that a worker could import.
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 faults" in done.stdout
