"""The profiles that are shipped: each does the same in bare Dask."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import dask
import pytest
import yaml

from scanlink.cluster import load_profile
from scanlink.cluster.array import scheduler_script, worker_script
from scanlink.cluster.jobqueue import cluster_class, import_jobqueue, job_script
from scanlink.cluster.profile_files import queue_keys, shipped_profiles
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.walltime import lifetime_of, seconds_of
from scanlink.errors import OptionError

NAMES = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
QUEUES = [name for name in NAMES if name not in ("local", "existing")]
# What scanlink derives from the wall time, where the file leaves it out.
DERIVED = re.compile(r" --lifetime \d+s --lifetime-stagger \d+s")


def in_dask(name: str) -> dask.config.set:
    """The configuration that Dask has when the file is in its folder."""
    content = dask.config.collect([str(shipped_profiles() / f"{name}.yaml")], env={})
    return dask.config.set(dask.config.merge(dask.config.config, content))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    # Building a script makes the folder of the logs.
    monkeypatch.chdir(tmp_path)
    import_jobqueue()


def test_profiles__are_all_there():
    shipped = {"existing", "local", "lsf", "pbs", "sge", "slurm", "slurm-array", "slurm-gpu", "slurm-long"}
    assert shipped <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_profile__explains_its_keys(name):
    lines = (shipped_profiles() / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert max(map(len, lines)) <= 120
    assert sum(line.strip().startswith("# ") for line in lines) >= 0.3 * len(lines)
    assert load_profile(name).name == name


@pytest.mark.parametrize("name", QUEUES)
def test_profile__gives_the_same_job_as_bare_dask(name):
    profile = load_profile(name)
    base = getattr(import_jobqueue(), cluster_class(profile.kind).__name__)
    with in_dask(name):
        bare = base.job_cls("tcp://127.0.0.1:8786", name="worker").job_script()
    ours = job_script(profile.kind, profile.options, scheduler="tcp://127.0.0.1:8786", name="worker")
    assert ours == bare or DERIVED.sub("", ours) == bare
    assert "export OMP_NUM_THREADS=1 " in bare


@pytest.mark.parametrize("name", QUEUES)
def test_profile__lets_workers_end_before_their_job(name):
    profile = load_profile(name)
    walltime = seconds_of(profile.options["walltime"], profile.kind, where="")
    lifetime = lifetime_of(profile.options["worker_extra_args"], where="")
    assert lifetime is not None
    assert walltime - lifetime.seconds - lifetime.stagger >= 300
    assert lifetime.stagger >= 0.09 * lifetime.seconds


def test_profile_existing__is_what_a_bare_client_reads():
    with in_dask("existing"):
        assert dask.config.get("scheduler-address") == load_profile("existing").address


def test_slurm_script__is_that_of_a_small_job():
    profile = load_profile("slurm", python="/env/bin/python")
    script = job_script("slurm", profile.options, scheduler="tcp://10.0.0.1:8786", name="worker")
    assert script.splitlines() == [
        "#!/usr/bin/env bash",
        "",
        "#SBATCH -J scanlink",
        "#SBATCH -e scanlink-logs/scanlink-%J.err",
        "#SBATCH -o scanlink-logs/scanlink-%J.out",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --mem=4G",
        "#SBATCH -t 04:00:00",
        "#SBATCH --no-requeue",
        "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "
        "VECLIB_MAXIMUM_THREADS=1",
        "/env/bin/python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name worker --nthreads 1 --memory-limit "
        "4.00GiB --nanny --death-timeout 120 --local-directory ${TMPDIR:-/tmp} --lifetime 12436s "
        "--lifetime-stagger 1244s",
    ]


def test_array_scripts__share_one_scheduler_file():
    profile = load_profile("slurm-array", python="/env/bin/python", interface="ib0", account="lab")
    file = Path("/shared/my folder/s.json")
    scheduler, workers = scheduler_script(profile, file).splitlines(), worker_script(profile, file).splitlines()
    assert scheduler[-1] == (
        "exec /env/bin/python -m distributed.cli.dask_scheduler --scheduler-file '/shared/my folder/s.json' --port 0 "
        "--dashboard-address 127.0.0.1:0 --interface ib0"
    )
    assert "export DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=20" in scheduler
    assert {"#SBATCH -A lab", "#SBATCH -t 24:00:00", "#SBATCH --no-requeue"} <= set(scheduler)
    assert {"#SBATCH -A lab", "#SBATCH --array=0-199%50", "#SBATCH -t 04:00:00"} <= set(workers)
    assert workers[-1].startswith(
        "/env/bin/python -m distributed.cli.dask_worker --scheduler-file '/shared/my folder/s.json' --name "
    )
    assert "--nworkers 4" in workers[-1]


def test_settings_of_the_scheduler_job__are_read_back_by_dask():
    script = scheduler_script(load_profile("slurm-array"), Path("s.json"))
    lines = [line.removeprefix("export ") for line in script.splitlines() if line.startswith("export DASK_")]
    environment = dict(word.partition("=")[::2] for line in lines for word in shlex.split(line))
    with dask.config.set(dask.config.collect_env(environment)):
        assert dask.config.get("distributed.scheduler.allowed-failures") == 20
        assert dask.config.get("distributed.scheduler.idle-timeout") == "1h"


def keys_in_docs() -> set[str]:
    """Keys that docs/cluster.md says become text of a job script."""
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    table = page[page.index("| key | becomes |") : page.index("`$NAME` in any value")]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    return {key for row in rows for key in re.findall(r"`([a-z-]+)`", row)}


@pytest.mark.parametrize("kind", ["slurm", "pbs", "sge", "lsf"])
def test_keys_that_become_shell__are_those_of_the_docs(kind, tmp_path):
    shell = set()
    for key in queue_keys(kind):
        for value in ("canary", ["canary"], {"canary": "canary"}):
            content = yaml.safe_load((shipped_profiles() / f"{kind}.yaml").read_text())
            content["jobqueue"][kind][key] = value
            (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
            # Of most keys only one of the types is taken; what refuses all of them puts no text of its own anywhere.
            with contextlib.suppress(OptionError, TypeError, AttributeError, LookupError, ValueError, RuntimeError):
                profile = load_profile(tmp_path / "mine.yaml")
                text = job_script(profile.kind, profile.options, scheduler="tcp://127.0.0.1:8786", name="worker")
                shell |= {key} if "canary" in text else set()
    assert "job-script-prologue" in shell
    assert shell <= keys_in_docs()


def test_keys_that_become_shell__are_keys():
    every = {key for kind in SCHEDULERS for key in queue_keys(kind)}
    assert keys_in_docs() <= every
