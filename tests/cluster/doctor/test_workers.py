"""What the doctor looks at where a worker is."""

from __future__ import annotations

import pytest

from scanlink.cluster.doctor.probe import describe_process
from scanlink.cluster.doctor.report import Case, Report, call_here
from scanlink.cluster.doctor.workers import check_limits, check_scratch, check_threads, compare_versions, versions
from scanlink.cluster.profile import load_profile


def test_compare_versions__tells_what_matters_from_what_does_not():
    ours = versions(call_here)
    for name, value, state in (
        ("numpy", "1.0", "warning"),
        ("numpy", None, "fault"),
        ("dask", "2020.1", "fault"),
        ("python", "3.1.0", "fault"),
        ("python", ours["python"] + "1", "warning"),
        ("scanlink", None, "fault"),
        ("executable", "other/python", "ok"),
    ):
        finding = compare_versions(ours, {**ours, name: value})
        assert finding[0] == state
        assert name in finding[1] or state == "ok"


@pytest.mark.parametrize(
    ("changes", "check", "state", "words"),
    [
        ({"threads": {"OMP_NUM_THREADS": None}}, check_threads, "warning", "OMP_NUM_THREADS is not set"),
        ({"nthreads": 2}, check_threads, "warning", "2 threads in one process"),
        ({}, check_threads, "ok", "one a process"),
        ({"memory_limit": 0}, check_limits, "warning", "no memory limit"),
        ({"limits": {"cgroup": 2**28}}, check_limits, "fault", "cgroup of 256 MiB: it will be killed"),
        ({}, check_limits, "ok", "1.0 GiB a worker"),
        ({"scratch_error": "Read-only file system"}, check_scratch, "fault", "on the worker: Read-only file system"),
        ({"scratch_free": 2**20}, check_scratch, "warning", "has 1 MiB free"),
        ({}, check_scratch, "ok", "can be written"),
    ],
)
def test_checks__of_a_worker(changes, check, state, words):
    case = Case(load_profile("slurm"), Report("slurm"))
    good = {"threads": {"OMP_NUM_THREADS": "1"}, "nthreads": 1, "memory_limit": 2**30, "limits": {}}
    case.worker = {**describe_process(), "scratch_free": 2**40, **good, **changes}
    finding = check(case)
    assert finding[0] == state
    assert words in finding[1]
