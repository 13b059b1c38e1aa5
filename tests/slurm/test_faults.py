"""What happens to a scan on a cluster, done to one on a real Slurm: each ends in the same table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scans import Scan, kill, make_project, worker_processes, write_profile

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def scan(quiet_slurm, project, tmp_path):
    """Starts a scan with a profile of these options."""
    with ExitStack() as stack:

        def start(**options: object) -> Scan:
            profile = write_profile(tmp_path / "profile", **options)  # type: ignore[arg-type]
            return stack.enter_context(Scan(project, tmp_path / "out", profile)).start()

        yield start


def test_worker_job_cancelled(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(5)
    with run.held():
        quiet_slurm.cancel(quiet_slurm.running_jobs()[0])
    run.end()
    run.assert_same_as(project / "reference", of="worker job cancelled")


def test_worker_process_killed(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(5)
    with run.held():
        # Another job may run, and have no worker yet.
        worker_processes()[0].kill()
    run.end()
    run.assert_same_as(project / "reference", of="worker process killed")


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_all_workers_at_once(quiet_slurm, project, scan, how):
    run = scan()
    run.wait_for_parts(5)
    with run.held():
        if how == "cancelled":
            quiet_slurm.cancel(*quiet_slurm.running_jobs())
        else:
            for process in worker_processes():
                kill(process)
    run.end()
    run.assert_same_as(project / "reference", of=f"all workers {how} at once")


def test_wall_time_reached(quiet_slurm, project, scan):
    run = scan(jobs=1)
    run.wait_for_parts(3)
    with run.held():
        # Slurm looks every half minute.
        (job,) = quiet_slurm.running_jobs()
        quiet_slurm.set_time_limit(job, 1)
        run.wait_for(lambda: quiet_slurm.field(job, "JobState") == "TIMEOUT", "the job times out")
    run.end()
    run.assert_same_as(project / "reference", of="wall time reached")


def test_lifetime_reached(quiet_slurm, project, scan):
    # The scan takes some seconds more than the longest of these lives, and on a busy machine longer still.
    run = scan(pause=1.2, worker_extra_args=["--lifetime", "24s", "--lifetime-stagger", "4s"])
    run.wait_for_parts(3)
    first = set(quiet_slurm.running_jobs())
    run.wait_for(lambda: run.look() and not first & set(quiet_slurm.running_jobs()), "the first jobs have ended")
    run.end()
    run.assert_same_as(project / "reference", of="lifetime of all workers reached")


def test_job_preempted_and_started_again_by_slurm(quiet_slurm, project, scan):
    run = scan(queue="preempt", job_extra_directives=["--requeue"])
    run.wait_for_parts(5)
    with run.held():
        jobs = quiet_slurm.running_jobs()
        words = ("--parsable", "-p", "debug", "-N3", "--exclusive", "--output=/dev/null", "--wrap", "sleep 5")
        urgent = quiet_slurm._ask("sbatch", *words).strip()
        run.wait_for(lambda: quiet_slurm.field(urgent, "JobState") == "COMPLETED", "the urgent job has run")
        restarts = [quiet_slurm.field(job, "Restarts") for job in jobs]
    run.end()
    assert any(int(number or 0) > 0 for number in restarts)
    run.assert_same_as(project / "reference", of=f"jobs preempted and started again ({', '.join(restarts)} times)")


def test_node_drained_and_down(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(5)
    job = quiet_slurm.running_jobs()[0]
    node = quiet_slurm.node_of(job)
    try:
        quiet_slurm._ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
        run.wait_for_parts(10)
        with run.held():
            quiet_slurm._ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
            run.wait_for(lambda: job not in quiet_slurm.running_jobs(), "the job of that node is gone")
            run.wait_for(lambda: len(quiet_slurm.running_jobs()) == 3, "three jobs run again")
            nodes = {quiet_slurm.node_of(other) for other in quiet_slurm.running_jobs()}
    finally:
        quiet_slurm._ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    run.end()
    assert node not in nodes
    run.assert_same_as(project / "reference", of=f"node {node} drained, then down")


def test_controller_of_slurm_restarted(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(5)
    with run.held(), quiet_slurm.controller_away():
        # While nobody can be asked for another job.
        workers = worker_processes()
        for process in [*(worker.ppid() for worker in workers), *workers]:
            kill(process)
        run.wait_for(lambda: not worker_processes(), "all workers are gone")
    run.end()
    run.assert_same_as(project / "reference", of="slurmctld away while all workers die, and back")


def test_driver_and_scheduler_killed_and_started_again(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(8)
    assert run.process is not None
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    left = run.look()
    quiet_slurm.wait_until(lambda: not worker_processes(), "the workers have left")
    run.start()
    run.end()
    assert left <= run.found < run.found + run.computed
    run.assert_same_as(project / "reference", of="driver and scheduler killed")


def test_parts_truncated_and_altered_while_it_runs(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(6)
    first, second = sorted(run.out.glob("parts/scan-*/block-*.parquet"))[:2]
    first.write_bytes(first.read_bytes()[:-30])
    table = pq.read_table(second)
    other = pc.add(table["frac_gene"], 0.25)
    pq.write_table(table.set_column(table.column_names.index("frac_gene"), "frac_gene", other), second)
    said = run.end()
    assert "2 parts were damaged and computed anew" in said
    run.expect_anew = {first.name, second.name}
    run.assert_same_as(project / "reference", of="a part truncated, another altered")


def test_block_that_always_fails(quiet_slurm, project, scan):
    run = scan()
    run.wait_for(lambda: (run.out / "store" / "manifest.json").exists(), "the store is there")
    values = run.out / "store" / "rna_values.npy"
    whole = values.read_bytes()
    # The last gene's last counts.
    values.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x55]))
    said = run.end(code=3)
    assert "blocks failed again and again and were set aside; their pairs have the status 'failed'" in said
    links, whole_links = (pd.read_parquet(folder / "links.parquet") for folder in (run.out, project / "reference"))
    failed = links["status"] == "failed"
    assert 0 < failed.sum() < 0.2 * len(links)
    np.testing.assert_array_equal(links.loc[~failed, "p_boot"], whole_links.loc[~failed, "p_boot"])
    status = subprocess.run(
        [sys.executable, "-m", "scanlink", "status", str(run.out)], capture_output=True, text=True, check=True
    ).stdout
    assert "was set aside: InputError" in status
    values.write_bytes(whole)
    run.start()
    run.end()
    assert run.computed == links.loc[failed, ["group", "gene"]].drop_duplicates().shape[0]
    run.assert_same_as(project / "reference", of=f"{run.computed} blocks always fail, until the store is mended")


def fill(file: Path) -> None:
    """Write until there is no room, whatever others write and remove meanwhile."""
    with pytest.raises(OSError, match="No space left"):
        shutil.copyfile("/dev/zero", file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_disk_full(quiet_slurm, project, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        # Its log is where there is room for what it says at the end.
        with Scan(project, small / "out", write_profile(tmp_path / "profile"), log=tmp_path / "log") as run:
            run.start()
            run.wait_for_parts(5)
            with run.held():
                fill(small / "other")
            said = run.end(code=1)
            assert "No space left on device" in said
            assert "what is finished stays" in said
            assert not (run.out / "links.parquet").exists()
            (small / "other").unlink()
            run.start()
            run.end()
            assert run.found >= 5
            run.assert_same_as(project / "reference", of="disk full, then room again")
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


BLIND = """\
#!/bin/sh
# A python that sees an empty disk where the run folder is, on some nodes.
case " {nodes} " in
  *" $SLURMD_NODENAME "*) exec unshare --mount sh -c 'mount -t tmpfs tmpfs "$0" && exec {python} "$@"' {folder} "$@" ;;
esac
exec {python} "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount another disk for a worker")
@pytest.mark.parametrize("nodes", ["n1", "n1 n2 n3"])
def test_workers_that_do_not_see_the_folder(quiet_slurm, project, scan, tmp_path, nodes):
    (tmp_path / "out").mkdir()
    python = tmp_path / "python"
    python.write_text(BLIND.format(nodes=nodes, python=sys.executable, folder=tmp_path / "out"))
    python.chmod(0o755)
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "hold").touch()
    run = scan(python=str(python), job_extra_directives=["--no-requeue", "--exclusive"], pause=0.5)
    # One that came late would find no block left.
    run.wait_for(lambda: len(worker_processes()) == 3, "all three workers are there")
    run.hold.unlink()
    if nodes == "n1":
        said = run.end()
        assert "does not see the folder" in said
        run.assert_same_as(project / "reference", of="workers of one node do not see the folder")
    else:
        said = run.end(code=1)
        assert "workers, one after another, do not see the folder" in said
        assert not run.parts()


def test_two_drivers(quiet_slurm, project, scan):
    run = scan()
    run.wait_for_parts(3)
    assert run.process is not None
    with run.held():
        words = [*map(str, run.process.args)]  # type: ignore[arg-type]
        second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"is in use by process {run.process.pid} on " in second.stderr
    run.end()
    run.assert_same_as(project / "reference", of="a second driver")


def test_clocks_that_differ(quiet_slurm, project, scan):
    found = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed: a worker's clock cannot be set wrong without it")
    one_thread = "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1"
    # Munge itself refuses hosts whose clocks differ by minutes, so that only the workers' clocks are set.
    run = scan(job_script_prologue=[one_thread, f"export LD_PRELOAD={found[0]} FAKETIME=-3h"])
    run.end()
    assert "h left" not in run.output()
    run.assert_same_as(project / "reference", of="workers whose clocks are three hours slow")


def test_three_nodes(quiet_slurm, project, scan):
    run = scan(job_extra_directives=["--no-requeue", "--exclusive"])
    run.wait_for_parts(1)
    with run.held():
        run.wait_for(lambda: len(quiet_slurm.running_jobs()) == 3, "three jobs run")
        nodes = {quiet_slurm.node_of(job) for job in quiet_slurm.running_jobs()}
    run.wait_for_parts(10)
    run.end()
    assert nodes == {"n1", "n2", "n3"}
    run.assert_same_as(project / "reference", of=f"workers on {', '.join(sorted(nodes))}")
