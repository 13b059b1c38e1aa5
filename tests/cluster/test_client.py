"""Clients from profiles, and profiles that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dask
import distributed  # noqa: F401  (its defaults go into Dask's settings, which a test may change only then)
import pytest

from scanlink import cluster
from scanlink.errors import OptionError, RunError

LOCAL = Path(__file__).parents[2] / "cluster_configs" / "local.yaml"


def test_client__of_the_shipped_profile_computes_and_is_closed():
    with cluster.client(LOCAL, n_workers=1, processes=False, host=None) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert list(client.nthreads().values()) == [1]
    assert client.status == "closed"


@pytest.mark.slow
def test_client__worker_processes_have_one_thread_for_every_library():
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"]

    def threads() -> list[str | None]:
        import os

        return [os.environ.get(name) for name in names]

    here = threads()
    with cluster.client("local", n_workers=1) as client:
        assert client.submit(threads).result() == ["1"] * 4
        # Or numba would refuse to compile in a process that has used its own number of threads.
        assert threads() == here
    assert threads() == here


@pytest.mark.slow
def test_client__waits_for_a_killed_worker_that_comes_back_late():
    with (
        # Sooner than any process starts, as 15 s may be on a busy machine.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}),
        cluster.client("local", n_workers=1) as client,
    ):
        (number,) = client.run(os.getpid, nanny=False).values()
        os.kill(number, signal.SIGKILL)
        assert client.submit(os.getpid).result(timeout=200) != number
        # Its nanny is not closed, which might come a moment after that.
        assert list(client.cluster.workers) == [0]


def test_client__of_a_running_scheduler_leaves_it_running():
    with cluster.client("local", n_workers=1, processes=False, host=None) as owner:
        address = owner.scheduler.address
        with cluster.client(address) as guest:
            assert guest.submit(sum, [1]).result() == 1
        assert owner.submit(sum, [2]).result() == 2
        with pytest.raises(OptionError, match="n_workers cannot be set"), cluster.client(address, n_workers=3):
            pass


def test_client__of_a_scheduler_file_that_a_profile_names(tmp_path):
    with cluster.client("local", n_workers=1, processes=False, host=None) as owner:
        (tmp_path / "scheduler.json").write_text(json.dumps({"address": owner.scheduler.address}))
        path = tmp_path / "existing.yaml"
        path.write_text("scheduler-file: scheduler.json\n")
        with cluster.client(path) as guest:
            assert guest.submit(sum, [1]).result() == 1
            assert cluster.problem(guest) is None


def test_client__sets_what_the_profile_says_of_dask(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "local: {n_workers: 1, processes: false, host: null}\ndistributed: {scheduler: {allowed-failures: 7}}\n"
    )
    before = dask.config.get("distributed.scheduler.allowed-failures")
    with cluster.client(path) as client:
        assert client.cluster.scheduler.allowed_failures == 7
    assert dask.config.get("distributed.scheduler.allowed-failures") == before


@pytest.mark.parametrize("text", ["", '{"id": 3}'])
def test_client__of_a_file_that_is_no_scheduler_file(tmp_path, text):
    (tmp_path / "scheduler.json").write_text(text)
    with (
        pytest.raises(OptionError, match=r"scheduler.json has no address: expected what dask scheduler"),
        cluster.client(tmp_path / "scheduler.json"),
    ):
        pass


@pytest.mark.parametrize("name", ["nosuch", "nosuch.yaml", "nosuch.json"])
def test_check__refuses_what_does_not_exist(name):
    with pytest.raises(OptionError, match=r"not known|does not exist"):
        cluster.check(name)


def test_check__refuses_a_queue_whose_commands_are_not_here(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunError, match="sbatch is not found on this host, and profile slurm needs it"):
        cluster.check("slurm")


def test_client__leaves_dask_as_it_was_when_it_is_the_first_to_import_it(tmp_path):
    profile = tmp_path / "profile.yaml"
    profile.write_text("local: {n_workers: 0}\ndistributed: {scheduler: {allowed-failures: 7}}\n")
    code = """
import sys, dask
from scanlink import cluster
if __name__ == "__main__":
    for _ in range(2):
        with cluster.client(sys.argv[1]) as client:
            assert dask.config.get("distributed.scheduler.allowed-failures") == 7
        assert dask.config.get("distributed.scheduler.allowed-failures") == 3
        assert dask.config.get("distributed.comm.timeouts.connect")
"""
    done = subprocess.run([sys.executable, "-c", code, str(profile)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
