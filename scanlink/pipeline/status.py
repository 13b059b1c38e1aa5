"""How far a run is, from what lies in its folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import yaml

from scanlink.errors import InputError
from scanlink.pipeline.fanout import FOLLOWED
from scanlink.run.progress import duration
from scanlink.tl.epistasis.rows import EpistasisPlan
from scanlink.tl.plan import PlanFiles
from scanlink.tl.scan.rows import Plan
from scanlink.tl.screen_rows import ScreenPlan

__all__ = ["describe"]

# Class of the plans, by the first word of their folders.
_KINDS: dict[str, type[PlanFiles]] = {"scan": Plan, "screen": ScreenPlan, "interactions": ScreenPlan}
# Seconds after which a driver that says nothing may be dead; set-aside blocks that are named.
_SILENT, _NAMED = 120.0, 5


def describe(folder: Path) -> list[str]:
    """Lines that say which stages are done, and how many blocks of each group.

    Parameters
    ----------
    folder
        Run folder, of a run that is going on, was stopped or is finished.

    Returns
    -------
    list of str
        To be printed.

    Raises
    ------
    InputError
        If the folder is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder that was named with --out")
    lines = [f"store and pairs   {_there(folder / 'pairs.parquet')}"]
    plans = {kind: sorted(path.parent for path in folder.glob(f"parts/{kind}-*/plan.json")) for kind in _KINDS}
    if not any(plans.values()) and not (folder / "pairs.parquet").is_file():
        raise InputError(f"{folder} holds no run of scanlink: neither pairs.parquet nor parts/ is there")
    for kind, kind_of in _KINDS.items():
        for path in plans[kind]:
            plan = kind_of(path, folder / "store")
            lines += _blocks(plan, kind)
            if isinstance(plan, Plan) and (path / FOLLOWED).is_file():
                lines += _followed(plan, folder)
    if _is_screen(folder):
        lines.append(f"screen            {_there(folder / 'screen.parquet')}")
        if (folder / "target_pairs.parquet").is_file():
            lines.append(f"interactions      {_there(folder / 'interactions.parquet')}")
    else:
        lines.append(f"links             {_there(folder / 'links.parquet')}")
        if any((path / FOLLOWED).is_file() for path in plans["scan"]):
            lines.append(f"enhancer pairs    {_there(folder / 'epistasis.parquet')}")
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


def _blocks(plan: PlanFiles, kind: str) -> list[str]:
    """How many blocks of a plan and of each of its groups are there, and what its driver said."""
    there, blocks, path = plan.parts.present(), plan.blocks, plan.folder
    lines = [f"{kind} {path.name.removeprefix(f'{kind}-')}   {len(there)} of {len(blocks)} blocks"]
    for number, group in enumerate(plan.groups):
        mine = [block for block in blocks if block.group == number]
        finished = sum(block.number in there for block in mine)
        lines.append(f"  {group.name:<24}{finished:>6} of {len(mine)}")
    for file in sorted(path.glob("progress*.json")):
        lines += _driver(file)
    for file in sorted(path.glob("failed*.json")):
        lines += _failures(file)
    return lines


def _is_screen(folder: Path) -> bool:
    """Whether the run in the folder is one of a screen, as its options say, or its table of guides before these."""
    try:
        options = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        options = None
    return "screen" in options if isinstance(options, dict) else (folder / "guides.parquet").is_file()


def _followed(plan: Plan, folder: Path) -> list[str]:
    """The enhancer pairs that follow from a scan, group by group."""
    try:
        said: dict[str, dict[str, Any]] = json.loads((plan.folder / FOLLOWED).read_text())
    except (OSError, ValueError):
        return []
    lines, files, failures, n_there, n_blocks = [], [], [], 0, 0
    for group in plan.groups:
        about = said.get(group.name, {})
        what = "no pairs" if about.get("pairs") == 0 else f"none: {about['reason']}" if "reason" in about else "not yet"
        if about.get("plan"):
            pairs = EpistasisPlan(plan.folder.parent / about["plan"], folder / "store")
            there, blocks = len(pairs.parts.present()), len(pairs.blocks)
            n_there, n_blocks = n_there + there, n_blocks + blocks
            what = f"{there:>6} of {blocks}, {about['pairs']:,} pairs"
            files += list(pairs.folder.glob("progress*.json"))
            failures += [line for file in sorted(pairs.folder.glob("failed*.json")) for line in _failures(file)]
        lines.append(f"  {group.name:<24}{what}")
    known = f", of {len(said)} of {len(plan.groups)} groups" if len(said) < len(plan.groups) else ""
    head = f"enhancer pairs of {plan.folder.name.removeprefix('scan-')}   {n_there} of {n_blocks} blocks{known}"
    # One driver computes all of them; the newest file says how far it is.
    newest = sorted(files, key=lambda file: file.stat().st_mtime)[-1:]
    return [head, *lines, *(line for file in newest for line in _driver(file)), *failures]


def _driver(file: Path) -> list[str]:
    """What a driver last wrote of itself."""
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
    try:
        failed = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    lines = [f"  block {number} was set aside: {failed[number]['reason']}" for number in list(failed)[:_NAMED]]
    return lines + ([f"  and {len(failed) - _NAMED} more, see {file}"] if len(failed) > _NAMED else [])


def _there(path: Path) -> str:
    return "there" if path.is_file() else "not yet"
