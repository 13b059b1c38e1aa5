"""Detectable effects: the error without an effect, against fits and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats import fit_negbin, fit_poisson
from scanlink.stats.detectable import null_se, smallest_effect


@pytest.fixture
def cells():
    rng = np.random.default_rng(3)
    n = 1500
    design = np.column_stack([np.ones(n), rng.random(n) < 0.3, rng.random(n) < 0.3, rng.normal(size=n)])
    tested = 0.7 * design[:, 1] * design[:, 2]
    return rng, design, tested


def test_smallest_effect__is_the_formula():
    effects = smallest_effect([0.2, np.nan], alpha=0.01, power=0.9)
    assert effects[0] == pytest.approx((norm.isf(0.005) + norm.isf(0.1)) * 0.2)
    assert np.isnan(effects[1])


@pytest.mark.parametrize("family", ["poisson", "negbin"])
def test_null_se__at_the_estimate_is_the_error_of_the_fit(cells, family):
    rng, design, tested = cells
    mu = np.exp(0.4 + 0.3 * design[:, 1] + 0.2 * design[:, 3])
    counts = rng.poisson(mu * rng.gamma(1.5, 1 / 1.5, mu.size)).astype(float)
    whole = np.column_stack([design, tested])
    fit = fit_poisson(counts, whole) if family == "poisson" else fit_negbin(counts, whole)
    theta = None if family == "poisson" else fit.theta
    # The error of a fit is that of its last step but one, as in R.
    assert null_se(fit.fitted, tested, design, theta=theta) == pytest.approx(fit.se[-1], rel=1e-4)


@pytest.mark.parametrize("family", ["poisson", "negbin"])
def test_null_se__is_the_spread_of_estimates_without_an_effect(cells, family):
    rng, design, tested = cells
    mu = np.exp(0.4 + 0.3 * design[:, 1] + 0.2 * design[:, 3])
    whole = np.column_stack([design, tested])
    estimates = []
    for _ in range(300):
        counts = rng.poisson(mu * rng.gamma(1.5, 1 / 1.5, mu.size)).astype(float)
        fit = fit_poisson(counts, whole) if family == "poisson" else fit_negbin(counts, whole, theta=1.5)
        estimates.append(fit.coef[-1])
    options = {"dispersion": 1 / 1.5} if family == "poisson" else {"theta": 1.5}
    # The spread of 300 has an error of 4 %.
    assert np.std(estimates) == pytest.approx(null_se(mu, tested, design, **options), rel=0.13)


def test_null_se__says_what_cells_could_show_that_have_no_count(cells):
    rng, design, tested = cells
    mu = np.full(tested.size, 0.5)
    counts = np.where(tested > 0, 0.0, rng.poisson(mu))
    fit = fit_negbin(counts, np.column_stack([design, tested]), theta=1.5)
    without = fit.fitted * np.exp(-fit.coef[-1] * tested)
    assert fit.se[-1] > 10
    assert null_se(without, tested, design, theta=1.5) == pytest.approx(null_se(mu, tested, design, theta=1.5), rel=0.2)


def test_null_se__is_nan_where_there_is_no_estimate(cells):
    _, design, _ = cells
    mu = np.ones(design.shape[0])
    assert np.isnan(null_se(mu, design[:, 1] + 2 * design[:, 2], design))
    assert np.isnan(null_se(np.where(design[:, 1] > 0, np.inf, 1.0), design[:, 1] * design[:, 2], design))
    # Columns that repeat each other beside it do no harm.
    doubled = np.column_stack([design, design[:, 1]])
    tested = design[:, 1] * design[:, 2]
    assert null_se(mu, tested, doubled) == pytest.approx(null_se(mu, tested, design))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"expected": np.ones(3)}, InputError, r"expected counts have shape \(3,\)"),
        ({"tested": [0, 1, np.nan, 1]}, DesignError, "must be finite"),
        ({"theta": 0.0}, OptionError, "theta: expected a number above 0"),
        (
            {"theta": 1.0, "dispersion": 0.5},
            OptionError,
            "dispersion: expected a number of at least 0, and 0 with theta",
        ),
        ({"dispersion": -1.0}, OptionError, "dispersion: expected"),
    ],
)
def test_null_se__says_what_is_wrong(change, error, message):
    arguments = {"expected": np.ones(4), "tested": [0, 1, 0, 1], "design": np.ones((4, 1)), **change}
    with pytest.raises(error, match=message):
        null_se(arguments.pop("expected"), arguments.pop("tested"), arguments.pop("design"), **arguments)


@pytest.mark.parametrize(
    ("options", "message"), [({"alpha": 1}, "alpha: expected"), ({"alpha": 0.5, "power": 0.4}, "power: expected")]
)
def test_smallest_effect__says_what_is_wrong(options, message):
    with pytest.raises(OptionError, match=message):
        smallest_effect(1.0, **options)
