"""One row a queue, and nothing of a queue elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

import scanlink
from scanlink.cluster import load_profile
from scanlink.cluster.jobqueue import import_jobqueue, job_script
from scanlink.cluster.profile_files import queue_keys
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.submit import driver_job, submit
from scanlink.errors import OptionError

# Slurm has more than a row: arrays, chains and most of the doctor are for it alone.
BUT_SLURM = sorted(set(SCHEDULERS) - {"slurm"})


def options(name: str) -> dict[str, object]:
    needs = {key: int(value) if value.isdigit() else value for key, value in SCHEDULERS[name].needs}
    return {**needs, **({} if SCHEDULERS[name].walltime is None else {"walltime": "04:00"})}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers__are_what_dask_jobqueue_says_of_them(name):
    base = getattr(import_jobqueue(), SCHEDULERS[name].dask_class).job_cls
    assert SCHEDULERS[name].section == base.config_name
    assert SCHEDULERS[name].submit == base.submit_command
    assert {key for key, _ in SCHEDULERS[name].needs} <= queue_keys(name)
    assert ("walltime" in queue_keys(name)) == (SCHEDULERS[name].walltime is not None)


@pytest.mark.filterwarnings("ignore:OAR Job memory reserved resources")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers__each_has_a_job_script_and_a_message(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"jobqueue": {name: options(name)}, "scanlink": {"jobs": 1}}))
    profile = load_profile(path)
    script = job_script(name, profile.options, scheduler="tcp://127.0.0.1:8786", name="worker")
    assert "distributed.cli.dask_worker" in script
    assert (SCHEDULERS[name].no_requeue or "") in script
    if name != "slurm":
        with pytest.raises(OptionError, match=f"for {name}.*directives of {SCHEDULERS[name].submit}"):
            submit(driver_job(tmp_path / "run", cluster=str(path)), lambda path: None)


def test_schedulers__no_other_file_names_a_queue_but_slurm():
    package = Path(scanlink.__file__).parent
    named = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in BUT_SLURM:
                named.add(str(path.relative_to(package)))
    assert named == {"cluster/schedulers.py"}
