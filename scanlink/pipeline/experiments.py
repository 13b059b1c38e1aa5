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
    content, shared = _schema_of(EXPERIMENTS[-1])
    for experiment in EXPERIMENTS[-2::-1]:
        own, more = _schema_of(experiment)
        shared |= more
        # A section that names an analysis tells the experiments apart.
        names = [{"required": [one.name]} for one in experiment.analyses if one.name in own["properties"]]
        content = {"if": {"anyOf": names}, "then": own, "else": content}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "run.yaml of scanlink"}
    return head | content | {"$defs": shared}


def _schema_of(experiment: Experiment) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the JSON schema of the options of an experiment, and those of their sections by the name of the model."""
    content = experiment.options.model_json_schema()
    return content, content.pop("$defs", {})
