"""Driver jobs and chains of them on a real Slurm: out of time, killed, in error, without progress."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import scanlink as sl
from scanlink.cluster.submit import job_name

# The ladder is long, so that a block takes a while, and a run some links.
OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {ladder: [[12000, null]], seed: 1, block_genes: 1}
cluster: none
report: false
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    sl.ds.simulate(n_cells=1500, n_genes=16, n_peaks=60, n_links=12, n_interactions=0, seed=2).write(folder / "data")
    (folder / "run.yaml").write_text(OPTIONS)
    return folder


def submit(project: Path, out: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scanlink", "submit", project / "run.yaml", "--out", out, *words]
    done = subprocess.run([*map(str, command)], cwd=project, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def parts(out: Path) -> int:
    return len(list(out.glob("parts/*/block-*.parquet")))


def said(out: Path, link: int) -> str:
    lines = (out / "logs" / "chain.log").read_text().splitlines()
    return "\n".join(line for line in lines if f" link {link}, " in line)


def link_of(slurm, out: Path, link: int) -> str:
    """Number of the job of a link that has begun."""
    slurm.wait_until(
        lambda: (out / "logs" / "chain.log").is_file() and "begins" in said(out, link), f"link {link} begins"
    )
    return said(out, link).partition(" job ")[2].partition(":")[0]


# Python reads it when it starts: blocks wait as long as there is a file, however fast or busy the machine is.
PAUSE = """\
import time
from pathlib import Path
import scanlink.run.compute as module

compute_block = module.compute_block

def wait_and_compute(*args, **words):
    while Path({hold!r}).exists():
        time.sleep(0.05)
    return compute_block(*args, **words)

module.compute_block = wait_and_compute
"""


@pytest.fixture
def hold(tmp_path, monkeypatch) -> Path:
    """File as long as which drivers compute no further block."""
    site, file = tmp_path / "site", tmp_path / "hold"
    site.mkdir()
    (site / "sitecustomize.py").write_text(PAUSE.format(hold=str(file)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
    return file


def kill(slurm, job: str) -> None:
    """SIGKILL for all of a job, its shell first, as when its node fails; scancel would send SIGTERM before."""
    # Another Slurm on this machine has jobs of the same numbers.
    marks = {f"SLURM_JOB_ID={job}".encode(), f"SLURM_CONF={slurm.folder / 'etc' / 'slurm.conf'}".encode()}
    mine = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and marks <= set((process / "environ").read_bytes().split(b"\0")):
                mine.append(int(process.name))
    assert mine, f"job {job} has no process"
    for number in sorted(mine):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def test_chain__of_links_that_are_stopped_or_killed_ends_with_the_same_table(quiet_slurm, project, tmp_path):
    slurm, out = quiet_slurm, tmp_path / "a run, with 100% of 'it'"
    project = shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    words = ("--chain", "--walltime", "00:05:00", "--set", "scan.seed=3")
    first = submit(project, out, *words).stdout
    assert f"to stop it:      scancel --name={job_name(out)}" in first
    job = link_of(slurm, out, 1)
    assert f"job {job} is the driver" in first
    again = submit(project, out, *words, check=False)
    assert again.returncode == 1
    assert f"is in the queue already: job {job} is running" in again.stderr
    # What is changed in run.yaml meanwhile is nothing to the links that follow.
    (tmp_path / "run.yaml").write_text("input: nothing\n")
    slurm.wait_until(lambda: parts(out) >= 2, "link 1 has finished two blocks")
    # As Slurm does it some time before the limit: to the shell of the job alone.
    slurm.cancel("--batch", "--signal=USR1", job)

    job = link_of(slurm, out, 2)
    assert "stopped in time; " in said(out, 1)
    before = parts(out)
    slurm.wait_until(lambda: parts(out) > before, "link 2 has finished a block")
    kill(slurm, job)

    link_of(slurm, out, 3)
    assert len(said(out, 2).splitlines()) == 1, "a shell that was killed says no more"
    slurm.wait_until(lambda: not slurm.jobs(), "the chain is at its end", seconds=400)
    log = (out / "logs" / "chain.log").read_text()
    print(log)
    assert "finished; " in log.splitlines()[-1]
    assert log.splitlines()[-1].endswith("The chain is at its end")
    links = {path.name.split("-")[1] for path in (out / "logs").glob("driver-*-*.log")}
    assert {"1", "2", "3"} <= links
    direct = tmp_path / "direct"
    (tmp_path / "run.yaml").write_text(OPTIONS)
    run = [sys.executable, "-m", "scanlink", "run", project / "run.yaml", "--out", direct, "--set", "scan.seed=3"]
    subprocess.run([*map(str, run), "--cluster", "local", "--workers", "2"], check=True, capture_output=True)
    assert (out / "links.parquet").read_bytes() == (direct / "links.parquet").read_bytes()


def test_chain__whose_links_reach_their_limit(quiet_slurm, project, tmp_path, hold):
    slurm, out = quiet_slurm, tmp_path / "run"
    submit(project, out, "--chain", "--walltime", "00:05:00")
    for link in (1, 2):
        job, before = link_of(slurm, out, link), parts(out)
        hold.unlink(missing_ok=True)
        slurm.wait_until(lambda before=before: parts(out) > before, f"link {link} has finished a block")
        hold.touch()
        # Slurm tells a link half a minute before its end, and looks every half minute.
        slurm.set_time_limit(job, 35)
    link_of(slurm, out, 3)
    hold.unlink()
    assert all("stopped in time" in said(out, link) for link in (1, 2))
    seen: dict[str, int] = {}

    def ended() -> bool:
        for path in out.glob("parts/*/block-*.parquet"):
            seen.setdefault(path.name, path.stat().st_mtime_ns)
        return not slurm.jobs()

    slurm.wait_until(ended, "the chain is at its end", seconds=600)
    log = (out / "logs" / "chain.log").read_text()
    print(log)
    assert "finished; " in log.splitlines()[-1]
    assert sum("begins" in line for line in log.splitlines()) >= 3
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*/block-*.parquet")}
    assert {name: after[name] for name in seen} == seen, "a finished block was computed again"
    direct = tmp_path / "direct"
    run = [sys.executable, "-m", "scanlink", "run", project / "run.yaml", "--out", direct]
    subprocess.run([*map(str, run), "--cluster", "local", "--workers", "2"], check=True, capture_output=True)
    assert (out / "links.parquet").read_bytes() == (direct / "links.parquet").read_bytes()


def test_single_job__is_told_by_slurm_itself_and_ends_with_75(quiet_slurm, project, tmp_path):
    slurm, out = quiet_slurm, tmp_path / "run"
    submit(project, out, "--walltime", "00:10:00", "--set", "scan.ladder=[[3000000, null]]")
    (job,) = slurm.jobs()
    log = out / "logs" / "scanlink.log"
    slurm.wait_until(lambda: log.is_file() and "workers: " in log.read_text(), "blocks are computed")
    # Slurm tells the job a minute before its end, and looks every half minute.
    slurm.set_time_limit(job, 65)
    slurm.wait_until(lambda: not slurm.jobs(), "it has ended")
    print(log.read_text())
    assert slurm.field(job, "ExitCode") == "75:0"
    assert slurm.field(job, "JobState") == "FAILED"


def test_chain__without_progress_stops_by_itself(quiet_slurm, project, tmp_path):
    slurm, out = quiet_slurm, tmp_path / "run"
    submit(project, out, "--chain", "--walltime", "00:05:00")
    for link in (1, 2):
        kill(slurm, link_of(slurm, out, link))
    slurm.wait_until(lambda: "stopped" in said(out, 3), "link 3 stops")
    assert "the last two links finished nothing new" in said(out, 3)
    slurm.wait_until(lambda: not slurm.jobs(), "no link follows")


def test_chain__ends_with_an_error(quiet_slurm, project, tmp_path):
    slurm, out = quiet_slurm, tmp_path / "run"
    submit(project, out, "--chain", "--set", "groups.by=nosuch")
    link_of(slurm, out, 1)
    slurm.wait_until(lambda: not slurm.jobs(), "the chain is at its end")
    assert "stopped by an error" in said(out, 1)
    (log,) = (out / "logs").glob("driver-1-*.log")
    assert "scanlink: error:" in log.read_text()


def test_chain__ends_where_its_links_are_used_up(quiet_slurm, project, tmp_path):
    slurm, out = quiet_slurm, tmp_path / "run"
    submit(project, out, "--chain", "--jobs", 2, "--walltime", "00:05:00")
    for link in (1, 2):
        job = link_of(slurm, out, link)
        before = parts(out)
        slurm.wait_until(lambda before=before: parts(out) > before, "it has finished a block")
        slurm.cancel("--batch", "--signal=USR1", job)
    slurm.wait_until(lambda: not slurm.jobs(), "no link follows")
    assert "it is the last of 2 links" in said(out, 2)
    assert "the same scanlink submit goes on from there" in said(out, 2)
    assert slurm.field(job, "ExitCode") == "75:0"


def test_chain__takes_back_the_workers_of_a_driver_that_was_killed(quiet_slurm, project, tmp_path):
    slurm, out = quiet_slurm, tmp_path / "run"
    profile = tmp_path / "profile.yaml"
    # The driver's 4 GiB leave room for one worker on each of the other two nodes; the third has to wait.
    profile.write_text(
        "jobqueue:\n  slurm: {queue: debug, cores: 1, memory: 6GiB, walltime: '01:00:00', interface: lo, "
        f"log-directory: {tmp_path / 'logs'}}}\n"
        "scanlink: {jobs: 3}\n"
    )
    submit(project, out, "--chain", "--cluster", profile, "--walltime", "00:05:00", "--extra=--nodelist=n1")
    link = link_of(slurm, out, 1)
    workers = f"{job_name(out)}-w{link}"
    slurm.wait_until(lambda: len(slurm.jobs(name=workers)) == 3, "its workers are in the queue")
    slurm.wait_until(lambda: parts(out) >= 1, "a block is finished")
    waiting = slurm.jobs(state="PENDING", name=workers)
    assert len(waiting) == 1
    kill(slurm, link)
    second = link_of(slurm, out, 2)
    slurm.wait_until(lambda: not slurm.jobs(name=workers), "none of them is left", seconds=60)
    assert slurm.field(waiting[0], "JobState") == "CANCELLED"
    # And as a user stops it: the link, the one that waits, and with them their workers.
    slurm.wait_until(lambda: slurm.running_jobs(name=f"{job_name(out)}-w{second}"), "link 2 has workers")
    slurm.cancel(f"--name={job_name(out)}")
    slurm.wait_until(lambda: not slurm.jobs(), "nothing is left in the queue")
