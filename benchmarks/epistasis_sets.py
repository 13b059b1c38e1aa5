"""Simulated sets of a gene and two enhancers, and every p-value of their interaction: for benchmarks/epistasis.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Ladder,
    StateReplicates,
    StatesFit,
    Weights,
    bootstrap_tail,
    climb_all,
    fit_states,
    interaction_p,
    resample_key,
)

METHODS = ("Wald, Poisson", "Wald, negative binomial", "HC3", "bootstrap", "bootstrap's tail", "p_robust")
WALD, NEGBIN, HC3, BOOTSTRAP, TAIL, ROBUST = range(len(METHODS))
# Single effects, natural log, and how many cells have one enhancer open, of each.
EFFECTS, N_CELLS, N_SINGLE = (0.5, 0.3), 1_500, 150
DEPTH_SD, MITO_SLOPE = 0.4, -0.15
# Least effect that is seen with 80 % power at .05, in standard errors: as scanlink.tl.epistasis has it.
SEEN = float(ndtri(0.8) - ndtri(0.025))
# Sets that are resampled together.
_TOGETHER = 250


@dataclass(frozen=True)
class Setting:
    """How sets are drawn.

    Attributes
    ----------
    mean
        Expected count of a cell of mean depth with nothing open.
    n_11
        Cells with both enhancers open.
    mixing
        What a count's mean is multiplied by: "none" (Poisson), "gamma" (negative binomial) or "log-normal".
    dispersion
        Variance of that factor in the states 00, 10, 01 and 11.
    slope
        How the logarithm of the dispersion rises with the logarithm of depth.
    opens
        How the log odds of each enhancer being open rise with the logarithm of depth.
    follows
        Power of depth that the gene follows; the offset says 1.
    """

    mean: float
    n_11: int
    mixing: str = "gamma"
    dispersion: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    slope: float = 0.0
    opens: float = 0.0
    follows: float = 1.0


@dataclass(frozen=True)
class Set:
    """Counts, states, design and offset of one set."""

    counts: np.ndarray
    state: np.ndarray
    design: np.ndarray
    offset: np.ndarray

    @property
    def separated(self) -> bool:
        """Whether the gene is 0 in some state."""
        return bool(np.bincount(self.state, self.counts, minlength=4).min() == 0)


def draw(rng: np.random.Generator, setting: Setting, interaction: float) -> Set:
    """One set whose interaction (natural log) is as given."""
    n = N_CELLS
    depth, mito = DEPTH_SD * rng.normal(size=n), (rng.gamma(2.0, size=n) - 2) / np.sqrt(2)
    state = np.zeros(n, dtype=np.int64)
    # Weighted draws without replacement: the largest keys of log weight plus Gumbel noise.
    noise, twice = rng.gumbel(size=n), 2 * setting.opens * depth
    state[np.argsort(-(twice + noise))[: setting.n_11]] = 3
    left = np.flatnonzero(state == 0)
    chosen = left[np.argsort(-(twice[left] / 2 + noise[left]))[: 2 * N_SINGLE]]
    state[rng.permutation(chosen)] = np.repeat([1, 2], N_SINGLE)
    effect = np.array([0.0, *EFFECTS, sum(EFFECTS) + interaction])
    level = setting.follows * depth - (setting.follows * DEPTH_SD) ** 2 / 2
    mu = setting.mean * np.exp(level + MITO_SLOPE * mito + effect[state])
    # Of the mean of exp(slope * mito), the moment generating function of the standardised Gamma.
    mu *= (1 - MITO_SLOPE / np.sqrt(2)) ** 2 * np.exp(MITO_SLOPE * np.sqrt(2))
    if setting.mixing != "none":
        phi = np.array(setting.dispersion)[state] * np.exp(setting.slope * depth)
        if setting.mixing == "gamma":
            mu *= rng.gamma(1 / phi, phi)
        else:
            sd = np.sqrt(np.log1p(phi))
            mu *= np.exp(sd * rng.normal(size=n) - sd**2 / 2)
    return Set(rng.poisson(mu).astype(float), state, np.column_stack([np.ones(n), mito]), depth)


def p_values(drawn: Set, *, negbin: bool) -> tuple[np.ndarray, float, StatesFit]:
    """P-values of the interaction in the order of METHODS (NaN: not computed), its HC3 error, and the fit."""
    y, state, design, offset = drawn.counts, drawn.state, drawn.design, drawn.offset
    p = np.full(len(METHODS), np.nan)
    fit = fit_states(y, state, design, offset=offset)
    weights, estimate = fit.quantities[-1], float(fit.estimates[-2])
    hc3 = fit.se_robust(weights)
    p[WALD], p[HC3] = _two_sided(estimate / fit.se(weights)), _two_sided(estimate / hc3)
    # The same regression on x1, x2 and x1 x2, in which the interaction is a coefficient.
    first, second = (state & 1).astype(float), (state >> 1).astype(float)
    product = np.column_stack([design[:, :1], first, second, first * second, design[:, 1:]])
    coef = fit.parts[0].fit.coef
    start = np.array([*coef[:3], estimate, *coef[4:]])
    p[TAIL] = bootstrap_tail(y, product, target=3, estimate=estimate, offset=offset, start=start).p
    p[ROBUST] = interaction_p(y, state, design, offset=offset)
    if negbin:
        glm = fit_states(y, state, design, offset=offset, family="negbin")
        if glm.converged:
            p[NEGBIN] = _two_sided(float(glm.estimates[-2]) / glm.se(weights))
    return p, hc3, fit


class _Interaction(StateReplicates):
    """Only the interaction: it climbs the ladder by its own p-value, and need not wait for the single effects."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.all_estimates, self.estimate = self.estimate, self.estimate[-2]

    def replicates(self, shared: object) -> np.ndarray:
        self.estimate = self.all_estimates
        found = super().replicates(shared)[-2]
        self.estimate = self.all_estimates[-2]
        return found


def bootstrap_p(sets: list[tuple[Set, StatesFit]], seed: int) -> np.ndarray:
    """Bootstrap p-values of the interaction, with the ladder of scanlink.tl.epistasis."""
    found = []
    for begin in range(0, len(sets), _TOGETHER):
        genes = []
        for drawn, fit in sets[begin : begin + _TOGETHER]:
            gene = GeneReplicates(Covariates.of(drawn.design, drawn.offset), drawn.counts)
            genes.append((gene, [_Interaction(fit, gene.moments)]))
        # The sets of a batch share their replicates, as the pairs of a scan do; the next batch has others.
        weights = Weights(resample_key(seed, f"sets {begin}"), N_CELLS)
        found += [float(pairs[0][0][0]) for pairs in climb_all(genes, Ladder.of("epistasis"), weights)]
    return np.array(found)


def simulate(
    setting: Setting, sets: int, seed: tuple[int, ...], *, interaction: float = 0.0, negbin: int = 0, bootstrap: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """P-values, shape (sets, methods), and HC3 errors of all sets; NaN rows where a set is separated.

    The first ``negbin`` and ``bootstrap`` sets have those p-values too.
    """
    rng = np.random.default_rng(seed)
    p, hc3 = np.full((sets, len(METHODS)), np.nan), np.full(sets, np.nan)
    waiting: list[tuple[int, Set, StatesFit]] = []
    for number in range(sets):
        drawn = draw(rng, setting, interaction)
        if drawn.separated:
            continue
        p[number], hc3[number], fit = p_values(drawn, negbin=number < negbin)
        if number < bootstrap:
            waiting.append((number, drawn, fit))
    if waiting:
        p[[number for number, _, _ in waiting], BOOTSTRAP] = bootstrap_p([(d, f) for _, d, f in waiting], seed[0])
    return p, hc3


def cook_ratios(setting: Setting, sets: int, seed: tuple[int, ...]) -> np.ndarray:
    """Cook's ratios of pairs without an interaction that are not separated."""
    rng = np.random.default_rng(seed)
    drawn = [draw(rng, setting, 0.0) for _ in range(sets)]
    fits = (fit_states(d.counts, d.state, d.design, offset=d.offset) for d in drawn if not d.separated)
    return np.array([fit.cook_ratio() for fit in fits])


def _two_sided(z: float) -> float:
    return float(2.0 * ndtr(-abs(z)))
