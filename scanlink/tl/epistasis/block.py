"""What a worker does with a block of enhancer pairs: fit the states of each, and resample them together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import GeneReplicates, Ladder, StateReplicates, StatesFit, climb_all
from scanlink.tl.cells import opener
from scanlink.tl.designs import ladder_of
from scanlink.tl.epistasis.cells import StatesCells
from scanlink.tl.epistasis.rows import EpistasisPlan
from scanlink.tl.epistasis.table import EPISTASIS_TABLE, quantity_names
from scanlink.tl.resampling import WAITING_BYTES

__all__ = ["epistasis_block"]

# A gene, its counts, and the fit and row of each of its pairs that wait to be resampled.
Waiting = list[tuple[int, NDArray[np.float64], list[tuple[StatesFit, dict[str, Any]]]]]


def epistasis_block(plan: EpistasisPlan, block: Block) -> pa.Table:
    """Test the enhancer pairs of one block: a row a pair, with the columns of the table that are computed."""
    plan, cells = _opened(plan, block.group)
    rows: list[dict[str, Any]] = []
    peaks: dict[int, NDArray[np.bool_]] = {}
    waiting: Waiting = []
    ladder = ladder_of(plan.options.ladder, cells.clusters)
    size, number_before, counts = 0, -1, np.empty(0)
    for row in range(block.first, block.last):
        number, members = int(plan.gene[row]), plan.enhancers[row].tolist()
        if number != number_before:
            number_before, counts = number, cells.values("rna", number)
            peaks.clear()
            if size > WAITING_BYTES:
                _resample(cells, waiting, ladder)
                waiting, size = [], 0
        for peak in members:
            if peak not in peaks:
                peaks[peak] = cells.values("atac", peak, binary=True) > 0
        state = np.zeros(cells.n, dtype=np.int64)
        for k, peak in enumerate(members):
            state |= peaks[peak].astype(np.int64) << k
        result, fit = cells.test(counts, state)
        rows.append({"group": block.group, "row": row, **result})
        if fit is not None and ladder.stages:
            if not waiting or waiting[-1][0] != number:
                waiting.append((number, counts, []))
            waiting[-1][2].append((fit, rows[-1]))
            size += sum(part.design.nbytes + 3 * part.counts.nbytes for part in fit.parts)
    _resample(cells, waiting, ladder)
    return pa.Table.from_pylist(rows, schema=EPISTASIS_TABLE.schema(plan.options))


def _resample(cells: StatesCells, waiting: Waiting, ladder: Ladder) -> None:
    """Climb the ladder with all that wait, and write down their p-values."""
    genes = []
    for _, counts, pairs in waiting:
        gene = GeneReplicates(cells.covariates, counts)
        moments = gene.moments if cells.options.family == "poisson" else None
        genes.append((gene, [StateReplicates(fit, moments) for fit, _ in pairs]))
    names = quantity_names(cells.n_enhancers)
    found = climb_all(genes, ladder, cells.weights)
    for (_, _, pairs), results in zip(waiting, found, strict=True):
        for (_, row), (p, n) in zip(pairs, results, strict=True):
            for k, name in enumerate(names):
                row[f"p_boot_{name}"], row[f"n_boot_{name}"] = float(p[k]), int(n[k])
            row["p_boot_reri"] = float(p[-1])


_opened = opener(StatesCells)
