"""Pairs on which the bootstrap tail is compared: real ones, and simulated ones of every sparsity and p-value."""

from __future__ import annotations

import math
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from pairs import real_pairs

from scanlink.stats import fit_poisson, rescale
from scanlink.stats._tail import make_work
from scanlink.stats.saddlepoint import saddle_deviate, tail_log_p

__all__ = ["chosen", "evaluate", "real", "simulate"]

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "data"
# Open cells in which the gene is found.
CLASSES = (3, 10, 30, 100, 100_000)


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
    data = (y, terms, None, np.zeros(n), np.inf, clusters, units, make_work(terms.shape[0]))
    before = time.perf_counter()
    log_p, _, state, _ = tail_log_p(data, fit.coef, fit.coef[-1])
    seconds = time.perf_counter() - before
    _, _, _, end, t = saddle_deviate(data, fit.coef, 2 * fit.coef[-1])
    return {"b": fit.coef[-1], "tail": math.exp(log_p), "reached": state == 0, "ms": 1e3 * seconds}, fit.coef, end, t


def chosen(rng, sizes, edges, each):
    """Simulated pairs, with the name of their class: so many of each class between each two p-values."""
    wanted = {(k, d): each for k in range(len(CLASSES) - 1) for d in range(len(edges) - 1)}
    found = []
    for _ in range(20_000):
        n = int(rng.choice(sizes))
        drawn = simulate(rng, n, rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.6), rng.choice([-1, -0.5, 0.3, 0.6, 1.0]))
        result = evaluate(*drawn)
        if result is None:
            continue
        cell = (
            int(np.searchsorted(CLASSES, np.count_nonzero(drawn[0] * drawn[1]), "right")) - 1,
            int(np.searchsorted(-np.array(edges), -result[0]["tail"])) - 1,
        )
        if wanted.get(cell, 0):
            wanted[cell] -= 1
            found.append((cell[0], drawn))
        if not any(wanted.values()):
            break
    last = len(CLASSES) - 2
    names = [f"{low} to {high - 1}" for low, high in pairwise(CLASSES[:-1])] + [f"{CLASSES[last]} or more"]
    return [(names[k], drawn) for k, drawn in sorted(found, key=lambda pair: pair[0])]


def real():
    """The real pairs as :func:`simulate` gives its own, by p-value, and these p-values; none without the data."""
    if not (SHARED / "NOTE.md").is_file():
        return [], np.empty(0)
    covariates, pairs = real_pairs(SHARED)
    drawn = [(y, x, covariates.design, np.arange(y.size)) for y, x in pairs]
    tails = np.array([evaluate(*pair)[0]["tail"] for pair in drawn])
    order = np.argsort(tails)
    return [drawn[k] for k in order], tails[order]
