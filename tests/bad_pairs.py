"""Faults that concern enhancer pairs, the report and the exports: what is given, and what is answered."""

from __future__ import annotations

from bad_files import Case
from bad_spoil import nothing, options, plain_folder

__all__ = ["CASES"]

CASES = (
    Case(
        "an unknown key of epistasis", options(epistasis={"modle": "joint"}), "epistasis.modle: .*did you mean 'model'"
    ),
    Case(
        "dosage in a joint model",
        options(epistasis={"coding": "dosage"}),
        "epistasis: coding dosage is that of the separate models: set model to separate",
    ),
    Case(
        "the tail of separate models",
        options(epistasis={"model": "separate", "p_value": "tail"}),
        "have no tail for the interaction",
    ),
    Case(
        "bounds of distance that contradict each other",
        options(epistasis={"min_distance": 10, "max_distance": 5}),
        "min_distance is above max_distance",
    ),
    Case(
        "a covariate of the enhancer pairs that is not there",
        options(epistasis={"formula": "doublet.score"}),
        "doublet.score",
    ),
    Case("report of a folder without a run", plain_folder, "out", words=("report", "out")),
    Case("report of a folder that does not exist", nothing, "outt", words=("report", "outt")),
    Case("export of a folder without a run", plain_folder, "out", words=("export", "out", "--format", "bedpe")),
)
