"""Clients of Slurm profiles, on a real Slurm: what is lost comes back, and nothing stays behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed import as_completed

from scanlink import cluster
from scanlink.cluster import failures, keeper
from scanlink.errors import RunError

pytestmark = pytest.mark.slow


def where(seconds: float = 0.0) -> tuple[str, str]:
    """Node and job that a task runs in, after a while."""
    import os

    time.sleep(seconds)
    return os.environ["SLURMD_NODENAME"], os.environ["SLURM_JOB_ID"]


def where_after(file: str) -> tuple[str, str]:
    """Node and job that a task runs in, once there is a file."""
    from pathlib import Path

    while not Path(file).exists():
        time.sleep(0.1)
    return where(0.5)


@pytest.fixture
def write(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Writes a profile for small jobs on loopback; jobs and their logs are in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def write(*, config: dict[str, Any] | None = None, scanlink: dict[str, Any] | None = None, **options: Any) -> Path:
        slurm = {"cores": 1, "memory": "400MiB", "walltime": "00:10:00", "interface": "lo"}
        slurm |= {key.replace("_", "-"): value for key, value in options.items()}
        content = {"jobqueue": {"slurm": slurm}, "distributed": config or {}, "scanlink": scanlink or {"jobs": 2}}
        path = tmp_path / "profile.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def hasty(monkeypatch) -> None:
    """Retries come soon, so that a test need not wait."""
    monkeypatch.setattr(keeper, "PACE", failures.Pace(retry=0.5, attempts=2))


def names(client: Any) -> set[str]:
    return {worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()}


def test_client__of_three_nodes_computes_and_cancels_its_jobs(quiet_slurm, write):
    profile = write(scanlink={"jobs": 3}, cores=3, processes=1)
    with cluster.client(profile) as client:
        assert cluster.problem(client) is None
        # Work may be handed in before any worker is there.
        first = client.submit(where)
        client.wait_for_workers(3, timeout=300)
        assert first.result()[0] in ("n1", "n2", "n3")
        assert {node for node, _ in client.run(where).values()} == {"n1", "n2", "n3"}
        assert len(quiet_slurm.running_jobs()) == 3
    quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "the jobs are cancelled")
    assert list(Path("scanlink-logs").glob("scanlink-*.err"))


@pytest.mark.parametrize("processes", [1, 2], ids="processes={}".format)
def test_client__replaces_jobs_that_are_taken_away(quiet_slurm, write, processes: int):
    profile = write(cores=processes, memory=f"{400 * processes}MiB", queue="preempt")
    with cluster.client(profile) as client:
        client.wait_for_workers(2 * processes, timeout=300)
        work = client.map(where, [0.2] * 80, pure=False)
        before, workers = quiet_slurm.running_jobs(), names(client)
        quiet_slurm.cancel(before[0])
        quiet_slurm.wait_until(lambda: len(names(client) - workers) == processes, "the cancelled job is replaced")
        if processes == 1:
            # A job of a better partition takes all cores of the node.
            node = quiet_slurm.node_of(before[1])
            words = ["sbatch", "--partition=debug", f"--nodelist={node}", "--exclusive", "--output=/dev/null"]
            subprocess.run([*words, "--wrap", "sleep 2"], check=True, capture_output=True)
            quiet_slurm.wait_until(lambda: before[1] not in quiet_slurm.running_jobs(), "a job is preempted")
            quiet_slurm.wait_until(lambda: not names(client) & workers, "the workers of the first jobs are gone")
        quiet_slurm.wait_until(lambda: len(client.nthreads()) == 2 * processes, "the number is kept")
        assert len(client.gather(work)) == 80
        assert not set(before[:1]) & set(quiet_slurm.running_jobs())
        assert cluster.problem(client) is None


def test_client__replaces_workers_after_their_lifetime(quiet_slurm, write):
    # Long enough for a worker that takes some seconds to come, and the work takes longer still.
    profile = write(worker_extra_args=["--lifetime", "12s", "--lifetime-stagger", "3s"], walltime="00:01:00")
    with cluster.client(profile) as client:
        # Results are fetched as they come: a worker takes those that it still holds with it.
        done = as_completed(client.map(where, [1.0] * 40, pure=False), with_results=True)
        jobs = {job for _, (_, job) in done}
        assert len(jobs) > 2
        assert cluster.problem(client) is None


def test_client__follows_the_work_between_minimum_and_maximum(quiet_slurm, write, tmp_path):
    config = {"adaptive": {"interval": "500ms", "wait-count": 2}, "scheduler": {"unknown-task-duration": "5s"}}
    profile = write(scanlink={"jobs": {"minimum": 0, "maximum": 2}}, config=config, cores=2, memory="800MiB")
    with cluster.client(profile) as client:
        time.sleep(2)
        assert quiet_slurm.jobs() == []
        # Work that is there until both jobs are, however late the second comes.
        work = client.map(where_after, [str(tmp_path / "go")] * 16, pure=False)
        quiet_slurm.wait_until(lambda: len(client.nthreads()) == 4, "two jobs of two workers are there")
        quiet_slurm.cancel(quiet_slurm.running_jobs()[0])
        (tmp_path / "go").touch()
        assert len(client.gather(work)) == 16
        del work
        quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "idle jobs have ended")


@pytest.mark.usefixtures("hasty")
def test_client__says_why_no_worker_comes(quiet_slurm, write):
    with cluster.client(write(scanlink={"jobs": 1}, python="/no/such/python")) as client:
        quiet_slurm.wait_until(lambda: cluster.problem(client), "there is a problem")
        text = cluster.problem(client)
        assert "no worker has come in 2 attempts: job" in text
        assert "ended as FAILED (exit code 127:0) before a worker came from it; the last lines of" in text
        assert "The nodes cannot start /no/such/python" in text
        count = len(list(Path("scanlink-logs").glob("*.err")))
        time.sleep(3)
        # It is not tried without end.
        assert len(list(Path("scanlink-logs").glob("*.err"))) == count == 2


def test_client__says_that_jobs_will_never_start(quiet_slurm, write):
    with cluster.client(write(queue="short")) as client:
        quiet_slurm.wait_until(lambda: cluster.problem(client), "there is a problem")
        assert "2 jobs pend and will never start: PartitionTimeLimit" in cluster.problem(client)


def test_client__refuses_what_slurm_refuses(quiet_slurm, write):
    profile = write(queue="nosuch")
    with pytest.raises(RunError, match=r"slurm refuses the jobs: .*invalid partition"), cluster.client(profile):
        pass


@pytest.mark.usefixtures("hasty")
def test_client__outlasts_an_absence_of_the_controller(quiet_slurm, write, caplog):
    with quiet_slurm.controller_away() as back, cluster.client(write(scanlink={"jobs": 1})) as client:
        assert "slurm cannot be reached" in caplog.text or client.nthreads() == {}
        back()
        client.wait_for_workers(1, timeout=300)
        assert cluster.problem(client) is None


@pytest.mark.parametrize("scheduler", ["here", {"walltime": "00:10:00", "memory": "400MiB"}], ids=["here", "job"])
def test_client__of_an_array(quiet_slurm, write, scheduler):
    profile = write(scanlink={"jobs": 2, "array": {"size": 4, "scheduler": scheduler}})
    with cluster.client(profile) as client:
        client.wait_for_workers(2, timeout=300)
        running = [job for job in quiet_slurm.running_jobs() if "_" in job]
        assert len(running) == 2
        work = client.map(where, [0.2] * 40, pure=False)
        quiet_slurm.cancel(running[0])
        # Slurm itself starts the next element; a worker has the name of its element.
        after = {f"element-{running[1]}", f"element-{running[0].partition('_')[0]}_2"}
        quiet_slurm.wait_until(lambda: names(client) == after, "the next element has a worker")
        assert len(client.gather(work)) == 40
        assert cluster.problem(client) is None
    quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "array and scheduler are cancelled")
    # What they have known each other by.
    assert not list(Path("scanlink-logs").glob(".private*"))


def test_client__of_an_array_says_why_its_scheduler_does_not_start(quiet_slurm, write):
    scheduler = {"walltime": "00:10:00", "memory": "400MiB", "python": "/no/such/python"}
    profile = write(scanlink={"jobs": 2, "array": {"scheduler": scheduler}})
    with (
        pytest.raises(RunError, match=r"(?s)job of the Dask scheduler, \d+, .*/no/such/python"),
        cluster.client(profile),
    ):
        pass
    assert quiet_slurm.jobs() == []
