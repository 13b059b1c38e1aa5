"""Compiled linear algebra of the bootstrap tail: one Newton step of the saddle point."""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._types import Floats


@compiled
def saddle_step(
    first: Floats, second: Floats, n_units: int, along: float, dt: Floats, dgamma: Floats
) -> tuple[float, float, float]:
    """Take a Newton step to the saddle point, into ``dt`` and ``dgamma``, with the boundary moved by ``along``.

    Solves ``H (dt, dgamma) = -K' - along dK'/dbeta``, where K' and H are the first and second derivatives of K by
    (t, gamma). Returns the step's size in standard deviations of the bootstrap, log ``|det H|``, and twice what the
    step adds to K. The size is infinite where H does not have the signature of a saddle point.
    """
    p = dt.size
    q, total = p - 1, 2 * p - 1
    matrix, step, scale = np.empty((total, total)), np.empty(total), np.empty(total)
    for i in range(p):
        # In units in which every term has information 1.
        scale[i] = 1.0 / math.sqrt(second[3, i, i])
        step[i] = along * second[1, i, q] - first[0, i]
        for k in range(p):
            matrix[i, k] = second[0, i, k]
        for k in range(q):
            matrix[i, p + k] = matrix[p + k, i] = -second[1, i, k]
    for i in range(q):
        scale[p + i] = scale[i]
        step[p + i] = first[1, i] - along * second[2, i, q]
        for k in range(q):
            matrix[p + i, p + k] = second[2, i, k]
    logscale = 0.0
    for i in range(total):
        logscale += math.log(scale[i])
        step[i] *= scale[i]
        for k in range(total):
            matrix[i, k] *= scale[i] * scale[k]
    if _count_negative(matrix, p) != q:
        return np.inf, 0.0, 0.0
    logdet = _eliminate(matrix, step)
    change = 0.0
    for i in range(total):
        step[i] *= scale[i]
        if i < p:
            dt[i] = step[i]
            change += step[i] * first[0, i]
        else:
            dgamma[i - p] = step[i]
            change -= step[i] * first[1, i - p]
    size = n_units * (quadratic(dt, second[0]) + quadratic(dgamma, second[3]))
    return math.sqrt(size), logdet - 2.0 * logscale, change


@compiled
def _count_negative(matrix: Floats, p: int) -> int:
    """Count the negative eigenvalues of a symmetric matrix; its first ``p`` rows and columns have none."""
    n = matrix.shape[0]
    reduced = matrix.copy()
    count = 0
    for k in range(n):
        # With few clusters the first rows may be singular.
        pivot = reduced[k, k] + (1e-10 * matrix[k, k] + 1e-12 if k < p else 0.0)
        if not pivot > 0.0:
            count += 1
        for i in range(k + 1, n):
            ratio = reduced[i, k] / pivot
            for m in range(k + 1, n):
                reduced[i, m] -= ratio * reduced[k, m]
    return count


@compiled
def _eliminate(matrix: Floats, right: Floats) -> float:
    """Solve a linear system in place, with pivoting; return the logarithm of the determinant's absolute value."""
    n = right.size
    logdet = 0.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(matrix[i, k]) > abs(matrix[pivot, k]):
                pivot = i
        if pivot != k:
            right[k], right[pivot] = right[pivot], right[k]
            for m in range(n):
                matrix[k, m], matrix[pivot, m] = matrix[pivot, m], matrix[k, m]
        logdet += math.log(abs(matrix[k, k]))
        for i in range(k + 1, n):
            ratio = matrix[i, k] / matrix[k, k]
            right[i] -= ratio * right[k]
            for m in range(k + 1, n):
                matrix[i, m] -= ratio * matrix[k, m]
    for j in range(n):
        k = n - 1 - j
        for m in range(k + 1, n):
            right[k] -= matrix[k, m] * right[m]
        right[k] /= matrix[k, k]
    return logdet


@compiled
def quadratic(vector: Floats, matrix: Floats) -> float:
    """Compute v'Mv over the leading part of a matrix."""
    value = 0.0
    for i in range(vector.size):
        for k in range(vector.size):
            value += vector[i] * matrix[i, k] * vector[k]
    return value
