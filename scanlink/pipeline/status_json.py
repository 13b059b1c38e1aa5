"""How far a run is, for programs: one table of values whose keys stay as they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from scanlink.pipeline.arrivals import arrivals_in
from scanlink.pipeline.experiments import ANALYSES
from scanlink.pipeline.follow import FOLLOWED
from scanlink.pipeline.record import read_record
from scanlink.pipeline.status import plans_in
from scanlink.run import Plan, held_by
from scanlink.tl.analysis import Analysis

__all__ = ["SCHEMA", "status_of"]

# Keys may be added within a schema; none is taken away or means something else.
SCHEMA = 1


def status_of(folder: Path) -> dict[str, Any]:
    """Give what ``scanlink status --json`` prints; docs/pipelines.md says what each key is."""
    plans, holder = plans_in(folder), held_by(folder)
    state, arrivals = arrivals_in(folder, driver=None if holder is None else holder[0])
    record = read_record(folder / "provenance.json")
    return {
        "schema": SCHEMA,
        "folder": str(folder.resolve()),
        "state": "running" if holder is not None else "finished" if state == "finished" else "stopped",
        "prepared": (folder / "pairs.parquet").is_file(),
        "analyses": [_analysis(one, folder, plans) for one in ANALYSES if _is_asked(one, folder, plans)],
        "tables": arrivals,
        "finished": record.get("written"),
        "seconds": record.get("seconds", {}),
    }


def _is_asked(analysis: Analysis, folder: Path, plans: dict[str, list[Plan]]) -> bool:
    return bool(plans[analysis.name]) or (folder / f"{analysis.table.name}.parquet").is_file()


def _analysis(analysis: Analysis, folder: Path, plans: dict[str, list[Plan]]) -> dict[str, Any]:
    """Say how far an analysis is: blocks of its plans by group, the table, and what was set aside."""
    path = folder / f"{analysis.table.name}.parquet"
    groups = [group for plan in plans[analysis.name] for group in _groups(plan)]
    return {
        "name": analysis.name,
        "table": path.name,
        "is_there": path.is_file(),
        "blocks": sum(group["blocks"] for group in groups),
        "done": sum(group["done"] for group in groups),
        "groups": groups,
        "not_followed": _reasons(analysis, plans),
        "failed": [failure for plan in plans[analysis.name] for failure in _failures(plan)],
        "drivers": [driver for plan in plans[analysis.name] for driver in _drivers(plan)],
    }


def _groups(plan: Plan) -> list[dict[str, Any]]:
    present = plan.parts.present()
    numbers = [[block.number for block in plan.blocks if block.group == one] for one in range(len(plan.group_names))]
    return [
        {"group": name, "plan": plan.folder.name, "blocks": len(own), "done": len(present.intersection(own))}
        for name, own in zip(plan.group_names, numbers, strict=True)
    ]


def _reasons(follower: Analysis, plans: dict[str, list[Plan]]) -> dict[str, str]:
    """Say of each group from which nothing of an analysis followed why."""
    files = [plan.folder / FOLLOWED for every in plans.values() for plan in every]
    told = [read_record(file).get(follower.name, {}) for file in files]
    return {group: about["reason"] for groups in told for group, about in groups.items() if "reason" in about}


def _failures(plan: Plan) -> list[dict[str, Any]]:
    files = sorted(plan.folder.glob("failed*.json"))
    return [
        {"plan": plan.folder.name, "block": int(number), "reason": about["reason"]}
        for file in files
        for number, about in read_record(file).items()
    ]


def _drivers(plan: Plan) -> list[dict[str, Any]]:
    """Give what the drivers of a plan last wrote of themselves, and how many seconds ago."""
    files = sorted(plan.folder.glob("progress*.json"))
    return [
        {"plan": plan.folder.name, "age": round(max(0.0, time.time() - file.stat().st_mtime), 1), **read_record(file)}
        for file in files
    ]
