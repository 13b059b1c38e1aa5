"""Every public name says how it is called, what it needs, gives and refuses, and shows it by an example that runs.

What still breaks a rule stands in `OPEN`, and nothing else may: an entry that no longer breaks it has to go, too.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import doctest
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel

import scanlink as sl

# What is data although it may be left out, or although it is a fourth: public names that are fixed.
POSITIONAL = {
    "cluster.client": "a profile may be left out",
    "cluster.doctor": "a profile may be left out, a folder goes with it as in the command",
    "io.assemble": "the cells are the third of three tables, and may be left out",
    "io.assemble_screen": "the cells are the third of three tables, and may be left out",
    "io.fetch_gencode": "a release may be left out",
    "io.read": "one file, or two by keyword",
    "io.read_screen": "one file, or two by keyword",
    "pl.states": "a gene and two enhancers are what is looked at",
    "pp.assign_guides": "the method is what is called",
    "stats.case_weights": "a range of replicates has two ends",
    "stats.compare_links": "two perturbations of a gene, and the covariates",
    "stats.cooks_distance": "a regression is counts, design, fitted counts and covariance",
    "stats.fit_combined": "two perturbations of a gene, and the covariates",
    "stats.interaction_permutation_p": "pairs of perturbations of a gene, stages, and the permutations they share",
    "stats.permutation_p": "perturbations of a gene, stages, and the permutations they share",
    "stats.sandwich_influence": "a regression is counts, design, fitted counts and covariance",
    "stats.sandwich_se": "a regression is counts, design, fitted counts and covariance",
    "tl.target_pairs": "the guides may be left out",
}
# What calls on data do not take of where the counts are, and why.
PLACES = {
    "pp.cis_pairs": ("layer", "reads no count"),
    "pp.filter_cells": ("layer rna_key key", "reads columns of cells, of whatever modality"),
    "pp.screen_pairs": ("layer", "reads no count"),
}
# The first word of what a function does.
VERBS = (
    "Add Adjust Assign Average Centre Check Choose Compare Compute Count Download Draw Estimate Export Find Fit Give "
    "Join Keep List Look Make Mark Measure Name Open Pair Put Read Refit Refuse Regress Rescale Say Scan Simulate "
    "Submit Take Test Turn Write"
)

OPEN: dict[str, str] = {
    "InputError is raised and not said": "ds.simulate",
    "OptionError is raised and not said": "io.read_genes stats.fit_poisson stats.sandwich_influence",
    "no Returns": (
        "cluster.problem stats.culprit stats.gene_null stats.interaction_signs stats.peak_null stats.resample_key "
        "stats.state_names stats.sums_on"
    ),
    "no example that runs": "io.get_tables pp.guide_calls report.write_report stats.climb_all",
    "not described: client": "cluster.problem",
    "not described: device": "stats.sums_on",
    "not described: fit, gene, peak, target": "stats.PairReplicates",
    "not described: n_enhancers": "stats.interaction_signs stats.state_names",
    "not described: overrides, profile": "cluster.check",
    "the first line has no verb": (
        "cluster.driver_job pp.guide_calls stats.climb_all stats.interaction_signs stats.sums_on"
    ),
}


def public() -> Iterator[tuple[str, Any]]:
    yield "follow", sl.follow
    for room in sl.__all__:
        module = import_module(f"scanlink.{room}")
        names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        for name in names:
            value = getattr(module, name)
            if getattr(value, "__module__", "").startswith("scanlink") and callable(value):
                yield f"{room}.{name}", value


PUBLIC = dict(public())


def sections(value: Any) -> dict[str, str]:
    """Parts of a docstring by their headings; before the first, the summary."""
    words = re.split(r"^(\w[\w ]*)\n-+$", inspect.cleandoc(value.__doc__ or ""), flags=re.MULTILINE)
    return {"Summary": words[0], **dict(zip(words[1::2], words[2::2], strict=True))}


def entries(text: str) -> list[str]:
    """What a section describes: the lines that are not indented."""
    lines = [line for line in text.splitlines() if line and not line[0].isspace()]
    return [name.strip().lstrip("*") for line in lines for name in line.split(",")]


def bad_signature(name: str, function: Any) -> Iterator[str]:
    parameters = inspect.signature(function).parameters.values()
    positional = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    if any(str(one.annotation) == "bool" or isinstance(one.default, bool) for one in positional):
        yield "a boolean is positional"
    if name in POSITIONAL:
        return
    if len(positional) > 3:
        yield f"{len(positional)} are positional"
    yield from (f"{one.name} is no keyword" for one in positional if one.default is not one.empty)


def bad_docstring(function: Any) -> Iterator[str]:
    parts = sections(function)
    signature = inspect.signature(function)
    described, parameters = set(entries(parts.get("Parameters", ""))), set(signature.parameters)
    if unsaid := sorted(parameters - described):
        yield f"not described: {', '.join(unsaid)}"
    yield from (f"{name} is no parameter" for name in described - parameters)
    gives = signature.return_annotation not in ("None", None, signature.empty)
    if gives and not {"Returns", "Yields"} & set(parts):
        yield "no Returns"
    if not gives and "Returns" in parts:
        yield "Returns of nothing"
    raised = {
        ast.unparse(node.exc).split("(")[0]
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function))))
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    errors = set(entries(parts.get("Raises", "")))
    yield from (f"{error} is raised and not said" for error in raised - errors if error[0].isupper())
    known = set(vars(sl.errors)) | set(vars(builtins))
    yield from (f"{error} is no error" for error in errors - known)
    tests = doctest.DocTestFinder(recurse=False).find(function)
    examples = [example for test in tests for example in test.examples]
    if all(example.options.get(doctest.SKIP) for example in examples):
        yield "no example that runs"


def bad_summary(value: Any) -> Iterator[str]:
    first = sections(value)["Summary"].split("\n\n")[0].strip()
    if "\n" in first or not first.endswith("."):
        yield "the first line is no sentence"
    elif inspect.isfunction(value) and first.split()[0].rstrip(",") not in VERBS.split():
        yield "the first line has no verb"


def bad_class(cls: type) -> Iterator[str]:
    """Fields are described; where they are options, beside their types; methods have a first line."""
    if issubclass(cls, BaseException):
        return
    parts = sections(cls)
    described = set(entries(parts.get("Parameters", "") + "\n" + parts.get("Attributes", "")))
    if issubclass(cls, BaseModel):
        fields = {name for name, field in cls.model_fields.items() if not field.description}
    elif dataclasses.is_dataclass(cls):
        fields = {field.name for field in dataclasses.fields(cls) if not field.name.startswith("_")}
    else:
        made = "__init__" in vars(cls) and not getattr(cls, "_is_protocol", False)
        fields = set(inspect.signature(cls).parameters) if made else set()
    if unsaid := sorted(fields - described):
        yield f"not described: {', '.join(unsaid)}"
    for name, method in vars(cls).items():
        method = getattr(method, "fget", None) or getattr(method, "__func__", None) or getattr(method, "func", method)
        if not name.startswith("_") and inspect.isfunction(method):
            yield from (f"{name}: {complaint}" for complaint in bad_summary_of_method(method))


def bad_summary_of_method(method: Any) -> Iterator[str]:
    if not sections(method)["Summary"].split("\n\n")[0].strip().replace("\n", " ").endswith("."):
        yield "the first line is no sentence"


def complaints(name: str) -> set[str]:
    value = PUBLIC[name]
    found = set(bad_summary(value))
    if inspect.isclass(value):
        return found | set(bad_class(value))
    return found | set(bad_signature(name, value)) | set(bad_docstring(value))


@pytest.mark.parametrize("name", PUBLIC)
def test_public__is_called_and_described_as_all_are(name):
    found = complaints(name)
    left = {complaint for complaint, names in OPEN.items() if name in names.split()}
    assert found - left == set(), name
    assert left - found == set(), f"{name}: mended, so that the entry has to go"


def test_public__exceptions_and_what_is_open_are_public_names():
    assert set(POSITIONAL) | set(" ".join(OPEN.values()).split()) <= set(PUBLIC)
    unneeded = []
    for name in POSITIONAL:
        parameters = inspect.signature(PUBLIC[name]).parameters.values()
        positional = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        if len(positional) <= 3 and all(one.default is one.empty for one in positional):
            unneeded.append(name)
    assert unneeded == []


def on_data() -> list[str]:
    """Calls of pp, tl and pl that are made on data."""
    names = [name for name, value in PUBLIC.items() if name[:3] in ("pp.", "tl.", "pl.") and inspect.isfunction(value)]
    return [name for name in names if "mdata" in list(parameters_of(name))[:1]]


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(PUBLIC[name]).parameters)


def test_public__calls_on_data_say_where_the_counts_are():
    """By a layer, the key of the genes, and that of peaks or guides; by keywords that may be left out."""
    lacking = {}
    for name in on_data():
        parameters = parameters_of(name)
        places = {
            word: parameters[word] for word in ("layer", "rna_key", "atac_key", "guide_key") if word in parameters
        }
        assert all(one.kind is one.KEYWORD_ONLY and one.default is None for one in places.values()), name
        has = {*places, *(["key"] if {"atac_key", "guide_key"} & set(places) else [])}
        if lack := " ".join(word for word in ("layer", "rna_key", "key") if word not in has):
            lacking[name] = lack
    assert lacking == {name: lack for name, (lack, _) in PLACES.items()}
    assert {"pp.qc", "pp.components", "pp.cell_cycle", "tl.screen", "tl.scan", "pl.states"} <= set(on_data())
