"""The efficient score of any column: against interaction_p, the likelihood ratio, and on data without an effect."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from scanlink.errors import InputError
from scanlink.stats import fit_negbin, fit_poisson, interaction_p, score_p


def simulate(seed, *, n=1200, interaction=0.0, mean=1.0, theta=1.5, share=0.12):
    """Two perturbations of efficiency .4 or .8, more often in the second batch."""
    rng = np.random.default_rng(seed)
    batch = rng.integers(0, 2, n)
    a, b = np.where(rng.random((2, n)) < share * (0.5 + batch), rng.choice([0.4, 0.8], (2, n)), 0.0)
    offset = 0.3 * rng.normal(size=n)
    mu = mean * np.exp(offset + 0.4 * batch - a - 0.7 * b + interaction * a * b)
    y = rng.poisson(mu * (rng.gamma(theta, 1 / theta, n) if np.isfinite(theta) else 1.0))
    return y, a * b, np.column_stack([np.ones(n), batch, a, b]), offset


def test_score_p__of_the_product_is_interaction_p():
    rng = np.random.default_rng(0)
    state, covariate = rng.integers(0, 8, 700), rng.normal(size=700)
    y = rng.poisson(rng.gamma(1.5, 1.0, 700))
    design = np.column_stack([np.ones(700), covariate])
    for n_enhancers in (2, 3):
        lower_state = state % 2**n_enhancers
        products = [((lower_state & s) == s).astype(float) for s in range(1, 2**n_enhancers)]
        rest = np.column_stack([design, *products[:-1]])
        assert score_p(y, products[-1], rest) == interaction_p(y, lower_state, design, n_enhancers=n_enhancers)


def test_score_p__agrees_with_the_likelihood_ratio_where_there_are_many_counts():
    for seed, interaction in ((0, 0.0), (1, 1.0), (2, -1.0)):
        y, x, design, offset = simulate(seed, n=8000, interaction=interaction, mean=4.0, theta=np.inf)
        without, full = (fit_poisson(y, z, offset=offset) for z in (design, np.column_stack([design, x])))
        ratio = np.sqrt(without.deviance - full.deviance)
        assert -ndtri(score_p(y, x, design, offset=offset) / 2) == pytest.approx(ratio, abs=0.25)


def test_score_p__does_not_depend_on_the_scale_of_the_column_or_its_sign():
    y, x, design, offset = simulate(3)
    p = score_p(y, x, design, offset=offset)
    for other in (10 * x, -x, x + design @ [1.0, 2.0, 0.5, -1.0]):
        assert score_p(y, other, design, offset=offset) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("mean", [0.3, 3.0])
def test_score_p__keeps_its_level_with_efficiencies(mean):
    p = np.array([score_p(*simulate(seed, mean=mean)[:3]) for seed in range(600)])
    # 600 sets: a standard error of .009. The offset is left out, and joins the dispersion.
    assert 0.02 < np.mean(p <= 0.05) < 0.08


def test_score_p__finds_what_walds_test_finds():
    y, x, design, offset = simulate(5, n=6000, interaction=3.0)
    fit = fit_negbin(y, np.column_stack([design, x]), offset=offset)
    assert fit.coef[-1] / fit.se[-1] > 4
    assert score_p(y, x, design, offset=offset) < 1e-4


def test_score_p__is_not_a_number_where_the_design_explains_the_column():
    y, _, design, _ = simulate(6)
    assert np.isnan(score_p(y, design @ [1.0, 0.0, 2.0, 1.0], design))
    assert np.isnan(score_p(y, np.zeros(1200), design))
    assert score_p(np.zeros(1200), np.arange(1200.0), design) > 0.99


def test_score_p__says_what_is_wrong():
    y, x, design, _ = simulate(7)
    with pytest.raises(InputError, match=r"tested column has shape \(5,\), expected 1200"):
        score_p(y, x[:5], design)
    with pytest.raises(InputError, match="finite"):
        score_p(y, np.where(x > 0, np.nan, x), design)
