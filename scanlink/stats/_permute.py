"""Compiled loops of the permutation tests: which cells stand in for the perturbed ones, sums over them, the base test.

Everything here runs without the interpreter lock, on one thread, and sums in a fixed order: along the permuted cells
of a stratum from the first on. What is read off a running sum does not depend on what else is read off it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._compile import compiled
from scanlink.stats._draw import _philox
from scanlink.stats._newton import factor
from scanlink.stats._types import Bools, Floats, Ints
from scanlink.stats._vector import weighted_products

__all__ = ["LANES", "base_statistics", "draw_images", "orthonormal_terms", "running_sums"]


# Columns of a table that are added up together.
LANES = 4
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_ONE, _FOUR = np.uint64(1), 4
# A column that the covariates leave less than this share of has no variance of its own.
_NOTHING = 1e-10


@compiled
def draw_images(
    k0: np.uint32,
    k1: np.uint32,
    first: int,
    cells: NDArray[np.unsignedinteger],
    strata: Ints,
    begins: Ints,
    out: NDArray[np.unsignedinteger],
) -> None:
    """Draw the first cells of permutations ``first``, ``first + 1``, ... of each stratum: a row a permutation.

    ``cells`` are the cells stratum by stratum, from ``strata[s]`` on; of stratum s the row holds the columns from
    ``begins[s]`` on. Swaps from the front (Fisher and Yates; Durstenfeld 1964, Comm ACM 7:420), so that a longer row
    begins with the shorter one; bounded integers without bias (Lemire 2019). The second word of the counter, which is
    0 for bootstrap weights, is the number of the stratum from 1.
    """
    words = np.empty(_FOUR, dtype=np.uint32)
    swapped = np.empty(out.shape[1], dtype=np.int64)
    for r in range(out.shape[0]):
        number = np.uint64(first + r)
        low, high = np.uint32(number & _LOW), np.uint32(number >> _SHIFT)
        for s in range(strata.size - 1):
            base, begin, n = strata[s], begins[s], strata[s + 1] - strata[s]
            block, word = 0, _FOUR
            for j in range(begins[s + 1] - begin):
                n_left = np.uint64(n - j)
                while True:
                    if word == _FOUR:
                        w0, w1, w2, w3 = _philox(np.uint32(block), np.uint32(s + 1), low, high, k0, k1)
                        words[0] = w0
                        words[1] = w1
                        words[2] = w2
                        words[3] = w3
                        block, word = block + 1, 0
                    product = np.uint64(words[word]) * n_left
                    word += 1
                    if (product & _LOW) >= n_left or (product & _LOW) >= (_ONE << _SHIFT) % n_left:
                        break
                partner = base + j + np.int64(product >> _SHIFT)
                cell = cells[partner]
                cells[partner] = cells[base + j]
                cells[base + j] = cell
                out[r, begin + j] = cell
                swapped[begin + j] = partner
            # Back to where it was, so that no permutation depends on the one before.
            for k in range(begins[s + 1] - begin):
                j = begins[s + 1] - begin - 1 - k
                partner = swapped[begin + j]
                cell = cells[partner]
                cells[partner] = cells[base + j]
                cells[base + j] = cell


@compiled
def orthonormal_terms(terms: Floats, weight: Floats) -> Bools:
    """Make rows orthonormal with these weights, in place; return which ones earlier ones explain (left 0)."""
    q = terms.shape[0]
    root, aliased = np.zeros((q, q)), np.zeros(q, dtype=np.bool_)
    weighted_products(terms, weight, np.empty(weight.size), root)
    factor(root, aliased)
    for k in range(q):
        row = terms[k]
        for m in range(k):
            earlier, slope = terms[m], root[k, m]
            for i in range(row.size):
                row[i] -= slope * earlier[i]
        scale = 0.0 if aliased[k] else 1.0 / root[k, k]
        for i in range(row.size):
            row[i] *= scale
    return aliased


@compiled
def running_sums(
    table: Floats, image: NDArray[np.unsignedinteger], begins: Ints, read_of: Ints, reads: Ints, sums: Floats
) -> None:
    """Sum the table's columns over the first ``reads[u]`` cells of a stratum, into row u + 1; row 0 is left alone.

    ``table`` has shape ``(n_groups, n_cells, 4)``; the reads of stratum s, which rise, begin at ``read_of[s]``.
    """
    for group in range(table.shape[0]):
        column = LANES * group
        for s in range(read_of.size - 1):
            position = begins[s]
            a0 = a1 = a2 = a3 = 0.0
            for u in range(read_of[s], read_of[s + 1]):
                end = begins[s] + reads[u]
                for j in range(position, end):
                    i = image[j]
                    a0 += table[group, i, 0]
                    a1 += table[group, i, 1]
                    a2 += table[group, i, 2]
                    a3 += table[group, i, 3]
                position = end
                sums[u + 1, column] = a0
                sums[u + 1, column + 1] = a1
                sums[u + 1, column + 2] = a2
                sums[u + 1, column + 3] = a3


@compiled
def base_statistics(
    table: Floats,
    intercept: float,
    images: NDArray[np.unsignedinteger],
    begins: Ints,
    read_of: Ints,
    reads: Ints,
    pieces: Ints,
    piece_of: Ints,
    values: Floats,
    out: Floats,
) -> None:
    """Compute equation 1 of :func:`scanlink.stats.permutation_p` for each row of images and each target.

    A piece is a run of cells of one stratum and one value: the rows of the running sums between which it lies, and
    the row of ``values``. Those of target t begin at ``piece_of[t]``. Columns of the table are residual, weight and
    the rest of the covariates' basis, the intercept left out: it is the weight's sum times ``sqrt(intercept)``.
    ``out`` has shape ``(n_images, n_targets)``.
    """
    width = LANES * table.shape[0]
    sums = np.zeros((reads.size + 1, width))
    total = np.empty(width)
    for r in range(images.shape[0]):
        running_sums(table, images[r], begins, read_of, reads, sums)
        for t in range(piece_of.size - 1):
            total[:] = 0.0
            square = 0.0
            for k in range(piece_of[t], piece_of[t + 1]):
                start, stop, value = pieces[k, 0], pieces[k, 1], values[pieces[k, 2], 0]
                for f in range(width):
                    total[f] += value * (sums[stop, f] - sums[start, f])
                square += value * value * (sums[stop, 1] - sums[start, 1])
            variance = square - intercept * total[1] * total[1]
            for f in range(2, width):
                variance -= total[f] * total[f]
            out[r, t] = total[0] / math.sqrt(variance) if variance > _NOTHING * square else np.nan
