"""The plan of a scan: every check is made here, before the first task, and everything that a task needs is on disk."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scanlink.run import Block, cut
from scanlink.store.npy import ArrayFile
from scanlink.tl.analysis import Given
from scanlink.tl.cell_plan import CellPlan, checked_pairs, write_cell_plan
from scanlink.tl.designs import group_designs
from scanlink.tl.scan.one_group import warn_of_one_group
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.pair_costs import PairCosts, nonzero_cells

__all__ = ["ScanPlan", "scan_rows"]


class ScanPlan(CellPlan):
    """A scan that has been checked and cut into blocks."""

    @cached_property
    def options(self) -> ScanOptions:
        """Options of the scan."""
        return ScanOptions(**self.about["options"])

    def pairs_of(self, block: Block) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Read the positions of gene and peak of a block's pairs. Shape ``(last - first,)`` each."""
        gene, peak = (ArrayFile(self.row_file(name)).read(block.first, block.last) for name in ("gene", "peak"))
        return gene, peak


def scan_rows(given: Given, options: ScanOptions) -> ScanPlan:
    """Check everything and write the plan of the table ``pairs``; the same input gives the same plan.

    Whatever would make tasks fail is found here: unknown names, missing covariates, no usable group.
    """
    store, pairs = given.counts, checked_pairs(given.tables["pairs"])
    gene, peak = store.positions("rna", pairs["gene"]), store.positions("atac", pairs["peak"])
    groupby = given.groups.by
    designs = group_designs(
        store,
        formula=options.formula,
        groupby=groupby,
        groups=given.groups.only,
        cluster=options.cluster,
        min_cells=options.min_cells,
        p_value=options.p_value,
    )
    if groupby is None and designs.groups[0].status is None:
        warn_of_one_group(store, designs.arrays[0]["design"])
    costs = PairCosts(
        gene,
        peak,
        groups=designs.groups,
        ladders=designs.ladders(options.ladder),
        options=options,
        expressed=nonzero_cells(store, "rna", gene, groupby, designs.members),
        opened=nonzero_cells(store, "atac", peak, groupby, designs.members),
    )
    return write_cell_plan(
        ScanPlan,
        "scan",
        given.parts,
        store=store,
        groupby=groupby,
        options=options,
        designs=designs,
        rows={"gene": gene, "peak": peak, "distance": pairs["distance"].to_numpy(dtype=np.float64)},
        blocks=cut(gene, costs, owners_per_block=options.block_genes),
    )
