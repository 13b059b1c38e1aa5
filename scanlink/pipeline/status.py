"""How far a run is, from what lies in its folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from scanlink.errors import InputError, OptionError
from scanlink.pipeline.experiments import ANALYSES, experiment_with
from scanlink.pipeline.follow import FOLLOWED
from scanlink.pipeline.record import read_record
from scanlink.plain_yaml import read_yaml
from scanlink.run import Plan
from scanlink.run.progress import duration
from scanlink.tl.analysis import Analysis

__all__ = ["describe", "plans_in"]

# Seconds after which a driver that says nothing may be dead; set-aside blocks that are named.
_SILENT, _NAMED = 120.0, 5


def describe(folder: Path) -> list[str]:
    """Say which stages of a run, going on, stopped or finished, are done, and how many blocks of each group."""
    plans = plans_in(folder)
    lines = [f"store and pairs   {_is_there(folder / 'pairs.parquet')}"]
    for analysis in ANALYSES:
        if analysis.follows is None:
            for plan in plans[analysis.name]:
                lines += _blocks(plan, analysis.name)
                lines += [line for follower in ANALYSES for line in _followed(plan, follower)]
    lines += _tables(folder, plans)
    record = folder / "provenance.json"
    if record.is_file():
        try:
            content = json.loads(record.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{record} cannot be read ({error}): delete it; the next run in this folder writes it anew"
            ) from error
        took = content.get("seconds", {}).get("total")
        lines.append(f"last finished     {content['written']}" + ("" if took is None else f", {took:.0f} s"))
    return lines


def plans_in(folder: Path) -> dict[str, list[Plan]]:
    """Find the plans in a run folder, by analysis; InputError if it is none."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder that was named with --out")
    plans = {
        a.name: [Plan(path.parent) for path in sorted(folder.glob(f"parts/{a.name}-*/plan.json"))] for a in ANALYSES
    }
    if not any(plans.values()) and not (folder / "pairs.parquet").is_file():
        raise InputError(f"{folder} holds no run of scanlink: neither pairs.parquet nor parts/ is there")
    return plans


def _tables(folder: Path, plans: dict[str, list[Plan]]) -> list[str]:
    """Say of each table that was asked for whether it is there."""
    try:
        options = read_yaml(folder / "config.yaml", name="config.yaml").value
    except OptionError:
        options = None
    # Before options are written, what was prepared tells.
    sections = options if isinstance(options, dict) else {name: {} for name, found in plans.items() if found}
    lines = []
    asked = [name for name, section in sections.items() if section is not None]
    for number, analysis in enumerate(experiment_with(asked).analyses):
        path = folder / f"{analysis.table.name}.parquet"
        label = analysis.table.name if analysis.follows is None else analysis.section.title.lower()
        if number == 0 or sections.get(analysis.name) is not None or path.is_file():
            lines.append(f"{label:<18}{_is_there(path)}")
    return lines


def _blocks(plan: Plan, name: str) -> list[str]:
    """Say how many blocks of a plan and of each of its groups are there, and what its driver said."""
    present, blocks, path = plan.parts.present(), plan.blocks, plan.folder
    lines = [f"{name} {path.name.removeprefix(f'{name}-')}   {len(present)} of {len(blocks)} blocks"]
    for number, group in enumerate(plan.group_names):
        numbers = [block.number for block in blocks if block.group == number]
        lines.append(f"  {group:<24}{len(present.intersection(numbers)):>6} of {len(numbers)}")
    for file in sorted(path.glob("progress*.json")):
        lines += _driver(file)
    for file in sorted(path.glob("failed*.json")):
        lines += _failures(file)
    return lines


def _followed(plan: Plan, follower: Analysis) -> list[str]:
    """Say what follows from the groups of a plan, group by group."""
    content: dict[str, dict[str, Any]] | None = read_record(plan.folder / FOLLOWED).get(follower.name)
    if content is None:
        return []
    whole = content.get("all", {}).get("plan")
    if whole and "all" not in plan.group_names:
        return _blocks(Plan(plan.folder.parent / whole), follower.name)
    lines: list[str] = []
    files: list[Path] = []
    failures: list[str] = []
    n_there = n_blocks = 0
    for group in plan.group_names:
        about = content.get(group, {})
        what = f"none: {about['reason']}" if "reason" in about else "no pairs" if about.get("rows") == 0 else "not yet"
        if about.get("plan"):
            own = Plan(plan.folder.parent / about["plan"])
            present, blocks = len(own.parts.present()), len(own.blocks)
            n_there, n_blocks = n_there + present, n_blocks + blocks
            what = f"{present:>6} of {blocks}, {about['rows']:,} pairs"
            files += own.folder.glob("progress*.json")
            failures += [line for file in sorted(own.folder.glob("failed*.json")) for line in _failures(file)]
        lines.append(f"  {group:<24}{what}")
    n_groups = len(plan.group_names)
    some = f", of {len(content)} of {n_groups} groups" if len(content) < n_groups else ""
    fingerprint = plan.folder.name.rpartition("-")[2]
    head = f"{follower.table.row} of {fingerprint}   {n_there} of {n_blocks} blocks{some}"
    # One driver computes all of them; the newest file says how far it is.
    newest = sorted(files, key=lambda file: file.stat().st_mtime)[-1:]
    return [head, *lines, *(line for file in newest for line in _driver(file)), *failures]


def _driver(file: Path) -> list[str]:
    """Say what a driver last wrote of itself."""
    try:
        said, age = json.loads(file.read_text()), max(0.0, time.time() - file.stat().st_mtime)
    except (OSError, ValueError):
        return []
    name = file.stem.removeprefix("progress").removeprefix("-")
    job = f", job {said['job']}" if said.get("job") else ""
    who = f"driver{f' {name}' if name else ''}: process {said['pid']} on {said['host']}{job}"
    if said["state"] != "running":
        reason = f": {said['reason']}" if said.get("reason") else ""
        return [f"  {who}, {said['state']} {said['written']}{reason}"]
    # Written every ten seconds, but not while a single block is computed without workers.
    silent = "" if age < _SILENT else "; nothing heard since, it may have been killed: the same command goes on"
    left = said["seconds_left"]
    return [
        f"  {who}, running: {said['workers']} workers, {said['computed']} computed in {duration(said['seconds'])}, "
        + ("time left not known yet" if left is None else f"about {duration(left)} left")
        + f" (said {duration(age)} ago{silent})",
        *([f"  dashboard: {said['dashboard']}"] if said.get("dashboard") else []),
    ]


def _failures(file: Path) -> list[str]:
    failed = read_record(file)
    lines = [f"  block {number} was set aside: {failed[number]['reason']}" for number in list(failed)[:_NAMED]]
    return lines + ([f"  and {len(failed) - _NAMED} more, see {file}"] if len(failed) > _NAMED else [])


def _is_there(path: Path) -> str:
    return "there" if path.is_file() else "not yet"
