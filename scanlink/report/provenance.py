"""The record of a run, for the page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from scanlink.report.folder import Run
from scanlink.report.sections import Analysis

__all__ = ["describe_record"]

# What this module can read all of.
_SCHEMA = 2
_COUNTS = ("all", "found_finished", "computed")


def describe_record(run: Run, analyses: Sequence[Analysis]) -> dict[str, Any]:
    """Put the record of a run into words.

    Parameters
    ----------
    run
        The run.
    analyses
        Its analyses.

    Returns
    -------
    dict
        ``there`` says whether there is a record, ``older`` whether some of it cannot be read.
    """
    record = run.record
    readable = record.get("schema") == _SCHEMA
    blocks = record.get("blocks", {}) if readable else {}
    told = {analysis.section.blocks: blocks[analysis.name] for analysis in analyses if analysis.name in blocks}
    seeds = {analysis.name: run.section(analysis.name).get("seed") for analysis in analyses}
    return {
        "there": bool(record),
        "older": bool(record) and not readable,
        "written": _when(record.get("written")),
        "command": shlex.join(map(str, record.get("command", []))),
        "platform": " ".join(str(value) for value in record.get("platform", {}).values()),
        "versions": record.get("versions", {}),
        "inputs": record.get("inputs", []),
        "seconds": record.get("seconds", {}),
        "memory": record.get("peak_memory_mib", {}),
        "blocks": {what: _sums(groups.values()) for what, groups in told.items() if groups},
        "failed": {
            f"block {number} of {what}" + ("" if group == "all" else f" of {group}"): reason
            for what, groups in told.items()
            for group, counts in groups.items()
            for number, reason in counts.get("failed", {}).items()
        },
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
    }


def _sums(groups: Any) -> Mapping[str, int]:
    sums = {name: sum(counts.get(name, 0) for counts in groups) for name in _COUNTS}
    return sums | {name: sum(len(counts.get(name, ())) for counts in groups) for name in ("damaged", "failed")}


def _when(written: Any) -> str:
    try:
        return datetime.fromisoformat(str(written)).strftime("%-d %B %Y, %H:%M %Z")
    except ValueError:
        return ""
