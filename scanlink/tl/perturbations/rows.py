"""Plans of tests of perturbed targets: rows and controls, checked and cut into blocks."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.run import cut
from scanlink.stats import Ladder
from scanlink.tables import ASKED, ROW_KINDS
from scanlink.tl.analysis import Given
from scanlink.tl.cell_plan import CellPlan, write_cell_plan
from scanlink.tl.designs import Group, group_designs
from scanlink.tl.perturbations.controls import Rows, add_controls
from scanlink.tl.perturbations.options import PerturbationOptions
from scanlink.tl.perturbations.targets import Targets, targets_of

__all__ = ["PerturbationPlan", "plan_perturbations", "target_columns"]

# Files of the targets.
_TARGETS = ("names", "starts", "guides", "efficiency", "least")
# Of tested pairs, about this share enters each next stage of a ladder.
_GO_ON = (1.0, 0.15, 0.1, 0.05, 0.03)


AnyPlan = TypeVar("AnyPlan", bound="PerturbationPlan")


class PerturbationPlan(CellPlan):
    """Tests of perturbed targets that have been checked and cut into blocks."""

    model: ClassVar[type[PerturbationOptions]]

    @cached_property
    def options(self) -> PerturbationOptions:
        """Options of the tests."""
        return self.model(**self.about["options"])

    @cached_property
    def rows(self) -> Rows:
        """Rows that are tested."""
        return Rows(*(self.row_array(name) for name in ("gene", "targets", "distance", "kind", "shuffle")))

    @cached_property
    def targets(self) -> Targets:
        """Guides of each target."""
        return Targets(*(self.row_array(f"target_{name}") for name in _TARGETS))


def target_columns(n_targets: int) -> list[str]:
    """Columns that name the targets of a row.

    Examples
    --------
    >>> target_columns(1), target_columns(2)
    (['target'], ['target_1', 'target_2'])
    """
    return ["target"] if n_targets == 1 else [f"target_{k + 1}" for k in range(n_targets)]


def plan_perturbations(
    kind: type[AnyPlan],
    name: str,
    given: Given,
    options: PerturbationOptions,
    pairs: pd.DataFrame,
    *,
    n_targets: int,
    least_cells: int,
) -> AnyPlan:
    """Check everything and write a plan; the same input gives the same plan.

    Parameters
    ----------
    kind
        Class of the plan.
    name
        Name of the analysis.
    given
        Counts of genes and guides, cells, and the table ``guides``: a row a guide, named by the index, with ``target``,
        ``efficiency``, ``threshold``, ``chrom``.
    options
        How pairs are tested.
    pairs
        Columns ``gene`` and ``target``, or for two targets ``gene``, ``target_1`` and ``target_2``; ``distance`` and
        ``kind`` if known.
    n_targets
        Number of targets that are tested together.
    least_cells
        Least number of cells that a group needs besides what the options say.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Whatever would make tasks fail is found here: unknown names, missing covariates, no usable group.
    """
    store, guides = given.counts, given.tables["guides"]
    table = _checked(pairs, n_targets)
    targets = targets_of(store, guides, missing=options.missing_efficiency)
    columns = target_columns(n_targets)
    asked = Rows(
        store.positions("rna", table["gene"]),
        np.column_stack([targets.positions(table[name]) for name in columns]).astype(np.int32),
        table["distance"].to_numpy(dtype=np.float64),
        table["kind"].map(ROW_KINDS.index).to_numpy(dtype=np.int32),
        np.zeros(len(table), dtype=np.int32),
    )
    used = np.unique(asked.targets)
    if "non_targeting" in options.controls:
        targets, controls = targets.with_controls(store, guides, like=used)
    else:
        controls = []
    rows = add_controls(
        asked,
        options.controls,
        n_controls=options.n_controls,
        seed=options.seed,
        non_targeting=controls,
        chromosome=targets.chromosomes(guides),
    ).joined()
    designs = group_designs(
        store,
        formula=options.formula,
        groupby=given.groups.by,
        groups=given.groups.only,
        cluster=options.cluster,
        min_cells=max(options.min_cells, least_cells),
        n_tested=2**n_targets - 1,
    )
    costs = [np.full(rows.gene.size, _seconds(group, options)) for group in designs.groups]
    return write_cell_plan(
        kind,
        name,
        given.parts,
        store=store,
        groupby=given.groups.by,
        options=options,
        designs=designs,
        rows={
            **{name: getattr(rows, name) for name in ("gene", "targets", "distance", "kind", "shuffle")},
            **{f"target_{name}": getattr(targets, name) for name in _TARGETS},
        },
        blocks=cut(rows.gene, costs, owners_per_block=options.block_genes),
    )


def _checked(pairs: pd.DataFrame, n_targets: int) -> pd.DataFrame:
    """Pairs with all columns that rows need."""
    columns = target_columns(n_targets)
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs is a {type(pairs).__name__}, expected a table with columns gene, {', '.join(columns)}")
    if absent := [name for name in ("gene", *columns) if name not in pairs.columns]:
        raise MissingKeyError(
            f"the table of pairs has no column {first_few(absent)}; found {first_few(pairs.columns, most=10)}. "
            f"Expected gene, {', '.join(columns)}, and distance if known"
        )
    if not len(pairs):
        raise InputError(
            "the table of pairs is empty: widen the window, or check that genes and targets share a genome build"
        )
    if pairs[["gene", *columns]].isna().any(axis=None):
        raise InputError("the table of pairs has rows without a gene or target: remove them")
    table = pairs[["gene", *columns]].astype(str)
    table["distance"] = pd.to_numeric(pairs["distance"], errors="coerce") if "distance" in pairs.columns else np.nan
    table["kind"] = pairs["kind"].astype(str) if "kind" in pairs.columns else ASKED[0]
    if absent := sorted(set(table["kind"]) - set(ASKED)):
        raise InputError(
            f"kind {first_few(absent)} in the table of pairs is not known: expected {' or '.join(ASKED)}. "
            "Negative controls are made by scanlink, see the option controls"
        )
    if n_targets == 2 and (same := table["target_1"] == table["target_2"]).any():
        raise InputError(
            f"{int(same.sum())} pairs have a target twice ({first_few(table.loc[same, 'target_1'])}): two different "
            "ones are needed"
        )
    repeated = table.duplicated(["gene", *columns])
    if repeated.any():
        genes = first_few(table.loc[repeated, "gene"].unique())
        raise InputError(f"{int(repeated.sum())} pairs are given twice (of {genes}): drop them")
    return table


def _seconds(group: Group, options: PerturbationOptions) -> float:
    """Estimated time of one row."""
    if group.status is not None:
        return 1e-4
    p = len(group.terms) + 1
    fit = group.n_cells * (10.0 + 3.0 * p + 0.7 * p * p) * 4e-9 * (6.0 if options.family == "negbin" else 1.0)
    more = 0.0
    if options.p_value == "bootstrap":
        stages = Ladder.of(options.ladder).stages
        replicate = group.n_cells * (900e-9 if options.theta == "estimated" else 30e-9)
        more = replicate * sum(n * _GO_ON[min(k, len(_GO_ON) - 1)] for k, (n, _) in enumerate(stages))
    elif options.p_value == "permutation":
        stages = Ladder.of(options.permutations).stages
        more = group.n_cells * 2e-10 * p * sum(n * _GO_ON[min(k, len(_GO_ON) - 1)] for k, (n, _) in enumerate(stages))
    return 3e-3 + 4.0 * fit + more
