"""The doctor where no queue is needed; on a real Slurm it is tried by tests/slurm/test_doctor.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scanlink as sl
from scanlink.cluster.doctor.host import check_address
from scanlink.cluster.doctor.remedies import remedy_for, remedy_for_reason
from scanlink.cluster.doctor.report import Report
from scanlink.cluster.doctor.versions import check_versions, versions
from scanlink.cluster.profile import load_profile


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
    with sl.cluster.client("local", n_workers=1) as owner:
        report = sl.cluster.doctor(owner.scheduler.address, tmp_path)
        assert report.ok, report
        assert owner.submit(sum, [1, 2]).result() == 3


def test_doctor__of_a_scheduler_without_workers_gives_up_in_time():
    with sl.cluster.client("local", n_workers=0) as owner:
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
    report = sl.cluster.doctor(Path(__file__).parents[2] / "cluster_configs" / f"{kind}.yaml")
    assert any("is not found on this host" in check.found for check in report.of("fault")), report


def test_check_address__of_loopback_when_the_nodes_are_elsewhere():
    profile = load_profile("slurm", interface="lo")
    here, there = Report("a"), Report("b")
    check_address(profile, [], here)
    check_address(profile, ["n1", "n2"], there)
    assert here.ok
    assert "out of reach of 'n1', 'n2'" in there.checks[0].found


def test_check_versions__tells_what_matters_from_what_does_not():
    ours = versions()
    for name, value, state in (
        ("numpy", "1.0", "warning"),
        ("numpy", None, "fault"),
        ("dask", "2020.1", "fault"),
        ("python", "3.1.0", "fault"),
        ("python", ours["python"] + "1", "warning"),
        ("scanlink", None, "fault"),
    ):
        report = Report("a")
        assert check_versions(ours, {**ours, name: value}, report) == (state == "warning")
        assert report.checks[0].state == state
        assert name in report.checks[0].found


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("/x/python: No module named distributed", "python: an interpreter that has scanlink"),
        ("line 8: /x/python: No such file or directory", "python: one that the nodes can start"),
        # The cause stands above what followed from it.
        (
            "ValueError: 'ib0' is not a valid network interface. ...\n\nRuntimeError: Nanny failed to start.",
            "interface",
        ),
        ("OSError: Timed out trying to connect to tcp://10.0.0.1:40000 after 30 s", "interface"),
        ("slurmstepd: error: Detected 1 oom-kill event(s)", "memory"),
        ("", "log-directory"),
        ("something else", "what the last lines"),
    ],
)
def test_remedy_for__the_last_words_of_a_job(words, remedy):
    assert remedy_for(words, load_profile("slurm")).startswith(remedy)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Resources", "wait longer"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "maintenance"),
        ("QOSMaxCpuPerUserLimit", "a limit of your account"),
        ("Cleaning", "man squeue"),
    ],
)
def test_remedy_for_reason__of_a_job_that_waits(reason, remedy):
    assert remedy in remedy_for_reason(reason)


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
