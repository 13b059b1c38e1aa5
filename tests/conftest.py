"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from finished_runs import *  # noqa: F403 - its fixtures
from hypothesis import settings

# No test is a timer: how long an example takes says nothing of whether it is right. Tests that say how many examples
# they draw, because each is slow, keep to that by night, too.
settings.register_profile("every", deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("SCANLINK_HYPOTHESIS", "every"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold most slow tests, so that none is left for one process alone at the end."""
    slow = Counter(item.nodeid.split("::")[0] for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.nodeid.split("::")[0]])


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and reference results; where it is absent, tests that need it are skipped and say why."""
    folder = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data" / "NOTE.md").is_file():
        pytest.skip(f"reference data not found in {folder.name!r}: set SCANLINK_SHARED to the folder that holds data/")
    return folder / "data"
