"""The doctor on a real Slurm: a good profile, and broken ones, each of which it has to name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest
import yaml

import scanlink as sl
from scanlink.cluster import Report

GOOD = {"queue": "debug", "cores": 1, "memory": "2GiB", "walltime": "01:00:00", "interface": "lo"}
# Seconds after which it has not given up by itself; a quiet machine takes ten to thirty.
TIME = 400.0
# Checks of which it depends on the machine whether they are a warning: the speed of its disk, and the room on it.
OF_THE_MACHINE = ("speed", "space")


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Writes a profile with some keys of its own."""
    monkeypatch.chdir(tmp_path)

    def write(**changes: object) -> Path:
        path = tmp_path / "profile.yaml"
        path.write_text(yaml.safe_dump({"jobqueue": {"slurm": {**GOOD, **changes}}, "scanlink": {"jobs": 2}}))
        return path

    return write


def examined(slurm, path: Path, folder: Path | None, **words: object) -> Report:
    """The report; no job is left of it."""
    begin = time.monotonic()
    report = sl.cluster.doctor(path, folder, **words)
    assert time.monotonic() - begin < TIME
    slurm.wait_until(lambda: not slurm.jobs(state="PENDING,RUNNING,COMPLETING"), "no job is left")
    print(report)
    return report


def the_fault(report: Report) -> tuple[str, str, str]:
    (fault,) = report.of("fault")
    return fault.name, fault.found, fault.remedy


def test_doctor__of_a_good_profile(quiet_slurm, profile, tmp_path):
    report = examined(quiet_slurm, profile(), tmp_path / "run", workers=2)
    assert {check.state for check in report.checks if check.name not in OF_THE_MACHINE} == {"ok"}, report
    assert {check.state for check in report.checks} <= {"ok", "warning"}
    names = [check.name for check in report.checks]
    assert names.count("versions") == names.count("shared folder") == names.count("kernels") == 2
    assert list((tmp_path / "run").iterdir()) == []
    # The profile's own jobs are named as it says; those of the doctor are its own.
    assert "SBATCH_JOB_NAME" not in os.environ


def test_doctor__names_a_wrong_partition(quiet_slurm, profile, tmp_path):
    name, found, remedy = the_fault(examined(quiet_slurm, profile(queue="nosuch"), tmp_path))
    assert name == "partition"
    assert "there is no partition 'nosuch'" in found
    assert remedy.startswith("queue: one of ")
    assert "debug" in remedy


def test_doctor__names_a_folder_that_the_nodes_do_not_see(quiet_slurm, profile, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    wrapper = tmp_path / "elsewhere.sh"
    # A node that has another file system there.
    inner = f'mount -t tmpfs none {folder} && exec {sys.executable} "$@"'
    wrapper.write_text(f"#!/bin/bash\nexec unshare --mount{_as_root()} sh -c '{inner}' sh \"$@\"\n")
    tried = subprocess.run(["bash", wrapper, "-c", "1"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this account may not mount a file system: {tried.stderr.strip()}")
    name, found, remedy = the_fault(examined(quiet_slurm, profile(python=f"bash {wrapper}"), folder))
    assert name == "shared folder"
    assert "does not see what is written here" in found
    assert "tmpfs" in found
    assert remedy.startswith("--out: a folder on a file system that nodes and this host share")


def _as_root() -> str:
    return "" if os.getuid() == 0 else " --map-root-user"


@pytest.mark.parametrize(
    ("memory", "name", "says", "remedy"),
    [("300MiB", "memory", "before they have any data", "memory: 2GiB"), ("64GiB", "job size", "7.8 GiB", "8000MiB")],
)
def test_doctor__names_too_little_memory_and_too_much(quiet_slurm, profile, tmp_path, memory, name, says, remedy):
    found = the_fault(examined(quiet_slurm, profile(memory=memory), tmp_path))
    assert found[0] == name
    assert says in found[1]
    assert remedy in found[2]


def test_doctor__names_a_wrong_interface(quiet_slurm, profile, tmp_path):
    name, found, remedy = the_fault(examined(quiet_slurm, profile(interface="ib7"), tmp_path))
    assert name == "network"
    assert "'ib7' does not exist on this host; there are lo (127.0.0.1)" in found
    assert remedy.startswith("interface: ")


def test_doctor__names_another_python_without_dask(quiet_slurm, profile, tmp_path):
    python = _bare_python(tmp_path)
    name, found, remedy = the_fault(examined(quiet_slurm, profile(python=python), tmp_path))
    assert name == "start"
    assert "No module named" in found
    assert f"such as {sys.executable}" in remedy
    assert python in remedy


def test_doctor__names_another_python_without_scanlink(quiet_slurm, profile, tmp_path, monkeypatch):
    python = _bare_python(tmp_path)
    import distributed

    (site,) = (tmp_path / "bare" / "lib").glob("python*/site-packages")
    for package in Path(distributed.__file__).parents[1].iterdir():
        if "scanlink" not in package.name and package.suffix != ".pth":
            (site / package.name).symlink_to(package)
    # Jobs inherit it, and it may name the repository.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    name, found, remedy = the_fault(examined(quiet_slurm, profile(python=python), tmp_path))
    assert name == "versions"
    assert found.startswith("scanlink absent on the worker")
    assert remedy.startswith(f"python: {sys.executable}, or the same versions on both sides; the worker runs {python}")


def _bare_python(folder: Path) -> str:
    venv.create(folder / "bare", with_pip=False, symlinks=True)
    return str(folder / "bare" / "bin" / "python")


def test_doctor__names_a_python_that_is_not_there(quiet_slurm, profile, tmp_path):
    name, found, remedy = the_fault(examined(quiet_slurm, profile(python="/no/such/python"), tmp_path))
    assert name == "start"
    assert "/no/such/python" in found
    assert remedy.startswith("python: one that the nodes can start")


def test_doctor__names_a_wall_time_that_the_partition_does_not_allow(quiet_slurm, profile, tmp_path):
    name, found, remedy = the_fault(examined(quiet_slurm, profile(queue="short"), tmp_path))
    assert name == "wall time"
    assert "short allows 00:01:00" in found
    assert remedy.startswith('walltime: "00:01:00" at most; or queue: ')


def test_doctor__says_what_a_job_waits_for(quiet_slurm, profile, tmp_path):
    path = profile(**{"job-extra-directives": ["--no-requeue", "--begin=now+1hour"]})
    name, found, remedy = the_fault(examined(quiet_slurm, path, tmp_path, wait=4.0))
    assert name == "start"
    assert "BeginTime" in found
    assert remedy.startswith("man squeue")


def test_doctor__names_a_partition_that_is_down(quiet_slurm, profile, tmp_path):
    quiet_slurm._ask("scontrol", "update", "PartitionName=preempt", "State=DOWN")
    try:
        name, found, remedy = the_fault(examined(quiet_slurm, profile(queue="preempt"), tmp_path))
    finally:
        quiet_slurm._ask("scontrol", "update", "PartitionName=preempt", "State=UP")
    assert name == "partition"
    assert "preempt is DOWN" in found
    assert "debug" in remedy
