"""What profiles say, and what is wrong with them."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

import dask
import pytest
import yaml

from scanlink.cluster import Jobs, load_profile
from scanlink.cluster.profile_files import shipped_profiles
from scanlink.errors import OptionError

THREADS = ("OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "NUMBA_NUM", "VECLIB_MAXIMUM")
SLURM = {"cores": 1, "memory": "4GiB", "walltime": "04:00:00"}


def write(folder: Path, content: object, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def slurm(folder: Path, *, jobs: object = 2, array: object = None, **changes: object) -> Path:
    """A profile of Slurm; a change to None leaves the key out."""
    section = {key: value for key, value in {**SLURM, **changes}.items() if value is not None}
    scanlink = {"jobs": jobs} | ({} if array is None else {"array": array})
    return write(folder, {"jobqueue": {"slurm": section}, "scanlink": scanlink})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("local: {", "not valid YAML"),
        ("- 1", "expected sections such as jobqueue or local"),
        ("{}", "expected one section of .* found nothing"),
        ("slurm: {cores: 1}", r"found 'slurm'; did you mean jobqueue: \{slurm: ...\}"),
        ("jobqeue: {slurm: {}}", "did you mean 'jobqueue'"),
        ("local: {}\nscheduler-address: tcp://a:1", "found 'local', 'scheduler-address'"),
        ("local: [1]", r"local: expected a table of keys; found \[1\]"),
        ("local: {memory_limt: 1GiB}", "local has no key 'memory_limt'; did you mean 'memory_limit'"),
        ("local: {}\nscanlink: {jobs: 2}", "goes with a job queue"),
        ("local: {}\ndistributed: {scheduler: {alowed-failures: 3}}", "did you mean 'allowed-failures'"),
        ("local: {}\ndistributed: {scheduler: 3}", "distributed.scheduler: expected a table"),
        ("scheduler-address: 10.0.0.1", "scheduler-address: expected such as tcp://"),
        ("scheduler-file: nosuch.json", "nosuch.json does not exist"),
        ("jobqueue: {slurm: {}, pbs: {}}", "expected one queue; found slurm, pbs"),
        ("jobqueue: {slrum: {}}", "has no key 'slrum'; did you mean 'slurm'"),
        ("jobqueue: {slurm: {}}", "jobqueue.slurm: cores is missing"),
    ],
)
def test_load_profile__refuses_files(tmp_path, content, message):
    with pytest.raises(OptionError, match=message) as error:
        load_profile(write(tmp_path, content))
    assert "mine.yaml" in str(error.value) or "nosuch.json" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": None}, "memory is missing: .* such as memory: 4GiB"),
        ({"walltime": None}, 'walltime is missing: .* such as walltime: "04:00:00"'),
        ({"memory": "4"}, "each process .* MiB; expected such as 4GiB"),
        ({"memory": "lots"}, "'lots' is not an amount of memory"),
        ({"cores": 1.5}, "cores: expected a whole number"),
        ({"processes": 2}, "2 processes would share 1 cores"),
        ({"walltime": 43200}, "found the number 43200: write the time in quotes"),
        ({"walltime": "4h"}, "'4h' is not a wall time of slurm"),
        ({"walltime": "00:00:00"}, "no time at all"),
        ({"job-extra-directives": "--qos=long"}, "expected a list such as"),
        ({"worker-extra-args": ["--lifetime", "5h"]}, "workers live up to 18000 s .* after 14400 s"),
        ({"worker-extra-args": ["--lifetime", "soon"]}, "--lifetime 'soon' is not a time"),
        ({"env-extra": []}, "has no key 'env-extra'"),
        ({"jobs": None}, "scanlink.jobs is missing: say how many"),
        ({"jobs": 0}, "at least 1"),
        ({"jobs": {"minimum": 5, "maximum": 2}}, r"found \{'maximum': 2, 'minimum': 5\}"),
        ({"jobs": {"max": 5}}, "has no key 'max'; did you mean 'maximum'"),
        ({"array": {"scheduler": "there"}}, "expected 'here' .* found 'there'"),
        ({"array": {"scheduler": {"memory": "4GiB"}}}, 'walltime: "24:00:00"'),
        ({"array": {"scheduler": "here", "size": 1}}, "at least the number of jobs, 2; found 1"),
        ({"array": {"schedule": "here"}}, "did you mean 'scheduler'"),
    ],
)
def test_load_profile__refuses_options(tmp_path, changes, message):
    with pytest.raises(OptionError, match=message):
        load_profile(slurm(tmp_path, **changes))


def test_load_profile__completes_what_a_scan_needs(tmp_path):
    profile = load_profile(slurm(tmp_path, cores=4, memory="16GiB"))
    options = profile.options
    assert options["processes"] == 4
    assert options["job_extra_directives"] == ["--no-requeue"]
    assert "NUMBA_NUM_THREADS=1" in options["job_script_prologue"][0]
    assert options["worker_extra_args"][0] == "--lifetime"
    assert options["scheduler_options"] == {"dashboard_address": "127.0.0.1:0"}
    assert profile.config["distributed.scheduler.allowed-failures"] == 20
    assert profile.jobs == Jobs(2, 2)


def test_load_profile__keeps_what_is_said(tmp_path):
    said = {
        "job-extra-directives": ["--requeue"],
        "job-script-prologue": ["module load python", "export " + " ".join(f"{name}_THREADS=2" for name in THREADS)],
        "worker-extra-args": ["--lifetime", "1h", "--lifetime-stagger", "10m"],
        "name": "mine",
    }
    options = load_profile(slurm(tmp_path, **said)).options
    assert options["job_extra_directives"] == said["job-extra-directives"]
    assert options["job_script_prologue"] == said["job-script-prologue"]
    assert options["worker_extra_args"] == said["worker-extra-args"]
    assert options["job_name"] == "mine"


def test_load_profile__derives_the_wall_time_from_a_lifetime(tmp_path):
    said = {"walltime": None, "worker-extra-args": ["--lifetime", "50m", "--lifetime-stagger", "5m"]}
    assert load_profile(slurm(tmp_path, **said)).options["walltime"] == "01:00:00"


def test_load_profile__warns_of_powers_of_ten(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        load_profile(slurm(tmp_path, memory="16GB"))
    assert "memory: 16GB are powers of ten, 14.9 GiB, which the queue is given rounded: write 16GiB" in caplog.text


def test_load_profile__takes_overrides(tmp_path):
    path = slurm(tmp_path, cores=4, memory="16GiB")
    assert load_profile(path, n_workers=9).jobs == Jobs(3, 3)
    assert load_profile(path, jobs={"maximum": 9}).jobs == Jobs(0, 9)
    assert load_profile(path, queue="short").options["queue"] == "short"
    with pytest.raises(OptionError, match=r"cluster.client has no key 'queu'; did you mean 'queue'"):
        load_profile(path, queu="short")


def test_load_profile__finds_names_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert load_profile("slurm").path == shipped_profiles() / "slurm.yaml"
    assert load_profile("local").path is None
    for folder in ("config/scanlink", "cluster_configs"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("slurm.yaml", "local.yaml"):
            write(tmp_path / folder, {"local": {"n_workers": 1}}, name)
        for name in ("slurm", "local"):
            path = load_profile(name).path
            assert path is not None
            assert path.resolve() == tmp_path / folder / f"{name}.yaml"
    assert load_profile("none").path is None


def test_load_profile__hands_settings_of_workers_to_their_jobs(tmp_path):
    content = {"jobqueue": {"slurm": SLURM}, "scanlink": {"jobs": 1}}
    settings = {"worker": {"memory": {"terminate": False}}, "nanny": {"environ": {"A": "b c"}}}
    prologue = load_profile(write(tmp_path, {**content, "distributed": settings})).options["job_script_prologue"]
    assert "export DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE=False" in prologue
    environment = dict(word.partition("=")[::2] for line in prologue for word in shlex.split(line)[1:])
    with dask.config.set(dask.config.collect_env(environment)):
        assert dask.config.get("distributed.nanny.environ") == {"A": "b c"}


def test_load_profile__fills_in_the_environment_as_dask_does(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB", "mylab")
    path = slurm(tmp_path, account="$LAB", **{"local-directory": "${TMPDIR:-/tmp}"})
    options = load_profile(path).options
    assert options["account"] == "mylab"
    # For the shell of the job.
    assert options["local_directory"] == "${TMPDIR:-/tmp}"
