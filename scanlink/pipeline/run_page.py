"""The page of a run folder, from the declarations of its analyses."""

from __future__ import annotations

from pathlib import Path

from scanlink.pipeline.experiment import Experiment
from scanlink.pipeline.experiments import experiment_with
from scanlink.report.folder import read_options
from scanlink.report.page import write_page

__all__ = ["experiment_in", "write_report"]


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

    Parameters
    ----------
    folder
        Run folder. Tables of another run may stand in it still: its options decide, or a table where they are lost.
    """
    sections = [name for name, section in read_options(folder / "config.yaml").items() if section is not None]
    tables = [path.stem for path in folder.glob("*.parquet")]
    return experiment_with(sections or tables)
