"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and reference results; where it is absent, tests that need it are skipped and say why."""
    folder = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data" / "NOTE.md").is_file():
        pytest.skip(f"reference data not found in {folder.name!r}: set SCANLINK_SHARED to the folder that holds data/")
    return folder / "data"
