"""Tables of groups as they come: left by a run as soon as a group is complete, and read by whoever follows it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.errors import InputError, RunError
from scanlink.files import replace_file
from scanlink.io.parquet import read_shared
from scanlink.pipeline.outcome import Outcome
from scanlink.pipeline.record import read_record
from scanlink.run import PartError, held_by
from scanlink.tables import write_table
from scanlink.tl.analysis import Analysis

__all__ = ["FOLDER", "Arrival", "Arrivals", "arrivals_in", "follow", "wait_for_arrivals"]

log = logging.getLogger("scanlink")

# Below the run folder: a table a group, and what is there so far.
FOLDER, LIST = "arrivals", "arrivals.json"
# Of the list.
SCHEMA = 1
# A driver on another host that has not touched its lock for so long, in seconds, is taken for dead.
_PATIENCE = 90.0

Arrival = dict[str, Any]


class Arrivals:
    """What a run has finished so far, analysis by analysis and group by group, for other processes to read."""

    def __init__(self, folder: Path, listener: Callable[[Arrival], object] | None = None) -> None:
        self._run, self._folder, self._listener = folder, folder / FOLDER, listener
        self._entries: dict[tuple[str, str], Arrival] = {}
        self._driver = ""

    def begin(self) -> None:
        """Forget what an earlier run left: its options may have been others."""
        holder = held_by(self._run)
        self._driver = "" if holder is None else holder[0]
        shutil.rmtree(self._folder, ignore_errors=True)
        self._write("running")

    def add(self, analysis: Analysis, group: str, make: Callable[[], pd.DataFrame]) -> None:
        """Write the table of a group; one that is altered meanwhile is left to the table of the run."""
        try:
            table = make()
        except PartError as error:
            log.debug("no early table of group %s: %s", group, error)
            return
        # Names of groups may hold what names of files cannot.
        path = self._folder / f"{analysis.table.name}-{len(self._entries) + 1:04d}.parquet"
        write_table(table, path)
        self._enter(analysis, group, len(table), path)
        self._write("running")

    def finish(self, outcome: Outcome) -> None:
        """Enter what did not come by itself: groups with blocks that failed, and tables that are made as a whole."""
        for analysis in outcome.analyses:
            table = outcome.tables.get(analysis.table.name)
            if table is not None:
                for group, rows in _groups(table):
                    if (analysis.name, group) not in self._entries:
                        self._enter(analysis, group, len(rows), self._run / f"{analysis.table.name}.parquet")
        self._write("finished")

    def _enter(self, analysis: Analysis, group: str, n_rows: int, path: Path) -> None:
        entry = {
            "analysis": analysis.name,
            "group": group,
            "table": analysis.table.name,
            "rows": n_rows,
            "file": os.fspath(path.relative_to(self._run)),
        }
        self._entries[analysis.name, group] = entry
        if self._listener is not None:
            self._listener(entry)

    def _write(self, state: str) -> None:
        self._folder.mkdir(exist_ok=True)
        said = {"schema": SCHEMA, "state": state, "driver": self._driver, "groups": list(self._entries.values())}
        text = json.dumps(said, indent=1)
        replace_file(self._folder / LIST, lambda temporary: temporary.write_text(text))


def _groups(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Cut a table into its groups; one that is not made by group is one of all."""
    if "group" not in table or not len(table):
        return [("all", table)]
    return [(str(group), rows) for group, rows in table.groupby("group", sort=False)]


def arrivals_in(folder: Path, *, driver: str | None = None) -> tuple[str, list[Arrival]]:
    """List what has come in a run folder, and tell whether the run is ``running``, ``finished`` or not there: ``""``.

    Of a finished run of a version that left no list, its tables tell. Where a driver, by its token, holds the folder,
    what another left before is not counted.
    """
    content = read_record(folder / FOLDER / LIST)
    if driver is not None and content.get("driver") != driver:
        return "", []
    if content.get("schema") == SCHEMA:
        return str(content["state"]), list(content["groups"])
    if not (folder / "provenance.json").is_file():
        return "", []
    # The page would come with it.
    from scanlink.pipeline.finished import experiment_in

    past, outcome = Arrivals(folder), Outcome(folder, list(experiment_in(folder).analyses))
    for analysis in outcome.analyses:
        path = folder / f"{analysis.table.name}.parquet"
        if path.is_file():
            outcome.tables[analysis.table.name] = read_shared(path)
    for name, table in outcome.tables.items():
        (analysis,) = (one for one in outcome.analyses if one.table.name == name)
        for group, rows in _groups(table):
            past._enter(analysis, group, len(rows), folder / f"{name}.parquet")
    return "finished" if past._entries else "", list(past._entries.values())


def wait_for_arrivals(folder: Path, *, wait: float, interval: float = 1.0) -> Iterator[Arrival]:
    """Yield what comes in a run folder, once each, until its run is finished; as :func:`follow` without the tables."""
    seen: set[tuple[str, str]] = set()
    last, touched, heard = held_by(folder), time.monotonic(), time.monotonic()
    while True:
        # Looked at before the list: what a driver that ends now has left is then in it.
        holder, now = held_by(folder), time.monotonic()
        if holder != last:
            last, touched = holder, now
        if holder is not None and now - touched < _PATIENCE:
            heard = now
        state, entries = arrivals_in(folder, driver=None if holder is None else holder[0])
        for entry in entries:
            if (entry["analysis"], entry["group"]) not in seen:
                seen.add((entry["analysis"], entry["group"]))
                yield entry
        if state == "finished":
            return
        if now - heard >= wait:
            came = f"{len(seen)} tables have come, and it is not finished" if state else "none has left anything here"
            raise RunError(
                f"no run is going on in {folder}: {came}. Start it, or go on with it, by the same scanlink run; "
                f"scanlink status {folder} tells how far it is"
            )
        time.sleep(interval)


def follow(
    folder: str | os.PathLike[str], *, wait: float = 60.0, interval: float = 1.0
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Give the tables of a run as they come: that of a group as soon as the group is complete.

    Parameters
    ----------
    folder
        Run folder, of a run that is going on, on this host or another, or is finished.
    wait
        Seconds that may pass without a run going on here: before it begins, and between the jobs of a chain.
    interval
        Seconds between two looks.

    Yields
    ------
    tuple
        Name of the analysis, such as ``scan``; name of the group, ``all`` for what is made of all groups at once; and
        the table, with the columns of the run's own. Rates that are taken over all groups are missing (NaN) until all
        are there; rows are the run's, so that what is wanted once more after the end is read from its tables.

    Raises
    ------
    InputError
        If the folder is a file, or a table in it cannot be read.
    RunError
        If no run has been going on here for ``wait`` seconds and none is finished.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for analysis, group, table in follow(folder, wait=0):
    ...         print(analysis, group, len(table))
    Traceback (most recent call last):
    scanlink.errors.RunError: no run is going on in ...: none has left anything here. Start it, ...
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, expected a run folder: give the folder that was named with --out")
    for entry in wait_for_arrivals(path, wait=wait, interval=interval):
        yield entry["analysis"], entry["group"], _read(path, entry)


def _read(folder: Path, entry: Arrival) -> pd.DataFrame:
    """Read the table of a group, from its own file or from that of all groups."""
    file = folder / entry["file"]
    try:
        table = read_shared(file)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({error}): the same scanlink run writes it anew; or another began in this folder"
        ) from error
    own = dict(_groups(table))
    return own.get(entry["group"], table).reset_index(drop=True)
