"""The commands that read a finished run folder: ``scanlink report`` and ``scanlink export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_commands"]

Folder = Annotated[Path, typer.Argument(help="Run folder.", metavar="DIR")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line.

    Parameters
    ----------
    app
        To which they are added.
    """
    app.command()(report)
    app.command()(export)


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
