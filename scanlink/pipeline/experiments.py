"""All experiments, and how a run.yaml is told to be of one."""

from __future__ import annotations

from collections.abc import Collection

from scanlink.pipeline.experiment import Experiment, Run
from scanlink.pipeline.multiome import MULTIOME
from scanlink.pipeline.screen import SCREENING

__all__ = ["ANALYSES", "EXPERIMENTS", "experiment_of", "experiment_with"]

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
