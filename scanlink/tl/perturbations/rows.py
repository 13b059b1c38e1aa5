"""Plans of tests of perturbed targets: rows and controls, checked and cut into blocks."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd

from scanlink.errors import EmptyTableError, InputError, MissingKeyError, first_few
from scanlink.run import cut
from scanlink.stats import Ladder
from scanlink.tables import ASKED, ROW_KINDS
from scanlink.tl.analysis import Given
from scanlink.tl.cell_plan import CellPlan, write_cell_plan
from scanlink.tl.designs import Group, group_designs
from scanlink.tl.perturbations.controls import Rows, add_controls
from scanlink.tl.perturbations.options import PerturbationOptions
from scanlink.tl.perturbations.targets import Targets, targets_of
from scanlink.tl.resampling import expected_replicates

__all__ = ["PerturbationPlan", "plan_perturbations", "target_columns"]

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
        return Rows(*(self.row_array(field.name) for field in fields(Rows)))

    @cached_property
    def targets(self) -> Targets:
        """Guides of each target."""
        return Targets(*(self.row_array(f"target_{field.name}") for field in fields(Targets)))


def target_columns(n_targets: int) -> list[str]:
    """List the columns that name the targets of a row: ``target``, or ``target_1`` and ``target_2``."""
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

    Whatever would make tasks fail is raised here: unknown names, missing covariates, no usable group. The table
    ``guides`` has a row a guide, named by the index; ``pairs`` has ``gene``, the columns of ``n_targets`` targets that
    are tested together, and if known ``distance`` and ``kind``. Groups of fewer than ``least_cells`` are not tested.
    """
    store, guides = given.counts, given.tables["guides"]
    table = _checked(pairs, n_targets)
    targets = targets_of(store, guides, missing=options.missing_efficiency)
    asked = Rows(
        store.positions("rna", table["gene"]),
        np.column_stack([targets.positions(table[name]) for name in target_columns(n_targets)]).astype(np.int32),
        table["distance"].to_numpy(dtype=np.float64),
        table["kind"].map(ROW_KINDS.index).to_numpy(dtype=np.int32),
        np.zeros(len(table), dtype=np.int32),
    )
    none: list[int] = []
    if "non_targeting" in options.controls:
        targets, none = targets.with_controls(store, guides, like=np.unique(asked.targets))
    rows = add_controls(
        asked,
        options.controls,
        n_controls=options.n_controls,
        seed=options.seed,
        non_targeting=none,
        chromosome=targets.chromosomes(guides),
    ).joined()
    designs = group_designs(
        store,
        formula=options.formula,
        groupby=given.groups.by,
        groups=given.groups.only,
        cluster=options.cluster,
        min_cells=max(options.min_cells, least_cells),
        p_value=options.p_value,
        n_tested=2**n_targets - 1,
    )
    costs = [
        np.full(rows.gene.size, _seconds(group, ladder, options))
        for group, ladder in zip(designs.groups, designs.ladders(options.ladder), strict=True)
    ]
    return write_cell_plan(
        kind,
        name,
        given.parts,
        store=store,
        groupby=given.groups.by,
        options=options,
        designs=designs,
        rows=vars(rows) | {f"target_{name}": values for name, values in vars(targets).items()},
        blocks=cut(rows.gene, costs, owners_per_block=options.block_genes),
    )


def _checked(pairs: pd.DataFrame, n_targets: int) -> pd.DataFrame:
    """Give pairs all the columns that rows need."""
    columns = target_columns(n_targets)
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs is a {type(pairs).__name__}, expected a table with columns gene, {', '.join(columns)}")
    if absent := [name for name in ("gene", *columns) if name not in pairs.columns]:
        raise MissingKeyError(
            f"the table of pairs has no column {first_few(absent)}; found {first_few(pairs.columns, most=10)}. "
            f"Expected gene, {', '.join(columns)}, and distance if known"
        )
    if not len(pairs):
        raise EmptyTableError(
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


def _seconds(group: Group, ladder: Ladder, options: PerturbationOptions) -> float:
    """Estimate the time of one row."""
    if group.status is not None:
        return 1e-4
    p = len(group.terms) + 1
    fit = group.n_cells * (10.0 + 3.0 * p + 0.7 * p * p) * 4e-9 * (6.0 if options.family == "negbin" else 1.0)
    replicate = group.n_cells * (900e-9 if options.theta == "estimated" else 30e-9)
    more = replicate * expected_replicates(ladder)
    if options.p_value == "permutation":
        more += group.n_cells * 2e-10 * p * expected_replicates(Ladder.of(options.permutations))
    return 3e-3 + 4.0 * fit + more
