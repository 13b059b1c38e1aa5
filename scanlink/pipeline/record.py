"""The record of a run: what was computed, from what, with what, and at what cost."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from scanlink import __version__
from scanlink.files import replace_file
from scanlink.io.formats import names_beside
from scanlink.pipeline.outcome import Outcome
from scanlink.run import RunStats, peak_mib

__all__ = ["SCHEMA", "changes", "checksum", "describe_inputs", "read_record", "versions", "write_record"]

T = TypeVar("T")

# Of provenance.json; 1 was that of version 0.1.0.
SCHEMA = 2

# Smaller files are hashed in a second.
_BIG = 2**28
_TICK_NS = 2_000_000_000

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


def describe_inputs(paths: Iterable[str | None], *, known: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Path, size, time and checksum of each input that was given, and of the tables of names beside an ``.mtx``.

    Each has ``path``, ``bytes``, ``sha256``, and of files ``modified_ns``, ``inode`` and ``looked_ns``, when this was
    looked at (ns since 1970). The checksum of a file of more than 256 MiB is taken from ``known``, what an earlier call
    gave, if path, size, time of change and number on the disk (inode) are the same.
    """
    named = [Path(path) for path in paths if path is not None]
    # Names of an .mtx are found beside it, so they are input like the rest.
    beside = [other for path in named for other in names_beside(path)]
    found = list(dict.fromkeys([*named, *beside]))
    before = {str(entry.get("path")): entry for entry in known}
    return [_describe(path, before.get(str(path), {})) for path in found if path.exists()]


def _describe(path: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    if path.is_dir():
        return {"path": str(path), "bytes": None, "sha256": checksum(path)}
    stat, now = path.stat(), time.time_ns()
    entry = {"path": str(path), "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "inode": stat.st_ino}
    same = all(before.get(name) == entry[name] for name in ("bytes", "modified_ns", "inode"))
    # A file may change twice within one tick of its clock.
    settled = same and before.get("looked_ns", 0) - stat.st_mtime_ns > _TICK_NS
    known = before.get("sha256") if stat.st_size > _BIG and settled else None
    return {**entry, "looked_ns": now, "sha256": known if isinstance(known, str) else checksum(path)}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what differs between two records of what a store was made from, one text a file or option.

    They hold ``inputs`` as of :func:`describe_inputs`, and sections of options by name.
    """
    found = []
    files = [{entry["path"]: entry for entry in record.get("inputs", ())} for record in (before, now)]
    for path in dict.fromkeys([*files[0], *files[1]]):
        old, new = files[0].get(path), files[1].get(path)
        if old is None or new is None:
            found.append(f"{path} {'was not among the files' if old is None else 'is no longer among the files'}")
        elif old["sha256"] != new["sha256"]:
            found.append(f"{path} was {_shown(old)} and is {_shown(new)}")
    for section in dict.fromkeys([*before, *now]):
        old, new = before.get(section), now.get(section)
        if section == "inputs" or old == new:
            continue
        if not (isinstance(old, dict) and isinstance(new, dict)):
            found.append(f"{section} was {old!r} and is {new!r}")
            continue
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name):
                found.append(f"{section}.{name} was {old.get(name)!r} and is {new.get(name)!r}")
    return found


def _shown(entry: Mapping[str, Any]) -> str:
    if "modified_ns" not in entry:
        return f"another folder (checksum {entry['sha256'][:12]})"
    changed = datetime.fromtimestamp(entry["modified_ns"] / 1e9, UTC).isoformat(sep=" ", timespec="seconds")
    return f"{entry['bytes']:,} bytes of {changed} (checksum {entry['sha256'][:12]})"


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the packages that results depend on."""
    found = {"scanlink": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def read_record(path: Path) -> dict[str, Any]:
    """Read a record such as provenance.json; what cannot be read is an empty one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_record(outcome: Outcome, *, options: Mapping[str, Any], inputs: list[dict[str, Any]]) -> None:
    """Write provenance.json, whole or not at all; options are those of the run, as JSON."""
    named = {analysis.name: outcome.sections[analysis.name] for analysis in outcome.analyses}
    called = {
        analysis.table.name: len(outcome.called(analysis))
        for analysis in outcome.analyses
        if "fdr" in outcome.tables.get(analysis.table.name, ())
    }
    record = {
        "schema": SCHEMA,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "platform": {"system": platform.platform(), "machine": platform.machine()},
        "versions": versions(),
        "options": options,
        "seeds": {name: section.seed for name, section in named.items() if hasattr(section, "seed")},
        "plans": _by_group(outcome.plans),
        "inputs": inputs,
        "seconds": {stage: round(value, 3) for stage, value in outcome.seconds.items()},
        "peak_memory_mib": {
            "driver": round(peak_mib(), 1),
            "worker": round(max((stats.peak_mib for stats in outcome.all_stats), default=0.0), 1),
        },
        "blocks": {
            name: {group: _blocks(stats) for group, stats in own.items()}
            for name, own in _by_group(outcome.stats).items()
        },
        "statuses": {name: _statuses(table) for name, table in outcome.tables.items() if "status" in table},
        "called": called,
        "not_followed": _by_group(outcome.not_followed),
    }
    text = json.dumps(record, indent=1, default=str) + "\n"
    replace_file(outcome.folder / "provenance.json", lambda temporary: temporary.write_text(text))


def _by_group(values: Mapping[str, Mapping[str, T]]) -> dict[str, dict[str, T]]:
    return {name: {group or "all": value for group, value in own.items()} for name, own in values.items()}


def _blocks(stats: RunStats) -> dict[str, Any]:
    return {
        "all": stats.n_blocks,
        "found_finished": stats.n_found,
        "computed": stats.n_computed,
        "core_seconds": round(stats.task_seconds, 3),
        "damaged": stats.damaged,
        "failed": stats.failed,
    }


def _statuses(table: pd.DataFrame) -> dict[str, Any]:
    """Count the rows of each status; of a screen, of each kind of rows."""
    if "kind" in table:
        kinds = table.groupby("kind", sort=False)
        return {str(kind): _statuses(rows.drop(columns="kind")) for kind, rows in kinds}
    return {str(status): int(number) for status, number in table["status"].value_counts().items()}
