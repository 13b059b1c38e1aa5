"""Cells of several types that are tested as one group: found by what their genes and peaks have in common."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import OptionError, first_few
from scanlink.pp.components import leading_components
from scanlink.pp.groups import type_columns
from scanlink.store.store import Store

__all__ = ["common_variation", "warn_of_one_group"]

log = logging.getLogger("scanlink")

Floats = NDArray[np.float64]

# Components of each modality; fewer where there are few features. Cells for each of them, below which nothing is said.
_COMPONENTS, _FEATURES_EACH, _CELLS_EACH = 10, 5, 10
# Within single types of four data sets it was 0.7 to 1.2, in 29, 21 and 3 of them mixed 3.8 to 8.8.
_MIXED = 1.6


def warn_of_one_group(store: Store, design: Floats) -> None:
    """Say what it means that all cells are one group, and which columns would split them.

    ``design`` is that of all cells. What it explains is no reason to warn: it may hold cell types or components.
    """
    times = common_variation(store, design)
    columns = first_few(type_columns(store.cells)) or "none found"
    if times == 0:
        log.info(
            "no groups: all %d cells are tested as one, and the formula holds their leading components. Differences "
            "between types of cells that these do not catch are still called links",
            store.n_cells,
        )
        return
    if times is not None and times < _MIXED:
        log.info(
            "no groups: all %d cells are tested as one. Components of accessibility and of expression have no more in "
            "common than by chance (%.1f times), so nothing speaks for several types of cells that the formula leaves",
            store.n_cells,
            times,
        )
        return
    common = (
        ""
        if times is None
        else f"Beyond the covariates, components of accessibility and of expression have {times:.1f} times in common "
        "what chance gives (within one type: about 1), so there are several. "
    )
    log.warning(
        "no groups: all %d cells are tested as one, and what differs between types of cells is called a link. %s"
        "Columns that may hold types: %s. Test within them (groupby=, groups: {by: }), or where types are not known "
        "take components into the formula (scanlink.pp.components)",
        store.n_cells,
        common,
        columns,
    )


def common_variation(store: Store, design: Floats) -> float | None:
    """Compare what leading components of accessibility and expression have in common with what chance gives.

    That is Bartlett's statistic of their canonical correlations, over its degrees of freedom (Bartlett 1941,
    Biometrika 32:29), after the design and the log depths are taken out: 1 where the two are independent, 0 where the
    design leaves nothing of either. None if cells or features are too few to tell.
    """
    cells = store.sampled
    outer = [np.ones(cells.size), *design[cells].T]
    scores = []
    for modality in ("rna", "atac"):
        counts = store.sample(modality)
        n = min(_COMPONENTS, counts.shape[1] // _FEATURES_EACH)
        depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        if n < 2 or cells.size < _CELLS_EACH * 2 * n or not depth.any():
            return None
        try:
            scores.append(leading_components(counts, depth, n, modality, 0)[0])
        except OptionError:  # Too many of them are depth.
            return None
        outer.append(np.log(np.maximum(depth, 1.0)))
    taken = _basis(np.column_stack(outer))
    left, right = (_basis(part - taken @ (taken.T @ part)) for part in scores)
    p, q = left.shape[1], right.shape[1]
    if p == 0 or q == 0:
        return 0.0
    correlations = np.linalg.svd(left.T @ right, compute_uv=False)
    n_free = cells.size - taken.shape[1] - (p + q + 1) / 2
    statistic = -n_free * np.log1p(-(np.minimum(correlations, 1 - 1e-12) ** 2)).sum()
    return float(statistic / (p * q))


def _basis(columns: Floats) -> Floats:
    """Give an orthonormal basis of what columns span; those that are near zero beside the largest span nothing."""
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, values > 1e-6 * max(float(values.max(initial=0.0)), 1.0)]
