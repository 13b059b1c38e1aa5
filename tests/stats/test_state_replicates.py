"""One resampling for all coefficients of an enhancer pair: the same p-values as full refits with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Ladder,
    StateReplicates,
    Weights,
    basic_p,
    climb,
    climb_all,
    fit_states,
    resample_key,
)


def case(seed, *, n=None, model="joint", family="poisson"):
    """A gene and its states, from sparse to dense, with and without a factor among the covariates."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.choice([300, 700, 1500]))
    few = int(rng.choice([12, 30, 80]))
    state = np.zeros(n, dtype=np.int64)
    state[: n // 5], state[: n // 10], state[n // 5 : n // 5 + few] = 1, 2, 3
    state = rng.permutation(state)
    covariates = [np.ones(n), rng.normal(size=n)]
    if seed % 2:
        covariates.append(rng.random(n) < 0.4)
    design, offset = np.column_stack(covariates), 0.3 * rng.normal(size=n)
    effects = np.array([0.0, 0.3, 0.4, 0.7 + rng.choice([0.0, 0.8, -0.8])])
    mean = rng.choice([0.15, 0.6, 2.0]) * np.exp(offset + 0.15 * design[:, 1] + effects[state])
    y = rng.poisson(mean * rng.gamma(1.5, 1 / 1.5, size=n)).astype(float)
    y[[np.flatnonzero(state == s)[0] for s in range(4)]] += 1.0
    fit = fit_states(y, state, design, offset=offset, model=model, family=family)
    gene = GeneReplicates(Covariates.of(design, offset), y)
    return (
        fit,
        gene,
        StateReplicates(fit, gene.moments if family == "poisson" else None),
        Weights(resample_key(1, "B"), n),
    )


@pytest.mark.parametrize("model", ["joint", "separate"])
def test_state_replicates__give_the_p_values_of_full_refits(model):
    """Of every coefficient, the interaction and RERI, of 60 pairs a model."""
    refitted = []
    for seed in range(60):
        fit, gene, states, weights = case(seed, model=model)
        block = weights.block(0, 400)
        fast, full = states.replicates(gene.shared(block)), states.refits(block)
        for k, estimate in enumerate(fit.estimates):
            assert basic_p(estimate, fast[k]) == basic_p(estimate, full[k]), (seed, k)
        refitted.append(states.n_refitted / 400)
    # Else there would be nothing to show.
    assert np.median(refitted) < 0.2


def test_state_replicates__are_near_those_of_full_refits():
    _, gene, states, weights = case(5, n=700)
    block = weights.block(0, 500)
    fast, full = states.replicates(gene.shared(block)), states.refits(block)
    assert 0 < states.n_refitted < 500
    spread = np.array([np.std(row) for row in full])
    assert (np.abs(fast - full) / spread[:, None]).max() < 0.25


def test_state_replicates__of_three_enhancers():
    rng = np.random.default_rng(0)
    n = 2500
    state, design = rng.integers(0, 8, n), np.column_stack([np.ones(n), rng.normal(size=n)])
    y = rng.poisson(np.exp(-0.3 + 0.2 * (state & 1) + 0.1 * design[:, 1])).astype(float)
    fit = fit_states(y, state, design, n_enhancers=3)
    gene = GeneReplicates(Covariates.of(design, np.zeros(n)), y)
    states, block = StateReplicates(fit, gene.moments), Weights(7, n).block(0, 200)
    fast, full = states.replicates(gene.shared(block)), states.refits(block)
    assert fast.shape == (9, 200)
    for k, estimate in enumerate(fit.estimates):
        assert basic_p(estimate, fast[k]) == basic_p(estimate, full[k])
    assert states.n_refitted < 100


def test_state_replicates__a_replicate_without_a_state_leaves_its_contrast_undefined():
    fit, _, states, _ = case(2, n=300)
    from scanlink.stats import WeightBlock

    weights = np.ones((2, 300), dtype=np.uint16)
    weights[0, fit.state == 3] = 0
    refitted = states.refits(WeightBlock.of(weights))
    assert np.isnan(refitted[[2, 3, 4], 0]).all()
    assert np.isfinite(refitted[:2, 0]).all()
    np.testing.assert_allclose(refitted[:, 1], fit.estimates, rtol=1e-6)


def test_state_replicates__of_a_negative_binomial_hold_theta():
    from scanlink.stats import fit_negbin

    fit, gene, states, weights = case(6, n=700, family="negbin")
    block = weights.block(0, 3)
    replicates, part = states.replicates(gene.shared(block)), fit.parts[0]
    for r in range(3):
        w = block.rows(np.array([r]))[0].astype(float)
        oracle = fit_negbin(part.counts, part.design, offset=part.offset, weights=w, theta=part.theta)
        np.testing.assert_allclose(replicates[:3, r], oracle.coef[list(part.targets)], rtol=1e-4)


def test_climb_all__each_coefficient_goes_by_its_own_p_value():
    ladder = Ladder.of([(100, 0.2), (400, None)])
    fit, gene, states, weights = case(8, n=1500)
    ((p, n),) = climb_all([(gene, [states])], ladder, weights)[0]
    first, then = (states.replicates(gene.shared(weights.block(*ends))) for ends in ((0, 100), (100, 500)))
    for k, estimate in enumerate(fit.estimates):
        low = basic_p(estimate, first[k])
        assert (p[k], n[k]) == ((basic_p(estimate, then[k]), 400) if low < 0.2 else (low, 100))
    assert len(set(n.tolist())) == 2


def test_climb_all__is_climb_for_a_single_coefficient():
    rng = np.random.default_rng(3)
    opened = rng.random(600) < 0.3
    gene = GeneReplicates(Covariates.of(np.ones((600, 1)), np.zeros(600)), rng.poisson(1.0 + 0.3 * opened))
    weights, ladder = Weights(1, 600), Ladder.of("epistasis")
    ((p, n),) = climb_all([(gene, [gene.pair(opened)])], ladder, weights)[0]
    assert climb([(gene, [gene.pair(opened)])], ladder, weights) == [[(p[0], n[0])]]
