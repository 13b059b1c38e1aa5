"""dask-jobqueue without its side effects and faults."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from scanlink.cluster.jobqueue import job_of

IMPORT = """
import os, signal, threading
from scanlink.cluster.jobqueue import import_jobqueue
from scanlink.cluster import load_profile
load_profile("slurm")
handler = signal.getsignal(signal.SIGINT)
set_handler = signal.signal
{call}
assert signal.getsignal(signal.SIGINT) is handler
assert signal.signal is set_handler
import dask
assert dask.config.get("jobqueue.slurm.name") == "dask-worker"
assert import_jobqueue().SLURMCluster
print(sorted(os.listdir(os.environ["HOME"])))
"""
THREAD = "t = threading.Thread(target=import_jobqueue); t.start(); t.join()"


@pytest.mark.parametrize("call", ["import_jobqueue()", THREAD], ids=["main", "thread"])
def test_import__changes_no_handler_and_writes_no_file(tmp_path, monkeypatch, call):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DASK_CONFIG", raising=False)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT.format(call=call)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_job_of__a_worker_alone_or_with_others():
    cluster = SimpleNamespace(worker_spec={"SLURMCluster-3": {}, "SLURMCluster-3-1": {}})
    assert job_of("SLURMCluster-3", cluster) == "SLURMCluster-3"
    assert job_of("SLURMCluster-3-0", cluster) == "SLURMCluster-3"
    assert job_of("SLURMCluster-3-1", cluster) == "SLURMCluster-3-1"
    assert job_of("SLURMCluster-4", cluster) is None
    assert job_of(7, cluster) is None
