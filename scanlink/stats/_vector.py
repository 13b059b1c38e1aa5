"""Compiled loops over arrays that the compiler makes vector instructions of: exponentials and sums of products."""

from __future__ import annotations

import math

from scanlink.stats._compile import compiled, compiled_reassociated
from scanlink.stats._types import Floats, Ints

_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Adding it leaves the rounded integer in the low bits of a double.
_MAGIC = 6755399441055744.0
_C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (1.0 / math.factorial(k) for k in range(3, 14))


@compiled
def exponential(x: Floats, out: Floats, power: Floats, bits: Ints) -> None:
    """Compute exp from -700 to 700, to one unit in the last place; ``bits`` is ``power`` (scratch) seen as integers."""
    for j in range(x.size):
        power[j] = min(max(x[j], -700.0), 700.0) * _LOG2E + _MAGIC
    for j in range(x.size):
        k = power[j] - _MAGIC
        r = (min(max(x[j], -700.0), 700.0) - k * _LN2_HIGH) - k * _LN2_LOW
        r2 = r * r
        r4 = r2 * r2
        high = (_C8 + r * _C9) + r2 * (_C10 + r * _C11) + r4 * (_C12 + r * _C13)
        out[j] = 1.0 + (r + (r2 * (0.5 + r * _C3) + r4 * ((_C4 + r * _C5) + r2 * (_C6 + r * _C7) + r4 * high)))
    for j in range(x.size):
        bits[j] = (bits[j] + 1023) << 52
    for j in range(x.size):
        out[j] *= power[j]


@compiled_reassociated
def dot(a: Floats, b: Floats) -> float:
    """Sum products; the order is fixed when it is compiled."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def linear_predictor(terms: Floats, offset: Floats, coef: Floats, eta: Floats) -> None:
    """Compute ``eta = offset + sum of coef[k] terms[k]``; ``terms`` has a row a term."""
    eta[:] = offset
    for k in range(coef.size):
        slope, term = coef[k], terms[k]
        for i in range(eta.size):
            eta[i] += slope * term[i]


@compiled
def weighted_products(terms: Floats, weight: Floats, scratch: Floats, products: Floats) -> None:
    """Fill the lower triangle of ``products[k, m] = sum of weight terms[k] terms[m]``."""
    for k in range(terms.shape[0]):
        term = terms[k]
        for i in range(weight.size):
            scratch[i] = weight[i] * term[i]
        for m in range(k + 1):
            products[k, m] = dot(scratch, terms[m])
