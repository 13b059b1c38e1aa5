"""The record of a run: what was computed, from what, with what, and at what cost."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scanlink import __version__
from scanlink.run import replace_file

__all__ = ["checksum", "describe_inputs", "versions", "write_record"]

_PACKAGES = (
    *("anndata", "bioframe", "dask", "distributed", "formulaic", "mudata", "muon", "numba", "numpy", "pandas"),
    *("pyarrow", "rdata", "scanpy", "scipy", "sparse"),
)


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode())
        with open(file, "rb") as handle:
            while piece := handle.read(2**22):
                digest.update(piece)
    return digest.hexdigest()


def describe_inputs(paths: Iterable[str | None]) -> list[dict[str, Any]]:
    """Path, size and checksum of each input that was given, and of the tables of names beside an ``.mtx``."""
    named = [Path(path) for path in paths if path is not None]
    # Names of an .mtx are found beside it, so they are input like the rest.
    beside = [
        other
        for path in named
        if path.name.endswith((".mtx", ".mtx.gz")) and path.is_file()
        for other in sorted(path.parent.iterdir())
        if other.name.removesuffix(".gz").endswith((".tsv", ".csv", ".txt"))
    ]
    found = list(dict.fromkeys([*named, *beside]))
    return [
        {"path": str(path), "bytes": path.stat().st_size if path.is_file() else None, "sha256": checksum(path)}
        for path in found
        if path.exists()
    ]


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the packages that results depend on."""
    found = {"scanlink": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def write_record(path: Path, **content: Any) -> None:
    """Write provenance.json, whole or not at all.

    Parameters
    ----------
    path
        The file.
    content
        What belongs to this run; versions, platform, command line and time are added.
    """
    record = {
        "schema": 1,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "platform": {"system": platform.platform(), "machine": platform.machine()},
        "versions": versions(),
        **content,
    }
    replace_file(path, lambda temporary: temporary.write_text(json.dumps(record, indent=1, default=str) + "\n"))
