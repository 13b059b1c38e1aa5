"""What a screen asks: target-gene pairs, and negative controls beside them."""

from __future__ import annotations

from typing import ClassVar

from scanlink.tl.analysis import Given
from scanlink.tl.perturbations.rows import PerturbationPlan, plan_perturbations
from scanlink.tl.screen.options import ScreenOptions

__all__ = ["ScreenPlan", "screen_rows"]


class ScreenPlan(PerturbationPlan):
    """Target-gene pairs that have been checked and cut into blocks."""

    model: ClassVar[type[ScreenOptions]] = ScreenOptions


def screen_rows(given: Given, options: ScreenOptions) -> ScreenPlan:
    """Check everything and write the plan of a screen, of the tables ``pairs`` and ``guides``."""
    pairs, least = given.tables["pairs"], 2 * options.min_perturbed
    return plan_perturbations(ScreenPlan, "screen", given, options, pairs, n_targets=1, least_cells=least)
