"""Checks of what the fits and tests are given: shapes and values of counts, designs, offsets and weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats._types import Floats


def checked_cells(
    values: ArrayLike, design: ArrayLike, offset: ArrayLike | None, *, names: tuple[str, str] = ("counts", "design")
) -> tuple[Floats, Floats, Floats]:
    """Return values, design and offset of the same cells as contiguous arrays, once they are found to be sound.

    Values are finite and at least 0. An offset that is left out is 0. ``names`` are what messages call the first two.
    """
    name, matrix = names
    v = np.ascontiguousarray(values, dtype=np.float64)
    z = np.ascontiguousarray(design, dtype=np.float64)
    if v.ndim != 1 or not v.size or z.ndim != 2 or z.shape[0] != v.size:
        raise InputError(
            f"{name} have shape {v.shape} and {matrix} {z.shape}, expected (n_cells,) and (n_cells, n_terms)"
        )
    o = np.zeros(v.size) if offset is None else np.ascontiguousarray(offset, dtype=np.float64)
    if o.shape != v.shape:
        raise InputError(f"the offset has shape {o.shape}, expected {v.shape}")
    if not np.isfinite(v).all() or (v < 0).any():
        raise InputError(f"{name} must be finite and at least 0")
    if not (np.isfinite(z).all() and np.isfinite(o).all()):
        raise DesignError(f"the {matrix} and the offset must be finite: remove or impute missing values first")
    return v, z, o


def checked_regression(counts: ArrayLike, design: ArrayLike, offset: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Check as :func:`checked_cells` does, and that there are no more terms than cells."""
    y, z, o = checked_cells(counts, design, offset)
    if z.shape[1] > z.shape[0]:
        raise DesignError(
            f"the design has {z.shape[1]} terms for {z.shape[0]} cells: fewer terms or more cells are needed"
        )
    return y, z, o


def checked_weights(weights: ArrayLike | None, n_cells: int) -> Floats:
    """Return one weight a cell, 1 where they are left out."""
    w = np.ones(n_cells) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (n_cells,) or not (np.isfinite(w).all() and (w >= 0).all()):
        raise InputError(f"weights must be {n_cells} finite numbers of at least 0, one for each cell")
    return w


def checked_replicates(weights: NDArray[np.uint16], target: int, design: Floats) -> NDArray[np.uint16]:
    """Return the weights of many replicates, a row each, as a contiguous array; refuse a target that is no column."""
    w = np.ascontiguousarray(weights, dtype=np.uint16)
    n_cells, n_terms = design.shape
    if w.ndim != 2 or w.shape[1] != n_cells:
        raise InputError(f"weights have shape {w.shape}, expected (n_replicates, {n_cells})")
    if not 0 <= target < n_terms:
        raise OptionError(f"target {target} is not a column of the design, which has {n_terms}")
    return w


def checked_start(start: ArrayLike, n_terms: int) -> Floats:
    """Return a copy of the coefficients to start from, one a term."""
    coef = np.array(start, dtype=np.float64)
    if coef.shape != (n_terms,):
        raise InputError(f"start has shape {coef.shape}, expected {(n_terms,)}: a coefficient for each term")
    return coef


def checked_theta(theta: float) -> float:
    """Refuse an inverse dispersion that is not above 0; it may be infinite."""
    if not theta > 0:
        raise OptionError(f"theta is {theta!r}, expected a number above 0, or None: the variance is mu + mu^2 / theta")
    return float(theta)
