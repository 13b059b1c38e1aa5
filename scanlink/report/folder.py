"""What lies in a run folder, read for a report, and its record in words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.errors import InputError, ScanlinkError
from scanlink.io.genes import read_genes
from scanlink.io.opening import reading
from scanlink.io.parquet import read_shared
from scanlink.plain_yaml import parse_yaml
from scanlink.pp.annotation import strip_version

if TYPE_CHECKING:
    from scanlink.report.sections import Analysis

__all__ = ["Run", "annotation_of", "describe_record", "read_options", "read_run"]

# Letters of the name of a gene in a picture that no table names.
_LONG = 20
# Schema of the records that can be read to the end, and numbers of blocks in them.
_SCHEMA = 2
_COUNTS = ("all", "found_finished", "computed")


@dataclass(frozen=True)
class Run:
    """Holds tables by name, options and record of a run; what the run did not leave is absent or empty.

    ``options`` are those of config.yaml, or else of provenance.json, whose contents are ``record``. ``gene_names`` is
    what stands for the names of genes in ``tables``, where these are for pictures.
    """

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    options: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    gene_names: Mapping[str, str] | None = None

    def section(self, name: str) -> dict[str, Any]:
        """Give a section of the options, or an empty one."""
        section = self.options.get(name)
        return section if isinstance(section, dict) else {}

    def not_followed(self, analysis: str) -> dict[str, str]:
        """Give the reasons why groups have no rows of an analysis, by group, or under ``all`` why it has no table."""
        reasons = self.record.get("not_followed", {})
        return dict(reasons.get(analysis, {})) if isinstance(reasons, dict) else {}

    @cached_property
    def annotation(self) -> pd.DataFrame | None:
        """Genes of the run, by the names that its tables have; None where its annotation is no longer there."""
        genes, names = annotation_of(self), self.gene_names
        if genes is None or names is None:
            return genes
        return genes.assign(gene=[names.get(gene, str(gene)[:_LONG].replace("$", r"\$")) for gene in genes["gene"]])

    @cached_property
    def symbols(self) -> dict[str, str]:
        """Names of genes by the identifiers that tables have; empty where they have none, or nothing is known."""
        columns = [table["gene"].drop_duplicates() for table in self.tables.values() if "gene" in table]
        names = pd.concat(columns).dropna().drop_duplicates().astype(str) if columns else pd.Series(dtype=object)
        if not names.str.match(r"ENS[A-Z]*\d").any():
            return {}
        with suppress(ScanlinkError):
            if (genes := self.annotation) is not None:
                known = genes.assign(gene_id=strip_version(genes["gene_id"])).drop_duplicates("gene_id")
                symbols = strip_version(names).map(known.set_index("gene_id")["gene"])
                return {name: symbol for name, symbol in zip(names, symbols, strict=True) if isinstance(symbol, str)}
        return {}

    def with_symbols(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the column ``symbol``, where the table names genes by identifiers."""
        return table.assign(symbol=table["gene"].map(self.symbols).fillna(table["gene"])) if self.symbols else table


def read_run(folder: Path, analyses: Sequence[Analysis]) -> Run:
    """Read a run folder that has come to the table of the first of its analyses.

    Raises InputError if it does not hold that table, or if a file is damaged; names it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder that was named with --out")
    needs: dict[str, Sequence[str]] = {}
    for analysis in analyses:
        needs |= {name: () for name in analysis.tables if name not in needs} | dict(analysis.section.needs)
    read = {name: _read_table(folder, name, columns) for name, columns in needs.items()}
    tables = {name: table for name, table in read.items() if table is not None}
    first = analyses[0].table
    if first.name not in tables:
        raise InputError(
            f"{folder} holds no {first.name}.parquet: the run has not come to its {first.called} yet (scanlink status "
            f"{folder.name} says how far it is), or this is no run folder"
        )
    record = _read_record(folder / "provenance.json")
    options = read_options(folder / "config.yaml") or record.get("options", {})
    return Run(folder, tables, options, record)


def annotation_of(run: Run, path: Path | None = None) -> pd.DataFrame | None:
    """Read the genes that a run used, or those of another file.

    None where the run had a table of pairs instead, or its file is no longer there.
    """
    if path is not None:
        return read_genes(path)
    genes = run.section("genes")
    if genes.get("gencode") is not None:
        from scanlink.io.gencode import fetch_gencode

        return read_genes(fetch_gencode(genes["gencode"]))
    if genes.get("path") and Path(genes["path"]).is_file():
        return read_genes(genes["path"])
    return None


def _read_table(folder: Path, name: str, needed: Sequence[str]) -> pd.DataFrame | None:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        return None
    with reading(path, f"the table {name} of a run"):
        table = read_shared(path)
    if absent := [column for column in needed if column not in table]:
        raise InputError(f"{path}: no column {', '.join(absent)}; the next run in this folder writes it anew")
    return table


def read_options(path: Path) -> dict[str, Any]:
    """Read the options of a config.yaml, none where it is not there; InputError if it is damaged."""
    wrong = "a table of options was expected; the next run in this folder writes it anew"
    return _read_mapping(path, "the options of a run", lambda text: parse_yaml(text, name=path.name).value, wrong)


def _read_record(path: Path) -> dict[str, Any]:
    wrong = "a record was expected; delete it, the next run in this folder writes it anew"
    return _read_mapping(path, "the record of a run", json.loads, wrong)


def _read_mapping(path: Path, what: str, load: Callable[[str], Any], wrong: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with reading(path, what):
        content = load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{path}: {wrong}")
    return content


def describe_record(run: Run, analyses: Sequence[Analysis]) -> dict[str, Any]:
    """Put the record of a run into words.

    ``there`` says whether there is a record, ``older`` whether some of it cannot be read.
    """
    record = run.record
    readable = record.get("schema") == _SCHEMA
    blocks = record.get("blocks", {}) if readable else {}
    told = {analysis.section.blocks: blocks[analysis.name] for analysis in analyses if analysis.name in blocks}
    seeds = {analysis.name: run.section(analysis.name).get("seed") for analysis in analyses}
    return {
        "there": bool(record),
        "older": bool(record) and not readable,
        "written": _when(record.get("written")),
        "command": shlex.join(map(str, record.get("command", []))),
        "platform": " ".join(str(value) for value in record.get("platform", {}).values()),
        "versions": record.get("versions", {}),
        "inputs": record.get("inputs", []),
        "seconds": record.get("seconds", {}),
        "memory": record.get("peak_memory_mib", {}),
        "blocks": {what: _sums(groups.values()) for what, groups in told.items() if groups},
        "failed": {
            f"block {number} of {what}" + ("" if group == "all" else f" of {group}"): reason
            for what, groups in told.items()
            for group, counts in groups.items()
            for number, reason in counts.get("failed", {}).items()
        },
        "seeds": {name: seed for name, seed in seeds.items() if seed is not None},
    }


def _sums(groups: Any) -> Mapping[str, int]:
    sums = {name: sum(counts.get(name, 0) for counts in groups) for name in _COUNTS}
    return sums | {name: sum(len(counts.get(name, ())) for counts in groups) for name in ("damaged", "failed")}


def _when(written: Any) -> str:
    try:
        return datetime.fromisoformat(str(written)).strftime("%-d %B %Y, %H:%M %Z")
    except ValueError:
        return ""
