"""The script of a driver's job, as text; on a real Slurm it is run by tests/slurm/test_submit.py."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scanlink.cluster.submit import _executable, driver_job, job_name, submit
from scanlink.cluster.submit_script import mebibytes
from scanlink.errors import OptionError

PROFILES = Path(__file__).parents[2] / "cluster_configs"


def directives(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_script__of_a_single_job_stops_before_the_limit_and_is_requeued():
    script = driver_job(Path("/data/a"), cluster="none", walltime="02:00:00").script()
    assert directives(script) == [
        f"job-name={job_name(Path('/data/a'))}",
        "output=/data/a/logs/driver-1-%j.log",
        "ntasks=1",
        "cpus-per-task=1",
        "mem=4096M",
        "time=02:00:00",
        "signal=B:USR1@300",
        "requeue",
        "open-mode=append",
    ]
    assert "set -euo pipefail" in script
    assert 'exec "${command[@]}"' in script
    assert "NUMBA_NUM_THREADS=1" in script
    assert f"command=({sys.executable} -m scanlink run /data/a/logs/driver.yaml --out /data/a)" in script


def test_script__of_a_chain_is_not_requeued_because_the_next_link_follows():
    found = directives(driver_job(Path("/data/a"), cluster="none", walltime="00:01:00", links=7).script())
    assert "no-requeue" in found
    assert "signal=B:USR1@30" in found


def test_script__takes_partition_and_account_of_the_profile_and_workers_of_a_local_one(tmp_path):
    profile = tmp_path / "site.yaml"
    profile.write_text(
        'jobqueue: {slurm: {queue: regular, account: lab, cores: 1, memory: 4GiB, walltime: "01:00:00"}}\n'
        "scanlink: {jobs: 4}\n"
    )
    assert {"partition=regular", "account=lab"} <= set(directives(driver_job(tmp_path, cluster=str(profile)).script()))
    other = directives(driver_job(tmp_path, cluster=str(profile), queue="long", account="me").script())
    assert {"partition=long", "account=me"} <= set(other)
    local = driver_job(tmp_path, cluster="local", cores=6, extra=["--qos=x"]).script()
    assert '--workers "$SLURM_CPUS_PER_TASK")' in local
    assert {"cpus-per-task=6", "mem=24576M", "qos=x"} <= set(directives(local))


@pytest.mark.parametrize("links", [None, 20])
@pytest.mark.parametrize("name", ["a b", "it's", 'a"b', "a#b", "100%", "$HOME", "ä`date`"])
def test_script__is_bash_whatever_the_folder_is_called(tmp_path, name, links):
    folder = tmp_path / name
    script = driver_job(folder, cluster="none", links=links).script()
    file = tmp_path / "driver.sh"
    file.write_text(script)
    subprocess.run(["bash", "-n", file], check=True)
    (output,) = [line for line in directives(script) if line.startswith("output=")]
    # Slurm reads quotes as a shell does, and %% as %.
    assert shlex.split(output)[0].replace("%%", "%") == f"output={folder}/logs/driver-1-%j.log"
    (line,) = [line for line in script.splitlines() if line.startswith("command=")]
    said = subprocess.run(
        ["bash", "-c", f'{line}; printf "%s\\n" "${{command[@]}}"'], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == str(folder)


def test_script__refuses_a_folder_that_slurm_cannot_name(tmp_path):
    with pytest.raises(OptionError, match="Slurm cannot write logs"):
        driver_job(tmp_path / "a\\b", cluster="none").script()


@pytest.mark.parametrize("memory", ["", "4", "-1GiB", "4 apples", "0GiB"])
def test_mebibytes__refuses(memory):
    with pytest.raises(OptionError, match="expected a number and a unit"):
        mebibytes(memory)


def test_submit__of_another_queue_says_what_to_do_instead(tmp_path):
    with pytest.raises(OptionError, match=r"this profile is for pbs.*--dry-run.*login_node\.sh"):
        submit(driver_job(tmp_path, cluster=str(PROFILES / "pbs.yaml")), lambda path: None)
    assert list(tmp_path.iterdir()) == []


def test_submit__without_slurm_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match="squeue is not there: a driver job needs Slurm"):
        submit(driver_job(tmp_path / "run", cluster="none"), lambda path: None)


def test_dry_run__prints_the_script_and_writes_nothing(tmp_path):
    (tmp_path / "run.yaml").write_text("input: a.h5mu\ngenes: g.gtf\ncluster: none\n")
    command = [sys.executable, "-m", "scanlink", "submit", "run.yaml", "--out", "my run", "--chain", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("#!/usr/bin/env bash\n")
    assert "links=20" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize(("option", "told"), [("--jobs", False), ("--links", True)])
def test_dry_run__jobs_of_a_chain_by_the_new_name_and_the_old(tmp_path, option, told):
    (tmp_path / "run.yaml").write_text("input: a.h5mu\ngenes: g.gtf\ncluster: none\n")
    command = [sys.executable, "-m", "scanlink", "submit", "run.yaml", "--chain", option, "7", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "links=7" in done.stdout
    assert ("--links is called --jobs now" in done.stderr) == told


def test_dry_run__a_profile_in_the_home_folder_as_the_command_line_and_run_yaml_name_it(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    profile = (PROFILES / "slurm.yaml").read_text().replace("# queue: regular", "queue: mine")
    (home / "x.yaml").write_text(profile)
    (tmp_path / "run.yaml").write_text("input: a.h5mu\ngenes: g.gtf\ncluster: none\n")
    (tmp_path / "in_file.yaml").write_text("input: a.h5mu\ngenes: g.gtf\ncluster: ~/x.yaml\n")
    scripts = []
    for words in (["run.yaml", "--cluster=~/x.yaml"], ["in_file.yaml"]):
        command = [sys.executable, "-m", "scanlink", "submit", *words, "--dry-run"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        scripts.append(done.stdout)
    assert scripts[0] == scripts[1]
    assert "--partition=mine" in scripts[0]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o027, 0o750), (0o077, 0o700)])
def test_script__may_be_run_by_those_who_may_read_it(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        _executable(tmp_path / "driver.sh", "true")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "driver.sh").stat().st_mode) == mode
