"""The profiles that are shipped: each does the same in bare Dask."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import dask
import pytest

from scanlink.cluster import load_profile
from scanlink.cluster.addresses import own_address
from scanlink.cluster.array import scheduler_script, worker_script
from scanlink.cluster.jobqueue import cluster_class, import_jobqueue, job_script, private, scheduler_options
from scanlink.cluster.profile_files import queue_keys, shipped_profiles
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.security import Credentials, Files
from scanlink.cluster.walltime import lifetime_of, seconds_of

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


# What credentials are written to: a private folder that all nodes see.
TRUST = Credentials(Path("/shared/my folder"), files=Files(Path("/s/a b.pem"), Path("/s/c.pem"), Path("/s/k.pem")))
TLS = "--tls-ca-file '/s/a b.pem' --tls-cert /s/c.pem --tls-key /s/k.pem"


def test_array_scripts__share_one_scheduler_file():
    profile = load_profile("slurm-array", python="/env/bin/python", interface="ib0", account="lab")
    scheduler = scheduler_script(profile, TRUST, "secret").splitlines()
    workers = worker_script(profile, TRUST, "tls://10.0.0.1:8786").splitlines()
    assert scheduler[-1] == (
        "exec /env/bin/python -m scanlink.cluster.scheduler_job --scheduler-file '/shared/my folder/scheduler.json' "
        f"--port 0 --dashboard-address 127.0.0.1:0 --interface ib0 {TLS}"
    )
    assert {"umask 077", "export SCANLINK_PAGES=secret"} <= set(scheduler)
    assert "export DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=20" in scheduler
    assert {"#SBATCH -A lab", "#SBATCH -t 24:00:00", "#SBATCH --no-requeue"} <= set(scheduler)
    assert {"#SBATCH -A lab", "#SBATCH --array=0-199%50", "#SBATCH -t 04:00:00"} <= set(workers)
    assert workers[-1].startswith(
        "/env/bin/python -m distributed.cli.dask_worker --scheduler-file '/shared/my folder/scheduler.json' --name "
    )
    assert "--nworkers 4" in workers[-1]
    assert workers[-1].endswith(f"--dashboard-address 127.0.0.1:0 --no-dashboard {TLS} --interface ib0")


def test_array_scripts__find_an_address_where_no_network_is_named():
    profile = load_profile("slurm-array", python="/env/bin/python")
    scripts = (scheduler_script(profile, TRUST, "secret"), worker_script(profile, TRUST, "tls://127.0.0.1:8786"))
    for lines in (script.splitlines() for script in scripts):
        assert ' --host "$SCANLINK_HOST"' in lines[-1]
        assert sum(line.startswith("SCANLINK_HOST=$(/env/bin/python ") for line in lines) == 1
    # The shell finds the address on the way to the scheduler, and gives up where there is no interpreter.
    (line,) = (line for line in scripts[1].splitlines() if line.startswith("SCANLINK_HOST="))
    here, none = shlex.quote(sys.executable), "/no/such/python"
    # Dask wants brackets.
    for python, host, code, said in (
        (here, "127.0.0.1", 0, "127.0.0.1\n"),
        (here, "[::1]", 0, "[::1]\n"),
        (none, "127.0.0.1", 127, ""),
    ):
        there = line.replace("/env/bin/python", python).replace("127.0.0.1", host)
        script = f'{there}\necho "$SCANLINK_HOST"'
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, said)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_private__is_in_the_jobs_of_every_queue(kind, tmp_path):
    path = tmp_path / "queue.yaml"
    needs = "".join(f"{key}: {value}, " for key, value in SCHEDULERS[kind].needs)
    walltime = "" if SCHEDULERS[kind].walltime is None else 'walltime: "04:00:00"'
    walltime = {"lsf": 'walltime: "04:00"', "oar": f"{walltime}, memory-per-core-property-name: m"}.get(kind, walltime)
    path.write_text(f"jobqueue: {{{kind}: {{{needs}{walltime}}}}}\nscanlink: {{jobs: 1}}\n")
    options = private(kind, load_profile(path).options, TRUST)
    script = job_script(kind, options, scheduler="tls://10.0.0.1:8786", name="worker")
    # HTCondor doubles quotes.
    script = script.replace("''", "'").replace('""', '"')
    assert script.count(TLS) == 1
    assert script.count('--host "$SCANLINK_HOST"') == script.count("SCANLINK_HOST=$(") == 1
    assert "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'" in script
    with_network = private(kind, {**options, "interface": "ib0"}, TRUST)
    assert "SCANLINK_HOST" not in job_script(kind, {**with_network, "near": False}, scheduler="x", name="worker")


def test_settings_of_the_scheduler_job__are_read_back_by_dask():
    script = scheduler_script(load_profile("slurm-array"), TRUST, "secret")
    lines = [line.removeprefix("export ") for line in script.splitlines() if line.startswith("export DASK_")]
    environment = dict(word.partition("=")[::2] for line in lines for word in shlex.split(line))
    with dask.config.set(dask.config.collect_env(environment)):
        assert dask.config.get("distributed.scheduler.allowed-failures") == 20
        assert dask.config.get("distributed.scheduler.idle-timeout") == "1h"


def test_scheduler_options__are_of_one_network():
    options = load_profile("slurm").options
    assert scheduler_options("slurm", options) == {"dashboard_address": "127.0.0.1:0", "host": own_address()}
    assert scheduler_options("slurm", {**options, "interface": "ib0"})["interface"] == "ib0"
    with dask.config.set({"jobqueue.slurm.interface": "ib1"}):
        assert "--interface ib1 " in scheduler_script(load_profile("slurm-array"), TRUST, "secret")
        assert scheduler_options("slurm", options)["interface"] == "ib1"
        assert "near" not in private("slurm", options, TRUST)
    said = {"scheduler_options": {"host": "10.0.0.1"}, "interface": "ib0"}
    assert scheduler_options("slurm", {**options, **said}) == {"host": "10.0.0.1"}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_keys_that_become_lines_of_a_shell__are_listed(kind):
    """Whatever of a profile stands in a job script as it was written."""
    section = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text().partition("Lines of a profile that")[2]
    listed = set(re.findall(r"`([a-z-]+)`", section.partition("## ")[0]))
    needs = {key: 1 if key == "cores" else value for key, value in SCHEDULERS[kind].needs}
    found = set()
    for key in sorted(queue_keys(kind)):
        name = "job_name" if key == "name" else key.replace("-", "_")
        for value in ("MARK", ["MARK"], {"MARK": "MARK"}):
            options = {"cores": 1, "memory": "4GiB", **needs, name: value}
            try:
                with warnings.catch_warnings(action="ignore"):
                    job = cluster_class(kind).job_cls("tcp://10.0.0.1:8786", name="worker", **options)
            except (TypeError, ValueError, AttributeError, KeyError):
                continue
            if "MARK" in job.job_script() + job.submit_command + job.cancel_command:
                found.add(key)
    assert {"job-script-prologue", "python", "worker-extra-args", "shebang"} <= found
    assert found <= listed, found - listed
