"""What is made of a finished run folder: its page, and its tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from scanlink.errors import OptionError
from scanlink.io.exports import Format, export
from scanlink.io.formats import keeps_tables
from scanlink.io.opening import suffix_of
from scanlink.io.uns import copy_with_tables
from scanlink.pipeline.experiment import Experiment
from scanlink.pipeline.experiments import EXPERIMENTS, experiment_with
from scanlink.report.folder import Run, annotation_of, read_options, read_run
from scanlink.report.page import write_page
from scanlink.tl.analysis import Analysis

__all__ = ["experiment_in", "export_run", "write_report"]

_IN_BROWSER = ("bedpe", "interact", "biginteract")
_SUFFIX = {"bedpe": "bedpe", "interact": "interact", "biginteract": "bed", "scent": "txt", "capstone": "csv"}


def write_report(folder: Path, *, rows: int = 5_000) -> Path:
    """Write report.html and the pictures in plots/ from what lies in a run folder.

    Parameters
    ----------
    folder
        Run folder of a run that has come to its first table.
    rows
        Most rows in the tables that can be searched.

    Returns
    -------
    pathlib.Path
        report.html in the folder. It holds all that it shows, and asks nothing of a network.

    Raises
    ------
    InputError
        If the folder holds no results, or a file in it is damaged.
    RunError
        If the folder cannot be written.
    """
    return write_page(Path(folder), experiment_in(Path(folder)).analyses, rows=rows)


def experiment_in(folder: Path) -> Experiment:
    """Tell which experiment a run folder is of.

    Tables of another run may stand in it still: its options decide, or a table where they are lost.
    """
    sections = [name for name, section in read_options(folder / "config.yaml").items() if section is not None]
    tables = [path.stem for path in folder.glob("*.parquet")]
    return experiment_with(sections or tables)


def export_run(
    folder: Path,
    format: str,
    *,
    out: Path | None = None,
    fdr: float | None = None,
    genes: Path | None = None,
    data: Path | None = None,
) -> list[Path]:
    """Write the links and enhancer pairs of a run for another program; of a screen its target-gene pairs.

    Formats are those of :func:`scanlink.io.export`; of a screen only ``bedpe``, ``interact`` and ``biginteract``.
    ``out`` is the folder of the files, by default ``exports/`` in the run folder; of format ``h5mu`` it may be a file.
    Without ``fdr``, BEDPE and interact have the links below the rate of the run and every tested pair of enhancers, the
    others every row. ``genes`` is an annotation, by default that of the run, if it is still there; what it lacks is
    placed by the distances of the links. ``data`` is the file that ``h5mu`` copies, by default the input of the run, if
    that is one file.
    """
    chosen, experiment = format.lower(), experiment_in(folder)
    run = read_run(folder, experiment.analyses)
    target = out if out is not None else folder / "exports"
    written: list[Path] = []
    for analysis in _with_format(experiment, chosen, format, run):
        if chosen == "h5mu":
            return [_into_data(run, target, data, fdr)]
        export_of, table = analysis.export, analysis.table.name
        assert export_of is not None
        in_browser = chosen in _IN_BROWSER
        alpha = float(run.section(analysis.level).get("alpha", 0.1))
        written += export(
            export_of.rows(run),
            target / f"{table}.{_SUFFIX.get(chosen, chosen)}",
            format=cast(Format, chosen),
            genes=annotation_of(run, genes) if in_browser else None,
            fdr=alpha if fdr is None and in_browser and export_of.called_only else fdr,
            one_based=bool(run.section("input").get("one_based", False)),
            track=f"{run.folder.resolve().name} {table}",
        )
    return written


def _with_format(experiment: Experiment, chosen: str, format: str, run: Run) -> list[Analysis]:
    """List the analyses of a run that have a format and a table; an error names what the format is for."""
    exported = [analysis for analysis in experiment.analyses if analysis.export is not None]
    having = [analysis for analysis in exported if analysis.export and chosen in analysis.export.formats]
    if not having and experiment is EXPERIMENTS[-1]:
        # Which formats there are, says the function that writes them.
        return exported[:1]
    if not having:
        other = EXPERIMENTS[-1]
        titles = " and ".join(a.section.title.lower() for a in other.analyses if a.export is not None)
        formats = ", ".join(name for analysis in exported if analysis.export for name in analysis.export.formats)
        raise OptionError(
            f"format {format!r} is for {titles} of {other.words}, and {run.folder} is the run of {experiment.words}: "
            f"expected {formats}, which show its {exported[0].table.row}"
        )
    present = [analysis for analysis in having if analysis.table.name in run.tables]
    if not present:
        raise OptionError(
            f"format {format!r} is for {having[0].table.row}, which this run has not: add {having[0].name}: to run.yaml"
        )
    return present


def _into_data(run: Run, target: Path, data: Path | None, fdr: float | None) -> Path:
    source = data if data is not None else run.section("input").get("path")
    if source is None or not keeps_tables(source):
        raise OptionError(
            "format 'h5mu' copies a .h5mu or .h5ad file and adds the tables; the input of this run is none: name one "
            "with --data, or use sl.io.add_tables in Python"
        )
    tables = {
        name: table if fdr is None or "fdr" not in table else table[table["fdr"] < fdr]
        for name, table in run.tables.items()
    }
    path = target if keeps_tables(target) else target / f"results{suffix_of(source)}"
    return copy_with_tables(source, path, tables)
