"""Parts that the pages of all kinds of runs have: pictures in rows, counts, tables that can be searched, the record."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import yaml

from scanlink import __version__
from scanlink.report.counts import GroupCounts, present_statuses
from scanlink.report.pictures import Picture
from scanlink.report.rows import ResultTable
from scanlink.report.words import STATUS

__all__ = ["arranged", "frame", "record_of", "searchable", "stage"]

# Rows that stand in the page before its script has run, and where there is none.
PLAIN = 25
# Letters above which names of groups and genes are broken into lines.
_WRAPPED = 18


def frame(run: Any, asked: list[tuple[str, str]]) -> dict[str, Any]:
    """What every page has: its name, what was asked, and all options.

    Parameters
    ----------
    run
        With ``folder`` and ``options``.
    asked
        Headings and sentences.
    """
    return {
        "run": run,
        "name": run.folder.resolve().name,
        "version": __version__,
        "asked": asked,
        "options": yaml.safe_dump(run.options, sort_keys=False, allow_unicode=True) if run.options else "",
    }


def arranged(pictures: Iterable[Picture], section: str) -> list[tuple[Picture, str]]:
    """Pictures of a section and their place in rows of two: "wide", "alone" in its row, or "" beside another."""
    own = [picture for picture in pictures if picture.section == section]
    found: list[tuple[Picture, str]] = []
    left = False
    for number, picture in enumerate(own):
        following = own[number + 1] if number + 1 < len(own) else None
        if picture.wide:
            place, left = "wide", False
        elif left:
            place, left = "", False
        else:
            left = following is not None and not following.wide
            place = "" if left else "alone"
        found.append((picture, place))
    return found


def stage(groups: list[GroupCounts], *, known: Iterable[str] = STATUS) -> dict[str, Any]:
    """Counts of groups, and their sums."""
    statuses = present_statuses(groups, known=known)
    totals = {status: sum(group.statuses.get(status, 0) for group in groups) for status in statuses}
    return {
        "groups": groups,
        "statuses": statuses,
        "totals": totals,
        "asked": sum(group.asked for group in groups),
        "tested": totals.get("ok", 0),
        "called": sum(group.called for group in groups),
        "up": sum(group.up for group in groups),
        "down": sum(group.down for group in groups),
        "failed": totals.get("failed", 0),
    }


def searchable(
    table: ResultTable, name: str, *, alpha: float, filter_by: tuple[str, str] = ("Group", "all groups"), find: str
) -> dict[str, Any]:
    """A table for the page.

    Parameters
    ----------
    table
        Its rows.
    name
        Of its parquet file, without suffix.
    alpha
        False discovery rate below which a row is called.
    filter_by
        What its first column is, and what stands for all of them.
    find
        What can be searched for, in words.
    """
    longest = [max((len(row[number]) for row in table.rows), default=0) for number in range(len(table.columns))]
    cells = [
        "n" if column.kind != "text" else "long" if number < 2 and longest[number] > _WRAPPED else "peak"
        for number, column in enumerate(table.columns)
    ]
    return {
        "id": name,
        "columns": table.columns,
        "cells": cells,
        "first": table.rows[:PLAIN],
        "n_rows": len(table.rows),
        "n_tested": table.n_tested,
        "n_called": table.n_called,
        "groups": table.groups,
        "filter_by": filter_by,
        "find": find,
        "file": f"{name}.parquet",
        "alpha": alpha,
        "data": {
            "columns": [
                {"key": column.key, "kind": column.kind, "cell": cell}
                for column, cell in zip(table.columns, cells, strict=True)
            ],
            "rows": table.rows,
            "called": table.n_called,
        },
    }


def record_of(
    record: Mapping[str, Any], *, blocks: Mapping[str, Mapping[str, Any]], seeds: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of a run for the page.

    Parameters
    ----------
    record
        Contents of provenance.json.
    blocks
        Counts of blocks by what they are of, such as "the scan"; with ``failed``, reasons by number.
    seeds
        By section of the options; None are passed over.
    """
    failed = {
        f"block {number} of {what}": reason
        for what, counts in blocks.items()
        for number, reason in counts.get("failed", {}).items()
    }
    return {
        "there": bool(record),
        "written": _when(record.get("written")),
        "command": shlex.join(map(str, record.get("command", []))),
        "platform": " ".join(str(value) for value in record.get("platform", {}).values()),
        "versions": record.get("versions", {}),
        "inputs": record.get("inputs", []),
        "seconds": record.get("seconds", {}),
        "memory": record.get("peak_memory_mib", {}),
        "blocks": {what: counts for what, counts in blocks.items() if "all" in counts},
        "failed": failed,
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
    }


def _when(written: Any) -> str:
    try:
        return datetime.fromisoformat(str(written)).strftime("%-d %B %Y, %H:%M %Z")
    except ValueError:
        return ""
