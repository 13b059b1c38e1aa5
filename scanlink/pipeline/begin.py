"""A run.yaml for some files: which of them is what, and which column of the cells may say what they are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.errors import InputError, OptionError, ScanlinkError, first_few
from scanlink.io.assays import Assay
from scanlink.io.formats import FORMATS, TABLES, read_table, stays_on_disk
from scanlink.io.inputs import open_input
from scanlink.io.opening import existing_file, suffix_of
from scanlink.options import section_model
from scanlink.pipeline.experiment import Experiment, InputFiles
from scanlink.pipeline.experiments import EXPERIMENTS
from scanlink.pipeline.template import template
from scanlink.pp.groups import type_columns

__all__ = ["begin"]

_GENES = (".gtf", ".bed")
# Words in a file's name that tell what it holds, in the order in which they are looked for.
_WORDS = {
    "guides": r"guides|library|protospacer",
    "guide": r"guide|grna|crispr",
    "atac": r"atac|peak",
    "rna": r"rna|gex|gene|expression",
    "cells": r"cells|meta|obs|barcode|annot",
}


def begin(files: Sequence[str | os.PathLike[str]], folder: Path) -> tuple[str, list[str]]:
    """Write the text of a run.yaml in a folder for these files; also give what was found, one text a line.

    One file has both modalities, or each its own; further ones are a GTF or BED file of genes, a table of cells, of a
    screen a table of guides. Which they are is told from suffixes, and where these do not tell, from words in names.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_dir():
            existing_file(path, "counts, a table of cells, or an annotation")
    kinds: dict[str, Path] = {}
    for path in paths:
        kind = _kind(path, paths)
        if kind in kinds:
            raise OptionError(
                f"{kinds[kind]} and {path} both look like {kind}: give one of them, or write run.yaml by hand"
            )
        kinds[kind] = path
    experiment, cells = _experiment(kinds)
    named = {kind: os.path.relpath(path.resolve(), folder.resolve()) for kind, path in kinds.items()}
    files_of = {kind: name for kind, name in named.items() if kind != "genes"}
    values: dict[str, Any] = {"input": files_of["path"] if list(files_of) == ["path"] else files_of}
    values["genes"] = named.get("genes", {"gencode": 44})
    inputs = _inputs(experiment)
    words = {kind: field.description for kind, field in inputs.model_fields.items()} | {"genes": "the annotation"}
    found = [f"{path}: {words[kind]}" for kind, path in kinds.items()]
    columns = type_columns(cells, by_name=True)
    if columns:
        values["groups"] = {"by": columns[0]}
        others = f"; it could also be {', '.join(columns[1:])}" if columns[1:] else ""
        found.append(f"groups are those of column {columns[0]!r}, {cells[columns[0]].nunique()} of them{others}")
    else:
        found.append("no column says which cells belong together: all are one group. Add one, and name it in groups.by")
    if "genes" not in named:
        found.append(
            "no annotation was given: genes are those of GENCODE 44 (human, GRCh38). For others name a GTF file"
        )
    # A section that tells which experiment it is.
    first = experiment.analyses[0]
    values[first.name] = {"formula": first.options.model_fields["formula"].default}
    head = (
        f"# A run of {experiment.words}, by scanlink init. Look at it, then scanlink check and run it.\n"
        "# Paths are relative to this file. What begins with # is the default, and may be left out.\n\n"
    )
    return head + template(experiment.options, values), found


def _kind(path: Path, paths: Sequence[Path]) -> str:
    """Tell which key of a run.yaml a file belongs to."""
    suffix = suffix_of(path)
    if suffix in _GENES:
        return "genes"
    rows = [row for row in FORMATS if (path.is_dir() and not row.suffixes) or suffix in row.suffixes]
    if not rows and suffix not in TABLES:
        raise InputError(
            f"{path}: unknown suffix {suffix!r}; expected {', '.join(_GENES)} for genes, and for counts and tables "
            f"{', '.join(dict.fromkeys([one for row in FORMATS for one in row.suffixes] + list(TABLES)))}"
        )
    told = next((kind for kind, words in _WORDS.items() if re.search(words, path.name.lower())), None)
    whole = any(row.whole is not None for row in rows)
    matrix = any(row.matrix is not None for row in rows)
    if whole and (not matrix or told not in ("rna", "atac", "guide") or _is_only_matrix(path, paths)):
        return "path"
    if told is None:
        raise OptionError(
            f"{path}: neither suffix nor name tells what it holds. Expected one of the words rna, atac, guide, cells, "
            "guides in the name of a matrix or table: rename it, or write run.yaml by hand"
        )
    return told


def _is_only_matrix(path: Path, paths: Sequence[Path]) -> bool:
    """Tell whether no other file is a matrix of its kind."""
    return sum(suffix_of(other) == suffix_of(path) for other in paths) == 1


def _experiment(kinds: dict[str, Path]) -> tuple[Experiment, pd.DataFrame]:
    """Find the experiment whose modalities the files have, and the metadata of its cells, without reading counts."""
    problems: dict[str, list[str]] = {}
    for experiment in EXPERIMENTS:
        inputs = _inputs(experiment)
        if not set(kinds) - {"genes"} <= set(inputs.model_fields):
            continue
        if "path" not in kinds:
            if set(inputs.modalities) <= set(kinds):
                return experiment, _table(kinds)
            continue
        try:
            return experiment, _metadata(experiment.assay, inputs, kinds)
        except ScanlinkError as error:
            problems.setdefault(str(error), []).append(f"as {experiment.words}")
    raise InputError(
        "; ".join(f"{' and '.join(words)}: {problem}" for problem, words in problems.items())
        or f"{first_few([str(path) for path in kinds.values()])} ({', '.join(kinds)}) are no whole input. Expected one "
        "file with both modalities, or a file each: rna and atac, or rna and guide"
    )


def _inputs(experiment: Experiment) -> type[InputFiles]:
    """Give the model of an experiment's input."""
    inputs = section_model(experiment.options.model_fields["input"].annotation)
    assert inputs is not None
    assert issubclass(inputs, InputFiles)
    return inputs


def _metadata(assay: Assay, inputs: type[InputFiles], kinds: dict[str, Path]) -> pd.DataFrame:
    """Read all that one file with both modalities, and a table of cells, say of the cells."""
    fields = inputs.model_fields
    whole, table = open_input(
        assay,
        kinds["path"],
        None,
        None,
        cells=kinds.get("cells"),
        barcode=None,
        names={},
        keys={name: fields[f"{name}_key"].default for name in inputs.modalities},
        layer=None,
        backed=stays_on_disk(kinds["path"]),
    )
    parts = [part for part in (table, whole.obs, whole.rna.obs, whole.second.obs) if part is not None]
    joined = pd.concat(parts, axis=1, join="inner")
    return joined.loc[:, ~joined.columns.duplicated()]


def _table(kinds: dict[str, Path]) -> pd.DataFrame:
    """Read the table of cells beside two matrices, if there is one."""
    return read_table(kinds["cells"]) if "cells" in kinds else pd.DataFrame()
