"""What is asked of interactions: pairs of the targets of a gene, and negative controls beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

import pandas as pd

from scanlink.tl.analysis import Given
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.interactions.target_pairs import target_pairs
from scanlink.tl.perturbations.rows import PerturbationPlan, plan_perturbations

__all__ = ["InteractionPlan", "interaction_rows", "target_pairs_table"]

log = logging.getLogger("scanlink")


class InteractionPlan(PerturbationPlan):
    """Pairs of targets that have been checked and cut into blocks."""

    model: ClassVar[type[InteractionOptions]] = InteractionOptions


def interaction_rows(given: Given, options: InteractionOptions) -> InteractionPlan | None:
    """Check everything and write the plan of interactions; None where no gene has two targets.

    Pairs of targets are those of the table ``target_pairs``, or where there is none those that ``pairs`` make.
    """
    pairs = given.tables.get("target_pairs")
    if pairs is None:
        pairs = target_pairs_table((), given, options)
        if pairs.empty:
            log.warning("no gene has two targets: there are no interactions to test")
            return None
    least = options.min_both
    return plan_perturbations(InteractionPlan, "interactions", given, options, pairs, n_targets=2, least_cells=least)


def target_pairs_table(plans: Sequence[InteractionPlan], given: Given, options: InteractionOptions) -> pd.DataFrame:
    """Make the table of all pairs of targets of a gene that a run asks for."""
    return target_pairs(given.tables["pairs"], given.tables["guides"], max_distance=options.max_distance)
