"""The tables of small runs are what they were before: see digests.py, which runs more and compares every byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from digests import FROZEN, differences, run_all, write_input

# Those that differ most; `python tests/digests.py compare tests/digests.json` runs all.
RUNS = ("negbin", "all", "screen")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digests")
    write_input(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_run__leaves_the_numbers_that_it_left_before(name, project):
    frozen = {file: value for file, value in json.loads(FROZEN.read_text()).items() if file.split("/")[0] == name}
    # Bytes are those of one machine and of one version of the packages.
    assert list(differences(frozen, run_all(project, names=(name,)), exact=False)) == []
