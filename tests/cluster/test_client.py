"""Clients from profiles, and profiles that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanlink import cluster
from scanlink.errors import OptionError

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


def test_client__of_a_running_scheduler_leaves_it_running():
    with cluster.client("local", n_workers=1, processes=False, host=None) as owner:
        address = owner.scheduler.address
        with cluster.client(address) as guest:
            assert guest.submit(sum, [1]).result() == 1
        assert owner.submit(sum, [2]).result() == 2
        with pytest.raises(OptionError, match="n_workers cannot be set"), cluster.client(address, n_workers=3):
            pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("slurm: {cores: 1}", "expected one section 'local'"),
        ("local: [1]", "expected one section 'local' with options"),
        ("local: {", "not valid YAML"),
    ],
)
def test_check__refuses_profiles(tmp_path, content, message):
    path = tmp_path / "profile.yaml"
    path.write_text(content)
    with pytest.raises(OptionError, match=message):
        cluster.check(path)


@pytest.mark.parametrize("name", ["nosuch", "nosuch.yaml", "nosuch.json"])
def test_check__refuses_what_does_not_exist(name):
    with pytest.raises(OptionError, match=r"not known|does not exist"):
        cluster.check(name)
