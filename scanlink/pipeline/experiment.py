"""What an experiment is: a kind of run.yaml, how its files become counts and tables, and its analyses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from scanlink.options import GroupOptions, Options
from scanlink.store.store import Store
from scanlink.tl.analysis import Analysis, Given

__all__ = ["Experiment", "Prepared", "Run"]


class Run(Protocol):
    """What the options of every run have besides its input and its analyses."""

    @property
    def groups(self) -> GroupOptions:
        """Which cells are analysed together."""

    @property
    def cluster(self) -> str:
        """Where blocks are computed."""

    @property
    def report(self) -> bool:
        """Whether a finished run leaves report.html."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Give them as JSON."""


@dataclass(frozen=True)
class Prepared:
    """What files became.

    Attributes
    ----------
    store
        Counts of all cells.
    tables
        Tables by name, such as ``pairs``.
    inputs
        Path, size and checksum of every input, for the record.
    """

    store: Store
    tables: Mapping[str, pd.DataFrame]
    inputs: list[dict[str, Any]]


def _fields(options: Options) -> dict[str, Any]:
    return {name: getattr(options, name) for name in type(options).model_fields}


@dataclass(frozen=True)
class Experiment:
    """A kind of run.

    Attributes
    ----------
    words
        What its runs are of, in words.
    options
        Model of its run.yaml.
    prepare
        Called as ``prepare(options, folder)``: reads the files and writes store and tables, or finds them there.
    analyses
        Analyses that it may ask for, in the order of the page.
    slices
        Model of the options that slices of a run use.
    read_pairs
        Called with the path of a table of pairs that slices test; reads it.
    store_tables
        Called with the store of slices; gives the tables that it holds.
    sections
        Called with the options; gives them by the name of their section, those of analyses under their names.
    """

    words: str
    options: type[Options]
    prepare: Callable[[Any, Path], Prepared]
    analyses: tuple[Analysis, ...]
    slices: type[Options]
    read_pairs: Callable[[Path], pd.DataFrame]
    store_tables: Callable[[Store], dict[str, pd.DataFrame]] = lambda store: {}
    sections: Callable[[Any], dict[str, Any]] = _fields

    def given(self, options: Any, prepared: Prepared, folder: Path) -> Given:
        """Give what the analyses of a run go on.

        Parameters
        ----------
        options
            Options of the run.
        prepared
            What its files became.
        folder
            The run folder.
        """
        return Given(folder, self.sections(options), prepared.store, prepared.tables, options.groups, strict=False)

    def asked(self, sections: Mapping[str, Any]) -> list[Analysis]:
        """List the analyses whose section is there."""
        return [analysis for analysis in self.analyses if sections.get(analysis.name) is not None]
