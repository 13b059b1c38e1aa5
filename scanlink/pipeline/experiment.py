"""What an experiment is: a kind of run.yaml, how its files become counts and tables, and its analyses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import pandas as pd
from pydantic import Field, field_validator, model_validator

from scanlink.io.assays import Assay
from scanlink.options import File, GroupOptions, IsFile, Options
from scanlink.pp.query import parse_query
from scanlink.pp.survey import MITO_PREFIX
from scanlink.store.store import Store
from scanlink.tl.analysis import Analysis, Given

__all__ = ["CellOptions", "Experiment", "InputFiles", "Looked", "Prepared", "Run", "WholeRun", "fields_of"]


class CellOptions(Options):
    """Which cells are kept, of those that all files have."""

    query: str | None = Field(
        None, description='keeps the cells of which this is true, such as "percent.mito < 20 and doublet == False"'
    )

    @field_validator("query")
    @classmethod
    def _can_be_read(cls, query: str | None) -> str | None:
        if query is not None:
            parse_query(query)
        return query

    def sections(self) -> dict[str, Any]:
        """Give what the store depends on: nothing where all cells are kept as they are, so that earlier runs go on."""
        changed = self.model_dump(exclude_defaults=True)
        return {"cells": changed} if changed else {}


class Run(Protocol):
    """What the options of every run have besides its input and its analyses."""

    @property
    def cells(self) -> CellOptions:
        """Which cells are kept."""

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


def fields_of(options: Options) -> dict[str, Any]:
    """Give what options hold, by name."""
    return {name: getattr(options, name) for name in type(options).model_fields}


class WholeRun(Options):
    """A whole run, as run.yaml gives it: it has genes, or pairs from a file."""

    @model_validator(mode="after")
    def _genes_or_pairs(self) -> Self:
        sections = fields_of(self)
        if sections["genes"] is None and sections["pairs"].path is None:
            raise ValueError("give genes (a GTF or BED file, or {gencode: 44}) or pairs.path (a table of pairs)")
        return self


class InputFiles(Options):
    """Where the counts of two modalities are: one file with both, or one file each and a table of cells."""

    modalities: ClassVar[tuple[str, str]]

    path: File = Field(None, description="one file with both modalities")
    rna: File = Field(None, description="counts of genes")
    mito_prefix: str | tuple[str, ...] | None = Field(
        None, description="how names of mitochondrial genes begin; None tries MT-, mt-, mt: and the like"
    )

    @property
    def files(self) -> list[str]:
        """List every file that is named."""
        fields = type(self).model_fields.items()
        names = [getattr(self, name) for name, field in fields if any(isinstance(m, IsFile) for m in field.metadata)]
        return [name for name in names if name is not None]

    @property
    def prefix(self) -> str | tuple[str, ...]:
        """Give how names of mitochondrial genes begin."""
        return MITO_PREFIX if self.mito_prefix is None else self.mito_prefix

    def sections(self) -> dict[str, Any]:
        """Give what of these options decides what is read, by name; a prefix only where one is given."""
        reading = {"input": self.model_dump(exclude={"mito_prefix"})}
        prefix = self.model_dump(mode="json", include={"mito_prefix"})
        return reading if self.mito_prefix is None else {**reading, "qc": prefix}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        both, absent = " and ".join(self.modalities), [getattr(self, name) is None for name in self.modalities]
        if (self.path is None) == all(absent):
            raise ValueError(f"give either one path, or {both} (and cells)")
        if self.path is None and any(absent):
            raise ValueError(f"{both} are both needed")
        return self


@dataclass(frozen=True)
class Prepared:
    """What files became."""

    store: Store  # counts of all cells
    tables: Mapping[str, pd.DataFrame]  # by name, such as ``pairs``
    inputs: list[dict[str, Any]]  # path, size and checksum of each, for the record


@dataclass(frozen=True)
class Looked:
    """What is seen of files before their counts are read."""

    mdata: Any  # with names and metadata; counts stay on disk where the format lets them
    computed: tuple[str, ...]  # columns of cells that a run computes from the counts, unless they are there
    # Called when options and groups are known to be right: tables as of Prepared, of all features.
    tables: Callable[[], dict[str, pd.DataFrame]]
    components: tuple[str, ...] = ()  # columns of components of accessibility that it adds
    min_fraction: float = 0.0  # features that are non-zero in fewer cells are left out before pairs are made


@dataclass(frozen=True)
class Experiment:
    """A kind of run."""

    words: str  # what its runs are of
    assay: Assay  # what its files hold
    options: type[Options]  # model of its run.yaml
    # Called with options and run folder: reads the files and writes store and tables, or finds them there.
    prepare: Callable[[Any, Path], Prepared]
    look: Callable[[Any], Looked]  # called with options: opens the files, and computes nothing
    analyses: tuple[Analysis, ...]  # which it may ask for, in the order of the page
    slices: type[Options]  # model of the options that slices of a run use
    read_pairs: Callable[[Path], pd.DataFrame]  # reads the table of pairs that slices test
    store_tables: Callable[[Store], dict[str, pd.DataFrame]] = lambda store: {}  # tables that the store of slices holds
    sections: Callable[[Any], dict[str, Any]] = fields_of  # options by section; those of analyses under their names

    def given(self, options: Any, prepared: Prepared, folder: Path) -> Given:
        """Give what the analyses of a run go on."""
        return Given(folder, self.sections(options), prepared.store, prepared.tables, options.groups, strict=False)

    def asked(self, sections: Mapping[str, Any]) -> list[Analysis]:
        """List the analyses whose section is there."""
        return [analysis for analysis in self.analyses if sections.get(analysis.name) is not None]
