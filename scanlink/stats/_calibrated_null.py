"""Compiled null fits of the calibrated test: of the gene, and of the peak. Equations are those of `calibrated_p`."""

from __future__ import annotations

import math

import numpy as np

from scanlink.stats._compile import compiled, inlined
from scanlink.stats._newton import CONVERGED, factor, newton, solve_factored
from scanlink.stats._strata import Strata, predict, products, scores
from scanlink.stats._types import Bools, Floats

# Stop when a Newton step would change the log likelihood of a peak by less than half of this.
_TOLERANCE = 1e-14
_MAX_STEPS = 20 * 60


@compiled
def gene_residuals(
    counts: Floats,
    covariates: Floats,
    strata: Strata | None,
    n_terms: int,
    offset: Floats,
    residual: Floats,
    signal: Floats,
) -> tuple[bool, float]:
    """Fill in residuals (1) of the null Poisson fit and weighted counts; return whether it converged, and phi."""
    n, q = counts.size, n_terms
    coef, factored, aliased = np.zeros(q), np.empty((q, q)), np.zeros(q, dtype=np.bool_)
    state, _, _ = newton((counts, covariates, offset), strata, np.ones(n), coef, -1, 1e-12, 60, factored, aliased)
    excess = square = 0.0
    predict(covariates.T, strata, offset, coef, signal)
    for i in range(n):
        mu = math.exp(signal[i])
        residual[i] = counts[i] - mu
        signal[i] = mu
        excess += residual[i] * residual[i] - counts[i]
        square += mu * mu
    dispersion = max(0.0, excess / square)
    for i in range(n):
        weight = 1.0 / (1.0 + dispersion * signal[i])
        residual[i] *= weight
        signal[i] = counts[i] * weight
    return state == CONVERGED, dispersion


@inlined
def level_moments(u: float, base: Floats) -> tuple[float, float, float]:
    """Sum ``h_k u^k``, ``k h_k u^k`` and ``k^2 h_k u^k`` over the levels."""
    a = b = c = 0.0
    for j in range(base.size):
        k = base.size - 1 - j
        a = a * u + base[k]
        b = b * u + k * base[k]
        c = c * u + k * k * base[k]
    return a, b, c


@inlined
def add_cell(row: Floats, error: float, weight: float, gradient: Floats, hessian: Floats) -> None:
    """Add one cell's part to a score and to the lower triangle of its information."""
    for k in range(row.size):
        gradient[k] += error * row[k]
        weighted = weight * row[k]
        for m in range(k + 1):
            hessian[k, m] += weighted * row[m]


@compiled
def add_cells(
    terms: Floats, rows: Floats, strata: Strata | None, error: Floats, weight: Floats, gradient: Floats, hessian: Floats
) -> None:
    """Add all cells to a score, and to the lower triangle of an information that is 0.

    ``terms`` has a row a cell, and serves where there are no strata; ``rows`` has one for each term that strata leave.
    Two ways, because their sums differ in the last digits: p-values without strata stay as they were.
    """
    if strata is None:
        for i in range(error.size):
            add_cell(terms[i], error[i], weight[i], gradient, hessian)
    else:
        sums = np.empty(gradient.size)
        scores(rows, strata, error, sums)
        for k in range(sums.size):
            gradient[k] += sums[k]
        products(rows, strata, weight, np.empty(error.size), hessian)


@compiled
def propensity(
    level: Floats, covariates: Floats, strata: Strata | None, n_terms: int, base: Floats, null: Floats
) -> bool:
    """Maximise the likelihood of (2): Newton steps for ``a`` and, beyond two levels, proportional scaling of ``h``.

    ``base`` starts at the share of each level. Fills in rows 0, 2 and 3 of ``null``, see :class:`PeakNull`. Returns
    whether it converged; a peak that is never open at one value of a covariate counts as converged once its odds there
    are negligible.
    """
    n, q = level.size, n_terms
    odds, mean, variance = null[0], null[2], null[3]
    top = base.size
    share = base.copy()
    expected = np.empty(top)
    coef, trial, step = np.zeros(q), np.zeros(q), np.zeros(q)
    gradient, hessian = np.empty(q), np.empty((q, q))
    aliased = np.zeros(q, dtype=np.bool_)
    rows, nothing, predictor, error = np.ascontiguousarray(covariates.T), np.zeros(n), np.empty(n), np.empty(n)
    best = -np.inf
    for _ in range(_MAX_STEPS):
        likelihood = 0.0
        gradient[:] = 0.0
        hessian[:] = 0.0
        expected[:] = 0.0
        predict(rows, strata, nothing, trial, predictor)
        for i in range(n):
            theta = predictor[i]
            u = math.exp(theta)
            a, b, c = level_moments(u, base)
            odds[i] = u
            mean[i] = b / a
            variance[i] = c / a - mean[i] * mean[i]
            likelihood += level[i] * theta - math.log(a)
            if top > 2:
                power = 1.0 / (a * n)
                for k in range(top):
                    expected[k] += base[k] * power
                    power *= u
            error[i] = level[i] - mean[i]
        add_cells(covariates, rows, strata, error, variance, gradient, hessian)
        if not likelihood >= best - 1e-9 * (1.0 + abs(best)):
            step *= 0.5
            trial[:] = coef + step
            continue
        best = likelihood
        factor(hessian, aliased)
        decrement = 0.0
        coef[:] = trial
        step[:] = gradient
        solve_factored(hessian, step, aliased)
        for k in range(q):
            decrement += step[k] * gradient[k]
        distance = 0.0
        for k in range(top if top > 2 else 0):
            if share[k] > 0:
                distance = max(distance, abs(share[k] / expected[k] - 1.0))
        if decrement < _TOLERANCE and distance < 1e-5:
            return True
        if decrement >= _TOLERANCE:
            trial[:] = coef + step
        else:
            for k in range(top):
                if share[k] > 0:
                    base[k] *= share[k] / expected[k]
            best = -np.inf
    return False


@compiled
def orthonormal(covariates: Floats, variance: Floats, basis: Floats) -> Bools:
    """Fill in a basis with ``sum_i v_i q_i q_i' = 1``; return which columns earlier ones explain: they are left 0."""
    n, q = covariates.shape
    hessian, unused = np.zeros((q, q)), np.zeros(q)
    aliased = np.zeros(q, dtype=np.bool_)
    for i in range(n):
        add_cell(covariates[i], 0.0, variance[i], unused, hessian)
    factor(hessian, aliased)
    for i in range(n):
        for k in range(q):
            value = covariates[i, k]
            for m in range(k):
                value -= hessian[k, m] * basis[i, m]
            basis[i, k] = 0.0 if aliased[k] else value / hessian[k, k]
    return aliased


@compiled
def orthonormal_strata(rows: Floats, strata: Strata, variance: Floats) -> tuple[Floats, Floats, Bools]:
    """Return the basis of :func:`orthonormal` as values of each stratum and rows of cells; terms are in that order."""
    codes, values, _ = strata
    (d, n), r = rows.shape, values.shape[1]
    hessian, aliased = np.zeros((r + d, r + d)), np.zeros(r + d, dtype=np.bool_)
    products(rows, strata, variance, np.empty(n), hessian)
    factor(hessian, aliased)
    basis, rest = np.zeros(values.shape), np.zeros((d, n))
    for k in range(r + d):
        if aliased[k]:
            continue
        # What earlier columns explain of the column, first in each stratum.
        level = values[:, k].copy() if k < r else np.zeros(values.shape[0])
        for m in range(min(k, r)):
            for s in range(level.size):
                level[s] -= hessian[k, m] * basis[s, m]
        if k < r:
            basis[:, k] = level / hessian[k, k]
            continue
        row = rest[k - r]
        for i in range(n):
            row[i] = rows[k - r, i] + level[codes[i]]
        for m in range(r, k):
            for i in range(n):
                row[i] -= hessian[k, m] * rest[m - r, i]
        row /= hessian[k, k]
    return basis, rest, aliased
