"""What lies in a run folder, read for a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from scanlink.errors import InputError
from scanlink.io.genes import read_genes
from scanlink.io.opening import reading
from scanlink.io.parquet import read_shared

__all__ = ["Options", "Run", "annotation_of", "read_options", "read_record", "read_run", "read_table"]

_NEEDED = {
    "links": ("group", "gene", "peak", "beta", "p_value", "fdr", "status"),
    "epistasis": ("group", "gene", "enhancer_1", "enhancer_2", "beta_interaction", "p_value", "fdr", "status"),
    "heterogeneity": ("gene", "enhancer_1", "enhancer_2", "n_groups", "interaction", "p_heterogeneity", "fdr"),
    "enhancer_pairs": ("group", "gene", "enhancer_1", "enhancer_2"),
}


class Options:
    """What a run has of sections of options."""

    options: dict[str, Any]

    def section(self, name: str) -> dict[str, Any]:
        """A section of the options, or an empty one."""
        found = self.options.get(name)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Run(Options):
    """Tables, options and record of a run; what the run did not leave is None or empty.

    Attributes
    ----------
    folder
        The run folder.
    links
        links.parquet.
    enhancer_pairs, epistasis, heterogeneity
        Of the second half of the pipeline, where it was asked for.
    options
        config.yaml, or the options of provenance.json.
    record
        provenance.json.
    """

    folder: Path
    links: pd.DataFrame
    enhancer_pairs: pd.DataFrame | None = None
    epistasis: pd.DataFrame | None = None
    heterogeneity: pd.DataFrame | None = None
    options: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def alpha(self) -> float:
        """False discovery rate below which a tested pair is a link."""
        return float(self.section("links").get("alpha", 0.1))

    @property
    def epistasis_alpha(self) -> float:
        """False discovery rate below which a pair of enhancers is said to interact."""
        return float(self.section("epistasis").get("alpha", 0.1))


def read_run(folder: Path) -> Run:
    """Read the tables, options and record of a run folder.

    Parameters
    ----------
    folder
        Run folder of a run that has come to its links.

    Raises
    ------
    InputError
        If the folder holds no links, or a file is damaged; names it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder that was named with --out")
    links = read_table(folder, "links", _NEEDED["links"])
    if links is None:
        raise InputError(
            f"{folder} holds no links.parquet: the run has not come to its links yet (scanlink status {folder.name} "
            "says how far it is), or this is no run folder"
        )
    record = read_record(folder / "provenance.json")
    later = {name: read_table(folder, name, needed) for name, needed in _NEEDED.items() if name != "links"}
    return Run(
        folder=folder,
        links=links,
        options=read_options(folder / "config.yaml") or record.get("options", {}),
        record=record,
        **later,
    )


def annotation_of(run: Options, path: Path | None = None) -> pd.DataFrame | None:
    """Read the genes that a run used, or those of another file.

    Parameters
    ----------
    run
        Whose options name the annotation.
    path
        Another file to take.

    Returns
    -------
    pandas.DataFrame or None
        None where the run had a table of pairs instead, or its file is no longer there.
    """
    if path is not None:
        return read_genes(path)
    given = run.section("genes")
    if given.get("gencode") is not None:
        from scanlink.io.gencode import fetch_gencode

        return read_genes(fetch_gencode(given["gencode"]))
    if given.get("path") and Path(given["path"]).is_file():
        return read_genes(given["path"])
    return None


def read_table(folder: Path, name: str, needed: Sequence[str]) -> pd.DataFrame | None:
    """A table of a run folder, None where it is not there.

    Raises
    ------
    InputError
        If it is damaged, or lacks a column that is needed.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        return None
    with reading(path, f"the table {name} of a run"):
        table = read_shared(path)
    if absent := [column for column in needed if column not in table]:
        raise InputError(f"{path}: no column {', '.join(absent)}; the next run in this folder writes it anew")
    return table


def read_options(path: Path) -> dict[str, Any]:
    """The options of a config.yaml, none where it is not there.

    Raises
    ------
    InputError
        If it is damaged.
    """
    if not path.is_file():
        return {}
    with reading(path, "the options of a run"):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{path}: a table of options was expected; the next run in this folder writes it anew")
    return found


def read_record(path: Path) -> dict[str, Any]:
    """The record of a provenance.json, an empty one where it is not there.

    Raises
    ------
    InputError
        If it is damaged.
    """
    if not path.is_file():
        return {}
    with reading(path, "the record of a run"):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{path}: a record was expected; delete it, the next run in this folder writes it anew")
    return found
