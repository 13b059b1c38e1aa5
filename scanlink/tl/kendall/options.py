"""Options of Kendall's rank correlation."""

from __future__ import annotations

from pydantic import Field

from scanlink.options import BlockGenes, Options

__all__ = ["KendallOptions"]


class KendallOptions(Options):
    """How expression is correlated with open peaks."""

    depth: str = Field("nUMI", description="column of cells with the total of counts that each gene's are divided by")
    min_cells: int = Field(10, ge=2, description="groups with fewer cells have no correlation")
    block_genes: BlockGenes = None
