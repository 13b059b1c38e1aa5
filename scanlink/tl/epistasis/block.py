"""What a worker does with a block of enhancer pairs: fit the states of each, and resample them together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scanlink.run import Block
from scanlink.stats import GeneReplicates, Ladder, StateReplicates, StatesFit, climb_all
from scanlink.tl.context import ScanContext, opener
from scanlink.tl.epistasis.cells import QUANTITY, RERI, StatesCells, quantity_names, state_columns
from scanlink.tl.epistasis.rows import EpistasisPlan

__all__ = ["epistasis_block", "result_schema"]

# As much may wait to be resampled together.
_WAITING_BYTES = 2**28


def result_schema(n_enhancers: int) -> pa.Schema:
    """Columns of a part."""
    whole, numbers = state_columns(n_enhancers)
    for name in quantity_names(n_enhancers):
        numbers += [f"{kind}_{name}" for kind in QUANTITY if kind != "n_boot"]
    counts = [f"n_boot_{name}" for name in quantity_names(n_enhancers)]
    return pa.schema(
        [
            ("group", pa.int32()),
            ("row", pa.int64()),
            *((name, pa.int64()) for name in [*whole, *counts]),
            *((name, pa.float64()) for name in [*numbers, *RERI, "min_interaction", "cook_ratio", "theta"]),
            ("theta_converged", pa.bool_()),
            ("status", pa.string()),
        ]
    )


def epistasis_block(context: ScanContext, block: Block) -> pa.Table:
    """Test the enhancer pairs of one block.

    Parameters
    ----------
    context
        Data and plan.
    block
        Rows of the plan, in one group.

    Returns
    -------
    pyarrow.Table
        A row a pair, columns of :func:`result_schema`.
    """
    plan, group = _open(context, block.group)
    rows: list[dict[str, Any]] = []
    peaks: dict[int, NDArray[np.bool_]] = {}
    waiting: list[tuple[int, NDArray[np.float64], list[tuple[StatesFit, dict[str, Any]]]]] = []
    size, number_before, counts = 0, -1, np.empty(0)
    for row in range(block.first, block.last):
        number, members = int(plan.gene[row]), plan.enhancers[row].tolist()
        if number != number_before:
            number_before, counts = number, group.values("rna", number)
            peaks.clear()
            if size > _WAITING_BYTES:
                _resample(group, waiting)
                waiting, size = [], 0
        for peak in members:
            if peak not in peaks:
                peaks[peak] = group.values("atac", peak, binary=True) > 0
        state = np.zeros(group.n, dtype=np.int64)
        for k, peak in enumerate(members):
            state |= peaks[peak].astype(np.int64) << k
        result, fit = group.test(counts, state)
        rows.append({"group": block.group, "row": row, **result})
        if fit is not None and group.options.p_value == "bootstrap":
            if not waiting or waiting[-1][0] != number:
                waiting.append((number, counts, []))
            waiting[-1][2].append((fit, rows[-1]))
            size += sum(part.design.nbytes + 3 * part.counts.nbytes for part in fit.parts)
    _resample(group, waiting)
    return pa.Table.from_pylist(rows, schema=result_schema(plan.n_enhancers))


def _resample(
    group: StatesCells, waiting: list[tuple[int, NDArray[np.float64], list[tuple[StatesFit, dict[str, Any]]]]]
) -> None:
    """Climb the ladder with all that wait, and write down their p-values."""
    genes = []
    for _, counts, pairs in waiting:
        gene = GeneReplicates(group.covariates, counts)
        moments = gene.moments if group.options.family == "poisson" else None
        genes.append((gene, [StateReplicates(fit, moments) for fit, _ in pairs]))
    names = quantity_names(group.n_enhancers)
    found = climb_all(genes, Ladder.of(group.options.ladder), group.weights)
    for (_, _, pairs), results in zip(waiting, found, strict=True):
        for (_, row), (p, n) in zip(pairs, results, strict=True):
            for k, name in enumerate(names):
                row[f"p_boot_{name}"], row[f"n_boot_{name}"] = float(p[k]), int(n[k])
            row["p_boot_reri"] = float(p[-1])


_open = opener(EpistasisPlan, StatesCells)
