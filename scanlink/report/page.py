"""One offline HTML file that tells what a run was asked, what it tested, and what came out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from scanlink import __version__
from scanlink.files import replace_file
from scanlink.report.asked import as_drawn, common
from scanlink.report.counts import Counts, count_rows
from scanlink.report.folder import Run, describe_record, read_run
from scanlink.report.pictures import Drawn, draw, in_rows_of_two, legible, remove_old
from scanlink.report.references import Method, Reference, fdr_method, resolved
from scanlink.report.result import Result
from scanlink.report.result_rows import result_table, searchable
from scanlink.report.sections import Analysis
from scanlink.run.progress import duration
from scanlink.tables import FAILED, Column

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

__all__ = ["methods_of", "results_of", "write_page"]

_SYMBOL = Column("symbol", "text", "gene, by its name in the annotation of the run", "gene")
# The template of sections that have none of their own.
_SECTION = "section.html.j2"
# Colours of statuses in the stylesheet, beside that of what failed or is not known.
_TONES = 9


def write_page(folder: Path, analyses: Sequence[Analysis], *, rows: int = 5_000) -> Path:
    """Write report.html and the pictures in plots/ from what lies in the folder of a run.

    The run has come to the table of the first of ``analyses``, which stand in the order of the page; ``rows`` are the
    most in the tables that can be searched. The page holds all that it shows, and asks nothing of a network. Raises
    InputError as :func:`read_run` does, and RunError if the folder cannot be written.
    """
    folder = Path(folder)
    run = read_run(folder, analyses)
    results = results_of(run, analyses)
    pictures = _pictures(run, results)
    templates = _templates()
    sections = []
    for result in results:
        own = result.analysis.section.template
        template = templates.from_string(own.read_text(encoding="utf-8")) if own else templates.get_template(_SECTION)
        sections.append(template.render(_section(result, pictures.get(result.analysis.name, []), rows)))
    page = templates.get_template("base.html.j2").render(**_frame(run, results), sections=sections)
    path = folder / "report.html"
    remove_old(path, [drawn for own in pictures.values() for drawn in own])
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def results_of(run: Run, analyses: Sequence[Analysis]) -> list[Result]:
    """Give what each analysis left, its table as the page shows it."""
    results = []
    for analysis in analyses:
        table = run.tables.get(analysis.table.name)
        shown = None if table is None or table.empty else analysis.section.shown(run, table)
        results.append(Result(analysis, run, shown))
    return results


def methods_of(run: Run, results: Sequence[Result]) -> list[tuple[str, list[Reference]]]:
    """List what the run used, in the order in which it used it, and the publications that describe it."""
    version = run.record.get("versions", {}).get("scanlink", __version__)
    own = Reference(
        f"The scanlink developers. scanlink: enhancer-gene links from single-cell multiome data. Version {version}."
    )
    methods = []
    if run.section("genes").get("gencode") is not None:
        methods.append(Method("Genes of GENCODE", ("gencode",)))
    for result in results:
        if result.table is None:
            continue
        methods += result.analysis.section.methods(result)
        if level := run.section(result.analysis.level):
            methods.append(fdr_method(level))
    if str(run.options.get("cluster", "none")) != "none":
        methods.append(Method("Blocks of the analysis in parallel", ("dask",)))
    (what, data), *others = resolved([Method("All of the analysis, and data as MuData", ("mudata",)), *methods])
    return [(what, [own, *data]), *others]


def _pictures(run: Run, results: Sequence[Result]) -> dict[str, list[Drawn]]:
    """Draw the pictures of all analyses that tested something; their names are short, and the same in all."""
    told = {result.analysis.table.name: result.rows for result in results if result.table is not None}
    shown = legible(replace(run, tables={**run.tables, **told}))
    drawn = {}
    for result in results:
        if result.table is not None and len(result.tested):
            there = replace(result, run=shown, table=shown.tables[result.analysis.table.name])
            drawn[result.analysis.name] = [
                draw(picture, run.folder / "plots") for picture in result.analysis.section.pictures(there)
            ]
    return drawn


def _frame(run: Run, results: Sequence[Result]) -> dict[str, Any]:
    """Fill what surrounds the sections."""
    analyses = [result.analysis for result in results]
    tested = [result for result in results if result.tests]
    kinds = {
        name: kind
        for result in tested
        for name, kind in result.analysis.section.kinds.items()
        if (result.rows["kind"] == name).any()
    }
    return {
        "name": run.folder.resolve().name,
        "version": __version__,
        "record": describe_record(run, analyses),
        "leads": [result.analysis.section.lead(result) for result in results],
        "tiles": [tile for result in tested for tile in _tiles(result)],
        "failures": [(result.counts.failed, result.analysis.table.row) for result in tested if result.counts.failed],
        "nav": [anchor for result in results for anchor in _anchors(result)],
        "asked": list(_asked(run, analyses)),
        "options": yaml.safe_dump(run.options, sort_keys=False, allow_unicode=True) if run.options else "",
        "first": analyses[0].section.absent(run),
        "tested": [_statuses(result) for result in tested],
        "kinds": kinds.values(),
        "methods": methods_of(run, results),
    }


def _asked(run: Run, analyses: Sequence[Analysis]) -> Iterator[tuple[str, str]]:
    yield from common(run.options)
    for analysis in analyses if run.options else ():
        options, section = run.options, run.section(analysis.name)
        if section:
            options = options | {analysis.name: as_drawn(section, run.tables.get(analysis.table.name))}
        yield from tuple(analysis.section.asked(options)) or [(analysis.section.title, "not asked for")]


def _anchors(result: Result) -> Iterator[tuple[str, str]]:
    section = result.analysis.section
    yield result.analysis.table.name, section.title
    if result.table is not None:
        yield from section.anchors.items()


def _tiles(result: Result) -> Iterator[tuple[int, str]]:
    """Give the largest numbers of the page, and what they are."""
    table, counts = result.analysis.table, result.counts
    yield counts.tested, f"{table.row} tested of\N{NO-BREAK SPACE}{counts.asked:,}"
    if table.called:
        yield counts.called, f"{table.called} at FDR < {result.alpha:g}"
    expected = [(name, kind) for name, kind in result.analysis.section.kinds.items() if not kind.control][1:]
    for name, kind in expected:
        rows = int((result.asked["kind"] == name).sum())
        if rows:
            yield int((result.called["kind"] == name).sum()), f"of {rows:,} {kind.words}s called"


def _statuses(result: Result) -> dict[str, Any]:
    """Count what was asked for by group, or all rows by kind, and status."""
    table, by_kind = result.analysis.table, bool(result.analysis.section.kinds)
    counts = _count_kinds(result) if by_kind else result.counts
    order = list(table.statuses)
    tones = {
        status: FAILED if status == FAILED or status not in order else f"tone-{order.index(status) % _TONES}"
        for status in counts.totals
    }
    return {
        "title": result.analysis.section.title,
        "name": result.analysis.name,
        "row": table.row,
        "by": "kind" if by_kind else "group",
        "counts": counts,
        "tones": tones,
        "words": table.statuses,
        "none": not result.counts.tested,
    }


def _count_kinds(result: Result) -> Counts:
    """Count rows by kind, and by group where there are several, in the order of kinds."""
    kinds = result.analysis.section.kinds
    order = np.argsort(pd.Categorical(result.rows["kind"].astype(str), list(kinds)).codes, kind="stable")
    rows = result.rows.iloc[order]
    labels = rows["kind"].map({name: kind.words for name, kind in kinds.items()}).fillna(rows["kind"])
    if result.n_groups > 1:
        labels = labels + ", " + rows["group"].astype(str)
    # Cells are those of a group, whatever the kind.
    rows = rows.assign(group=labels).drop(columns="n_cells", errors="ignore")
    table = result.analysis.table
    return count_rows(rows, alpha=result.alpha, statuses=table.statuses, effect=table.effect)


def _section(result: Result, pictures: list[Drawn], rows: int) -> dict[str, Any]:
    """Fill the part of the page that tells of one analysis."""
    analysis, run = result.analysis, result.run
    context: dict[str, Any] = {
        "run": run,
        "result": result,
        "section": analysis.section,
        "table": analysis.table,
        "not_followed": {group: reason for group, reason in run.not_followed(analysis.name).items() if group != "all"},
    }
    if result.table is None:
        return context | {"absent": analysis.section.absent(run)}
    found = result_table(
        _named_kinds(result), _columns(result), effect=analysis.table.effect, alpha=result.alpha, most=rows
    )
    parts = ("", *analysis.section.anchors)
    return context | {
        "absent": "",
        "intro": analysis.section.intro(result),
        "facts": analysis.section.facts(result),
        "pictures": {part: in_rows_of_two(pictures, part) for part in parts},
        "found": searchable(found, analysis.table.name, alpha=result.alpha),
        "detectable": found.detectable,
    }


def _named_kinds(result: Result) -> pd.DataFrame:
    kinds = result.analysis.section.kinds
    if not kinds:
        return result.asked
    return result.asked.assign(kind=result.asked["kind"].replace({name: kind.words for name, kind in kinds.items()}))


def _columns(result: Result) -> list[Column]:
    """List the columns of the table that can be searched; one group goes without saying."""
    columns: list[Column] = []
    for wanted in result.analysis.section.columns:
        column = result.columns.get(wanted) if isinstance(wanted, str) else wanted
        if column is None or (column.name == "group" and result.n_groups == 1):
            continue
        if column.name == "gene" and _SYMBOL.name in result.rows:
            columns.append(_SYMBOL)
            column = replace(column, heading="gene id", help="gene, as the table calls it")
        columns.append(column)
    return columns


def _templates() -> jinja2.Environment:
    """Make what loads the shared templates by name, with the filters that all have."""
    import jinja2

    texts = files("scanlink.report") / "page"
    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (texts / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters |= {
        "code": _code,
        "count": "{:,}".format,
        "duration": duration,
        "number": _number,
        "percent": _percent,
        "sign": _sign,
    }
    return templates


def _code(text: str) -> Markup:
    """Show what stands between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))


def _sign(text: str) -> str:
    """Write a number in the typography of the page: with a true minus, and commas in whole numbers."""
    shown = f"{int(text):,}" if text.lstrip("-").isdigit() else text
    return shown.replace("-", "−")


def _number(value: float) -> str:
    """Write three digits; nothing where there is no number."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else "∞"
    return f"{value:,.0f}" if 1e3 <= value < 1e6 else _sign(f"{value:.3g}")


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
