"""Compiled inner loops of the bootstrap tail: one pass over the cells, one Newton step of the saddle point.

Cells are taken in blocks whose lanes are summed side by side, which lets the compiler use vector instructions without
reordering a sum.
"""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._types import Floats, Ints
from scanlink.stats._vector import exponential

# Counts; terms, a row each; offset; theta; cluster of each cell; number of clusters; scratch space: see `tail_log_p`.
Data = tuple[Floats, Floats, Floats, float, Ints, int, Floats]

_BLOCK = 256
_LOG_SQRT_2PI = 0.9189385332046727


@compiled
def log_normal_tail(r: float) -> float:
    """Compute log P(Z > r) of the standard normal, wherever r lies."""
    if r < 30.0:
        return math.log(0.5 * math.erfc(r * math.sqrt(0.5)))
    # Laplace's continued fraction; so far out a few terms give all digits.
    value = r
    for k in range(12, 0, -1):
        value = r + k / value
    return -0.5 * r * r - _LOG_SQRT_2PI - math.log(value)


@compiled
def make_work(n_terms: int) -> Floats:
    """Make the scratch space of :func:`saddle_pass`."""
    return np.empty((15 + 2 * n_terms + 2 * n_terms * (n_terms + 1), _BLOCK))


@compiled
def saddle_pass(data: Data, coef: Floats, t: Floats, first: Floats, second: Floats) -> float:
    """Compute K(t, coef) and what its derivatives are made of: one pass over the cells.

    The score of a cell with terms z_i is u_i = res_i z_i, and s_i = t'z_i. Returns K = log mean exp(res_i s_i). With
    p_i the tilted probabilities of the cells, v the negative derivative of res by the linear predictor and w its
    second one, ``first`` gets the sums of p res z and p v s z; ``second``, by pairs of terms, those of p res^2 zz',
    p v (1 + res s) zz', p (s w + s^2 v^2) zz' and p v zz'.
    """
    counts, terms, offset, theta, clusters, _, work = data
    if clusters.size > 0:
        return _cluster_pass(data, coef, t, first, second)
    n_terms, n = terms.shape
    inverse = 1.0 / theta
    work[:] = 0.0
    power, bits = work[0], work[0].view(np.int64)
    eta, s, mu, p, res, v, exponent, total = work[1], work[2], work[3], work[4], work[5], work[6], work[7], work[8]
    w0, w1, w2, w3, f0, f1 = work[9], work[10], work[11], work[12], work[13], work[14]
    for begin in range(0, n, _BLOCK):
        m = min(_BLOCK, n - begin)
        y, o = counts[begin : begin + m], offset[begin : begin + m]
        for j in range(m):
            eta[j] = o[j]
            s[j] = 0.0
        for k in range(n_terms):
            z, b, a = terms[k, begin : begin + m], coef[k], t[k]
            for j in range(m):
                eta[j] += b * z[j]
                s[j] += a * z[j]
        exponential(eta[:m], mu, power, bits)
        for j in range(m):
            shrink = 1.0 / (1.0 + mu[j] * inverse)
            res[j] = (y[j] - mu[j]) * shrink
            v[j] = mu[j] * (1.0 + y[j] * inverse) * shrink * shrink
            w2[j] = (1.0 - mu[j] * inverse) * shrink
            exponent[j] = res[j] * s[j]
        exponential(exponent[:m], p, power, bits)
        for j in range(m):
            total[j] += p[j]
            f0[j] = p[j] * res[j]
            w0[j] = f0[j] * res[j]
            sv = s[j] * v[j]
            f1[j] = p[j] * sv
            w2[j] = f1[j] * (sv - w2[j])
            w3[j] = p[j] * v[j]
            w1[j] = w3[j] * (1.0 + exponent[j])
        row = 15
        for k in range(n_terms):
            z = terms[k, begin : begin + m]
            a0, a1 = work[row], work[row + 1]
            for j in range(m):
                a0[j] += f0[j] * z[j]
                a1[j] += f1[j] * z[j]
            row += 2
            for i in range(k + 1):
                zi = terms[i, begin : begin + m]
                b0, b1, b2, b3 = work[row], work[row + 1], work[row + 2], work[row + 3]
                for j in range(m):
                    zz = z[j] * zi[j]
                    b0[j] += w0[j] * zz
                    b1[j] += w1[j] * zz
                    b2[j] += w2[j] * zz
                    b3[j] += w3[j] * zz
                row += 4
    mass = total.sum()
    row = 15
    for k in range(n_terms):
        for i in range(2):
            first[i, k] = work[row + i].sum() / mass
        row += 2
        for i in range(k + 1):
            for j in range(4):
                value = work[row + j].sum() / mass
                second[j, k, i] = value
                second[j, i, k] = value
            row += 4
    return math.log(mass / n)


@compiled
def _cluster_pass(data: Data, coef: Floats, t: Floats, first: Floats, second: Floats) -> float:
    """Compute :func:`saddle_pass` where whole clusters are drawn: u is summed over the cells of each, then tilted."""
    counts, terms, offset, theta, clusters, n_clusters, _ = data
    n_terms, n = terms.shape
    score, slope = np.zeros((n_clusters, n_terms)), np.zeros((n_clusters, n_terms))
    p, change, bend = np.empty(n_clusters), np.empty(n), np.empty(n)
    for i in range(n):
        eta, s = offset[i], 0.0
        for k in range(n_terms):
            eta += coef[k] * terms[k, i]
            s += t[k] * terms[k, i]
        mu = np.exp(min(eta, 700.0))
        shrink = 1.0 / (1.0 + mu / theta)
        change[i] = mu * (1.0 + counts[i] / theta) * shrink * shrink
        bend[i] = -s * change[i] * (1.0 - mu / theta) * shrink
        for k in range(n_terms):
            score[clusters[i], k] += (counts[i] - mu) * shrink * terms[k, i]
            slope[clusters[i], k] -= s * change[i] * terms[k, i]
    mass = 0.0
    for g in range(n_clusters):
        exponent = 0.0
        for k in range(n_terms):
            exponent += t[k] * score[g, k]
        p[g] = np.exp(min(exponent, 700.0))
        mass += p[g]
    first[:] = 0.0
    second[:] = 0.0
    for g in range(n_clusters):
        p[g] /= mass
        for k in range(n_terms):
            first[0, k] += p[g] * score[g, k]
            first[1, k] -= p[g] * slope[g, k]
            for m in range(n_terms):
                second[0, k, m] += p[g] * score[g, k] * score[g, m]
                second[1, k, m] -= p[g] * score[g, k] * slope[g, m]
                second[2, k, m] += p[g] * slope[g, k] * slope[g, m]
    for i in range(n):
        weight = p[clusters[i]]
        for k in range(n_terms):
            for m in range(n_terms):
                zz = weight * terms[k, i] * terms[m, i]
                second[1, k, m] += change[i] * zz
                second[2, k, m] += bend[i] * zz
                second[3, k, m] += change[i] * zz
    return math.log(mass / n_clusters)


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
