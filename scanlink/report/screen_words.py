"""Options and statuses of a screen in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanlink.report.words import FDR_WORDS, formula_words, genes_words, groups_words, ladder_words
from scanlink.report.words import P_VALUES as SCAN_P_VALUES
from scanlink.report.words import STATUS as SCAN_STATUS

__all__ = ["KIND_NAMES", "KIND_WORDS", "P_VALUES", "STATUS", "asked"]

_COMMON = ("collinear", "not_converged", "too_few_cells", "too_few_clusters", "failed")
# In the order of the table, with a colour of its own for each bar.
STATUS = {
    "ok": "tested",
    "gene_rare": "the gene is non-zero in too few cells of the group",
    "few_perturbed": "too few cells have the perturbation, or are without it",
    "too_few_11": "too few cells have both perturbations",
    "separated": "no count of the gene in cells with or without a perturbation: the effect is without bound",
    **{name: SCAN_STATUS[name] for name in _COMMON},
}

KIND_NAMES = {"positive_control": "positive control", "non_targeting": "non-targeting"}
KIND_WORDS = {
    "discovery": "pairs that were asked for",
    "positive_control": "pairs that were asked for in which an effect is expected",
    "non_targeting": "genes that were asked for, with guides that target nothing",
    "shuffled": "pairs that were asked for, their perturbation given to other cells at random",
    "mismatched": "targets with genes on other chromosomes",
}

P_VALUES = SCAN_P_VALUES | {"permutation": "permutation of the perturbation among cells"}
_TWO = P_VALUES | {"robust": "score test by saddlepoint, counts overdispersed"}


def asked(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run of a screen was asked for, as pairs of a heading and a sentence.

    Parameters
    ----------
    options
        As config.yaml has them. Sections that are not there are passed over.

    Examples
    --------
    >>> for heading, text in asked({"input": {"path": "data/x.h5mu"}, "guides": {"assign": "threshold", "threshold": 5},
    ...                             "screen": {"controls": []}, "interactions": None})[:2]:
    ...     print(f"{heading}: {text}")
    Data: x.h5mu
    Guides: a cell has a guide from 5 UMIs on
    """
    found = []
    for heading, name, words in (
        ("Data", "input", _input),
        ("Genes", "genes", genes_words),
        ("Groups", "groups", groups_words),
        ("Guides", "guides", _guides),
        ("Pairs", "pairs", _pairs),
        ("Effects", "screen", _screen),
        ("Controls", "screen", _controls),
        ("Interactions", "interactions", _interactions),
    ):
        section = options.get(name)
        if isinstance(section, Mapping):
            found.append((heading, words(section)))
        elif name == "interactions" and options:
            found.append((heading, "not asked for"))
    if options.get("links"):
        found.append(("Multiome links", f"beside the screen: {Path(str(options['links'])).name}"))
    return found


def _input(given: Mapping[str, Any]) -> str:
    parts = [
        (f"{label} " if label else "") + Path(str(given[name])).name
        for name, label in (("path", ""), ("rna", "RNA"), ("guide", "guides"), ("cells", "cells"))
        if given.get(name)
    ]
    text = ", ".join(parts) + (f"; counts from layer {given['layer']}" if given.get("layer") else "")
    return text + (f"; targets of guides from {Path(str(given['guides'])).name}" if given.get("guides") else "")


def _guides(given: Mapping[str, Any]) -> str:
    if given.get("assign") == "mixture":
        return "which guides a cell has: a mixture of background and signal, fitted to the UMIs of each guide"
    least = given.get("threshold", 5)
    return f"a cell has a guide from {least} {'UMI' if least == 1 else 'UMIs'} on"


def _pairs(given: Mapping[str, Any]) -> str:
    if given.get("path"):
        return f"as listed in {Path(str(given['path'])).name}"
    anchor = {"body": "gene body", "tss": "transcription start"}.get(str(given.get("anchor")), "gene")
    return f"targets within {given.get('window', 0):,} bp of the {anchor}"


def _test(given: Mapping[str, Any], kinds: Mapping[str, str]) -> str:
    kind = str(given.get("p_value"))
    text = f"{formula_words(given)}; {kinds.get(kind, kind)}"
    if kind == "bootstrap":
        text += f" ({ladder_words(given.get('ladder'))}), dispersion {given.get('theta')}"
    elif kind == "permutation":
        text += f" ({ladder_words(given.get('permutations'), what='permutations')})"
    if kind in ("bootstrap", "permutation"):
        text += f", seed {given.get('seed')}"
    text += f"; robust errors {given.get('robust')}"
    if given.get("cluster"):
        text += f", clustered by {given['cluster']}"
    if given.get("pseudocount"):
        text += f"; {given['pseudocount']:g} added to all counts"
    return text


def _end(given: Mapping[str, Any]) -> str:
    method = FDR_WORDS.get(str(given.get("method")), str(given.get("method", "")))
    return f"false discovery rate below {given.get('alpha', 0.1):g} ({method}), over what was asked for"


def _screen(given: Mapping[str, Any]) -> str:
    return (
        f"{_test(given, P_VALUES)}. Tested where the gene is non-zero in at least {given.get('min_nonzero')} cells and "
        f"at least {given.get('min_perturbed')} cells have the perturbation; {_end(given)}"
    )


def _controls(given: Mapping[str, Any]) -> str:
    names = [KIND_NAMES.get(str(name), str(name)) for name in given.get("controls") or ()]
    if not names:
        return "none: nothing says whether p-values keep what they promise"
    many = given.get("n_controls")
    return f"{', '.join(names)}; " + (f"{many:,} tests each" if many else "as many tests each as pairs, at least 1,000")


def _interactions(given: Mapping[str, Any]) -> str:
    least = given.get("min_both")
    both = f"At least {least} {'cell' if least == 1 else 'cells'} with both"
    text = f"pairs of the targets of a gene; {_test(given, _TWO)}. {both}"
    if given.get("max_distance") is not None:
        text += f", targets up to {given['max_distance']:,} bp apart"
    return f"{text}; {_end(given)}"
