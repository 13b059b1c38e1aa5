"""Simulated screens for the levels of permutation tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from scanlink.stats import (
    GeneScore,
    Permutations,
    Perturbed,
    adjust,
    fit_negbin,
    interaction_permutation_p,
    permutation_p,
    score_p,
)

__all__ = ["SETTINGS", "Setting", "false_discoveries", "rejections"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """One gene and two targets in 4,000 cells, each in some 160, more often in the second batch; 16 cells have both.

    Attributes
    ----------
    mean
        Expected count of a cell of the first batch and average depth.
    theta
        Inverse dispersion.
    effects
        Of the first, of the second, and their interaction, natural logarithm.
    efficiencies
        Which the guides have, one at random in each cell; none: 1.
    follows
        The gene follows depth to this power; the offset says 1.
    opens
        A cell of e times the depth holds e to this power as many guides.
    pair
        The interaction is tested, else the first target.
    """

    mean: float
    theta: float = 1.0
    effects: tuple[float, float, float] = (0.0, 0.0, 0.0)
    efficiencies: tuple[float, ...] = ()
    follows: float = 1.0
    opens: float = 0.0
    pair: bool = True


_MAIN = (-1.0, -0.7, 0.0)
SETTINGS = {
    **{f"one target, no effect, mean {m:g}": Setting(m, pair=False) for m in (0.1, 1.0)},
    "one target, no effect, deep cells hold more guides, gene follows depth^.7, mean 1": Setting(
        1.0, opens=1.0, follows=0.7, pair=False
    ),
    **{f"pair, no effects, mean {m:g}": Setting(m) for m in (0.2, 2.0)},
    **{f"pair, main effects -1 and -.7, mean {m:g}": Setting(m, effects=_MAIN) for m in (0.2, 1.0, 5.0)},
    "and efficiencies .4, .7, .82, mean 1": Setting(1.0, effects=_MAIN, efficiencies=(0.4, 0.7, 0.82)),
    "and dispersion 2, mean 5": Setting(5.0, 0.5, effects=_MAIN),
    "and gene follows depth^.7, mean 5": Setting(5.0, effects=_MAIN, follows=0.7),
    "and deep cells hold more guides, mean 5": Setting(5.0, effects=_MAIN, follows=0.7, opens=1.0),
    "pair, main effects +1 and +.7, mean 1": Setting(1.0, effects=(1.0, 0.7, 0.0)),
    "power: -.5, -.5, interaction +1, mean 1": Setting(1.0, effects=(-0.5, -0.5, 1.0)),
    "power: -.5, -.5, interaction -1, mean 2": Setting(2.0, effects=(-0.5, -0.5, -1.0)),
}


def _cells(setting: Setting, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Covariates, log depth, and values of both targets. Shape of the last ``(n_cells, 2)``."""
    n = 4000
    batch, depth = rng.integers(0, 2, n), 0.4 * rng.normal(size=n)
    design = np.column_stack([np.ones(n), batch, rng.normal(size=n)])
    likely = np.exp(-4.0 + 1.3 * batch + setting.opens * depth)
    # A factor that both share makes cells with both.
    shared = rng.gamma(1.0, 1.0, n)
    x = (rng.random((n, 2)) < 1 - np.exp(-likely * shared)[:, None]).astype(float)
    if setting.efficiencies:
        x *= rng.choice(setting.efficiencies, size=x.shape)
    return design, depth, x


def rejections(setting: Setting, sets: int) -> tuple[Floats, Floats, Floats, Floats]:
    """P-values by permutation, ``score_p`` and Wald's test, and the sign of z. Each of shape ``(sets,)``."""
    out = np.full((4, sets), np.nan)
    for number in range(sets):
        rng = np.random.default_rng([3, number])
        design, depth, x = _cells(setting, rng)
        a, b = x.T
        first, second, both = setting.effects
        log_mu = (
            setting.follows * depth + 0.4 * design[:, 1] + 0.15 * design[:, 2] + first * a + second * b + both * a * b
        )
        y = rng.poisson(setting.mean * np.exp(log_mu) * rng.gamma(setting.theta, 1 / setting.theta, depth.size))
        if not y.any():
            continue
        gene = GeneScore.of(y, design, offset=depth)
        targets = [Perturbed.of(np.flatnonzero(one), one[one > 0]) for one in (a, b)]
        ladder, permutations = [(100, 0.2), (2000, None)], Permutations(number, depth.size)
        if setting.pair:
            found = interaction_permutation_p(gene, [Perturbed.pair(*targets)], ladder, permutations)
            column, rest = a * b, np.column_stack([design, a, b])
        else:
            found, column, rest = permutation_p(gene, targets[:1], ladder, permutations), a, design
        fit = fit_negbin(y, np.column_stack([rest, column]), offset=depth)
        wald = 2 * ndtr(-abs(fit.coef[-1] / fit.se[-1]))
        out[:, number] = found.p[0], score_p(y, column, rest, offset=depth), wald, found.z[0]
    return out[0], out[1], out[2], out[3]


def false_discoveries(share: float, repeats: int) -> tuple[Floats, Floats, float]:
    """False discovery proportion and discoveries of each data set, and how many null p-values are at most .05.

    100 genes, each tested with 10 of 40 targets in 2,000 cells, by the ladder "glimmirs". ``share`` of the tests have
    an effect.
    """
    shares, discoveries, below = np.zeros(repeats), np.zeros(repeats), []
    n = 2000
    for number in range(repeats):
        rng = np.random.default_rng([4, number])
        design = np.column_stack([np.ones(n), rng.integers(0, 2, n)])
        targets = [Perturbed.of(np.flatnonzero(rng.random(n) < 0.04)) for _ in range(40)]
        permutations, p, real = Permutations(number, n), [], []
        for _ in range(100):
            own = rng.choice(40, 10, replace=False)
            effect = np.where(rng.random(10) < share, -1.2, 0.0)
            log_mu = rng.normal() + 0.3 * design[:, 1]
            for target, one in zip(own, effect, strict=True):
                log_mu[targets[target].cells] += one
            y = rng.poisson(np.exp(log_mu) * rng.gamma(1.0, 1.0, n))
            gene = GeneScore.of(y, design)
            p.append(permutation_p(gene, [targets[k] for k in own], "glimmirs", permutations).p)
            real.append(effect != 0)
        q, null = adjust(np.concatenate(p)), ~np.concatenate(real)
        called = q <= 0.1
        discoveries[number] = called.sum()
        shares[number] = np.sum(called & null) / max(1, called.sum())
        below.append(np.mean(np.concatenate(p)[null] <= 0.05))
    return shares, discoveries, float(np.mean(below))
