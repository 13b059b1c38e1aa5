"""What a worker does with a block of a scan: test its pairs one by one, and resample them together."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa

from scanlink.run import Block
from scanlink.stats import GeneReplicates, NegbinFit, PoissonFit, climb
from scanlink.stats.bootstrap import ResampledPair
from scanlink.tl.context import ScanContext, opener
from scanlink.tl.refits import refitted
from scanlink.tl.scan.cells import NUMBERS, GeneCounts, GroupCells, PeakCounts
from scanlink.tl.scan.rows import Plan

__all__ = ["RESULT_SCHEMA", "scan_block"]

# What a group keeps of peaks between pairs.
_CACHE_BYTES = 2**26
# As much may wait to be resampled together.
_WAITING_BYTES = 2**28

RESULT_SCHEMA = pa.schema(
    [
        ("group", pa.int32()),
        ("row", pa.int64()),
        ("frac_gene", pa.float64()),
        ("frac_peak", pa.float64()),
        *((name, pa.float64()) for name in NUMBERS),
        ("theta_converged", pa.bool_()),
        ("n_boot", pa.int64()),
        ("status", pa.string()),
    ]
)


def scan_block(context: ScanContext, block: Block) -> pa.Table:
    """Test the pairs of one block.

    Parameters
    ----------
    context
        Data and plan.
    block
        Rows of the plan's pairs, in one group.

    Returns
    -------
    pyarrow.Table
        A row a pair, columns of ``RESULT_SCHEMA``.
    """
    plan, group = _open(context, block.group)
    rows: list[dict[str, Any]] = []
    peaks: dict[int, PeakCounts] = {}
    waiting = _Waiting(group)
    number_before, gene = -1, None
    pairs = zip(*(positions.tolist() for positions in plan.pairs_of(block)), strict=True)
    for row, (number, peak) in enumerate(pairs, start=block.first):
        if gene is None or number != number_before:
            number_before, gene = number, group.gene(number)
            waiting.next_gene(gene)
        if peak not in peaks:
            if sum(known.nbytes for known in peaks.values()) > _CACHE_BYTES:
                peaks.clear()
            peaks[peak] = group.peak(peak)
        result, fit = group.test(gene, peaks[peak])
        rows.append({"group": block.group, "row": row, **result})
        if fit is not None and group.options.p_value == "bootstrap":
            waiting.add(peaks[peak], fit, rows[-1])
    waiting.resample()
    return pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)


class _Waiting:
    """Tested pairs that are to be resampled: together, because replicates cost little more for many than for one."""

    def __init__(self, group: GroupCells) -> None:
        self.group = group
        self.counts: GeneCounts | None = None
        self.gene: GeneReplicates | None = None
        self.genes: list[tuple[GeneReplicates, list[ResampledPair]]] = []
        self.rows: list[list[dict[str, Any]]] = []
        self.bytes = 0

    def next_gene(self, counts: GeneCounts) -> None:
        """Go on to another gene; what waits is resampled when it takes too much memory."""
        if self.bytes > _WAITING_BYTES:
            self.resample()
        self.counts, self.gene = counts, None

    def add(self, peak: PeakCounts, fit: PoissonFit | NegbinFit, row: dict[str, Any]) -> None:
        """Let a pair of the gene wait; ``row`` gets its p-value."""
        assert self.counts is not None
        if self.gene is None:
            self.gene = GeneReplicates(self.group.covariates, self.counts.counts)
            self.genes.append((self.gene, []))
            self.rows.append([])
            self.bytes += 16 * self.group.n
        pair: ResampledPair
        if isinstance(fit, NegbinFit):
            pair = refitted(
                fit,
                self.counts.counts,
                partial(self.group.design_with, peak),
                target=self.group.target,
                offset=self.group.offset,
                reestimate=self.group.options.theta == "estimated",
            )
            self.bytes += 8 * self.group.n
        else:
            pair = self.gene.pair(peak.counts, fit=fit, target=self.group.target)
            self.bytes += pair.nbytes
        self.genes[-1][1].append(pair)
        self.rows[-1].append(row)

    def resample(self) -> None:
        """Climb the ladder with all that wait."""
        for rows, found in zip(self.rows, climb(self.genes, self.group.ladder, self.group.weights), strict=True):
            for row, (p, n) in zip(rows, found, strict=True):
                row["p_boot"], row["n_boot"] = p, n
        self.genes, self.rows, self.gene, self.bytes = [], [], None, 0


_open = opener(Plan, GroupCells)
