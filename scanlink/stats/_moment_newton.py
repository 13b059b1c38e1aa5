"""Compiled Newton's method on the moments of many replicates at once.

The innermost loops run over replicates, so that the compiler makes vector instructions of them. No replicate's result
depends on which others are computed beside it.
"""

from __future__ import annotations

import numpy as np

from scanlink.stats._compile import compiled, compiled_contracted
from scanlink.stats._moments import Monomials
from scanlink.stats._types import Bools, Floats, Ints, Singles
from scanlink.stats._vector import exponential

# Moments (classes, monomials) and the powers that they are of; what bounds the terms left out: norms, furthest values.
Expansion = tuple[Floats, Monomials, Floats, Floats]

# Replicates that are solved at once.
_LANES = 64

# Newton decrement (squared standard errors) at which the last step is taken: convergence is quadratic, so that no more
# than about as many standard errors are left.
_SETTLED = 1e-4
# What single precision leaves of a coefficient, in standard errors.
_ROUNDING = 2e-5
# How many standard deviations a weighted sum that is left out may lie from its expectation.
_SIGMAS = 8.0


@compiled_contracted
def solve(
    data: Floats, fluctuations: Singles, design: Floats, start: Floats, expansion: Expansion, targets: Ints, n: int
) -> tuple[Floats, Floats, Bools]:
    """Solve the moments of every replicate by Newton's method.

    Parameters are ``r`` of the classes' linear part and ``q`` slopes ``d``. ``data`` (r + q, R) holds the weighted
    sums of counts times ``design`` (classes, r); the moments and ``fluctuations`` (classes, fewer monomials, R) add up
    to those of each of ``n`` replicates. Returns coefficients and what they may be wrong by, (targets, R), and which
    replicates arrived, (R,).
    """
    moments, monomials, norms, furthest = expansion
    parent, axis, exponent, up, prefix, degree, fluctuation_degree = monomials
    n_classes, r = design.shape
    q = up.shape[0]
    p = r + q
    n_monomials = parent.size
    width = _LANES
    # Monomials of degree up to k come first: prefix[k] of them.
    terms = (prefix[degree], prefix[max(degree - 1, 0)], prefix[max(degree - 2, 0)])
    loose = (prefix[fluctuation_degree], prefix[max(fluctuation_degree - 1, 0)], prefix[max(fluctuation_degree - 2, 0)])
    coef, error = np.empty((targets.size, n)), np.empty((targets.size, n))
    arrived = np.ones(n, dtype=np.bool_)
    theta, gradient = np.empty((p, width)), np.empty((p, width))
    hessian, last_factor = np.empty((p, p, width)), np.empty((p, p, width))
    row, inverse = np.empty((p, width)), np.empty((p, width))
    powers, level = np.empty((n_monomials, width)), np.empty((n_classes, width))
    total, scratch, decrement, reached = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    bits, settled = scratch.view(np.int64), np.empty(width, dtype=np.bool_)
    influence, slopes = np.empty(p), np.empty(q)

    for first in range(0, n, width):
        for k in range(p):
            for v in range(width):
                theta[k, v] = start[k]
        settled[:] = False
        for _ in range(12):
            for v in range(width):
                powers[0, v] = 1.0
            for a in range(1, n_monomials):
                share = 1.0 / exponent[a]
                for v in range(width):
                    powers[a, v] = powers[parent[a], v] * (theta[r + axis[a], v] * share)
            for k in range(p):
                for v in range(width):
                    gradient[k, v] = data[k, first + v]
                for m in range(k + 1):
                    for v in range(width):
                        hessian[k, m, v] = 0.0
            for c in range(n_classes):
                for v in range(width):
                    total[v] = 0.0
                for k in range(r):
                    g = design[c, k]
                    if g != 0.0:
                        for v in range(width):
                            total[v] += g * theta[k, v]
                exponential(total, level[c], scratch, bits)
                # The expected counts of the class: into intercept-like terms.
                for v in range(width):
                    total[v] = 0.0
                for a in range(terms[0]):
                    b = moments[c, a]
                    for v in range(width):
                        total[v] += powers[a, v] * b
                for a in range(loose[0]):
                    for v in range(width):
                        total[v] += powers[a, v] * fluctuations[c, a, first + v]
                for v in range(width):
                    total[v] *= level[c, v]
                for k in range(r):
                    g = design[c, k]
                    if g != 0.0:
                        for v in range(width):
                            gradient[k, v] -= g * total[v]
                        for m in range(k + 1):
                            gg = g * design[c, m]
                            if gg != 0.0:
                                for v in range(width):
                                    hessian[k, m, v] += gg * total[v]
                # Their derivatives by the slopes.
                for j in range(q):
                    for v in range(width):
                        total[v] = 0.0
                    for a in range(terms[1]):
                        b = moments[c, up[j, a]]
                        for v in range(width):
                            total[v] += powers[a, v] * b
                    for a in range(loose[1]):
                        s = up[j, a]
                        for v in range(width):
                            total[v] += powers[a, v] * fluctuations[c, s, first + v]
                    for v in range(width):
                        total[v] *= level[c, v]
                        gradient[r + j, v] -= total[v]
                    for k in range(r):
                        g = design[c, k]
                        if g != 0.0:
                            for v in range(width):
                                hessian[r + j, k, v] += g * total[v]
                    for m in range(j + 1):
                        for v in range(width):
                            total[v] = 0.0
                        for a in range(terms[2]):
                            b = moments[c, up[m, up[j, a]]]
                            for v in range(width):
                                total[v] += powers[a, v] * b
                        for a in range(loose[2]):
                            s = up[m, up[j, a]]
                            for v in range(width):
                                total[v] += powers[a, v] * fluctuations[c, s, first + v]
                        for v in range(width):
                            hessian[r + j, r + m, v] += total[v] * level[c, v]
            # Cholesky factor and step; NaN where a matrix is not positive definite, and that replicate is given up.
            for k in range(p):
                for m in range(k):
                    for i in range(k, p):
                        for v in range(width):
                            hessian[i, k, v] -= hessian[i, m, v] * hessian[k, m, v]
                for v in range(width):
                    inverse[k, v] = 1.0 / np.sqrt(hessian[k, k, v])
                for i in range(k + 1, p):
                    for v in range(width):
                        hessian[i, k, v] *= inverse[k, v]
            for v in range(width):
                decrement[v] = 0.0
            for i in range(p):
                for m in range(i):
                    for v in range(width):
                        gradient[i, v] -= hessian[i, m, v] * gradient[m, v]
                for v in range(width):
                    gradient[i, v] *= inverse[i, v]
                    decrement[v] += gradient[i, v] * gradient[i, v]
            for s in range(p):
                i = p - 1 - s
                for m in range(i + 1, p):
                    for v in range(width):
                        gradient[i, v] -= hessian[m, i, v] * gradient[m, v]
                for v in range(width):
                    gradient[i, v] *= inverse[i, v]
            busy = False
            for v in range(width):
                if settled[v]:
                    continue
                for k in range(p):
                    theta[k, v] += gradient[k, v]
                    for m in range(k):
                        last_factor[k, m, v] = hessian[k, m, v]
                    last_factor[k, k, v] = inverse[k, v]
                reached[v] = decrement[v]
                # What is not a number is given up here, and found below.
                settled[v] = not _SETTLED < decrement[v] < 1e6
                busy = busy or not settled[v]
            if not busy:
                break
        for t in range(targets.size):
            # Row of the inverse information, from the factor of the last iteration.
            for i in range(p):
                for v in range(width):
                    row[i, v] = 1.0 if i == targets[t] else 0.0
                for m in range(i):
                    for v in range(width):
                        row[i, v] -= last_factor[i, m, v] * row[m, v]
                for v in range(width):
                    row[i, v] *= last_factor[i, i, v]
            for s in range(p):
                i = p - 1 - s
                for m in range(i + 1, p):
                    for v in range(width):
                        row[i, v] -= last_factor[m, i, v] * row[m, v]
                for v in range(width):
                    row[i, v] *= last_factor[i, i, v]
            for v in range(min(width, n - first)):
                for k in range(p):
                    influence[k] = row[k, v]
                for k in range(q):
                    slopes[k] = abs(theta[r + k, v])
                bound = _left_out(design, level[:, v], influence, slopes, norms, furthest, degree, fluctuation_degree)
                coef[t, first + v] = theta[targets[t], v]
                error[t, first + v] = bound + (_ROUNDING + reached[v]) * np.sqrt(row[targets[t], v])
                if not (reached[v] <= _SETTLED and np.isfinite(error[t, first + v])):
                    arrived[first + v] = False
    return coef, error, arrived


@compiled
def _left_out(
    z: Floats, level: Floats, influence: Floats, slopes: Floats, norms: Floats, furthest: Floats, degree: int, own: int
) -> float:
    """Bound what the terms that the expansions leave out can do to a coefficient.

    ``own`` is the degree of the expansion of the fluctuations.
    """
    n_classes, r = z.shape
    q = slopes.size
    reach = 0.0
    for k in range(q):
        reach += slopes[k] * furthest[k]
    bound = 0.0
    for c in range(n_classes):
        for j in range(q + 1):
            weight = 0.0
            if j == 0:
                for k in range(r):
                    weight += z[c, k] * influence[k]
            else:
                weight = influence[r + j - 1]
            length = 0.0
            spread = 0.0
            for k in range(q):
                length += slopes[k] * norms[c, 0, j, k]
                spread += slopes[k] * norms[c, 1, j, k]
            high = 1.0
            for m in range(degree + (j == 0)):
                high *= length / (m + 1)
            low = _SIGMAS
            for m in range(own + (j == 0)):
                low *= spread / (m + 1)
            bound += abs(weight) * level[c] * (high + low)
    # x^k / k! + x^(k+1) / (k+1)! + ... is at most x^k / k! exp(x / (k + 1)).
    return bound * np.exp(reach / (own + 1))
