"""The bootstrap tail against the bootstrap itself: how far off it is by sparsity, p-value and number of donors.

    python benchmarks/tail.py [--replicates 40000] [--seed 1]
    python benchmarks/tail.py --plain 1000000 [--seed 1]

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared) for the real pairs. The reference
draws cells with tilted probabilities and weighs every replicate by its likelihood ratio, which is unbiased whatever the
probabilities, and decides each replicate by its exact profile score. With ``--plain`` it is ordinary replicates of the
resampling engine, as a scan takes them, on smaller groups. Prints Markdown tables.
"""
# ruff: noqa: NPY002 - compiled code has its own copy of the old generator, seeded in it.

from __future__ import annotations

import argparse
import math
from itertools import pairwise

import numpy as np
import pandas as pd
from numba import njit
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import binom
from tail_pairs import chosen, evaluate, real, simulate

from scanlink.stats import Covariates, GeneReplicates, Ladder, Weights, climb, resample_key
from scanlink.stats._newton import factor, solve_factored

# Cells of the simulated groups, and p-values: each class gets so many pairs between each two of them.
SIZES, DECADES, EACH = [300, 1_000, 3_000, 10_000], (0.3, 0.05, 0.01, 1e-3, 1e-4, 1e-5), 3
PLAIN_SIZES, PLAIN_EDGES, PLAIN_EACH = [300, 1_000], tuple(np.geomspace(0.3, 1e-5, 13)), 1
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


def compare(y, x, c, codes, replicates, seed):
    row, coef, end, t = evaluate(y, x, c, codes)
    p, error = reference(y, x, c, row["b"], end, t, codes, replicates, seed)
    row |= {"n": y.size, "open": int(x.sum()), "found": int(np.count_nonzero(y * x)), "p": p}
    return row | {"error": error, "simple": simple(y, x, c, row["b"], coef[:-1], codes)}


def with_plain(replicates, seed):
    """p_tail against the p-value of so many ordinary replicates; both are twice the share of b* beyond 2 b."""
    pairs, tails = real()
    if pairs:
        steps = np.geomspace(tails[0], PLAIN_EDGES[0], len(PLAIN_EDGES))
        nearest = np.unique(np.abs(np.log(tails)[:, None] - np.log(steps)).argmin(axis=0))
        pairs = [("real pairs", pairs[k]) for k in nearest]
    pairs += chosen(np.random.default_rng(seed), PLAIN_SIZES, PLAIN_EDGES, PLAIN_EACH)
    rows = []
    for n in sorted({drawn[0].size for _, drawn in pairs}):
        same = [pair for pair in pairs if pair[1][0].size == n]
        genes = []
        for _, (y, x, c, _) in same:
            gene = GeneReplicates(Covariates.of(c, np.zeros(n)), y)
            genes.append((gene, [gene.pair(x)]))
        weights = Weights(resample_key(seed, "tail"), n, keep_bytes=0)
        found = climb(genes, Ladder.of([(replicates, None)]), weights)
        for (name, drawn), [(p, _)] in zip(same, found, strict=True):
            rows.append({"class": name, "n": n, "p": p, "tail": evaluate(*drawn)[0]["tail"]})
    table = pd.DataFrame(rows)
    # Were p_tail right, the replicates beyond would be binomial. z is that of their mid-p value, which serves a handful
    # too, and stops at 37, where doubles end.
    one, beyond = table["tail"] / 2, np.rint(table["p"] * replicates / 2)
    half = binom.pmf(beyond, replicates, one) / 2
    fewer, more = binom.cdf(beyond, replicates, one) - half, binom.sf(beyond, replicates, one) + half
    table["z"] = np.where(fewer < more, -ndtri(np.maximum(fewer, 1e-300)), ndtri(np.maximum(more, 1e-300)))
    table["ratio"], table["error"] = table["tail"] / table["p"], np.sqrt((1 - one) / (one * replicates))
    print(f"p_tail / p of {replicates:,} replicates ± what chance does to it; by chance 5 of 100 have abs(z) > 2")
    extremes(table.rename(columns={"class": "open cells with the gene"}), "open cells with the gene")
    extremes(table.assign(p_tail=decades(table["tail"])).sort_values("tail"), "p_tail")


def extremes(table, by):
    """The median ratio and the furthest ones, by class, with what chance alone does to them."""
    print(f"\n| {by} | pairs | cells | range of p_tail | median ratio | smallest | largest | abs(z) > 2 |")
    print("| --- " * 8 + "|")
    for name, part in table.groupby(by, sort=False):
        ends = [part.loc[k] for k in (part["ratio"].idxmin(), part["ratio"].idxmax())]
        text = " | ".join(f"{e['ratio']:.3f} ± {e['error']:.3f} (p {e['tail']:.1e}, z {e['z']:+.1f})" for e in ends)
        cells = " to ".join(f"{n:,}" for n in sorted({part["n"].min(), part["n"].max()}))
        span = f"{part['tail'].max():.2g} to {part['tail'].min():.1e}"
        outside = f"{np.count_nonzero(part['z'].abs() > 2)} of {len(part)}"
        print(f"| {name} | {len(part)} | {cells} | {span} | {part['ratio'].median():.3f} | {text} | {outside} |")


def decades(p):
    """Between which two of the p-values each lies, in words."""
    names = [f"{low:g} to {high:g}" for high, low in pairwise(DECADES)][::-1]
    return pd.cut(p, DECADES[::-1], labels=names).astype(str)


def summary(table, by):
    """Ratios to the reference, by class, where replicates crossed the boundary and the approximation has a solution."""
    print(f"\n| {by} | pairs | error of reference | tilted: median, largest ratio (pairs) | simple |")
    print("| --- | --- | --- | --- | --- |")
    for name, part in table[table["p"] > 0].groupby(by, sort=False):
        off = [np.exp(np.abs(np.log(part[m] / part["p"]))).dropna() for m in ("tail", "simple")]
        text = " | ".join(f"{ratio.median():.3f}, {ratio.max():.3g} ({ratio.size})" for ratio in off)
        print(f"| {name} | {len(part)} | {(part['error'] / part['p']).median():.3f} | {text} |")


def with_tilted(replicates, seed):
    """p_tail, and the simpler formula, against tilted replicates."""
    rng, rows = np.random.default_rng(seed), []
    for drawn in real()[0][:45:3]:
        rows.append(compare(*drawn, replicates, seed) | {"class": "real pairs"})
    for name, drawn in chosen(rng, SIZES, DECADES, EACH):
        rows.append(compare(*drawn, replicates, seed) | {"class": name})
    for donors in DONORS:
        for effect in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            drawn = simulate(rng, 100 * donors, 0.2, 0.3, effect, donors)
            rows.append(compare(*drawn, replicates, seed) | {"class": f"{donors} donors"})
    table = pd.DataFrame(rows)
    columns = ["class", "n", "open", "found", "b", "p", "error", "tail", "simple", "reached", "ms"]
    print("|", " | ".join(columns), "|\n" + "| --- " * len(columns) + "|")
    for row in table[columns].itertuples(index=False):
        print("|", " | ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row), "|")
    by_cells = ~table["class"].str.contains("donors")
    summary(table[by_cells].rename(columns={"class": "open cells with the gene"}), "open cells with the gene")
    summary(table.assign(**{"p-value": decades(table["p"])})[by_cells].sort_values("p"), "p-value")
    summary(table[~by_cells & table["reached"]].rename(columns={"class": "donors"}), "donors")
    usual = table[by_cells & table["n"].between(3_000, 3_152)]
    print(f"milliseconds a pair, {usual['n'].median():.0f} cells, 4 terms: {usual['ms'].median():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=40_000, help="tilted ones, for each pair")
    parser.add_argument("--plain", type=int, metavar="N", help="compare with so many ordinary replicates instead")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.plain is not None:
        with_plain(asked.plain, asked.seed)
    else:
        with_tilted(asked.replicates, asked.seed)


if __name__ == "__main__":
    main()
