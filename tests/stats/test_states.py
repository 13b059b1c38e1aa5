"""Contrasts between states: against other regressions, and what has to hold whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from scanlink.errors import InputError, OptionError
from scanlink.stats import (
    fit_negbin,
    fit_poisson,
    fit_states,
    interaction_p,
    interaction_signs,
    sandwich_se,
    state_names,
)


def simulate(seed, *, n=900, effects=(0.3, -0.2, 0.5), mean=0.8, theta=np.inf):
    rng = np.random.default_rng(seed)
    state = rng.choice(4, size=n, p=[0.6, 0.16, 0.16, 0.08])
    design = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.4])
    offset = 0.3 * rng.normal(size=n)
    mu = mean * np.exp(offset + 0.2 * design[:, 1] + np.array([0.0, *effects])[state])
    if np.isfinite(theta):
        mu = mu * rng.gamma(theta, 1 / theta, size=n)
    return rng.poisson(mu).astype(float), state, design, offset


@pytest.mark.parametrize("family", ["poisson", "negbin"])
def test_fit_states__interaction_is_the_coefficient_of_the_product(family):
    y, state, design, offset = simulate(1, theta=1.5)
    fit = fit_states(y, state, design, offset=offset, family=family)
    a, b = state & 1, state >> 1
    other = np.column_stack([design[:, 0], a, b, a * b, design[:, 1:]])
    oracle = (fit_poisson if family == "poisson" else fit_negbin)(y, other, offset=offset)
    theta = None if family == "poisson" else oracle.theta
    np.testing.assert_allclose(fit.estimates[3], oracle.coef[3], rtol=1e-9)
    np.testing.assert_allclose(fit.se(fit.quantities[3]), oracle.se[3], rtol=1e-7)
    robust = sandwich_se(y, oracle.fitted, other, oracle.covariance, target=3, theta=theta)
    np.testing.assert_allclose(fit.se_robust(fit.quantities[3]), robust, rtol=1e-7)
    # A single effect is that of the other enhancer closed.
    np.testing.assert_allclose(fit.estimates[:2], oracle.coef[1:3], rtol=1e-9)


def test_fit_states__separate_models_have_the_cells_of_two_states_each():
    y, state, design, offset = simulate(2)
    fit = fit_states(y, state, design, offset=offset, model="separate")
    for k, part in enumerate(fit.parts):
        cells = (state == 0) | (state == k + 1)
        oracle = fit_poisson(
            y[cells], np.column_stack([design[cells, 0], state[cells] > 0, design[cells, 1:]]), offset=offset[cells]
        )
        assert part.fit.fitted.size == cells.sum()
        np.testing.assert_allclose(fit.coef[k], oracle.coef[1], rtol=1e-12)
        np.testing.assert_allclose(fit.se(fit.quantities[k]), oracle.se[1], rtol=1e-12)


def test_fit_states__separate_models_without_covariates_are_the_joint_one():
    y, state, _, _ = simulate(3)
    one = np.ones((y.size, 1))
    joint, separate = (fit_states(y, state, one, model=model) for model in ("joint", "separate"))
    np.testing.assert_allclose(separate.estimates, joint.estimates, atol=1e-6)
    # The three share the cells of state 00, which the error of their difference has to know.
    for row in joint.quantities:
        np.testing.assert_allclose(separate.se(row), joint.se(row), rtol=1e-5)
        np.testing.assert_allclose(separate.se_robust(row, kind="HC0"), joint.se_robust(row, kind="HC0"), rtol=1e-5)


def test_fit_states__dosage_halves_the_joint_effect_and_its_error():
    y, state, design, offset = simulate(4)
    right, halved = (
        fit_states(y, state, design, offset=offset, model="separate", dosage=dosage) for dosage in (False, True)
    )
    np.testing.assert_allclose(halved.estimates[2], right.estimates[2] / 2)
    np.testing.assert_allclose(halved.se(halved.quantities[2]), right.se(right.quantities[2]) / 2)
    np.testing.assert_allclose(halved.estimates[[0, 1, 4]], right.estimates[[0, 1, 4]])
    assert halved.estimates[3] == pytest.approx(halved.estimates[2] - right.estimates[0] - right.estimates[1])


def test_fit_states__reri_error_is_that_of_its_bootstrap():
    y, state, design, offset = simulate(5, n=4000, mean=2.0)
    fit = fit_states(y, state, design, offset=offset)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, y.size, y.size) for _ in range(300)]
    spread = np.std([fit_states(y[i], state[i], design[i], offset=offset[i]).estimates[-1] for i in drawn])
    assert fit.se_robust(fit.reri_gradient()) == pytest.approx(spread, rel=0.15)


def test_fit_states__three_enhancers():
    rng = np.random.default_rng(6)
    state = rng.integers(0, 8, 3000)
    x = (state[:, None] >> np.arange(3)) & 1
    y = rng.poisson(np.exp(-0.3 + x @ [0.2, 0.3, -0.1] + 0.4 * x[:, 0] * x[:, 1] + 0.5 * x.prod(axis=1))).astype(float)
    fit = fit_states(y, state, np.ones((3000, 1)), n_enhancers=3)
    products = [x[:, list(which)].prod(axis=1) for which in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))]
    oracle = fit_poisson(y, np.column_stack([np.ones(3000), *products]))
    np.testing.assert_allclose(fit.estimates[7], oracle.coef[-1], rtol=1e-8)
    np.testing.assert_allclose(fit.se(fit.quantities[7]), oracle.se[-1], rtol=1e-6)
    assert state_names(3)[3] == "110"
    assert interaction_signs(3).tolist() == [1, 1, -1, 1, -1, -1, 1]


def test_fit_states__cook_ratio_finds_the_cell_that_carries_the_result():
    y, state, design, offset = simulate(7)
    plain = fit_states(y, state, design, offset=offset).cook_ratio()
    y[np.flatnonzero(state == 3)[0]] = 60
    assert fit_states(y, state, design, offset=offset).cook_ratio() > 5 > plain / 4


def test_fit_states__clusters_of_one_cell_are_cells():
    y, state, design, offset = simulate(8, n=300)
    of_clusters = fit_states(y, state, design, offset=offset, clusters=np.arange(300))
    plain = fit_states(y, state, design, offset=offset)
    for row in plain.quantities:
        np.testing.assert_allclose(of_clusters.se_robust(row), plain.se_robust(row), rtol=1e-8)


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"state": np.full(900, 4)}, InputError, "expected 900 numbers from 0 to 3"),
        ({"state": np.zeros(5)}, InputError, "state has shape"),
        ({"family": "gamma"}, OptionError, "'gamma'"),
        ({"model": "both"}, OptionError, "'both'"),
    ],
)
def test_fit_states__says_what_is_wrong(words, error, says):
    y, state, design, _ = simulate(9)
    with pytest.raises(error, match=says):
        fit_states(y, **{"state": state, "design": design, **words})


@pytest.mark.parametrize(("mean", "theta"), [(0.3, np.inf), (1.5, 1.0)])
def test_interaction_p__keeps_its_level_where_walds_does_not(mean, theta):
    p_values = []
    for seed in range(800):
        y, state, design, offset = simulate(seed, n=500, effects=(0.4, 0.4, 0.8), mean=mean, theta=theta)
        fit = fit_states(y, state, design, offset=offset)
        p_values.append(
            (
                interaction_p(y, state, design, offset=offset) < 0.05,
                abs(fit.estimates[3]) > 1.96 * fit.se(fit.quantities[3]),
            )
        )
    rate, wald = np.mean(p_values, axis=0)
    # 800 sets: a standard error of .0077.
    assert 0.025 < rate < 0.075
    if np.isfinite(theta):
        assert wald > 0.12


def test_interaction_p__keeps_level_and_power_with_many_cells_of_different_depth():
    """Where the offset is not quite right, and 11 has as many cells as other states."""
    called = {0.0: 0, 0.6: 0}
    robust = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        state = np.repeat([0, 1, 2, 3], [500, 150, 150, 400])
        depth = 0.6 * rng.normal(size=1200)
        for interaction in called:
            mu = 2.0 * np.exp(0.7 * depth + np.array([0.0, 0.4, 0.3, 0.7 + interaction])[state])
            y = rng.poisson(mu * rng.gamma(1.0, 1.0, size=1200)).astype(float)
            called[interaction] += interaction_p(y, state, np.ones((1200, 1)), offset=depth) < 0.05
        fit = fit_states(y, state, np.ones((1200, 1)), offset=depth)
        robust += abs(fit.estimates[3]) > 1.96 * fit.se_robust(fit.quantities[3])
    # 300 sets: a standard error of .013 at .05.
    assert called[0.0] < 0.09 * 300
    assert called[0.6] > 0.9 * robust > 0.5 * 300


def test_interaction_p__finds_synergy_and_redundancy_alike():
    for sign in (1.0, -1.0):
        y, state, design, offset = simulate(11, n=4000, effects=(0.4, 0.4, 0.8 + sign), mean=1.0)
        assert interaction_p(y, state, design, offset=offset) < 1e-6


def test_interaction_p__agrees_with_the_likelihood_ratio_where_there_are_many_counts():
    for seed in range(5):
        y, state, design, offset = simulate(seed, n=6000, effects=(0.4, 0.4, 0.9), mean=3.0)
        a, b = state & 1, state >> 1
        without = fit_poisson(y, np.column_stack([design, a, b]), offset=offset)
        joint = fit_states(y, state, design, offset=offset)
        ratio = np.sqrt(without.deviance - joint.parts[0].fit.deviance)
        deviate = -ndtri(interaction_p(y, state, design, offset=offset) / 2)
        assert deviate == pytest.approx(ratio, abs=0.2)


def test_interaction_p__is_not_a_number_where_nothing_can_be_said():
    y, state, design, _ = simulate(12)
    state[state == 3] = 1
    assert np.isnan(interaction_p(y, state, design))
