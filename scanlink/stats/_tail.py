"""Compiled inner loops of the bootstrap tail: one pass over the cells.

Cells are taken in blocks whose lanes are summed side by side, which lets the compiler use vector instructions without
reordering a sum.
"""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._strata import Strata, from_sums, stratum_part
from scanlink.stats._types import Floats, Ints
from scanlink.stats._vector import exponential

# Counts; terms, a row each; strata; offset; theta; cluster of each cell; number of clusters; scratch space: see
# `tail_log_p`.
Data = tuple[Floats, Floats, Strata | None, Floats, float, Ints, int, Floats]

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
    """Make the scratch space of :func:`saddle_pass`, for the terms that are summed one by one."""
    return np.empty((15 + 2 * n_terms + 2 * n_terms * (n_terms + 1), _BLOCK))


@compiled
def saddle_pass(data: Data, coef: Floats, t: Floats, first: Floats, second: Floats) -> float:
    """Compute K(t, coef) and what its derivatives are made of: one pass over the cells.

    The score of a cell with terms z_i is u_i = res_i z_i, and s_i = t'z_i. Returns K = log mean exp(res_i s_i). With
    p_i the tilted probabilities of the cells, v the negative derivative of res by the linear predictor and w its
    second one, ``first`` gets the sums of p res z and p v s z; ``second``, by pairs of terms, those of p res^2 zz',
    p v (1 + res s) zz', p (s w + s^2 v^2) zz' and p v zz'.
    """
    if data[5].size > 0:
        return _cluster_pass(data, coef, t, first, second)
    return _cell_pass(data, data[2], coef, t, first, second)


@compiled
def _cell_pass(data: Data, strata: Strata | None, coef: Floats, t: Floats, first: Floats, second: Floats) -> float:
    """Compute :func:`saddle_pass` where cells are drawn."""
    counts, terms, _, offset, theta, _, _, work = data
    n_terms, n = terms.shape
    inverse = 1.0 / theta
    work[:] = 0.0
    eta, s, total = work[1], work[2], work[8]
    if strata is not None:
        codes, r = strata.codes, strata.values.shape[1]
        level, slope = stratum_part(strata, coef), stratum_part(strata, t)
        sums = np.zeros((level.size, 2 + 4 * (1 + n_terms)))
    for begin in range(0, n, _BLOCK):
        m = min(_BLOCK, n - begin)
        y, o = counts[begin : begin + m], offset[begin : begin + m]
        if strata is None:
            for j in range(m):
                eta[j] = o[j]
                s[j] = 0.0
        else:
            for j in range(m):
                eta[j] = o[j] + level[codes[begin + j]]
                s[j] = slope[codes[begin + j]]
        for k in range(n_terms):
            at = k if strata is None else strata.term[r + k]
            z, b, a = terms[k, begin : begin + m], coef[at], t[at]
            for j in range(m):
                eta[j] += b * z[j]
                s[j] += a * z[j]
        _tilt_block(y, inverse, work, m)
        if strata is not None:
            _sum_strata(codes[begin : begin + m], terms[:, begin : begin + m], work, sums)
        _sum_block(terms[:, begin : begin + m], work)
    mass = total.sum()
    if strata is None:
        _unpack(work, mass, np.arange(n_terms), first, second)
    else:
        _unpack(work, mass, strata.term[r:], first, second)
        _unpack_strata(strata, sums, mass, first, second)
    return math.log(mass / n)


@compiled
def _tilt_block(y: Floats, inverse: float, work: Floats, m: int) -> None:
    """Compute what a block's cells add to sums, from the linear predictor and s: rows 9 to 14 of the scratch space."""
    power, bits = work[0], work[0].view(np.int64)
    eta, s, mu, p, res, v, exponent, total = work[1], work[2], work[3], work[4], work[5], work[6], work[7], work[8]
    w0, w1, w2, w3, f0, f1 = work[9], work[10], work[11], work[12], work[13], work[14]
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


@compiled
def _sum_block(terms: Floats, work: Floats) -> None:
    """Add a block's cells to the sums by terms, one by one and two by two."""
    w0, w1, w2, w3, f0, f1 = work[9], work[10], work[11], work[12], work[13], work[14]
    n_terms, m = terms.shape
    row = 15
    for k in range(n_terms):
        z = terms[k]
        a0, a1 = work[row], work[row + 1]
        for j in range(m):
            a0[j] += f0[j] * z[j]
            a1[j] += f1[j] * z[j]
        row += 2
        for i in range(k + 1):
            zi = terms[i]
            b0, b1, b2, b3 = work[row], work[row + 1], work[row + 2], work[row + 3]
            for j in range(m):
                zz = z[j] * zi[j]
                b0[j] += w0[j] * zz
                b1[j] += w1[j] * zz
                b2[j] += w2[j] * zz
                b3[j] += w3[j] * zz
            row += 4


@compiled
def _sum_strata(codes: Ints, terms: Floats, work: Floats, sums: Floats) -> None:
    """Add a block's cells to the sums of each stratum: alone, and by each term."""
    d = terms.shape[0]
    for j in range(codes.size):
        row = sums[codes[j]]
        row[0] += work[13, j]
        row[1] += work[14, j]
        for i in range(4):
            w = work[9 + i, j]
            at = 2 + i * (1 + d)
            row[at] += w
            for k in range(d):
                row[at + 1 + k] += w * terms[k, j]


@compiled
def _unpack(work: Floats, mass: float, term: Ints, first: Floats, second: Floats) -> None:
    """Sum the lanes; ``term`` is the place of each of the terms that were summed one by one."""
    row = 15
    for k in range(term.size):
        for i in range(2):
            first[i, term[k]] = work[row + i].sum() / mass
        row += 2
        for i in range(k + 1):
            for j in range(4):
                value = work[row + j].sum() / mass
                second[j, term[k], term[i]] = value
                second[j, term[i], term[k]] = value
            row += 4


@compiled
def _unpack_strata(strata: Strata, sums: Floats, mass: float, first: Floats, second: Floats) -> None:
    """Fill in what has to do with columns of two values, from the sums of each stratum."""
    _, values, term = strata
    n_strata, r = values.shape
    p = term.size
    sums /= mass
    for k in range(r):
        for i in range(2):
            first[i, term[k]] = 0.0
            for s in range(n_strata):
                first[i, term[k]] += sums[s, i] * values[s, k]
    for j in range(4):
        from_sums(strata, sums[:, 2 + j * (1 + p - r) : 2 + (j + 1) * (1 + p - r)], second[j])
        for k in range(p):
            for i in range(k):
                second[j, i, k] = second[j, k, i]


@compiled
def _cluster_pass(data: Data, coef: Floats, t: Floats, first: Floats, second: Floats) -> float:
    """Compute :func:`saddle_pass` where whole clusters are drawn: u is summed over the cells of each, then tilted."""
    counts, terms, _, offset, theta, clusters, n_clusters, _ = data
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
