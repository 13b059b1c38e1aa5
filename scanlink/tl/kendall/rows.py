"""What Kendall's correlation is asked of: gene-peak pairs, in groups of cells."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.run import cut
from scanlink.tl.analysis import Given
from scanlink.tl.cell_plan import CellPlan, checked_pairs, write_cell_plan
from scanlink.tl.designs import group_designs
from scanlink.tl.kendall.options import KendallOptions

__all__ = ["KendallPlan", "kendall_rows"]

# Seconds of a pair: some of its own, and some for each cell of its group.
_PAIR, _CELL = 2e-5, 2e-9


class KendallPlan(CellPlan):
    """Gene-peak pairs that have been checked and cut into blocks."""

    @cached_property
    def options(self) -> KendallOptions:
        """Options of the correlation."""
        return KendallOptions(**self.about["options"])


def kendall_rows(given: Given, options: KendallOptions) -> KendallPlan:
    """Check everything and write the plan of the table ``pairs``; the same input gives the same plan.

    Whatever would make tasks fail is found here: unknown names, no depth, no group with enough cells.
    """
    store, pairs = given.counts, checked_pairs(given.tables["pairs"])
    if options.depth not in store.cell_columns:
        raise MissingKeyError(
            f"no column {options.depth!r} in the table of cells to divide counts by; its columns are "
            f"{first_few(store.cell_columns, most=20)}. Name another with the option depth"
        )
    depth = store.cell_table([options.depth])[options.depth].to_numpy(dtype=np.float64, na_value=np.nan)
    if not (depth > 0).all():
        raise InputError(f"{options.depth!r} is missing or not above 0 in {int((~(depth > 0)).sum())} cells")
    gene, peak = store.positions("rna", pairs["gene"]), store.positions("atac", pairs["peak"])
    designs = group_designs(
        store,
        formula="1",
        groupby=given.groups.by,
        groups=given.groups.only,
        cluster=None,
        min_cells=options.min_cells,
        n_tested=0,
    )
    costs = [np.full(gene.size, _PAIR + _CELL * group.n_cells) for group in designs.groups]
    return write_cell_plan(
        KendallPlan,
        "kendall",
        given.parts,
        store=store,
        groupby=given.groups.by,
        options=options,
        designs=designs,
        rows={"gene": gene, "peak": peak, "distance": pairs["distance"].to_numpy(dtype=np.float64)},
        blocks=cut(gene, costs, owners_per_block=options.block_genes),
    )
