"""The least number of UMIs of each guide that rather comes from a cell that expresses it than from ambient RNA."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scanlink.errors import first_few
from scanlink.stats.umi_mixture import fit_umi_mixture

__all__ = ["mixture_thresholds"]

log = logging.getLogger("scanlink")

# Of fewer positive cells no mixture is fitted.
_FEWEST_CELLS = 50


def mixture_thresholds(counts: sparse.csc_matrix, names: pd.Index, otherwise: int) -> NDArray[np.int64]:
    """Find the threshold of each guide: its own, that of all guides together, or ``otherwise``."""
    of_guides = np.split(counts.data, counts.indptr[1:-1])
    own = [_mixture(values) if values.size >= _FEWEST_CELLS else None for values in of_guides]
    pooled = _mixture(counts.data)
    without = np.array([threshold is None for threshold in own])
    if pooled is None and without.any():
        log.warning(
            "the counts of all guides together do not fall into background and signal; %d guides without a fit of "
            "their own take the threshold %d: %s",
            int(without.sum()),
            otherwise,
            first_few(names[without]),
        )
        pooled = otherwise
    elif without.any():
        few = sum(values.size < _FEWEST_CELLS for values in of_guides)
        log.info(
            "%d guides take the threshold of all guides together (%d): %d with fewer than %d positive cells, %d "
            "without two components: %s",
            int(without.sum()),
            pooled,
            few,
            _FEWEST_CELLS,
            int(without.sum()) - few,
            first_few(names[without]),
        )
    least = np.array([pooled if threshold is None else threshold for threshold in own], dtype=np.int64)
    spread = ", ".join(f"{n} guides {value}" for value, n in zip(*np.unique(least, return_counts=True), strict=True))
    log.info("thresholds by mixture, UMIs: %s", spread)
    return least


def _mixture(values: NDArray[np.int32]) -> int | None:
    return fit_umi_mixture(*np.unique(values, return_counts=True)).threshold
