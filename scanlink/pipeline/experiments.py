"""All experiments, and how a run.yaml is told to be of one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from scanlink.pipeline.experiment import Experiment, Run
from scanlink.pipeline.multiome import MULTIOME
from scanlink.pipeline.screen import SCREENING

__all__ = ["ANALYSES", "EXPERIMENTS", "experiment_of", "experiment_with", "json_schema"]

# The last is that of a file that names no analysis.
EXPERIMENTS = (SCREENING, MULTIOME)
ANALYSES = tuple(analysis for experiment in EXPERIMENTS for analysis in experiment.analyses)


def experiment_with(sections: Collection[str]) -> Experiment:
    """Tell which experiment a file with these sections is of: an analysis that it names belongs to one."""
    named = (experiment for experiment in EXPERIMENTS if any(one.name in sections for one in experiment.analyses))
    return next(named, EXPERIMENTS[-1])


def experiment_of(options: Run) -> Experiment:
    """Tell which experiment options are of."""
    return next(experiment for experiment in EXPERIMENTS if isinstance(options, experiment.options))


def json_schema() -> dict[str, Any]:
    """Give the JSON schema of a run.yaml of any experiment: its keys, their types, defaults and descriptions."""
    parts = [experiment.options.model_json_schema(ref_template="#/$defs/{model}") for experiment in EXPERIMENTS]
    shared: dict[str, Any] = {}
    for part in parts:
        shared |= part.pop("$defs", {})
    # A section that names an analysis tells them apart.
    tells = [{"required": [one.name]} for one in EXPERIMENTS[0].analyses if one.name in parts[0]["properties"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "run.yaml of scanlink",
        "if": {"anyOf": tells},
        "then": parts[0],
        "else": parts[1],
        "$defs": shared,
    }
