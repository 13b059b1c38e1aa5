"""Compiled inner loops of Poisson regression: one pass over the cells, one linear solve, one Newton iteration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._strata import Strata, predict, products, scores
from scanlink.stats._types import Bools, Floats, Repeats
from scanlink.stats._vector import dot, exponential

CONVERGED, NOT_CONVERGED, ALIASED = 0, 1, 2

# Counts, design (a row a cell; of the columns that strata leave, where there are some) and offset.
Data = tuple[Floats, Floats, Floats]

# A pivot this small against its own diagonal means that the column is a combination of earlier ones.
_PIVOT = 1e-13
# exp() of more than this overflows; the likelihood is then as bad as it gets.
_ETA_MAX = 700.0
# R keeps expected counts above this, which decides where separated fits end.
_MU_MIN = 2.220446049250313e-16
_LOG_MU_MIN = -36.04365338911715


@compiled
def factor(hessian: Floats, aliased: Bools) -> None:
    """Factor by Cholesky in the lower triangle, in place; mark and leave out columns that earlier ones explain."""
    p = hessian.shape[0]
    for k in range(p):
        diagonal = hessian[k, k]
        pivot = diagonal
        for m in range(k):
            pivot -= hessian[k, m] * hessian[k, m]
        aliased[k] = not (pivot > _PIVOT * diagonal)
        if aliased[k]:
            hessian[k, k] = 0.0
            for i in range(k + 1, p):
                hessian[i, k] = 0.0
            for m in range(k):
                hessian[k, m] = 0.0
            continue
        root = np.sqrt(pivot)
        hessian[k, k] = root
        for i in range(k + 1, p):
            value = hessian[i, k]
            for m in range(k):
                value -= hessian[i, m] * hessian[k, m]
            hessian[i, k] = value / root


@compiled
def solve_factored(cholesky: Floats, right: Floats, aliased: Bools) -> None:
    """Solve in place with the factor of :func:`factor`; left-out columns get 0."""
    p = cholesky.shape[0]
    for i in range(p):
        if aliased[i]:
            right[i] = 0.0
            continue
        value = right[i]
        for m in range(i):
            value -= cholesky[i, m] * right[m]
        right[i] = value / cholesky[i, i]
    for j in range(p):
        i = p - 1 - j
        if aliased[i]:
            continue
        value = right[i]
        for m in range(i + 1, p):
            value -= cholesky[m, i] * right[m]
        right[i] = value / cholesky[i, i]


def inverse_information(factored: Floats, aliased: Bools, product: Callable[[Floats, Floats], Floats]) -> Floats:
    """Invert the matrix that :func:`factor` took apart: NaN for left-out columns.

    ``product`` is how two matrices are multiplied, on which the last bits depend.
    """
    estimable = np.flatnonzero(~aliased)
    inverse = np.full(factored.shape, np.nan)
    root = np.asarray(np.linalg.inv(np.tril(factored)[np.ix_(estimable, estimable)]), dtype=np.float64)
    inverse[np.ix_(estimable, estimable)] = product(root.T, root)
    return inverse


@compiled
def score_pass(
    data: Data, strata: Strata | None, weights: Floats, coef: Floats, gradient: Floats, hessian: Floats, work: Floats
) -> float:
    """Compute log likelihood, score and information of weighted Poisson regression at ``coef``.

    Of ``data`` the design has a row a term here, because the loops over the cells then run along the memory. ``work``
    is scratch space.
    """
    counts, terms, offset = data
    eta, mu, scratch = work[0], work[1], work[2]
    predict(terms, strata, offset, coef, eta)
    if not eta.max() <= _ETA_MAX:
        return -np.inf
    exponential(eta, mu, scratch, scratch.view(np.int64))
    for i in range(eta.size):
        eta[i] = counts[i] * eta[i] - mu[i]
        mu[i] *= weights[i]
    likelihood = dot(weights, eta)
    products(terms, strata, mu, scratch, hessian)
    for i in range(eta.size):
        eta[i] = weights[i] * counts[i] - mu[i]
    scores(terms, strata, eta, gradient)
    return likelihood


@compiled
def newton(
    data: Data,
    strata: Strata | None,
    weights: Floats,
    coef: Floats,
    target: int,
    tol: float,
    max_iter: int,
    factored: Floats,
    aliased: Bools,
) -> tuple[int, int, float]:
    """Maximise the likelihood of weighted Poisson regression from ``coef``, in place.

    Stops after the step whose Newton decrement ``g' H^-1 g`` is below ``tol``; since convergence is quadratic, what
    is left is of the order of ``tol`` standard errors. Returns state, iterations, log likelihood before the last
    step; ``factored`` holds the Cholesky factor of the information there.
    """
    counts, design, offset = data
    n, p = counts.size, coef.size
    by_term = (counts, np.ascontiguousarray(design.T), offset)
    work, gradient, step, trial = np.empty((3, n)), np.empty(p), np.empty(p), coef.copy()
    best = score_pass(by_term, strata, weights, coef, gradient, factored, work)
    for iteration in range(1, max_iter + 1):
        factor(factored, aliased)
        if target >= 0 and aliased[target]:
            return ALIASED, iteration, best
        for k in range(p):
            step[k] = gradient[k]
        solve_factored(factored, step, aliased)
        decrement = 0.0
        for k in range(p):
            decrement += step[k] * gradient[k]
        if not np.isfinite(decrement):
            return NOT_CONVERGED, iteration, best
        if decrement < tol:
            for k in range(p):
                coef[k] += step[k]
            return CONVERGED, iteration, best
        scale = 1.0
        for _ in range(30):
            for k in range(p):
                trial[k] = coef[k] + scale * step[k]
            likelihood = score_pass(by_term, strata, weights, trial, gradient, factored, work)
            # Rounding alone may lower the likelihood next to the optimum.
            if likelihood >= best - 1e-9 * (1.0 + abs(best)):
                break
            scale *= 0.5
        best = likelihood
        for k in range(p):
            coef[k] = trial[k]
    return NOT_CONVERGED, max_iter, best


@compiled
def glm_path(
    data: Data, strata: Strata | None, weights: Repeats, coef: Floats, target: int, factored: Floats, aliased: Bools
) -> tuple[int, int, float]:
    """Follow the path of R's ``glm``: from ``mu = y + 0.1`` until the deviance changes by less than 1e-8, relative.

    Where the likelihood has no maximum (separated data) the estimate is wherever this path stops. Returns state,
    iterations and deviance; ``factored`` holds the factor of the last working weights, as R's standard errors do.
    """
    counts, design, offset = data
    n, p = counts.size, coef.size
    terms = np.ascontiguousarray(design.T)
    eta, mu, saturated, scratch, weight = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    right = np.empty(p)
    for i in range(n):
        mu[i] = counts[i] + 0.1
        eta[i] = np.log(mu[i])
        saturated[i] = counts[i] * np.log(counts[i]) - counts[i] if counts[i] > 0 else 0.0
        scratch[i] = saturated[i] - counts[i] * eta[i] + mu[i]
        weight[i] = weights[i]
    previous = 2.0 * dot(scratch, weight)
    for iteration in range(1, 26):
        for i in range(n):
            # Working response, then working weights.
            eta[i] += (counts[i] - mu[i]) / mu[i] - offset[i]
            mu[i] *= weight[i]
            eta[i] *= mu[i]
        scores(terms, strata, eta, right)
        products(terms, strata, mu, scratch, factored)
        factor(factored, aliased)
        if target >= 0 and aliased[target]:
            return ALIASED, iteration, previous
        solve_factored(factored, right, aliased)
        predict(terms, strata, offset, right, eta)
        for k in range(p):
            coef[k] = right[k]
        if not eta.max() <= _ETA_MAX:
            return NOT_CONVERGED, iteration, np.inf
        exponential(eta, mu, scratch, scratch.view(np.int64))
        for i in range(n):
            mu[i] = max(mu[i], _MU_MIN)
            scratch[i] = saturated[i] - counts[i] * max(eta[i], _LOG_MU_MIN) + mu[i]
        deviance = 2.0 * dot(scratch, weight)
        if abs(deviance - previous) / (abs(deviance) + 0.1) < 1e-8:
            return CONVERGED, iteration, deviance
        previous = deviance
    return NOT_CONVERGED, 25, previous


@compiled
def refit_like_r(data: Data, weights: Repeats, target: int) -> Floats:
    """Fit coefficient ``target`` to every row of ``weights`` by R's path; NaN where the row leaves it undefined."""
    p = data[1].shape[1]
    result, coef = np.empty(weights.shape[0]), np.empty(p)
    factored, aliased = np.empty((p, p)), np.zeros(p, dtype=np.bool_)
    for r in range(weights.shape[0]):
        state, _, _ = glm_path(data, None, weights[r], coef, target, factored, aliased)
        result[r] = np.nan if state == ALIASED else coef[target]
    return result
