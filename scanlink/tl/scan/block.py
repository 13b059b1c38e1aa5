"""What a worker does with a block of a scan: test its pairs one by one, and resample them together."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa

from scanlink.run import Block
from scanlink.tl.cells import opener
from scanlink.tl.designs import ladder_of
from scanlink.tl.resampling import Bootstrap
from scanlink.tl.scan.cells import GeneCounts, GroupCells, PeakCounts
from scanlink.tl.scan.rows import ScanPlan
from scanlink.tl.scan.table import LINKS

__all__ = ["scan_block"]

# What a group keeps of peaks between pairs.
_CACHE_BYTES = 2**26


def scan_block(plan: ScanPlan, block: Block) -> pa.Table:
    """Test the pairs of one block: a row a pair, with the columns of the table of links that are computed."""
    plan, cells = _opened(plan, block.group)
    rows: list[dict[str, Any]] = []
    peaks: dict[int, PeakCounts] = {}
    ladder = ladder_of(plan.options.ladder, cells.clusters)
    bootstrap = Bootstrap(cells, ladder, reestimate=plan.options.theta == "estimated")
    gene: GeneCounts | None = None
    pairs = zip(*(positions.tolist() for positions in plan.pairs_of(block)), strict=True)
    for row, (number, peak) in enumerate(pairs, start=block.first):
        if gene is None or number != gene.number:
            gene = cells.gene(number)
        if peak not in peaks:
            if sum(kept.nbytes for kept in peaks.values()) > _CACHE_BYTES:
                peaks.clear()
            peaks[peak] = cells.peak(peak)
        result, fit = cells.test(gene, peaks[peak])
        rows.append({"group": block.group, "row": row, **result})
        if fit is not None and ladder.stages:
            design = partial(cells.design_with, peaks[peak])
            bootstrap.add(gene.counts, rows[-1], fit, target=cells.target, tested=peaks[peak].counts, design=design)
    bootstrap.climb()
    return pa.Table.from_pylist(rows, schema=LINKS.schema(plan.options))


_opened = opener(GroupCells)
