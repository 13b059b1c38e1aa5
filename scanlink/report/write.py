"""One offline HTML file that tells what a run was asked, what it tested, and what came out."""

from __future__ import annotations

import shlex
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import yaml

from scanlink import __version__
from scanlink.report import words
from scanlink.report.counts import GroupCounts, count_groups, present_statuses
from scanlink.report.folder import Run, read_run
from scanlink.report.methods import methods_of
from scanlink.report.pictures import Picture, draw
from scanlink.report.rows import ResultTable, result_table
from scanlink.run import replace_file
from scanlink.run.progress import duration

__all__ = ["write_report"]

# Rows that stand in the page before its script has run, and where there is none.
_PLAIN = 25


def write_report(folder: Path, *, rows: int = 5_000) -> Path:
    """Write report.html and the pictures in plots/ from what lies in a run folder.

    Parameters
    ----------
    folder
        Run folder of a run that has come to its links.
    rows
        Most rows in the tables that can be searched.

    Returns
    -------
    pathlib.Path
        report.html in the folder. It holds all that it shows, and asks nothing of a network.

    Raises
    ------
    InputError
        If the folder holds no links, or a file in it is damaged.
    RunError
        If the folder cannot be written.
    """
    run = read_run(Path(folder))
    page = _template().render(_context(run, rows))
    path = run.folder / "report.html"
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def _template() -> jinja2.Template:
    texts = files("scanlink.report") / "page"
    loader = jinja2.FunctionLoader(lambda name: (texts / name).read_text(encoding="utf-8"))
    surroundings = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    surroundings.filters |= {"count": "{:,}".format, "sign": _sign, "duration": duration}
    return surroundings.get_template("page.html.j2")


def _sign(text: str) -> str:
    """A number in the typography of the page: with a true minus, and commas in whole numbers."""
    shown = f"{int(text):,}" if text.lstrip("-").isdigit() else text
    return shown.replace("-", "−")


def _context(run: Run, rows: int) -> dict[str, Any]:
    links = count_groups(run.links, alpha=run.alpha)
    pairs = [] if run.epistasis is None else count_groups(run.epistasis, alpha=run.epistasis_alpha)
    pictures = draw(run)
    tables = {"links": result_table(run.links, alpha=run.alpha, most=rows)}
    if run.epistasis is not None:
        tables["epistasis"] = result_table(run.epistasis, alpha=run.epistasis_alpha, most=rows)
    return {
        "run": run,
        "name": run.folder.resolve().name,
        "version": __version__,
        "asked": words.asked(run.options),
        "options": yaml.safe_dump(run.options, sort_keys=False, allow_unicode=True) if run.options else "",
        "links": _stage(links),
        "epistasis": _stage(pairs),
        "heterogeneity": _heterogeneity(run),
        "pictures": {
            section: _rows([picture for picture in pictures if picture.section == section])
            for section in ("links", "epistasis", "heterogeneity")
        },
        "tables": {name: _table(table, name, run) for name, table in tables.items()},
        "status_words": words.STATUS,
        "fdr_words": words.FDR_WORDS,
        "record": _record(run),
        "methods": methods_of(run),
    }


def _rows(pictures: list[Picture]) -> list[tuple[Picture, str]]:
    """Pictures and their place in rows of two: "wide", "alone" in its row, or "" beside another."""
    found: list[tuple[Picture, str]] = []
    left = False
    for number, picture in enumerate(pictures):
        following = pictures[number + 1] if number + 1 < len(pictures) else None
        if picture.wide:
            place, left = "wide", False
        elif left:
            place, left = "", False
        else:
            left = following is not None and not following.wide
            place = "" if left else "alone"
        found.append((picture, place))
    return found


def _stage(groups: list[GroupCounts]) -> dict[str, Any]:
    statuses = present_statuses(groups)
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


def _table(table: ResultTable, name: str, run: Run) -> dict[str, Any]:
    return {
        "id": name,
        "columns": table.columns,
        "first": table.rows[:_PLAIN],
        "n_rows": len(table.rows),
        "n_tested": table.n_tested,
        "n_called": table.n_called,
        "groups": table.groups,
        "file": f"{name}.parquet",
        "alpha": run.alpha if name == "links" else run.epistasis_alpha,
        "data": {
            "columns": [{"key": column.key, "kind": column.kind} for column in table.columns],
            "rows": table.rows,
            "called": table.n_called,
        },
    }


def _heterogeneity(run: Run) -> dict[str, Any] | None:
    table = run.heterogeneity
    if table is None:
        return None
    alpha = run.epistasis_alpha
    differing = table[(table["fdr"] < alpha).to_numpy(dtype=bool)]
    top = table.sort_values("p_heterogeneity", kind="stable").head(_PLAIN)
    return {"n": len(table), "differing": len(differing), "alpha": alpha, "top": top.to_dict("records")}


def _record(run: Run) -> dict[str, Any]:
    record = run.record
    later = record.get("epistasis", {})
    failed = {
        f"block {number} of the scan": reason for number, reason in record.get("blocks", {}).get("failed", {}).items()
    }
    for group, blocks in later.get("groups", {}).items():
        for number, reason in blocks.get("failed", {}).items():
            failed[f"block {number} of the enhancer pairs of {group}"] = reason
    seeds = {name: run.section(name).get("seed") for name in ("scan", "epistasis")}
    return {
        "there": bool(record),
        "written": _when(record.get("written")),
        "command": shlex.join(map(str, record.get("command", []))),
        "platform": " ".join(str(value) for value in record.get("platform", {}).values()),
        "versions": record.get("versions", {}),
        "inputs": record.get("inputs", []),
        "seconds": record.get("seconds", {}),
        "memory": record.get("peak_memory_mib", {}),
        "blocks": record.get("blocks", {}),
        "failed": failed,
        "not_followed": later.get("not_followed", {}),
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
    }


def _when(written: Any) -> str:
    try:
        return datetime.fromisoformat(str(written)).strftime("%-d %B %Y, %H:%M %Z")
    except ValueError:
        return ""
