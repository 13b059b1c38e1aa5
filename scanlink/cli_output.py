"""What the command line says of a run, and the commands that read its folder: ``scanlink report`` and ``export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scanlink.pipeline.arrivals import Arrival
    from scanlink.pipeline.outcome import Outcome

__all__ = ["add_commands", "print_arrival", "tell"]

Folder = Annotated[Path, typer.Argument(help="Run folder.", metavar="DIR")]


def tell(outcome: Outcome) -> None:
    """Print what a run came to."""
    if not outcome.tables:
        print(f"store and pairs are in {outcome.folder}")
        return
    written = [analysis for analysis in outcome.analyses if analysis.table.name in outcome.tables]
    for analysis in written:
        table, reasons = outcome.tables[analysis.table.name], outcome.not_followed.get(analysis.name, {})
        rates = outcome.sections[analysis.level].model_dump() if analysis.level else {}
        for line in analysis.section.summary(table, rates, reasons):
            print(line)
    _print_blocks(outcome)
    for analysis in written:
        what = "table" if analysis is written[0] else analysis.section.title.lower()
        print(f"{what}: {outcome.folder / analysis.table.name}.parquet")
    if outcome.report is not None:
        print(f"report: {outcome.report}")


def _print_blocks(outcome: Outcome) -> None:
    stats, failures = outcome.all_stats, outcome.failures
    if n_blocks := sum(one.n_blocks for one in stats):
        found, computed = sum(one.n_found for one in stats), sum(one.n_computed for one in stats)
        total = outcome.seconds.get("total", 0)
        print(f"{n_blocks} blocks: {found} found finished, {computed} computed; {total:.1f} s in all")
    if damaged := sum(len(one.damaged) for one in stats):
        print(f"{damaged} parts were damaged and computed anew")
    if failures:
        first, number = failures[0], len(failures)
        print(
            f"{number} blocks failed again and again and were set aside; their pairs have the status 'failed'. "
            f"{first[0].upper()}{first[1:]}. The same command tries them again"
        )


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(status)
    app.command()(report)
    app.command()(export)


def print_arrival(entry: Arrival) -> None:
    """Print a line of tab-separated values about a table that has come: analysis, group, rows, file."""
    print(entry["analysis"], entry["group"], entry["rows"], entry["file"], sep="\t", flush=True)


def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, whose keys stay as they are.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print a line for the table of each group as it comes, until the end.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="With --follow: seconds that may pass without a run going on there.")
    ] = 60.0,
) -> None:
    """How far a run is, from any shell that sees its folder.

    With --follow: tab-separated analysis, group, rows and file (in the run folder) of each table, until the run ends;
    with --json as well, a JSON object a line.
    """
    if follow:
        from scanlink.pipeline.arrivals import wait_for_arrivals

        for entry in wait_for_arrivals(folder, wait=wait):
            print(json.dumps(entry), flush=True) if as_json else print_arrival(entry)
        return
    if as_json:
        from scanlink.pipeline.status_json import status_of

        print(json.dumps(status_of(folder), indent=1))
        return
    from scanlink.pipeline.status import describe

    print("\n".join(describe(folder)))


def report(
    folder: Folder,
    rows: Annotated[int, typer.Option(min=1, help="Most rows in the tables that can be searched.")] = 5_000,
) -> None:
    """Write report.html, one offline page, and its pictures from the tables of a run."""
    from scanlink.pipeline.finished import write_report

    print(write_report(folder, rows=rows))


def export(
    folder: Folder,
    format: Annotated[
        str, typer.Option("--format", "-f", help="bedpe, interact, biginteract, scent, capstone or h5mu.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the files; left out, exports/ in the run folder.")
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only rows below it; left out, for genome browsers links of the run's rate."),
    ] = None,
    genes: Annotated[Path | None, typer.Option(help="Annotation; left out, that of the run.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="For h5mu: the file that is copied; left out, the input of the run.")
    ] = None,
) -> None:
    """Write links and enhancer pairs, or target-gene pairs of a screen, for other programs."""
    from scanlink.pipeline.finished import export_run

    for path in export_run(folder, format, out=out, fdr=fdr, genes=genes, data=data):
        print(path)
