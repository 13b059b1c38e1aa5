"""`import scanlink` is fast, because what is heavy is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("distributed", "dask_jobqueue", "scanpy", "muon", "matplotlib", "statsmodels", "cryptography")


def loaded_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "code",
    [
        "import scanlink",
        "from scanlink import io, pp, ds, stats, tl, cluster",
        "import scanlink.cli, scanlink.pipeline.run, scanlink.pipeline.config",
        # What a worker imports, and a profile that is read.
        "import scanlink.run.compute",
    ],
)
def test_import__loads_nothing_heavy(code):
    assert loaded_after(code) == set()


def test_loaded_after__sees_what_is_loaded():
    assert loaded_after("import statsmodels") == {"statsmodels"}


def test_dir__shows_the_parts():
    import scanlink as sl

    assert {"io", "ds", "pp", "tl", "stats", "cluster"} <= set(dir(sl))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sl.nothing  # noqa: B018
