"""What each pair will cost: used to cut blocks of about equal length, and never for a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scanlink.io.store import Modality, Store
from scanlink.options import ScanOptions
from scanlink.stats import Ladder

if TYPE_CHECKING:
    from scanlink.tl.plan import Group

__all__ = ["estimate_costs", "nonzero_cells"]

# Of tested pairs, about this share enters each next stage of a ladder.
_GO_ON = (1.0, 0.15, 0.1, 0.05, 0.03)


def nonzero_cells(
    store: Store, modality: Modality, features: NDArray[np.int32], group_of_cell: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """Cells in which a feature is non-zero, by group. Shape ``(n_groups, n_features_of_store)``; others stay 0."""
    out = np.zeros((n_groups, len(store.genes if modality == "rna" else store.peaks)), dtype=np.int64)
    for feature in np.unique(features):
        cells, _ = store.column(modality, int(feature))
        counted = np.bincount(group_of_cell[cells] + 1, minlength=n_groups + 1)
        out[:, feature] = counted[1:]
    return out


def estimate_costs(
    store: Store,
    gene: NDArray[np.int32],
    peak: NDArray[np.int32],
    groups: list[Group],
    arrays: list[dict[str, NDArray[Any]]],
    options: ScanOptions,
) -> list[NDArray[np.float64]]:
    """Estimated seconds of each pair in each group: whether it will be tested, and with how many replicates."""
    group_of_cell = np.full(len(store.cells), -1, dtype=np.int64)
    for number, part in enumerate(arrays):
        group_of_cell[part["cells"]] = number
    expressed = nonzero_cells(store, "rna", gene, group_of_cell, len(groups))
    opened = nonzero_cells(store, "atac", peak, group_of_cell, len(groups))
    replicates = 0.0
    if options.p_value == "bootstrap":
        stages = Ladder.of(options.ladder).stages
        replicates = sum(n * _GO_ON[min(k, len(_GO_ON) - 1)] for k, (n, _) in enumerate(stages))
    costs = []
    for number, group in enumerate(groups):
        least = options.min_fraction * group.n_cells
        tested = (expressed[number, gene] > least) & (opened[number, peak] > least) & (group.status is None)
        p = len(group.terms) + 1
        fit = group.n_cells * (10.0 + 3.0 * p + 0.7 * p * p) * 1e-9 * 4
        replicate = 1e-6 + group.n_cells * 0.2e-9 * p
        if options.family == "negbin":
            replicate = group.n_cells * (900e-9 if options.theta == "estimated" else 30e-9)
        costs.append(np.where(tested, 1e-3 + 3.0 * fit + replicate * replicates, 2e-5))
    return costs
