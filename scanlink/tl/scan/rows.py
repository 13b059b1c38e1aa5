"""The plan of a scan: every check is made here, before the first task, and everything that a task needs is on disk."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.options import ScanOptions
from scanlink.run import Block, cut
from scanlink.store.npy import ArrayFile
from scanlink.store.store import Store
from scanlink.tl.designs import Arrays, group_designs
from scanlink.tl.labels import checked_pairs
from scanlink.tl.plan import PlanFiles, write_plan
from scanlink.tl.scan.costs import PairCosts, nonzero_cells

__all__ = ["Plan", "make_plan"]


class Plan(PlanFiles):
    """A scan that has been checked and cut into blocks."""

    @property
    def options(self) -> ScanOptions:
        """How pairs are tested."""
        return ScanOptions(**self.about["options"])

    @cached_property
    def pairs(self) -> Arrays:
        """Positions of ``gene`` and ``peak`` in the store, and ``distance``, a row a pair."""
        return {name: np.load(self.folder / f"pairs_{name}.npy") for name in ("gene", "peak", "distance")}

    def pairs_of(self, block: Block) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Positions of gene and peak of a block's pairs, all that is read of them. Shape ``(last - first,)`` each."""
        gene, peak = (
            ArrayFile(self.folder / f"pairs_{name}.npy").read(block.first, block.last) for name in ("gene", "peak")
        )
        return gene, peak


def make_plan(
    store: Store,
    pairs: pd.DataFrame,
    folder: Path,
    *,
    options: ScanOptions,
    groupby: str | None = None,
    groups: tuple[str, ...] | None = None,
) -> Plan:
    """Check everything and write the plan below ``folder``; the same input gives the same plan.

    Parameters
    ----------
    store
        Counts and cells.
    pairs
        Columns ``gene`` and ``peak``; ``distance`` if known.
    folder
        The plan gets a folder of its own in it, named by its fingerprint.
    options
        How pairs are tested.
    groupby
        Column of the table of cells; None makes all cells one group, ``all``.
    groups
        Which of its values; None takes all, in sorted order.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Whatever would make tasks fail is found here: unknown names, missing covariates, no usable group.
    """
    table = checked_pairs(pairs)
    gene, peak = store.positions("rna", table["gene"]), store.positions("atac", table["peak"])
    distance = table["distance"].to_numpy(dtype=np.float64)
    designs = group_designs(
        store,
        formula=options.formula,
        groupby=groupby,
        groups=groups,
        cluster=options.cluster,
        min_cells=options.min_cells,
    )
    costs = PairCosts(
        gene,
        peak,
        groups=designs.groups,
        options=options,
        expressed=nonzero_cells(store, "rna", gene, groupby, designs.members),
        opened=nonzero_cells(store, "atac", peak, groupby, designs.members),
    )
    return write_plan(
        Plan,
        "scan",
        folder,
        store=store,
        groupby=groupby,
        options=options.model_dump(mode="json"),
        designs=designs,
        rows={"gene": gene, "peak": peak, "distance": distance},
        blocks=cut(gene, costs, owners_per_block=options.block_genes),
    )
