"""The tables of a run folder, written for other programs."""

from __future__ import annotations

import logging
from pathlib import Path

from scanlink.errors import InputError, OptionError, first_few
from scanlink.io.export import Format, export
from scanlink.io.files import suffix_of
from scanlink.io.uns import copy_with_tables
from scanlink.report.folder import Run, annotation_of, read_run
from scanlink.report.write import analyses_of
from scanlink.screen_options import ASKED
from scanlink.tl.screen.places import target_places

__all__ = ["export_run"]

log = logging.getLogger("scanlink")

_IN_BROWSER = ("bedpe", "interact", "biginteract")
_SUFFIX = {"bedpe": "bedpe", "interact": "interact", "biginteract": "bed", "scent": "txt", "capstone": "csv"}


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

    Parameters
    ----------
    folder
        Run folder.
    format
        As in :func:`scanlink.io.export`; of a screen only ``bedpe``, ``interact`` and ``biginteract``.
    out
        Folder of the files; None: ``exports/`` in the run folder. Of format ``h5mu`` it may be a file.
    fdr
        Only rows below this false discovery rate. None: in BEDPE and interact the links below the rate of the run, and
        every tested pair of enhancers; elsewhere every row.
    genes
        Annotation; None: that of the run, if it is still there. What it lacks is placed by the distances of the links.
    data
        Of format ``h5mu``: the file that is copied; None: the input of the run, if that is one file.

    Returns
    -------
    The files that were written.

    Raises
    ------
    InputError
        If the folder holds no links, or a peak is no interval.
    OptionError
        If the format does not exist, or there is no table for it.
    """
    chosen = format.lower()
    analyses = analyses_of(folder)
    run = read_run(folder, analyses)
    if analyses[0].name == "screen":
        return _of_screen(run, format, out=out, fdr=fdr, genes=genes)
    target = out if out is not None else folder / "exports"
    if chosen == "h5mu":
        return [_into_data(run, target, data, fdr)]
    tables = {name: run.tables.get(name) for name in ("links", "epistasis")}
    wanted = {"scent": ["links"], "capstone": ["epistasis"]}.get(chosen, list(tables))
    if "epistasis" not in run.tables and wanted == ["epistasis"]:
        raise OptionError(
            f"format {format!r} is for enhancer pairs, which this run has not: add epistasis: to run.yaml"
        )
    in_browser = chosen in _IN_BROWSER
    annotation = annotation_of(run, genes) if in_browser else None
    written = []
    for name in wanted:
        table = tables[name]
        if table is None:
            continue
        level = run.section("links").get("alpha", 0.1) if fdr is None and in_browser and name == "links" else fdr
        file = target / f"{name}.{_SUFFIX.get(chosen, chosen)}"
        written += export(
            table,
            file,
            format=_known(chosen),
            genes=annotation,
            fdr=level,
            one_based=bool(run.section("input").get("one_based", False)),
            track=f"{run.folder.resolve().name} {name}",
        )
    return written


def _of_screen(run: Run, format: str, *, out: Path | None, fdr: float | None, genes: Path | None) -> list[Path]:
    """Target-gene pairs below a rate, as links whose peak is the target."""
    chosen = format.lower()
    if chosen not in _IN_BROWSER:
        raise OptionError(
            f"format {format!r} is for links and enhancer pairs of multiome data, and {run.folder} is the run of a "
            f"screen: expected {', '.join(_IN_BROWSER)}, which show its target-gene pairs"
        )
    guides, screen = run.tables.get("guides"), run.tables["screen"]
    if guides is None or not {"chrom", "start", "end"} <= set(guides):
        raise InputError(f"{run.folder} holds no guides.parquet with chrom, start and end, which say where targets are")
    places = target_places(guides)
    table = screen[screen["kind"].isin(ASKED)]
    table = table.assign(peak=table["target"].map(places))
    lost = table.loc[table["peak"].isna(), "target"].unique()
    if len(lost):
        log.warning("%d targets have no place and are left out: %s", len(lost), first_few(lost))
    file = (out if out is not None else run.folder / "exports") / f"screen.{_SUFFIX.get(chosen, chosen)}"
    return export(
        table[table["peak"].notna()],
        file,
        format=_known(chosen),
        genes=annotation_of(run, genes),
        fdr=run.section("screen").get("alpha", 0.1) if fdr is None else fdr,
        track=f"{run.folder.resolve().name} screen",
    )


def _known(chosen: str) -> Format:
    return chosen  # type: ignore[return-value]  # export says which there are


def _into_data(run: Run, target: Path, data: Path | None, fdr: float | None) -> Path:
    source = data if data is not None else run.section("input").get("path")
    if source is None or suffix_of(source) not in (".h5mu", ".h5ad"):
        raise OptionError(
            "format 'h5mu' copies a .h5mu or .h5ad file and adds the tables; the input of this run is none: name one "
            "with --data, or use sl.io.add_tables in Python"
        )
    tables = {
        name: table if fdr is None or "fdr" not in table else table[table["fdr"] < fdr]
        for name, table in run.tables.items()
    }
    path = target if suffix_of(target) in (".h5mu", ".h5ad") else target / f"results{suffix_of(source)}"
    return copy_with_tables(source, path, tables)
