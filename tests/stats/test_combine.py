"""Effects of two perturbations that multiply or add up: against fit_negbin, a general optimiser and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import gammaln

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats import fit_negbin, fit_poisson
from scanlink.stats.combine import compare_links, fit_combined


def make(n=1500, seed=0, a=-0.5, b=-0.4, theta=1.5, additive=True, share=0.15, efficiency=False):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.5])
    offset = 0.4 * rng.normal(size=n)
    x1, x2 = (rng.random((2, n)) < share).astype(float)
    if efficiency:
        x1, x2 = x1 * rng.beta(6, 3, n), x2 * rng.beta(6, 3, n)
    g = 1 + a * x1 + b * x2 if additive else np.exp(a * x1 + b * x2)
    mu = np.exp(design @ [0.3, 0.3, -0.2] + offset) * g
    counts = rng.poisson(mu * rng.gamma(theta, 1 / theta, n) if np.isfinite(theta) else mu)
    return counts, x1, x2, design, offset


def loglik(parameters, counts, x1, x2, design, offset, family):
    """The additive model's log likelihood, written down anew."""
    p = design.shape[1]
    g = 1 + parameters[p] * x1 + parameters[p + 1] * x2
    if (g <= 0).any():
        return -1e12
    log_mu = design @ parameters[:p] + offset + np.log(g)
    mu = np.exp(log_mu)
    if family == "poisson":
        return np.sum(counts * log_mu - mu - gammaln(counts + 1))
    theta = np.exp(parameters[-1])
    shapes = gammaln(theta + counts) - gammaln(theta) - gammaln(counts + 1)
    return np.sum(shapes + theta * np.log(theta) + counts * log_mu - (theta + counts) * np.log(theta + mu))


def best_by_search(data, family, starts):
    """The best of several runs of a simplex search, each followed by one of BFGS."""
    optima = []
    for start in starts:
        options = {"maxiter": 6000, "maxfev": 6000, "xatol": 1e-7, "fatol": 1e-8, "adaptive": True}
        simplex = minimize(lambda v: -loglik(v, *data, family), start, method="Nelder-Mead", options=options)
        optima.append(minimize(lambda v: -loglik(v, *data, family), simplex.x, method="BFGS", options={"gtol": 1e-6}))
    return min(optima, key=lambda result: result.fun)


@pytest.mark.parametrize("efficiency", [False, True], ids=["whole", "fractional"])
@pytest.mark.parametrize("family", ["negbin", "poisson"])
def test_fit_combined__additive_is_the_maximum_that_a_general_search_finds(family, efficiency):
    data = make(efficiency=efficiency)
    fit = fit_combined(*data[:4], offset=data[4], link="identity", family=family)
    level = np.log(data[0].mean())
    starts = [[level, 0, 0, 0, 0, 0], [level, 0, 0, -0.6, -0.2, 1]]
    oracle = best_by_search(data, family, [np.array(s[: 6 - (family == "poisson")], dtype=float) for s in starts])
    assert fit.converged
    assert not fit.at_bound
    assert fit.loglik == pytest.approx(-oracle.fun, abs=1e-6)
    np.testing.assert_allclose(np.r_[fit.coef, fit.effects], oracle.x[:5], atol=2e-4)
    if family == "negbin":
        assert fit.theta == pytest.approx(np.exp(oracle.x[5]), rel=1e-3)
        at = np.r_[fit.coef, fit.effects, np.log(fit.theta)]
    else:
        assert fit.theta == np.inf
        at = np.r_[fit.coef, fit.effects]
    # No slope is left at the fit.
    for k in range(at.size):
        step = 1e-4 * (np.arange(at.size) == k)
        slope = (loglik(at + step, *data, family) - loglik(at - step, *data, family)) / 2e-4
        assert abs(slope) < 1e-3
    assert fit.n_parameters == at.size
    assert fit.aic == pytest.approx(2 * at.size - 2 * loglik(at, *data, family), abs=1e-7)


@pytest.mark.parametrize("efficiency", [False, True], ids=["whole", "fractional"])
def test_fit_combined__multiplicative_is_the_regression_with_both_terms(efficiency):
    counts, x1, x2, design, offset = make(additive=False, efficiency=efficiency)
    terms = np.column_stack([design, x1, x2])
    fit, oracle = fit_combined(counts, x1, x2, design, offset=offset), fit_negbin(counts, terms, offset=offset)
    # glm.nb stops a little earlier.
    np.testing.assert_allclose(np.r_[fit.coef, fit.effects], oracle.coef, atol=1e-6)
    assert fit.theta == pytest.approx(oracle.theta, rel=1e-6)
    assert fit.loglik == pytest.approx(oracle.loglik, abs=1e-8)
    np.testing.assert_allclose(fit.fitted, oracle.fitted, rtol=1e-6)
    poisson = fit_combined(counts, x1, x2, design, offset=offset, family="poisson")
    oracle = fit_poisson(counts, terms, offset=offset, path="newton")
    np.testing.assert_allclose(np.r_[poisson.coef, poisson.effects], oracle.coef, atol=1e-10)


@pytest.mark.parametrize("family", ["negbin", "poisson"])
def test_compare_links__without_doubly_perturbed_cells_the_models_are_one(family):
    counts, x1, x2, design, offset = make()
    x2 = x2 * (x1 == 0)
    comparison = compare_links(counts, x1, x2, design, offset=offset, family=family)
    assert comparison.n_both == 0
    assert comparison.difference == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(comparison.additive.effects, np.expm1(comparison.multiplicative.effects), atol=1e-7)
    np.testing.assert_allclose(comparison.additive.coef, comparison.multiplicative.coef, atol=1e-7)
    # Efficiencies part them too: the models are of other shapes between 0 and 1.
    efficiency = np.random.default_rng(1).beta(6, 3, x1.size)
    comparison = compare_links(counts, x1 * efficiency, x2, design, offset=offset, family=family)
    assert comparison.n_both == 0
    assert abs(comparison.difference) > 1e-4
    # One cell with both is enough to part them.
    x2[np.flatnonzero(x1)[0]] = 1
    assert abs(compare_links(counts, x1, x2, design, offset=offset, family=family).difference) > 1e-4


@pytest.mark.parametrize("additive", [True, False], ids=["additive", "multiplicative"])
def test_compare_links__tells_which_model_made_many_counts(additive):
    for seed in range(5):
        data = make(n=20_000, seed=seed, a=-0.45, b=-0.45, additive=additive)
        comparison = compare_links(*data[:4], offset=data[4])
        assert (comparison.difference < 0) == additive
        fit = comparison.additive if additive else comparison.multiplicative
        np.testing.assert_allclose(fit.effects, [-0.45, -0.45], atol=0.1)
        assert comparison.multiplicative.n_parameters == comparison.additive.n_parameters == 6
        assert (comparison.aic_additive, comparison.aic_multiplicative) == (
            comparison.additive.aic,
            comparison.multiplicative.aic,
        )


@pytest.mark.parametrize("theta", [1.5, np.inf], ids="theta={}".format)
def test_fit_combined__losses_of_more_than_all_end_at_the_bound(theta):
    # Each perturbation alone loses 70 %, both leave nothing: 1 + a + b cannot go below 0.
    counts, x1, x2, design, offset = make(a=-0.7, b=-0.7, additive=False, theta=theta)
    counts[(x1 > 0) & (x2 > 0)] = 0
    fit = fit_combined(counts, x1, x2, design, offset=offset, link="identity")
    assert fit.converged
    assert fit.at_bound
    assert fit.effects.sum() == pytest.approx(-1, abs=1e-8)
    data = counts, x1, x2, design, offset
    at = np.r_[fit.coef, fit.effects, np.log(min(fit.theta, 1e5))]
    assert loglik(at, *data, "negbin") == pytest.approx(fit.loglik, abs=1e-3)
    # Along the bound there is no slope, and off it the likelihood falls.
    along = 1e-4 * np.array([0, 0, 0, 1, -1, 0])
    assert abs(loglik(at + along, *data, "negbin") - loglik(at - along, *data, "negbin")) / 2e-4 < 1e-2
    assert loglik(at + 0.01 * np.array([0, 0, 0, 1, 1, 0]), *data, "negbin") < fit.loglik
    # One count in a cell with both, and the bound is out of reach.
    counts[np.flatnonzero((x1 > 0) & (x2 > 0))[0]] = 1
    fit = fit_combined(counts, x1, x2, design, offset=offset, link="identity")
    assert fit.converged
    assert not fit.at_bound
    assert fit.effects.sum() > -1 + 1e-4


def test_fit_combined__gene_that_is_silent_where_perturbed():
    counts, x1, x2, design, offset = make()
    counts[x1 > 0] = 0
    comparison = compare_links(counts, x1, x2, design, offset=offset)
    assert comparison.additive.converged
    assert comparison.additive.at_bound
    assert comparison.multiplicative.effects[0] < -15
    # The bounds of the cells with x1, and with both, meet at a = -1.
    assert comparison.additive.effects[0] == pytest.approx(-1, abs=0.02)
    silent = compare_links(0 * counts, x1, x2, design, offset=offset)
    assert not silent.multiplicative.converged
    assert not silent.additive.converged
    assert np.isnan([silent.aic_multiplicative, silent.aic_additive]).all()


def test_fit_combined__counts_without_overdispersion_are_poisson_ones():
    counts, x1, x2, design, offset = make(theta=np.inf, seed=1)
    counts = np.minimum(counts, 2)
    for link in ("log", "identity"):
        fit = fit_combined(counts, x1, x2, design, offset=offset, link=link)
        poisson = fit_combined(counts, x1, x2, design, offset=offset, link=link, family="poisson")
        assert fit.theta == np.inf
        assert fit.loglik == pytest.approx(poisson.loglik, abs=1e-10)
        np.testing.assert_allclose(fit.effects, poisson.effects, rtol=1e-12)
        assert fit.n_parameters == poisson.n_parameters + 1


@pytest.mark.parametrize("link", ["log", "identity"])
def test_fit_combined__leaves_out_what_others_explain(link):
    counts, x1, _, design, offset = make()
    one = fit_combined(counts, x1, 0 * x1, design, offset=offset, link=link)
    assert np.isnan(one.effects[1])
    assert one.n_parameters == 5
    more = np.column_stack([design, 2 * design[:, 1] + 1])
    two = fit_combined(counts, x1, x1, more, offset=offset, link=link)
    assert np.isnan(two.coef[3])
    assert np.isnan(two.effects[1])
    assert two.loglik == pytest.approx(one.loglik, abs=1e-8)
    assert two.effects[0] == pytest.approx(one.effects[0], abs=1e-7)


@settings(max_examples=15)
@given(st.permutations(range(120)), st.booleans())
def test_compare_links__does_not_depend_on_the_order_of_cells_or_perturbations(order, swapped):
    counts, x1, x2, design, offset = make(n=120, seed=4)
    a = compare_links(counts, x1, x2, design, offset=offset)
    x = (x2, x1) if swapped else (x1, x2)
    b = compare_links(counts[order], x[0][order], x[1][order], design[order], offset=offset[order])
    assert a.aic_additive == pytest.approx(b.aic_additive, abs=1e-7)
    assert a.aic_multiplicative == pytest.approx(b.aic_multiplicative, abs=1e-7)
    np.testing.assert_allclose(a.additive.effects, b.additive.effects[:: -1 if swapped else 1], atol=1e-5)


def test_fit_combined__one_call_is_the_other():
    counts, x1, x2, design, offset = make()
    comparison = compare_links(counts, x1, x2, design, offset=offset)
    for fit in (comparison.multiplicative, comparison.additive):
        again = fit_combined(counts, x1, x2, design, offset=offset, link=fit.link)
        assert again.loglik == fit.loglik
        np.testing.assert_array_equal(again.effects, fit.effects)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"counts": np.full(40, 0.5)}, InputError, "whole"),
        ({"x1": np.zeros(39)}, InputError, "x1"),
        ({"x2": np.zeros((40, 1))}, InputError, "x2"),
        ({"x2": np.full(40, np.nan)}, DesignError, "finite"),
        ({"design": np.ones(40)}, InputError, "design"),
        ({"link": "sqrt"}, OptionError, "sqrt"),
        ({"family": "gamma"}, OptionError, "gamma"),
    ],
)
def test_fit_combined__refuses_what_is_no_such_model(change, error, match):
    arguments = {"counts": np.ones(40), "x1": np.zeros(40), "x2": np.zeros(40), "design": np.ones((40, 1)), **change}
    with pytest.raises(error, match=match):
        fit_combined(
            arguments.pop("counts"), arguments.pop("x1"), arguments.pop("x2"), arguments.pop("design"), **arguments
        )
