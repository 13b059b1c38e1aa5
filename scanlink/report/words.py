"""Options and statuses in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FDR_WORDS", "P_VALUES", "STATUS", "asked", "formula_words", "genes_words", "groups_words", "ladder_words"]

# In the order of the table, with a sign of its own for each bar.
STATUS = {
    "ok": "tested",
    "gene_rare": "the gene is non-zero in too few cells of the group",
    "peak_rare": "the peak is open (or closed) in too few cells of the group",
    "too_few_11": "a state of the two enhancers has too few cells",
    "separated": "no count in some state: the effect is without bound",
    "collinear": "the covariates leave nothing to estimate",
    "not_converged": "the fit did not converge",
    "too_few_cells": "the group has too few cells",
    "too_few_clusters": "the cells come from too few clusters, such as donors",
    "failed": "the block was set aside after errors; the same command tries it again",
}

P_VALUES = {
    "wald": "model-based Wald p-value",
    "robust": "conditional randomisation test by saddlepoint",
    "bootstrap": "bootstrap of cells",
    "tail": "saddlepoint tail of the bootstrap",
}
_EPI_P_VALUES = P_VALUES | {"robust": "score test by saddlepoint, counts overdispersed"}

FDR_WORDS = {"bh": "Benjamini and Hochberg", "by": "Benjamini and Yekutieli", "storey": "Storey"}
# A line is not broken between a number and its unit.
_PERCENT = "\N{NO-BREAK SPACE}%"
_SCOPES = {"group": "within each group", "all": "over all groups together", "gene": "within each gene of a group"}
_FAMILIES = {"poisson": "Poisson", "negbin": "negative binomial"}


def formula_words(options: Mapping[str, Any]) -> str:
    """The regression of a section of options in words.

    Parameters
    ----------
    options
        Of ``scan`` or ``epistasis``.

    Examples
    --------
    >>> formula_words({"family": "negbin", "formula": "log(nUMI)"})
    "negative binomial regression of the gene's counts, covariates log(nUMI)"
    """
    family = _FAMILIES.get(str(options.get("family")), str(options.get("family", "Poisson")))
    return f"{family} regression of the gene's counts, covariates {options.get('formula', 'not recorded')}"


def asked(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run was asked for, as pairs of a heading and a sentence.

    Parameters
    ----------
    options
        As config.yaml has them. Sections that are not there are passed over.

    Examples
    --------
    >>> for heading, text in asked({"input": {"path": "data/x.h5mu"}, "groups": {"by": None}, "epistasis": None}):
    ...     print(f"{heading}: {text}")
    Data: x.h5mu
    Groups: all cells as one group
    Enhancer pairs: not asked for
    """
    found = []
    for heading, name, words in (
        ("Data", "input", _input),
        ("Genes", "genes", genes_words),
        ("Groups", "groups", groups_words),
        ("Pairs", "pairs", _pairs),
        ("Test", "scan", _scan),
        ("Links", "links", _links),
        ("Enhancer pairs", "epistasis", _epistasis),
    ):
        section = options.get(name)
        if isinstance(section, Mapping):
            found.append((heading, words(section)))
        elif name == "epistasis" and options:
            found.append((heading, "not asked for"))
    return found


def _input(given: Mapping[str, Any]) -> str:
    parts = [
        (f"{label} " if label else "") + Path(str(given[name])).name
        for name, label in (("path", ""), ("rna", "RNA"), ("atac", "ATAC"), ("cells", "cells"))
        if given.get(name)
    ]
    layer = f"; counts from layer {given['layer']}" if given.get("layer") else ""
    return ", ".join(parts) + layer + ("; peak names count from 1" if given.get("one_based") else "")


def genes_words(given: Mapping[str, Any]) -> str:
    """Where the genes are from."""
    if given.get("gencode") is not None:
        return f"GENCODE release {given['gencode']}"
    return Path(str(given.get("path"))).name


def groups_words(given: Mapping[str, Any]) -> str:
    """Which cells are tested together."""
    by, only = given.get("by"), given.get("only")
    if by is None:
        return "all cells as one group"
    if only is None:
        return f"every value of {by} is a group of its own"
    return f"by {by}, only {', '.join(map(str, only))}"


def _pairs(given: Mapping[str, Any]) -> str:
    if given.get("path"):
        return f"as listed in {Path(str(given['path'])).name}"
    anchor = {"body": "gene body", "tss": "transcription start"}.get(str(given.get("anchor")), "gene")
    part = "centre of the peak" if given.get("overlap") == "center" else "peak"
    text = (
        f"{part} within {given.get('window', 0):,} bp of the {anchor}; genes and peaks that are non-zero in at least "
        f"{100 * given.get('min_fraction', 0):g}{_PERCENT} of all cells"
    )
    return text + ("; highly variable genes only" if given.get("highly_variable") else "")


def _scan(given: Mapping[str, Any]) -> str:
    kind = str(given.get("p_value"))
    text = (
        f"{formula_words(given)}, on whether the peak is {'open' if given.get('binarize', True) else 'how open'}; "
        f"{P_VALUES.get(kind, kind)}"
    )
    if kind == "bootstrap":
        text += f" ({ladder_words(given.get('ladder'))}), seed {given.get('seed')}"
    text += f"; robust errors {given.get('robust')}"
    if given.get("cluster"):
        text += f", clustered by {given['cluster']}"
    share = f"{100 * given.get('min_fraction', 0):g}{_PERCENT}"
    return (
        f"{text}. Tested where gene and peak are non-zero in more than {share} and in at least "
        f"{given.get('min_nonzero')} cells of the group, in groups of at least {given.get('min_cells')} cells"
    )


def ladder_words(value: Any, *, what: str = "replicates") -> str:
    """A ladder of replicates, or of permutations."""
    if isinstance(value, str):
        return f"ladder {value}"
    stages = [f"{n:,}" + (f", on below {below:g}" if below is not None else "") for n, below in value or ()]
    return f"{what} " + "; ".join(stages)


def _links(given: Mapping[str, Any]) -> str:
    method = FDR_WORDS.get(str(given.get("method")), str(given.get("method")))
    scope = _SCOPES.get(str(given.get("scope")), str(given.get("scope")))
    return f"false discovery rate below {given.get('alpha'):g} ({method}, {scope})"


def _epistasis(given: Mapping[str, Any]) -> str:
    kind, order = str(given.get("p_value")), int(given.get("order", 2))
    model = "one regression with all states" if given.get("model") == "joint" else "one regression a state"
    text = f"{'pairs' if order == 2 else f'sets of {order}'} of linked peaks of a gene"
    if given.get("links_fdr") is not None:
        text += f" (links at a false discovery rate below {given['links_fdr']:g})"
    text += f"; {formula_words(given)}; {model}"
    if given.get("coding") == "dosage":
        text += " with 11 coded as 2, which halves its effect"
    text += f"; interaction by {_EPI_P_VALUES.get(kind, kind)}"
    if kind == "bootstrap":
        text += f" ({ladder_words(given.get('ladder'))}), seed {given.get('seed')}"
    if given.get("cluster"):
        text += f"; clustered by {given['cluster']}"
    low, high = given.get("min_distance"), given.get("max_distance")
    if low is not None or high is not None:
        text += f"; enhancers {low or 0:,} bp" + (" or more" if high is None else f" to {high:,} bp") + " apart"
    method = FDR_WORDS.get(str(given.get("method")), str(given.get("method", "")))
    return (
        f"{text}. At least {given.get('min_cells')} cells in each state; false discovery rate below "
        f"{given.get('alpha', 0.1):g} ({method})"
    )
