"""Compiled sums over cells for the moment solver: monomials of the covariates, and their bootstrap weighted sums.

The innermost loops run over replicates, so that the compiler makes vector instructions of them. No replicate's sums
depend on which others are computed beside it.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._compile import compiled, compiled_contracted
from scanlink.stats._types import Floats, Ints, Singles

# Replicates that are summed at once: the weights of so many stand together, cell by cell, and stay in the cache.
LANES = 64


class Monomials(NamedTuple):
    """Products of powers of ``q`` covariates, by increasing degree."""

    # Each monomial is its parent times covariate ``axis``, whose power is then ``exponent``. Shape (n_monomials,).
    parent: Ints
    axis: Ints
    exponent: Ints
    # Position of each monomial times covariate j, -1 beyond the degree. Shape (q, n_monomials).
    up: Ints
    # Number of monomials of degree up to k. Shape (degree + 1,).
    prefix: Ints
    # Degree of the expansion of what replicates share, and of what is their own.
    degree: int
    fluctuation_degree: int

    @classmethod
    def upto(cls, q: int, degree: int, fluctuation_degree: int) -> Monomials:
        """Make all monomials of ``q`` covariates up to a degree."""
        monomials = [powers for k in range(degree + 1) for powers in combinations_with_replacement(range(q), k)]
        position = {powers: a for a, powers in enumerate(monomials)}
        up = np.full((q, len(monomials)), -1, dtype=np.int64)
        for powers, a in position.items():
            for j in range(q):
                up[j, a] = position.get(tuple(sorted((*powers, j))), -1)
        return cls(
            np.array([position[powers[:-1]] for powers in monomials], dtype=np.int64),
            np.array([powers[-1] if powers else 0 for powers in monomials], dtype=np.int64),
            np.array([powers.count(powers[-1]) if powers else 1 for powers in monomials], dtype=np.int64),
            up,
            np.array([sum(len(powers) <= k for powers in monomials) for k in range(degree + 1)], dtype=np.int64),
            degree,
            fluctuation_degree,
        )

    @property
    def left_out(self) -> tuple[int, int]:
        """Return the degrees of the first terms that the two expansions leave out."""
        return self.degree + 1, self.fluctuation_degree + 1

    @property
    def n_summed(self) -> int:
        """Count the monomials that are summed for every replicate."""
        return int(self.prefix[self.fluctuation_degree])


# Multiplication and addition in one instruction nearly double the speed, and leave the order of the sums alone.
@compiled_contracted
def weighted_sums(weights: NDArray[np.uint8], cells: Ints, features: Singles, out: Singles) -> None:
    """Sum over cells: ``out[k, r] = sum of (weight - 1) features[cell, k]``, in the order of ``cells``.

    Replicate ``r`` has the weights ``weights[r // LANES, :, r % LANES]``. Features beyond the rows of ``out`` are left
    aside. Around their expectation the sums are small, so that single precision is enough.
    """
    n_columns = out.shape[0]
    sums = np.empty((n_columns, LANES), dtype=np.float32)
    centred = np.empty((4, LANES), dtype=np.float32)
    one = np.float32(1.0)
    n_by_four = cells.size - cells.size % 4
    for tile in range(weights.shape[0]):
        tile_weights = weights[tile]
        first = tile * LANES
        sums[:] = np.float32(0.0)
        # Four cells at a time, because the sums then leave the registers a quarter as often.
        for i in range(0, n_by_four, 4):
            c0, c1, c2, c3 = cells[i], cells[i + 1], cells[i + 2], cells[i + 3]
            for r in range(LANES):
                centred[0, r] = np.float32(tile_weights[c0, r]) - one
                centred[1, r] = np.float32(tile_weights[c1, r]) - one
                centred[2, r] = np.float32(tile_weights[c2, r]) - one
                centred[3, r] = np.float32(tile_weights[c3, r]) - one
            for k in range(n_columns):
                f0, f1, f2, f3 = features[c0, k], features[c1, k], features[c2, k], features[c3, k]
                for r in range(LANES):
                    sums[k, r] += (f0 * centred[0, r] + f1 * centred[1, r]) + (f2 * centred[2, r] + f3 * centred[3, r])
        for i in range(n_by_four, cells.size):
            c0 = cells[i]
            for k in range(n_columns):
                f0 = features[c0, k]
                for r in range(LANES):
                    sums[k, r] += f0 * (np.float32(tile_weights[c0, r]) - one)
        for k in range(n_columns):
            for r in range(LANES):
                out[k, first + r] = sums[k, r]


@compiled
def cell_features(covariates: Floats, counts: Floats, mu: Floats, parent: Ints, axis: Ints, out: Singles) -> None:
    """Fill the columns of ``out``: ``mu_i Z_i^a`` for the monomials of ``parent`` and ``axis``, then ``y_i``."""
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
def class_moments(covariates: Floats, scale: Floats, cells: Ints, parent: Ints, axis: Ints, out: Floats) -> None:
    """Sum over cells: ``out[a] = sum of scale_i Z_i^a``."""
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
    fluctuations: Singles,
    slope_fluctuations: Singles,
    counted: Floats,
    slopes: Floats,
    class_design: Floats,
    level_of_class: Ints,
    data: Floats,
    at_level: Floats,
) -> None:
    """Sum counts times the solver's terms, and counts at each level, with the weights of every replicate.

    ``fluctuations`` (classes, R) are those around ``counted``, and ``slope_fluctuations`` (strata, q, R) those around
    ``slopes``.
    """
    n_classes, r = class_design.shape
    n_replicates = data.shape[1]
    data[:] = 0.0
    at_level[:] = 0.0
    for c in range(n_classes):
        fluctuation = fluctuations[c]
        level = at_level[level_of_class[c]]
        for v in range(n_replicates):
            level[v] += counted[c] + fluctuation[v]
        for k in range(r):
            g = class_design[c, k]
            if g != 0.0:
                row = data[k]
                for v in range(n_replicates):
                    row[v] += g * (counted[c] + fluctuation[v])
    for j in range(slopes.size):
        row = data[r + j]
        for v in range(n_replicates):
            row[v] = slopes[j]
        for s in range(slope_fluctuations.shape[0]):
            fluctuation = slope_fluctuations[s, j]
            for v in range(n_replicates):
                row[v] += fluctuation[v]


@compiled
def remainder_norms(
    covariates: Floats, scale: Floats, cells: Ints, cluster_of: Ints, order: int, fluctuation_order: int, out: Floats
) -> None:
    """Compute what bounds the terms that the expansions leave out, for one class of cells.

    ``out[0, j, k]`` is the norm of covariate ``k`` of order ``order - (j > 0)`` under the measure ``mu |Z_j|`` with
    ``Z_0 = 1``; by Minkowski, ``sum mu |Z_j| |Z d|^m <= (sum_k |d_k| norm_k)^m``. ``out[1, j, k]`` bounds in the same
    way the standard deviation over resamples of what is left out of order ``fluctuation_order``: sums over clusters of
    cells, squared, where whole clusters are resampled; ``cluster_of`` is that of each of ``cells``.
    """
    q = covariates.shape[1]
    n_clusters = cluster_of.max() + 1
    inner = np.zeros((n_clusters, q + 1, q))
    out[:] = 0.0
    for position in range(cells.size):
        i = cells[position]
        g = cluster_of[position]
        mu = scale[i]
        for k in range(q):
            z = abs(covariates[i, k])
            high = mu
            for _ in range(order - 1):
                high *= z
            low = mu
            for _ in range(fluctuation_order - 1):
                low *= z
            out[0, 0, k] += high * z
            inner[g, 0, k] += low * z
            for j in range(q):
                z_other = abs(covariates[i, j])
                out[0, j + 1, k] += z_other * high
                inner[g, j + 1, k] += z_other * low
    for j in range(q + 1):
        for k in range(q):
            out[0, j, k] **= 1.0 / (order - (j > 0))
            for g in range(n_clusters):
                out[1, j, k] += inner[g, j, k] * inner[g, j, k]
            out[1, j, k] **= 0.5 / (fluctuation_order - (j > 0))
