"""SCENT's bootstrap itself, replicates and ladder, on pairs without a link, beside its tail and the calibrated p-value.

    python benchmarks/calibration_bootstrap.py [--sets 20000] [--settings 1 2 3 4 5 6] [--seed 1]

The settings are those of benchmarks/calibration.py; 100,000 sets of all take about an hour on one core. Prints
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

# Sets that are resampled together.
TOGETHER = 400


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
    found: list[tuple[float, float, float]] = []
    for first in range(0, sets, TOGETHER):
        genes, others = [], []
        for _ in range(min(TOGETHER, sets - first)):
            depth, other = DEPTH_SD * rng.normal(size=n), (rng.gamma(2, 1, n) - 2) / np.sqrt(2)
            design = np.column_stack([np.ones(n), depth, other])
            mu = np.exp(base + GENE_SLOPES[0] * depth + GENE_SLOPES[1] * other)
            counts = rng.poisson(mu * (rng.gamma(1 / dispersion, dispersion, n) if dispersion else 1.0)).astype(float)
            chance = openness(link, height + PEAK_SLOPES[0] * depth + PEAK_SLOPES[1] * other)
            peak = (rng.random(n) < chance).astype(float)
            least = max(5, int(0.05 * n) + 1)
            if min((counts > 0).sum(), peak.sum()) < least or not (counts[peak > 0].any() and counts[peak == 0].any()):
                continue
            whole = np.insert(design, 1, peak, axis=1)
            fit = fit_poisson(counts, whole)
            gene = GeneReplicates(Covariates.of(design, np.zeros(n)), counts)
            genes.append((gene, [gene.pair(peak, fit=fit)]))
            tail = bootstrap_tail(counts, whole, target=1, estimate=float(fit.coef[1]), start=fit.coef).p
            others.append((tail, calibrated_p(counts, whole, target=1)))
        # The sets of a batch share their replicates, as the pairs of a scan do; the next batch has others.
        boot = climb(genes, Ladder.of("scent"), Weights(resample_key(seed, f"null {first}"), n))
        found += [(p[0][0], *rest) for p, rest in zip(boot, others, strict=True)]
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20_000, help="null sets of each setting")
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
