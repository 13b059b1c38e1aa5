"""Who reaches a run on a real Slurm: nobody but its user; and runs whose processes have credentials are killed, too."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import yaml
from scans import Scan, make_project, write_profile
from strangers import listening, what_strangers_get

from scanlink import cluster

pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
SLURM = {"cores": 1, "memory": "400MiB", "walltime": "00:10:00"}
JOB = {"walltime": "00:10:00", "memory": "400MiB"}


def processes_of_jobs() -> list[psutil.Process]:
    """What runs in the jobs of this Slurm."""
    found = []
    for process in psutil.process_iter():
        try:
            about = process.environ()
        except psutil.Error:
            continue
        ours = about.get("SLURM_JOB_ID") and about.get("SLURM_CONF") == os.environ["SLURM_CONF"]
        if ours and not process.name().startswith("slurm"):
            found.append(process)
    return found


@as_root
@pytest.mark.parametrize("network", [{"interface": "lo"}, {}], ids=["interface", "none"])
@pytest.mark.parametrize("array", [None, {"size": 2, "scheduler": "here"}, {"size": 2, "scheduler": JOB}], ids=str)
def test_strangers__get_nothing_of_a_run_on_slurm(quiet_slurm, tmp_path, monkeypatch, network, array):
    monkeypatch.chdir(tmp_path)
    scanlink = {"jobs": 2} | ({} if array is None else {"array": array})
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump({"jobqueue": {"slurm": {**SLURM, **network}}, "scanlink": scanlink}))
    before = listening(psutil.Process())
    with cluster.client(profile) as client:
        client.wait_for_workers(2, timeout=300)
        assert client.scheduler.address.startswith("tls://")
        assert client.submit(sum, [1, 2]).result() == 3
        places = listening(psutil.Process(), *processes_of_jobs()) - before
        # Scheduler and its pages; of each worker nanny, worker and empty pages.
        assert len(places) >= 2 + 2 * 3
        hosts = {place.rpartition(":")[0] for place in places}
        assert hosts == {"127.0.0.1", client.scheduler.address.removeprefix("tls://").rpartition(":")[0]}
        answers = what_strangers_get(places)
        assert not any(answers.values()), answers
        (folder,) = Path("scanlink-logs").glob(".private*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "the jobs are cancelled")
    assert not list(Path("scanlink-logs").glob(".private*"))


def test_plain_text__is_had_when_it_is_asked_for(quiet_slurm, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump({"jobqueue": {"slurm": {**SLURM, "protocol": "tcp"}}, "scanlink": {"jobs": 1}}))
    with cluster.client(profile) as client:
        assert "can run code in your name" in caplog.text
        client.wait_for_workers(1, timeout=300)
        assert client.submit(sum, [1, 2]).result() == 3
        assert {address.partition("://")[0] for address in client.nthreads()} == {"tcp"}


@pytest.mark.parametrize("scheduler", ["here", JOB], ids=["here", "job"])
def test_array__killed_and_resumed(quiet_slurm, tmp_path, scheduler):
    project = make_project(tmp_path / "project")
    array = {"size": 20, "scheduler": scheduler}
    profile = write_profile(tmp_path / "profile", jobs=2, array=array, walltime="00:10:00")
    with Scan(project, tmp_path / "out", profile).start() as run:
        run.wait_for_parts(5)
        assert run.process is not None
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        left = run.look()
        # Scheduler and array outlive the driver; the next has its own.
        quiet_slurm.cancel_all()
        run.start()
        run.end()
        assert left <= run.found < run.found + run.computed
        run.assert_same_as(project / "reference", of="driver of an array killed")
