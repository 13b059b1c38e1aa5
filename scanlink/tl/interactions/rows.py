"""What is asked of interactions: pairs of the targets of a gene, and negative controls beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd

from scanlink.errors import MissingKeyError, OptionError, first_few
from scanlink.tables import ASKED
from scanlink.tl.analysis import Given
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.perturbations.rows import PerturbationPlan, plan_perturbations

__all__ = ["InteractionPlan", "interaction_rows", "target_pairs", "target_pairs_table"]

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


def target_pairs(
    pairs: pd.DataFrame, guides: pd.DataFrame | None = None, *, max_distance: int | None = None
) -> pd.DataFrame:
    """Make all pairs of the targets of a gene.

    Parameters
    ----------
    pairs
        Columns ``gene`` and ``target``, as for :func:`scanlink.tl.screen`, or its table: controls are passed over.
    guides
        As there, with ``chrom``, ``start`` and ``end`` of each target: pairs are then in order of place and get a
        distance.
    max_distance
        Most bp between the midpoints of both; None: any, on any chromosome.

    Returns
    -------
    pandas.DataFrame
        Columns ``gene``, ``target_1``, ``target_2``, ``distance`` (bp between midpoints; missing where a place is not
        known, or on two chromosomes).

    Raises
    ------
    MissingKeyError
        If a column is missing.
    OptionError
        If a largest distance is given without places.

    Examples
    --------
    >>> pairs = pd.DataFrame({"gene": ["MYC", "MYC", "MYC", "TP53"], "target": ["e1", "e2", "e3", "e9"]})
    >>> target_pairs(pairs)[["gene", "target_1", "target_2"]].values.tolist()
    [['MYC', 'e1', 'e2'], ['MYC', 'e1', 'e3'], ['MYC', 'e2', 'e3']]
    """
    if absent := [name for name in ("gene", "target") if name not in pairs.columns]:
        raise MissingKeyError(
            f"the table of pairs has no column {first_few(absent)}; found {first_few(pairs.columns, most=10)}"
        )
    table = pairs[pairs["kind"].isin(ASKED)] if "kind" in pairs.columns else pairs
    table = table[["gene", "target"]].astype(str).drop_duplicates()
    place = _places(guides)
    if max_distance is not None and place is None:
        raise OptionError("max_distance needs the places of targets: give guides with chrom, start and end")
    sets = []
    for gene, own in table.groupby("gene", sort=False)["target"]:
        targets = list(own)
        if place is not None:
            key = place.reindex(targets)
            targets = [targets[k] for k in np.lexsort([key["middle"].to_numpy(), key["chrom"].astype(str).to_numpy()])]
        sets += [(gene, *two) for two in combinations(targets, 2)]
    out = pd.DataFrame(sets, columns=["gene", "target_1", "target_2"], dtype=object)
    distance = np.full(len(out), np.nan)
    if place is not None and len(out):
        first, second = (place.reindex(out[name]) for name in ("target_1", "target_2"))
        same = first["chrom"].to_numpy() == second["chrom"].to_numpy()
        distance = np.where(same, np.abs(first["middle"].to_numpy() - second["middle"].to_numpy()), np.nan)
    out["distance"] = pd.array(np.floor(distance), dtype="Int64")
    if max_distance is not None:
        out = out[(out["distance"] <= max_distance).fillna(False).to_numpy(dtype=bool)].reset_index(drop=True)
    return out


def _places(guides: pd.DataFrame | None) -> pd.DataFrame | None:
    """Give chromosome and midpoint of each target, by its name."""
    if guides is None or not {"target", "chrom", "start", "end"} <= set(guides.columns):
        return None
    known = guides[guides["chrom"].notna() & guides["start"].notna()]
    by_target = known.groupby(known["target"].astype(str))
    middle = (by_target["start"].min().astype(float) + by_target["end"].max().astype(float)) / 2
    return pd.DataFrame({"chrom": by_target["chrom"].first().astype(str), "middle": middle})
