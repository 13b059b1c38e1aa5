"""How far a run is, from what lies in its folder."""

from __future__ import annotations

import json
from pathlib import Path

from scanlink.errors import InputError
from scanlink.tl.plan import Plan

__all__ = ["describe"]


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
    plans = sorted(path.parent for path in folder.glob("parts/scan-*/plan.json"))
    if not plans and not (folder / "pairs.parquet").is_file():
        raise InputError(f"{folder} holds no run of scanlink: neither pairs.parquet nor parts/ is there")
    for path in plans:
        plan = Plan(path, folder / "store")
        parts, names = plan.parts, [group.name for group in plan.groups]
        done = {block.number for block in plan.blocks if parts.is_done(block)}
        lines.append(f"scan {path.name.removeprefix('scan-')}   {len(done)} of {len(plan.blocks)} blocks")
        for number, name in enumerate(names):
            mine = [block for block in plan.blocks if block.group == number]
            finished = sum(block.number in done for block in mine)
            lines.append(f"  {name:<24}{finished:>6} of {len(mine)}")
    lines.append(f"links             {_there(folder / 'links.parquet')}")
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


def _there(path: Path) -> str:
    return "there" if path.is_file() else "not yet"
