"""SCENT's bootstrap itself, replicates and ladder, on pairs without a link, beside its tail and the calibrated p-value.

    python benchmarks/calibration_bootstrap.py [--sets 20000] [--settings 1 2 3 4 5 6] [--seed 1]

The settings are those of benchmarks/calibration.py; 20,000 sets of one take one to seven minutes on one core. Prints
the rows of a Markdown table.
"""

from __future__ import annotations

import argparse

import numpy as np
from calibration import DEPTH_SD, GENE_SLOPES, LEVELS, PEAK_SLOPES, SETTINGS
from scipy.optimize import brentq

from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Ladder,
    Weights,
    bootstrap_tail,
    calibrated_p,
    climb,
    fit_poisson,
    resample_key,
)


def openness(link: str, eta: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-eta)) if link == "logit" else 1 - np.exp(-np.exp(eta))


def p_values(setting: tuple, sets: int, seed: int) -> np.ndarray:
    """Bootstrap, tail and calibrated p-values of tested pairs. Shape ``(n_tested, 3)``."""
    n, mean, opened, dispersion, link, _ = setting
    rng = np.random.default_rng(seed)
    depth, other = DEPTH_SD * rng.normal(size=10**6), (rng.gamma(2, 1, 10**6) - 2) / np.sqrt(2)
    base = np.log(mean / np.mean(np.exp(GENE_SLOPES[0] * depth + GENE_SLOPES[1] * other)))
    slope = PEAK_SLOPES[0] * depth + PEAK_SLOPES[1] * other
    height = brentq(lambda a: np.mean(openness(link, a + slope)) - opened, -10, 10)
    ladder, found = Ladder.of("scent"), []
    weights = Weights(resample_key(seed, "null"), n)
    for _ in range(sets):
        depth, other = DEPTH_SD * rng.normal(size=n), (rng.gamma(2, 1, n) - 2) / np.sqrt(2)
        design = np.column_stack([np.ones(n), depth, other])
        mu = np.exp(base + GENE_SLOPES[0] * depth + GENE_SLOPES[1] * other)
        noise = rng.gamma(1 / dispersion, dispersion, n) if dispersion else 1.0
        counts = rng.poisson(mu * noise).astype(float)
        peak = (rng.random(n) < openness(link, height + PEAK_SLOPES[0] * depth + PEAK_SLOPES[1] * other)).astype(float)
        least = max(5, int(0.05 * n) + 1)
        if min((counts > 0).sum(), peak.sum()) < least or not (counts[peak > 0].any() and counts[peak == 0].any()):
            continue
        whole = np.insert(design, 1, peak, axis=1)
        fit = fit_poisson(counts, whole)
        gene = GeneReplicates(Covariates.of(design, np.zeros(n)), counts)
        boot = climb([(gene, [gene.pair(peak, fit=fit)])], ladder, weights)[0][0][0]
        tail = bootstrap_tail(counts, whole, target=1, estimate=float(fit.coef[1]), start=fit.coef).p
        found.append((boot, tail, calibrated_p(counts, whole, target=1)))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20_000)
    parser.add_argument("--settings", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    print("| setting | p-value | tested | " + " | ".join(f"at {level}" for level in LEVELS) + " |")
    print("| --- | --- | --- | " + " | ".join("---" for _ in LEVELS) + " |")
    for number in wanted.settings:
        found = p_values(SETTINGS[number - 1], wanted.sets, wanted.seed)
        for name, p in zip(("bootstrap, ladder scent", "its tail", "calibrated"), found.T, strict=True):
            p = p[~np.isnan(p)]
            rates = [np.mean(p <= level) for level in LEVELS]
            cells = [f"{r:.5f} ± {np.sqrt(max(r, v) / p.size):.5f}" for r, v in zip(rates, LEVELS, strict=True)]
            print(
                f"| {number}: n={SETTINGS[number - 1][0]:,} | {name} | {p.size:,} | " + " | ".join(cells) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
