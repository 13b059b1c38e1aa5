"""Compiled refits to many rows of weights: Poisson (``alpha = 0``) or negative binomial at a held theta."""

from __future__ import annotations

import numpy as np

from scanlink.stats._compile import compiled, inlined
from scanlink.stats._negbin import first_predictor, irls
from scanlink.stats._newton import _ETA_MAX, ALIASED, CONVERGED, NOT_CONVERGED, Data, factor, glm_path, solve_factored
from scanlink.stats._strata import Strata, in_plain_terms, predict, products, scores, split_strata
from scanlink.stats._types import Bools, Floats, Ints, Repeats

# Counts, design (of the columns that strata leave), its columns' products two by two (where there are strata the
# columns, a row each), offset, and 1 / theta.
Terms = tuple[Floats, Floats, Floats, Floats, float]

# The last step is the one whose Newton decrement is below this; it leaves about as many standard errors.
_TOLERANCE, _MAX_PASSES = 1e-10, 60


@inlined
def _cell(count: float, times: float, eta: float, alpha: float) -> tuple[float, float]:
    """Compute what a cell adds to the score, and to the observed information, of the linear predictor."""
    mu = np.exp(eta)
    shrink = 1.0 / (1.0 + alpha * mu)
    return times * (count - mu) * shrink, times * mu * (1.0 + alpha * count) * shrink * shrink


@compiled
def score_pass(
    terms: Terms,
    strata: Strata | None,
    weights: Repeats,
    drawn_cells: Ints,
    coef: Floats,
    gradient: Floats,
    packed: Floats,
) -> bool:
    """Compute score and observed information at ``coef``, in one pass; False where ``exp`` overflows."""
    if strata is not None:
        return _strata_pass(terms, strata, weights, drawn_cells, coef, gradient, packed)
    counts, design, pairs, offset, alpha = terms
    p = design.shape[1]
    gradient[:] = 0.0
    packed[:] = 0.0
    for i in drawn_cells:
        eta = offset[i]
        for k in range(p):
            eta += coef[k] * design[i, k]
        if not eta <= _ETA_MAX:
            return False
        residual, weight = _cell(counts[i], weights[i], eta, alpha)
        for k in range(p):
            gradient[k] += residual * design[i, k]
        for k in range(packed.size):
            packed[k] += weight * pairs[i, k]
    return True


@compiled
def _strata_pass(
    terms: Terms, strata: Strata, weights: Repeats, drawn_cells: Ints, coef: Floats, gradient: Floats, packed: Floats
) -> bool:
    """Compute :func:`score_pass` by strata; cells that are not drawn add 0."""
    counts, _, rows, offset, alpha = terms
    n, p = counts.size, coef.size
    eta, residual, weight, matrix = np.empty(n), np.zeros(n), np.zeros(n), np.empty((p, p))
    predict(rows, strata, offset, coef, eta)
    for i in drawn_cells:
        if not eta[i] <= _ETA_MAX:
            return False
        residual[i], weight[i] = _cell(counts[i], weights[i], eta[i], alpha)
    scores(rows, strata, residual, gradient)
    products(rows, strata, weight, eta, matrix)
    for k in range(p):
        for m in range(k + 1):
            packed[k * (k + 1) // 2 + m] = matrix[k, m]
    return True


@compiled
def newton(
    terms: Terms,
    strata: Strata | None,
    weights: Repeats,
    drawn_cells: Ints,
    coef: Floats,
    target: int,
    gradient: Floats,
    packed: Floats,
    aliased: Bools,
) -> int:
    """Maximise the likelihood at a held theta from ``coef``, in place; stop as ``_newton.newton`` does.

    ``gradient`` and ``packed`` hold score and information at ``coef``. The likelihood is concave, so that a step is
    too long exactly where the slope at its end points back: neither the likelihood nor its logarithms are needed.
    """
    p = coef.size
    factored, step, trial = np.empty((p, p)), np.empty(p), np.empty(p)
    passes = 0
    while passes < _MAX_PASSES:
        for k in range(p):
            step[k] = gradient[k]
            for m in range(k + 1):
                factored[k, m] = packed[k * (k + 1) // 2 + m]
        factor(factored, aliased)
        if target >= 0 and aliased[target]:
            return ALIASED
        solve_factored(factored, step, aliased)
        decrement = 0.0
        for k in range(p):
            decrement += step[k] * gradient[k]
        if not np.isfinite(decrement):
            return NOT_CONVERGED
        if decrement < _TOLERANCE:
            for k in range(p):
                coef[k] += step[k]
            return CONVERGED
        scale = 1.0
        while passes < _MAX_PASSES:
            passes += 1
            for k in range(p):
                trial[k] = coef[k] + scale * step[k]
            if score_pass(terms, strata, weights, drawn_cells, trial, gradient, packed):
                slope = 0.0
                for k in range(p):
                    slope += step[k] * gradient[k]
                if slope >= -0.5 * decrement:
                    break
            scale *= 0.5
        for k in range(p):
            coef[k] = trial[k]
    return NOT_CONVERGED


def two_levels(column: Floats) -> tuple[Ints, int]:
    """Find which of its two values a column has in each row, and return 2; zeros and 0 where it has more."""
    high = column == column.max(initial=-np.inf)
    if (high | (column == column.min(initial=np.inf))).all():
        return high.astype(np.int64), 2
    return np.zeros(column.size, dtype=np.int64), 0


def refit(
    data: Data, weights: Repeats, alpha: float, start: Floats, targets: Ints, level: Ints, n_levels: int
) -> Floats:
    """Fit coefficients ``targets`` to every row of ``weights`` at a held theta; NaN where they are undefined.

    Where one of the ``n_levels`` of cells has no count they are infinite, and follow R's path. Shape
    ``(n_replicates, n_targets)``.
    """
    counts, design, offset = data
    rest, strata = split_strata(design, apart=targets.tolist())
    if strata is None:
        return _refit((counts, rest, offset), None, None, weights, alpha, start, targets, level, n_levels)
    plain_strata, start = in_plain_terms(strata, start)
    return _refit((counts, rest, offset), plain_strata, strata, weights, alpha, start, targets, level, n_levels)


@compiled
def _refit(
    data: Data,
    strata: Strata | None,
    strata_of_r: Strata | None,
    weights: Repeats,
    alpha: float,
    start: Floats,
    targets: Ints,
    level: Ints,
    n_levels: int,
) -> Floats:
    """Compute :func:`refit` of a design taken apart; ``start`` is of the terms of ``strata``, plain ones.

    With ``strata_of_r``, its own columns, replicates follow R's path: which of the columns that explain each other is
    left out depends on what they are.
    """
    counts, design, offset = data
    n, p = counts.size, start.size
    # Products of the terms, two by two; rows padded to whole vectors of the processor.
    padded = (p * (p + 1) // 2 + 3) // 4 * 4
    if strata is None:
        pairs = np.zeros((n, padded))
        for i in range(n):
            for k in range(p):
                for m in range(k + 1):
                    pairs[i, k * (k + 1) // 2 + m] = design[i, k] * design[i, m]
    else:
        pairs = np.ascontiguousarray(design.T)
    gradient, packed, aliased = np.empty(p), np.empty(padded), np.zeros(p, dtype=np.bool_)
    ones, cells, origin = np.ones(n), np.arange(n), start.copy()
    terms = (counts, design, pairs, offset, alpha)
    if score_pass(terms, strata, ones, cells, origin, gradient, packed):
        newton(terms, strata, ones, cells, origin, -1, gradient, packed, aliased)
    # All replicates start at the same place: what their first pass needs of each cell is the same too.
    eta = np.empty(n)
    predict(design.T, strata, offset, origin, eta)
    mu = np.exp(eta)
    residual = (counts - mu) / (1.0 + alpha * mu)
    curvature = mu * (1.0 + alpha * counts) / (1.0 + alpha * mu) ** 2
    counted = np.zeros(n_levels)
    # A single target without which there is nothing to estimate is given up early.
    target = targets[0] if targets.size == 1 else -1
    result = np.empty((weights.shape[0], targets.size))
    factored, coef = np.empty((p, p)), np.empty(p)
    for r in range(weights.shape[0]):
        w = weights[r]
        gradient[:] = 0.0
        packed[:] = 0.0
        n_drawn = 0
        counted[:] = 0.0
        for i in range(n):
            # cells[:n_drawn] are those with a weight; written without a branch, which would often go wrong.
            cells[n_drawn] = i
            n_drawn += w[i] > 0
            if n_levels > 0:
                counted[level[i]] += w[i] * counts[i]
        state = NOT_CONVERGED
        aliased[:] = False
        if n_levels == 0 or counted.min() > 0.0:
            drawn_cells = cells[:n_drawn]
            coef[:] = origin
            if strata is None:
                for i in drawn_cells:
                    score = w[i] * residual[i]
                    weight = w[i] * curvature[i]
                    for k in range(p):
                        gradient[k] += score * design[i, k]
                    for k in range(packed.size):
                        packed[k] += weight * pairs[i, k]
            else:
                score_pass(terms, strata, w, drawn_cells, coef, gradient, packed)
            state = newton(terms, strata, w, drawn_cells, coef, target, gradient, packed, aliased)
            if strata is not None:
                for k in strata.term[: strata.values.shape[1]]:
                    # Nothing but the term of a stratum of which no cell was drawn: it touches no other.
                    aliased[k] &= packed[k * (k + 1) // 2 + k] > 0.0
                if state == ALIASED:
                    state = NOT_CONVERGED
            if state == CONVERGED and aliased.any():
                # A left-out column kept its starting value; the others are right only with it at 0.
                state = NOT_CONVERGED
        if state == NOT_CONVERGED:
            if alpha == 0.0:
                state, _, _ = glm_path(data, strata_of_r, w, coef, target, factored, aliased)
            else:
                first_predictor(counts, eta)
                state, _, _ = irls(data, strata_of_r, w, alpha, eta, coef, target, factored, aliased)
        for k in range(targets.size):
            undefined = state == ALIASED or (target < 0 and aliased[targets[k]])
            result[r, k] = np.nan if undefined else coef[targets[k]]
    return result
