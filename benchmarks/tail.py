"""The bootstrap tail against the bootstrap itself: how far off it is by sparsity, p-value and number of donors.

    python benchmarks/tail.py [--replicates 40000] [--plain 100000] [--seed 1]

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared) for the real pairs. The reference
draws cells with tilted probabilities and weighs every replicate by its likelihood ratio, which is unbiased whatever the
probabilities, and decides each replicate by its exact profile score; for the real pairs, ordinary replicates of the
resampling engine check it. Prints Markdown tables.
"""
# ruff: noqa: NPY002 - compiled code has its own copy of the old generator, seeded in it.

from __future__ import annotations

import argparse
import math
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numba import njit
from pairs import real_pairs
from scipy.optimize import brentq
from scipy.special import ndtr

from scanlink.stats import Covariates, GeneReplicates, Weights, basic_p, fit_poisson, resample_key, rescale
from scanlink.stats._newton import factor, solve_factored
from scanlink.stats._tail import make_work
from scanlink.stats.saddlepoint import saddle_deviate, tail_log_p

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "data"
# Open cells in which the gene is found, and p-values: each combination gets as many pairs.
CLASSES, DECADES, EACH = (3, 10, 30, 100, 100_000), (0.3, 0.05, 0.01, 1e-3, 1e-4, 1e-5), 3
PLAIN_SHARE = 0.1
DONORS = (4, 6, 10, 20, 40)


@njit(nogil=True, error_model="numpy")
def importance(y, x, c, offset, boundary, gamma, codes, probability, replicates, seed, upper):
    """Sums, and sums of squares, of the likelihood ratios of the replicates beyond the boundary, by proposal.

    The first tenth of the replicates is drawn as the bootstrap draws, which bounds the likelihood ratios.
    """
    np.random.seed(seed)
    n, q = c.shape
    units = probability.size
    cumulated, ratio = np.cumsum(probability), -np.log(units * probability)
    guide = np.searchsorted(cumulated, np.arange(units) / units)
    drawn, grad, cross = np.empty(units), np.empty(q), np.empty(q)
    hessian, step, left = np.empty((q, q)), np.empty(q), np.zeros(q, dtype=np.bool_)
    sums, unsolved = np.zeros((2, 2)), 0
    for r in range(replicates):
        plain = r < PLAIN_SHARE * replicates
        drawn[:] = 0.0
        log_ratio = 0.0
        for _ in range(units):
            u = np.random.random()
            j = int(u * units)
            if not plain:
                j = guide[j]
                while j < units - 1 and cumulated[j] <= u:
                    j += 1
            drawn[j] += 1.0
            log_ratio += ratio[j]
        coef, solved, score, opened, closed = gamma.copy(), False, 0.0, 0.0, 0.0
        for _ in range(50):
            score = spread = opened = closed = 0.0
            grad[:], cross[:], hessian[:] = 0.0, 0.0, 0.0
            for i in range(n):
                w = drawn[codes[i]]
                if w == 0.0:
                    continue
                eta = offset[i] + boundary * x[i]
                for k in range(q):
                    eta += coef[k] * c[i, k]
                mu = w * math.exp(min(eta, 700.0))
                residual = w * y[i] - mu
                for k in range(q):
                    grad[k] += residual * c[i, k]
                    for m in range(k + 1):
                        hessian[k, m] += mu * c[i, k] * c[i, m]
                if x[i] == 0.0:
                    closed += w
                    continue
                opened += w
                score += residual * x[i]
                spread += mu * x[i] * x[i]
                for k in range(q):
                    cross[k] += mu * x[i] * c[i, k]
            factor(hessian, left)
            step[:] = grad
            solve_factored(hessian, step, left)
            decrement = (step * grad).sum()
            # The profile score, to second order in the step; replicates next to the boundary are solved further.
            score -= (cross * step).sum()
            if not np.isfinite(decrement):
                break
            if decrement < (1e-7 if abs(score) < 0.3 * math.sqrt(spread) else 1e-3):
                solved = True
                break
            coef += step / max(1.0, np.abs(step).max() / 2.0)
        unsolved += not solved
        # As SCENT counts: a replicate without a coefficient lies below the boundary.
        if (score > 0.0 and opened > 0.0 and closed > 0.0) == upper:
            weight = 1.0 / (PLAIN_SHARE + (1.0 - PLAIN_SHARE) * math.exp(-log_ratio))
            sums[0 if plain else 1, 0] += weight
            sums[0 if plain else 1, 1] += weight * weight
    return sums, unsolved


def reference(y, x, c, estimate, end, t, codes, replicates, seed):
    """Two-sided p-value and its Monte-Carlo error, the proposal being the tilted weights."""
    score = (y - np.exp(np.append(c, x[:, None], axis=1) @ end))[:, None] * np.append(c, x[:, None], axis=1)
    exponent = np.bincount(codes, score @ t)
    probability = np.exp(exponent - exponent.max())
    # Probabilities that may not vanish, or likelihood ratios would.
    probability = 0.999 * probability / probability.sum() + 0.001 / probability.size
    sums, unsolved = importance(
        y, x, c, np.zeros(y.size), 2 * estimate, end[:-1], codes, probability, replicates, seed, estimate > 0
    )
    assert unsolved <= 1e-3 * replicates, unsolved
    size = np.array([math.ceil(PLAIN_SHARE * replicates), replicates - math.ceil(PLAIN_SHARE * replicates)])
    variance = np.sum(sums[:, 1] - sums[:, 0] ** 2 / size) / replicates**2
    p = sums[:, 0].sum() / replicates
    return 2 * min(p, 1 - p), 2 * math.sqrt(max(variance, 0.0))


def simple(y, x, c, estimate, gamma, codes):
    """The same with the nuisance held at its unweighted fit: Lugannani and Rice for the sum of efficient scores."""
    for _ in range(50):
        mu = np.exp(2 * estimate * x + c @ gamma)
        gamma = gamma + np.linalg.solve((c * mu[:, None]).T @ c, c.T @ (y - mu))
    mu = np.exp(2 * estimate * x + c @ gamma)
    e = np.bincount(codes, (y - mu) * (x - c @ np.linalg.solve((c * mu[:, None]).T @ c, c.T @ (mu * x))))
    if not e.min() < 0 < e.max():
        return math.nan

    def weights(t):
        w = np.exp(t * e - max(t * e.min(), t * e.max()))
        return w / w.sum()

    edge = -np.sign(e.sum()) / np.abs(e).max()
    while (weights(edge) @ e) * edge < 0:
        edge *= 2
    t = brentq(lambda t: weights(t) @ e, 0, edge, xtol=1e-14 * abs(edge))
    top = max(t * e.min(), t * e.max())
    r = math.copysign(math.sqrt(-2 * e.size * (top + math.log(np.exp(t * e - top).mean()))), t)
    return 2 * ndtr(-abs(r + math.log(t * math.sqrt(e.size * (weights(t) @ e**2)) / r) / r))


def simulate(rng, n, opened, found, effect, donors=0):
    """Poisson-gamma counts; depth raises the gene and opens the peak. Donors differ in both, and in the effect."""
    codes = np.append(np.arange(donors), rng.integers(0, donors, n - donors)) if donors else np.arange(n)
    donor = rng.normal(0, 0.25, (3, donors))[:, codes] if donors else np.zeros((3, n))
    depth, mito = rng.normal(0, 0.4, n), rng.gamma(6, 1, n)
    x = (rng.random(n) < -np.expm1(np.log1p(-opened) * np.exp(0.8 * depth + donor[0]))).astype(float)
    mean = -1.3 * np.log1p(-found) * np.exp(depth - 0.03 * (mito - 6) + donor[1] + (effect + donor[2]) * x)
    y = rng.poisson(mean * rng.gamma(1 / 0.7, 0.7, n)).astype(float)
    return y, x, rescale(np.column_stack([np.ones(n), depth, mito])), codes


def evaluate(y, x, c, codes):
    """Estimate, p-value of the tail, and the tilted fit; None where the pair cannot be tested."""
    if min(np.count_nonzero(y * x), np.count_nonzero(y * (1 - x))) < 3:
        return None
    n, units = y.size, int(codes.max()) + 1
    fit = fit_poisson(y, np.append(c, x[:, None], axis=1), path="newton")
    clusters = codes if units < n else codes[:0]
    terms = np.ascontiguousarray(np.append(c, x[:, None], axis=1).T)
    data = (y, terms, np.zeros(n), np.inf, clusters, units, make_work(terms.shape[0]))
    before = time.perf_counter()
    log_p, _, state, _ = tail_log_p(data, fit.coef, fit.coef[-1])
    seconds = time.perf_counter() - before
    _, _, _, end, t = saddle_deviate(data, fit.coef, 2 * fit.coef[-1])
    return {"b": fit.coef[-1], "tail": math.exp(log_p), "reached": state == 0, "ms": 1e3 * seconds}, fit.coef, end, t


def compare(y, x, c, codes, replicates, seed):
    row, coef, end, t = evaluate(y, x, c, codes)
    p, error = reference(y, x, c, row["b"], end, t, codes, replicates, seed)
    row |= {"n": y.size, "open": int(x.sum()), "found": int(np.count_nonzero(y * x)), "p": p}
    return row | {"error": error, "simple": simple(y, x, c, row["b"], coef[:-1], codes)}


def chosen(rng):
    """Simulated pairs, with the number of their class: so many of each class and decade."""
    wanted = {(k, d): EACH for k in range(len(CLASSES) - 1) for d in range(len(DECADES) - 1)}
    for _ in range(20_000):
        n = int(rng.choice([300, 1_000, 3_000, 10_000]))
        drawn = simulate(rng, n, rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.6), rng.choice([-1, -0.5, 0.3, 0.6, 1.0]))
        result = evaluate(*drawn)
        if result is None:
            continue
        cell = (
            int(np.searchsorted(CLASSES, np.count_nonzero(drawn[0] * drawn[1]), "right")) - 1,
            int(np.searchsorted(-np.array(DECADES), -result[0]["tail"])) - 1,
        )
        if wanted.get(cell, 0):
            wanted[cell] -= 1
            yield cell[0], drawn
        if not any(wanted.values()):
            return


def ordinary(covariates: Covariates, y, x, replicates):
    """The p-value of so many ordinary replicates."""
    gene = GeneReplicates(covariates, y)
    pair, weights = gene.pair(x), Weights(resample_key(0, "tail"), y.size)
    blocks = [weights.block(first, first + 500) for first in range(0, replicates, 500)]
    return basic_p(pair.estimate, np.concatenate([pair.replicates(gene.shared(block)) for block in blocks]))


def summary(table, by):
    """Ratios to the reference, by class, where replicates crossed the boundary and the approximation has a solution."""
    print(f"\n| {by} | pairs | error of reference | tilted: median, largest ratio (pairs) | simple |")
    print("| --- | --- | --- | --- | --- |")
    for name, part in table[table["p"] > 0].groupby(by, sort=False):
        off = [np.exp(np.abs(np.log(part[m] / part["p"]))).dropna() for m in ("tail", "simple")]
        text = " | ".join(f"{ratio.median():.3f}, {ratio.max():.3g} ({ratio.size})" for ratio in off)
        print(f"| {name} | {len(part)} | {(part['error'] / part['p']).median():.3f} | {text} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=40_000, help="of the reference, for each pair")
    parser.add_argument("--plain", type=int, default=100_000, help="ordinary replicates for each real pair")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng, rows = np.random.default_rng(asked.seed), []
    if (SHARED / "NOTE.md").is_file():
        covariates, pairs = real_pairs(SHARED)
        cells = np.arange(covariates.design.shape[0])
        tails = np.array([evaluate(y, x, covariates.design, cells)[0]["tail"] for y, x in pairs])
        for k in np.argsort(tails)[:45:3]:
            row = compare(*pairs[k], covariates.design, cells, asked.replicates, asked.seed)
            rows.append(row | {"class": "real pairs", "plain": ordinary(covariates, *pairs[k], asked.plain)})
    for k, drawn in sorted(chosen(rng), key=lambda pair: pair[0]):
        name = f"{CLASSES[k]} to {CLASSES[k + 1] - 1}" if k < len(CLASSES) - 2 else f"{CLASSES[k]} or more"
        rows.append(compare(*drawn, asked.replicates, asked.seed) | {"class": name})
    for donors in DONORS:
        for effect in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            drawn = simulate(rng, 100 * donors, 0.2, 0.3, effect, donors)
            rows.append(compare(*drawn, asked.replicates, asked.seed) | {"class": f"{donors} donors"})
    table = pd.DataFrame(rows)
    columns = ["class", "n", "open", "found", "b", "p", "error", "tail", "simple", "reached", "plain", "ms"]
    print("|", " | ".join(columns), "|\n" + "| --- " * len(columns) + "|")
    for row in table[columns].itertuples(index=False):
        print("|", " | ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row), "|")
    by_cells = ~table["class"].str.contains("donors")
    summary(table[by_cells].rename(columns={"class": "open cells with the gene"}), "open cells with the gene")
    decades = pd.cut(
        table["p"], DECADES[::-1], labels=[f"{low:g} to {high:g}" for high, low in pairwise(DECADES)][::-1]
    )
    summary(table.assign(**{"p-value": decades.astype(str)})[by_cells].sort_values("p"), "p-value")
    summary(table[~by_cells & table["reached"]].rename(columns={"class": "donors"}), "donors")
    if "plain" in table:
        real = table[table["plain"].notna()]
        z = (real["plain"] - real["p"]) / np.hypot(real["error"], np.sqrt(2 * real["p"] / asked.plain))
        print(f"\nordinary replicates against the reference, real pairs: mean square of z {np.mean(z**2):.2f}")
    usual = table[by_cells & table["n"].between(3_000, 3_152)]
    print(f"milliseconds a pair, {usual['n'].median():.0f} cells, 4 terms: {usual['ms'].median():.3f}")


if __name__ == "__main__":
    main()
