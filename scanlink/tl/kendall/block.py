"""What a worker does with a block of pairs: Kendall's correlation of a gene with all its peaks at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scanlink.run import Block
from scanlink.stats.kendall import kendall_tau
from scanlink.store.npy import ArrayFile
from scanlink.store.store import Store
from scanlink.tl.cells import Cells, opener
from scanlink.tl.kendall.rows import KendallPlan
from scanlink.tl.kendall.table import KENDALL_TABLE

__all__ = ["kendall_block"]

# Counts of a cell are scaled to this total before the logarithm is taken.
_TOTAL = 1e4


class _Cells(Cells):
    """The cells of a group, and their depth."""

    def __init__(self, store: Store, plan: KendallPlan, number: int) -> None:
        super().__init__(store, plan, number, seed=0, device=None)
        self._options = plan.options

    @cached_property
    def depth(self) -> NDArray[np.float64]:
        """Total counts of each cell. Shape ``(n_cells,)``."""
        column = self.store.cell_table([self._options.depth])[self._options.depth]
        return column.to_numpy(dtype=np.float64)[self.place >= 0]

    def expression(self, gene: int) -> NDArray[np.float64]:
        """Compute the logarithm of the scaled counts of a gene. Shape ``(n_cells,)``."""
        return np.log1p(_TOTAL * self.values("rna", gene) / self.depth)

    def opened(self, peaks: NDArray[np.int32]) -> csr_matrix:
        """Read where peaks are open. Shape ``(n_peaks, n_cells)``."""
        places = [self.place[self.store.column("atac", peak)[0]] for peak in peaks.tolist()]
        inside = [np.sort(place[place >= 0]) for place in places]
        starts = np.concatenate([[0], np.cumsum([place.size for place in inside])])
        cells = np.concatenate(inside) if inside else np.empty(0, dtype=np.int32)
        return csr_matrix((np.ones(cells.size), cells, starts), shape=(peaks.size, self.n))


def kendall_block(plan: KendallPlan, block: Block) -> pa.Table:
    """Correlate the pairs of one block: a row a pair, with the columns of the table that are computed."""
    plan, cells = _opened(plan, block.group)
    gene, peak = (ArrayFile(plan.row_file(name)).read(block.first, block.last) for name in ("gene", "peak"))
    tau = np.full(gene.size, np.nan)
    if cells.group.status is None:
        edges = np.concatenate([[0], np.flatnonzero(np.diff(gene)) + 1, [gene.size]])
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            tau[first:last] = kendall_tau(cells.expression(int(gene[first])), cells.opened(peak[first:last]))
    status = np.where(np.isnan(tau), cells.group.status or "constant", "ok")
    columns = {"group": np.full(gene.size, block.group), "row": np.arange(block.first, block.last)}
    return pa.table({**columns, "tau": tau, "status": status}, schema=KENDALL_TABLE.schema(plan.options))


_opened = opener(_Cells)
