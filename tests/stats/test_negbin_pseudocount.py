"""Negative binomial fits of counts with a pseudocount, against R, and the gamma functions that they need."""

from __future__ import annotations

import numpy as np
import pytest
from negbin_data import FROM_R_PSEUDOCOUNT, made_in_r, make
from scipy.special import digamma, gammaln, polygamma

from scanlink.errors import OptionError
from scanlink.stats import case_weights, fit_negbin, refit_negbin
from scanlink.stats._gamma import log_rise, slope_rise


@pytest.mark.parametrize("name", FROM_R_PSEUDOCOUNT)
def test_fit_negbin__with_a_pseudocount_matches_r(name):
    data, design = made_in_r()
    options = {
        "offset": {"offset": data["offset"]},
        "repeated": {"weights": data["times"]},
        "held": {"theta": 1.5},
        "held silent": {"theta": 1.5},
    }.get(name, {})
    counts = data["silent" if name in ("separated", "held silent") else "counts"]
    fit = fit_negbin(counts, design, pseudocount=0.01, **options)
    beta, se, deviance, *of_theta = FROM_R_PSEUDOCOUNT[name]
    assert fit.coef[1] == pytest.approx(beta, abs=1e-10)
    assert fit.se[1] == pytest.approx(se, rel=1e-9)
    assert fit.deviance == pytest.approx(deviance, rel=1e-9)
    if of_theta:
        np.testing.assert_allclose([fit.theta, fit.se_theta], of_theta[:2], rtol=1e-8)
        assert fit.loglik == pytest.approx(of_theta[2], rel=1e-9)
    if name == "repeated":
        drawn = data["times"][None, :].astype(np.uint16)
        refitted = refit_negbin(counts, design, drawn, target=1, pseudocount=0.01, reestimate=True)
        assert refitted[0] == pytest.approx(beta, abs=1e-9)
    if name == "held silent":
        # A pseudocount leaves nothing separated: there is a maximum, and a replicate goes to it.
        one = np.ones((1, 60), dtype=np.uint16)
        refitted = refit_negbin(counts, design, one, target=1, pseudocount=0.01, theta=1.5)
        assert refitted[0] == pytest.approx(beta, abs=1e-3)


def test_fit_negbin__likelihood_with_a_pseudocount_is_that_of_counts_that_are_not_whole():
    counts, design = make(seed=7)
    fit = fit_negbin(counts, design, pseudocount=0.3)
    y, mu, theta = counts + 0.3, fit.fitted, fit.theta
    terms = gammaln(theta + y) - gammaln(theta) - gammaln(y + 1) + y * np.log(mu / (mu + theta))
    assert fit.loglik == pytest.approx(np.sum(terms - theta * np.log1p(mu / theta)), rel=1e-12)
    poisson = fit_negbin(counts, design, pseudocount=0.3, theta=np.inf)
    y, mu = counts + 0.3, poisson.fitted
    assert poisson.loglik == pytest.approx(np.sum(y * np.log(mu) - mu - gammaln(y + 1)), rel=1e-12)


def test_fit_negbin__pseudocount_of_0_is_none_and_a_whole_one_is_one_more_count():
    counts, design = make(seed=3)
    plain, none = fit_negbin(counts, design), fit_negbin(counts, design, pseudocount=0.0)
    np.testing.assert_array_equal(plain.covariance, none.covariance)
    assert plain.loglik == none.loglik
    one, more = fit_negbin(counts, design, pseudocount=1.0), fit_negbin(counts + 1, design)
    np.testing.assert_allclose(one.coef, more.coef, atol=1e-10)
    np.testing.assert_allclose(
        [one.theta, one.se_theta, one.loglik, one.deviance],
        [more.theta, more.se_theta, more.loglik, more.deviance],
        rtol=1e-9,
    )


def test_refit_negbin__pseudocount_is_in_the_start_too():
    counts, design = make()
    weights = case_weights(0, 0, 20, counts.size)
    fit = fit_negbin(counts, design, pseudocount=0.01)
    refitted = refit_negbin(counts, design, weights, target=1, pseudocount=0.01)
    from_the_fit = refit_negbin(counts, design, weights, target=1, pseudocount=0.01, theta=fit.theta, start=fit.coef)
    np.testing.assert_array_equal(refitted, from_the_fit)
    assert np.abs(refitted - refit_negbin(counts, design, weights, target=1)).max() > 1e-4


@pytest.mark.parametrize("pseudocount", [-0.01, np.nan, np.inf])
def test_fit_negbin__refuses_a_pseudocount_below_0(pseudocount):
    counts, design = make(n=20)
    with pytest.raises(OptionError, match="pseudocount"):
        fit_negbin(counts, design, pseudocount=pseudocount)
    with pytest.raises(OptionError, match="pseudocount"):
        refit_negbin(counts, design, np.ones((1, 20), dtype=np.uint16), target=1, pseudocount=pseudocount)


@pytest.mark.parametrize("theta", [1e-6, 0.02, 0.7, 5.0, 15.999, 16.0, 300.0, 1e7, 1e14], ids="theta={}".format)
def test_rises__whole_steps_are_those_of_factorials(theta):
    assert log_rise(theta, 1.0) == pytest.approx(0, abs=1e-14)
    assert log_rise(theta, 3.0) == pytest.approx(np.log1p(1 / theta) + np.log1p(2 / theta), rel=1e-13, abs=1e-14)
    inverses = 1 / (theta + np.arange(3))
    np.testing.assert_allclose(slope_rise(theta, 3.0), [inverses.sum(), (inverses**2).sum()], rtol=1e-13)


@pytest.mark.parametrize("c", [1e-4, 0.01, 0.5, 2.5], ids="c={}".format)
@pytest.mark.parametrize("theta", [1e-3, 0.1, 0.9, 4.0, 20.0], ids="theta={}".format)
def test_rises__fractions_are_those_of_scipy(theta, c):
    expected = gammaln(theta + c) - gammaln(theta) - c * np.log(theta)
    assert log_rise(theta, c) == pytest.approx(expected, rel=1e-8, abs=1e-13)
    first, second = slope_rise(theta, c)
    assert first == pytest.approx(digamma(theta + c) - digamma(theta), rel=1e-9)
    assert second == pytest.approx(polygamma(1, theta) - polygamma(1, theta + c), rel=1e-9)
