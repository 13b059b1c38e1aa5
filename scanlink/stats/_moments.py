"""Compiled sums over cells for the moment solver: monomials of the covariates, and their bootstrap weighted sums.

The innermost loops run over replicates, so that the compiler makes vector instructions of them. No replicate's sums
depend on which others are computed beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._compile import compiled, compiled_contracted

Floats = NDArray[np.float64]

# Replicates that are summed at once: the weights of so many stand together, cell by cell, and stay in the cache.
LANES = 64


# Multiplication and addition in one instruction nearly double the speed, and leave the order of the sums alone.
@compiled_contracted
def weighted_sums(
    weights: NDArray[np.uint8], cells: NDArray[np.int64], features: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """``out[k, r] = sum over cells of (weight - 1) features[cell, k]``, in the order of ``cells``.

    Replicate ``r`` has the weights ``weights[r // LANES, :, r % LANES]``.

    There may be more features than rows of ``out``: the first ones are taken.

    Around their expectation the sums are small, so that single precision is enough.
    """
    n_columns = out.shape[0]
    sums = np.empty((n_columns, LANES), dtype=np.float32)
    centred = np.empty((4, LANES), dtype=np.float32)
    one = np.float32(1.0)
    whole = cells.size - cells.size % 4
    for tile in range(weights.shape[0]):
        own = weights[tile]
        first = tile * LANES
        sums[:] = np.float32(0.0)
        # Four cells at a time, because the sums then leave the registers a quarter as often.
        for i in range(0, whole, 4):
            c0, c1, c2, c3 = cells[i], cells[i + 1], cells[i + 2], cells[i + 3]
            for r in range(LANES):
                centred[0, r] = np.float32(own[c0, r]) - one
                centred[1, r] = np.float32(own[c1, r]) - one
                centred[2, r] = np.float32(own[c2, r]) - one
                centred[3, r] = np.float32(own[c3, r]) - one
            for k in range(n_columns):
                f0, f1, f2, f3 = features[c0, k], features[c1, k], features[c2, k], features[c3, k]
                for r in range(LANES):
                    sums[k, r] += (f0 * centred[0, r] + f1 * centred[1, r]) + (f2 * centred[2, r] + f3 * centred[3, r])
        for i in range(whole, cells.size):
            c0 = cells[i]
            for k in range(n_columns):
                f0 = features[c0, k]
                for r in range(LANES):
                    sums[k, r] += f0 * (np.float32(own[c0, r]) - one)
        for k in range(n_columns):
            for r in range(LANES):
                out[k, first + r] = sums[k, r]


@compiled
def cell_features(
    covariates: Floats,
    counts: Floats,
    mu: Floats,
    parent: NDArray[np.int64],
    axis: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Columns of ``out``: ``mu_i Z_i^a`` for the monomials of ``parent`` and ``axis``, then ``y_i``."""
    n_monomials = parent.size
    row = np.empty(n_monomials)
    for i in range(covariates.shape[0]):
        row[0] = mu[i]
        out[i, 0] = row[0]
        for a in range(1, n_monomials):
            row[a] = row[parent[a]] * covariates[i, axis[a]]
            out[i, a] = row[a]
        out[i, n_monomials] = counts[i]


@compiled
def class_moments(
    covariates: Floats,
    scale: Floats,
    cells: NDArray[np.int64],
    parent: NDArray[np.int64],
    axis: NDArray[np.int64],
    out: Floats,
) -> None:
    """``out[a] = sum over cells of scale_i Z_i^a``."""
    row = np.empty(parent.size)
    out[:] = 0.0
    for i in cells:
        row[0] = scale[i]
        out[0] += row[0]
        for a in range(1, parent.size):
            row[a] = row[parent[a]] * covariates[i, axis[a]]
            out[a] += row[a]


@compiled
def sum_counts(
    own: NDArray[np.float32],
    slopes_own: NDArray[np.float32],
    counted: Floats,
    slopes: Floats,
    class_design: Floats,
    level_of_class: NDArray[np.int64],
    data: Floats,
    at_level: Floats,
) -> None:
    """Weighted sums of counts times the solver's terms, and of counts at each level, of every replicate.

    ``own`` (classes, R) and ``slopes_own`` (strata, q, R) are the fluctuations around ``counted`` and ``slopes``.
    """
    n_classes, r = class_design.shape
    n_replicates = data.shape[1]
    data[:] = 0.0
    at_level[:] = 0.0
    for c in range(n_classes):
        here = own[c]
        level = at_level[level_of_class[c]]
        for v in range(n_replicates):
            level[v] += counted[c] + here[v]
        for k in range(r):
            g = class_design[c, k]
            if g != 0.0:
                row = data[k]
                for v in range(n_replicates):
                    row[v] += g * (counted[c] + here[v])
    for j in range(slopes.size):
        row = data[r + j]
        for v in range(n_replicates):
            row[v] = slopes[j]
        for s in range(slopes_own.shape[0]):
            here = slopes_own[s, j]
            for v in range(n_replicates):
                row[v] += here[v]


def remainder_norms(
    covariates: Floats,
    scale: Floats,
    cells: NDArray[np.int64],
    clusters: NDArray[np.int64] | None,
    order: int,
    own_order: int,
    out: Floats,
) -> None:
    """What bounds the terms that the expansions leave out, for one class of cells.

    ``out[0, j, k]`` is the norm of covariate ``k`` of order ``order - (j > 0)`` under the measure ``mu |Z_j|`` with
    ``Z_0 = 1``; by Minkowski, ``sum mu |Z_j| |Z d|^m <= (sum_k |d_k| norm_k)^m``. ``out[1, j, k]`` bounds in the same
    way the standard deviation over resamples of what is left out of order ``own_order``: sums over clusters of cells,
    squared, where whole clusters are resampled.
    """
    if clusters is None:
        _remainder_norms(covariates, scale, cells, np.arange(cells.size), order, own_order, out)
    else:
        _remainder_norms(covariates, scale, cells, clusters[cells], order, own_order, out)


@compiled
def _remainder_norms(
    covariates: Floats,
    scale: Floats,
    cells: NDArray[np.int64],
    cluster_of: NDArray[np.int64],
    order: int,
    own_order: int,
    out: Floats,
) -> None:
    q = covariates.shape[1]
    n_clusters = cluster_of.max() + 1
    inner = np.zeros((n_clusters, q + 1, q))
    out[:] = 0.0
    for place in range(cells.size):
        i = cells[place]
        g = cluster_of[place]
        mu = scale[i]
        for k in range(q):
            z = abs(covariates[i, k])
            high = mu
            for _ in range(order - 1):
                high *= z
            low = mu
            for _ in range(own_order - 1):
                low *= z
            out[0, 0, k] += high * z
            inner[g, 0, k] += low * z
            for j in range(q):
                other = abs(covariates[i, j])
                out[0, j + 1, k] += other * high
                inner[g, j + 1, k] += other * low
    for j in range(q + 1):
        for k in range(q):
            out[0, j, k] **= 1.0 / (order - (j > 0))
            for g in range(n_clusters):
                out[1, j, k] += inner[g, j, k] * inner[g, j, k]
            out[1, j, k] **= 0.5 / (own_order - (j > 0))
