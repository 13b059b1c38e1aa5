"""Options in words: what all runs have, and what sections put their sentences together from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.p_values import PERMUTED_KINDS

__all__ = [
    "as_drawn",
    "bootstrap_beside",
    "common",
    "fdr_words",
    "file_name",
    "formula_words",
    "in_words",
    "inference_words",
    "share_words",
    "window_words",
]

_FDR = {"bh": "Benjamini and Hochberg", "by": "Benjamini and Yekutieli", "storey": "Storey"}
_SCOPES = {"group": "within each group", "all": "over all groups together", "gene": "within each gene of a group"}
_FAMILIES = {"poisson": "Poisson", "negbin": "negative binomial"}
_FILES = {"path": "", "rna": "RNA", "atac": "ATAC", "guide": "guides", "cells": "cells"}


def common(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say which data were read, whose genes, and which cells are analysed together; options as config.yaml has them.

    >>> for heading, text in common({"input": {"path": "data/x.h5mu"}, "groups": {"by": None}}):
    ...     print(f"{heading}: {text}")
    Data: x.h5mu
    Groups: all cells as one group
    """
    yield from in_words(options, ("Data", "input", _input), ("Genes", "genes", _genes))
    if (options.get("cells") or {}).get("query"):
        yield "Cells", f"those of which this is true: {options['cells']['query']}"
    yield from in_words(options, ("Groups", "groups", _groups))


def in_words(
    options: Mapping[str, Any], *parts: tuple[str, str, Callable[[Mapping[str, Any]], str]]
) -> Iterator[tuple[str, str]]:
    """Say what sections of the options ask for, a heading and a sentence each; those not there are passed over.

    A part is its heading, the name of its section, and the function that puts the section in words.
    """
    for heading, name, words in parts:
        section = options.get(name)
        if isinstance(section, Mapping):
            yield heading, words(section)


def _input(options: Mapping[str, Any]) -> str:
    files = [f"{words} {file_name(options[name])}".lstrip() for name, words in _FILES.items() if options.get(name)]
    text = ", ".join(files)
    if options.get("layer"):
        text += f"; counts from layer {options['layer']}"
    if options.get("one_based"):
        text += "; peak names count from 1"
    if options.get("guides"):
        text += f"; targets of guides from {file_name(options['guides'])}"
    return text


def _genes(options: Mapping[str, Any]) -> str:
    if options.get("gencode") is not None:
        return f"GENCODE release {options['gencode']}"
    return file_name(options.get("path"))


def _groups(options: Mapping[str, Any]) -> str:
    by, only = options.get("by"), options.get("only")
    if by is None:
        return "all cells as one group"
    if only is None:
        return f"every value of {by} is a group of its own"
    return f"by {by}, only {', '.join(map(str, only))}"


def file_name(path: Any) -> str:
    """Give the name of a file without its folder."""
    return Path(str(path)).name


def share_words(share: float) -> str:
    """Write a share in per cent; a line is not broken between a number and its unit."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def window_words(options: Mapping[str, Any]) -> str:
    """Say how far from a gene pairs are asked for, by ``window`` and ``anchor``.

    >>> window_words({"window": 500000, "anchor": "tss"})
    'within 500,000 bp of the transcription start'
    """
    anchor = {"body": "gene body", "tss": "transcription start"}.get(str(options.get("anchor")), "gene")
    return f"within {options.get('window', 0):,} bp of the {anchor}"


def formula_words(options: Mapping[str, Any]) -> str:
    """Say which regression is asked for, by ``family`` and ``formula``.

    >>> formula_words({"family": "negbin", "formula": "log(nUMI)"})
    "negative binomial regression of the gene's counts, covariates log(nUMI)"
    """
    family = _FAMILIES.get(str(options.get("family")), str(options.get("family", "Poisson")))
    return f"{family} regression of the gene's counts, covariates {options.get('formula', 'not recorded')}"


def as_drawn(options: Mapping[str, Any], table: pd.DataFrame | None) -> dict[str, Any]:
    """Give the options of a section without a ladder where a table has no replicate beside its p-values.

    Version 0.1.0 drew none beside them, whatever its options say, and with too few clusters none are drawn.
    """
    columns = [] if table is None else [name for name in table.columns if str(name).startswith("n_boot")]
    if table is None or not columns or not bootstrap_beside(options) or (table[columns] > 0).any(axis=None):
        return dict(options)
    return {**options, "ladder": "none"}


def bootstrap_beside(options: Mapping[str, Any]) -> bool:
    """Tell whether a section asks for the bootstrap beside another p-value."""
    return options.get("p_value") != "bootstrap" and (options.get("ladder") or "none") != "none"


def inference_words(options: Mapping[str, Any], *, interaction: bool = False) -> str:
    """Say which p-value and which standard errors the section of a test of counts asks for.

    >>> inference_words({"p_value": "bootstrap", "ladder": [[100, 0.1], [2500, None]], "seed": 1, "robust": "HC3"})
    'bootstrap of cells (replicates 100, on below 0.1; 2,500), seed 1; robust errors HC3'
    """
    name = str(options.get("p_value"))
    kind = PERMUTED_KINDS.get(name)
    text = name if kind is None else (kind.interaction if interaction else kind.effect).words
    ladder = options.get("ladder") or "none"
    boot = f"({_ladder_words(ladder)})" + (f", dispersion {options['theta']}" if "theta" in options else "")
    if name == "bootstrap":
        text += f" {boot}"
    elif name == "permutation":
        text += f" ({_ladder_words(options.get('permutations'), what='permutations')})"
    beside = bootstrap_beside(options)
    if beside:
        text += f"; beside it bootstrap of cells {boot}"
    if beside or (kind is not None and kind.resampled):
        text += f", seed {options.get('seed')}"
    text += f"; robust errors {options.get('robust')}"
    if options.get("cluster"):
        text += f", clustered by {options['cluster']}"
    if options.get("pseudocount"):
        text += f"; {options['pseudocount']:g} added to all counts"
    return text


def _ladder_words(ladder: Any, *, what: str = "replicates") -> str:
    if isinstance(ladder, str):
        return f"ladder {ladder}"
    stages = [f"{n:,}" + (f", on below {below:g}" if below is not None else "") for n, below in ladder or ()]
    return f"{what} " + "; ".join(stages)


def fdr_words(options: Mapping[str, Any]) -> str:
    """Say below which rate a row is called, and over what: by ``alpha``, ``method`` and, if there, ``scope``.

    >>> fdr_words({"alpha": 0.1, "method": "bh", "scope": "gene"})
    'false discovery rate below 0.1 (Benjamini and Hochberg, within each gene of a group)'
    """
    over = [_SCOPES.get(str(options["scope"]), str(options["scope"]))] if "scope" in options else []
    method = _FDR.get(str(options.get("method")), str(options.get("method", "")))
    return f"false discovery rate below {options.get('alpha', 0.1):g} ({', '.join([method, *over])})"
