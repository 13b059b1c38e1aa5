"""The doctor where no queue is needed; on a real Slurm it is tried by tests/slurm/test_doctor.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scanlink as sl
from scanlink.cluster.doctor.report import Report


def states(report: Report) -> dict[str, str]:
    return {check.name: check.state for check in report.checks}


def test_doctor__of_a_local_profile_tries_a_worker_and_leaves_nothing(tmp_path):
    folder = tmp_path / "run"
    report = sl.cluster.doctor("local", folder)
    found = states(report)
    assert report.ok
    assert {found[name] for name in ("start", "versions", "threads", "shared folder", "kernels", "clock")} == {"ok"}
    assert list(folder.iterdir()) == []


def test_doctor__of_too_many_and_too_small_workers(tmp_path):
    profile = tmp_path / "local.yaml"
    profile.write_text("local: {n_workers: 1000, memory_limit: 200MiB}\n")
    report = sl.cluster.doctor(profile)
    found = states(report)
    assert found["cores"] == "warning"
    assert found["memory"] == "fault"
    assert found["workers"] == "untried"
    assert "memory_limit: more" in str(report)


def test_doctor__of_a_running_scheduler_leaves_it_running(tmp_path):
    with sl.cluster.client("local", n_workers=1, protocol="tcp") as owner:
        report = sl.cluster.doctor(owner.scheduler.address, tmp_path)
        assert report.ok, report
        assert owner.submit(sum, [1, 2]).result() == 3


def test_doctor__of_a_scheduler_without_workers_gives_up_in_time():
    with sl.cluster.client("local", n_workers=0, protocol="tcp") as owner:
        report = sl.cluster.doctor(owner.scheduler.address, wait=1.0)
    (fault,) = report.of("fault")
    assert fault.name == "start"
    assert "dask worker" in fault.remedy


def test_doctor__of_what_cannot_be_read_or_written(tmp_path):
    assert "is not known" in sl.cluster.doctor(tmp_path / "no.yaml").checks[0].found
    file = tmp_path / "file"
    file.write_text("")
    report = sl.cluster.doctor("none", file / "run", files=[str(file), str(tmp_path / "absent.h5mu")])
    assert states(report) == {"profile": "ok", "input": "fault", "run folder": "fault"}
    assert "absent.h5mu" in str(report)


@pytest.mark.parametrize("kind", ["pbs", "lsf", "sge"])
def test_doctor__of_a_queue_that_is_not_here(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = sl.cluster.doctor(Path(__file__).parents[3] / "cluster_configs" / f"{kind}.yaml")
    assert any("is not found on this host" in check.found for check in report.of("fault")), report


def test_command__prints_the_table_and_has_an_exit_code(tmp_path):
    def doctor(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scanlink", "doctor", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "a.h5mu").write_text("")
    (tmp_path / "run.yaml").write_text("input: a.h5mu\ngenes: g.gtf\ncluster: none\n")
    bad = doctor("run.yaml")
    assert bad.returncode == 1
    assert "FAULT    input" in bad.stdout
    assert bad.stdout.endswith("1 fault, 0 warnings: none cannot be used as it is\n")
    good = doctor("--cluster", "none", "--out", "run")
    assert good.returncode == 0, good.stdout
    assert "0 faults" in good.stdout
