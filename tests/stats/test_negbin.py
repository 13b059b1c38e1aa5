"""Negative binomial fits against R's glm.nb and statsmodels, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from negbin_data import FROM_R, made_in_r, make
from reference import load_simulated

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats import case_weights, fit_poisson, refit_poisson, sandwich_se
from scanlink.stats.negbin import fit_negbin, refit_negbin


@pytest.mark.parametrize("name", FROM_R)
def test_fit_negbin__matches_r(name):
    data, design = made_in_r()
    options = {
        "offset": {"offset": data["offset"]},
        "repeated": {"weights": data["times"]},
        "held": {"theta": 1.5},
        "held silent": {"theta": 1.5},
    }.get(name, {})
    counts = data[{"separated": "silent", "held silent": "silent", "even": "even"}.get(name, "counts")]
    fit = fit_negbin(counts, design, **options)
    beta, se, deviance, *of_theta = FROM_R[name]
    assert fit.coef[1] == pytest.approx(beta, abs=1e-10)
    assert fit.se[1] == pytest.approx(se, rel=1e-9)
    assert fit.deviance == pytest.approx(deviance, rel=1e-9)
    assert fit.theta_converged == (name != "even")
    if of_theta:
        # A theta on its way to infinity is rounding error, multiplied: R's own is.
        rel = 0.05 if name == "even" else 1e-8
        np.testing.assert_allclose([fit.theta, fit.se_theta], of_theta[:2], rtol=rel)
        assert fit.loglik == pytest.approx(of_theta[2], rel=1e-9)
    else:
        assert fit.theta == 1.5
        assert np.isnan(fit.se_theta)


def test_fit_negbin__matches_r_on_574_simulated_pairs(shared):
    data = load_simulated(shared)
    reference = data.table("fit_negbin_bin_cov3.csv")
    assert len(reference) == 574
    fits = [fit_negbin(data.counts[row.gene], data.design(row.peak)) for row in reference.itertuples()]
    np.testing.assert_allclose([fit.coef[1] for fit in fits], reference["beta"], rtol=0, atol=1e-10)
    np.testing.assert_allclose([fit.se[1] for fit in fits], reference["se"], rtol=0, atol=1e-10)
    np.testing.assert_allclose([fit.deviance for fit in fits], reference["deviance"], rtol=1e-8)
    np.testing.assert_allclose([fit.loglik for fit in fits], reference["loglik"], rtol=1e-9)
    # The 154 pairs for which R warns that theta ran away are those that are flagged.
    runaway = reference["warnings"].notna().to_numpy()
    assert [not fit.theta_converged for fit in fits] == runaway.tolist()
    assert runaway.sum() == 154
    assert all(fit.converged for fit in fits)
    theta = np.array([[fit.theta, fit.se_theta] for fit in fits])
    expected = reference[["theta", "se_theta"]].to_numpy()
    np.testing.assert_allclose(theta[~runaway], expected[~runaway], rtol=1e-8)
    np.testing.assert_allclose(theta[runaway], expected[runaway], rtol=1e-4)


@pytest.mark.parametrize("theta", [0.3, 2.0, 40.0], ids="theta={}".format)
def test_fit_negbin__held_theta_matches_statsmodels(theta):
    import statsmodels.api as sm

    counts, design = make()
    offset = np.linspace(-1, 1, counts.size)
    fit = fit_negbin(counts, design, offset=offset, theta=theta)
    family = sm.families.NegativeBinomial(alpha=1 / theta)
    model = sm.GLM(counts, design, family=family, offset=offset)
    reference = model.fit(tol=1e-12, maxiter=100)
    np.testing.assert_allclose(fit.coef, reference.params, rtol=0, atol=1e-5)
    np.testing.assert_allclose(fit.se, reference.bse, rtol=1e-4)
    assert fit.loglik == pytest.approx(reference.llf, rel=1e-9)
    # The maximum itself, which the replicates go to.
    one = np.ones((1, counts.size), dtype=np.uint16)
    at_maximum = refit_negbin(counts, design, one, target=1, offset=offset, theta=theta)
    assert at_maximum[0] == pytest.approx(model.fit(method="newton", tol=1e-14).params[1], abs=1e-12)


def test_fit_negbin__estimated_theta_matches_statsmodels():
    from statsmodels.discrete.discrete_model import NegativeBinomial

    counts, design = make(seed=2)
    fit = fit_negbin(counts, design)
    reference = NegativeBinomial(counts, design).fit(disp=0, maxiter=200, gtol=1e-9)
    np.testing.assert_allclose(fit.coef, reference.params[:3], atol=1e-5)
    assert fit.theta == pytest.approx(1 / reference.params[3], rel=1e-4)
    assert fit.loglik == pytest.approx(reference.llf, rel=1e-9)


def test_fit_negbin__loglik_is_the_log_probability_of_the_counts():
    counts, design = make(seed=7)
    counts[:2] = 60, 200
    fit = fit_negbin(counts, design)
    probability = scipy.stats.nbinom.logpmf(counts, fit.theta, fit.theta / (fit.theta + fit.fitted))
    assert fit.loglik == pytest.approx(probability.sum(), rel=1e-10)


@pytest.mark.parametrize("theta", [np.inf, 1e9], ids="theta={}".format)
def test_fit_negbin__is_poisson_for_infinite_theta(theta):
    counts, design = make()
    offset = np.linspace(-1, 1, counts.size)
    poisson = fit_poisson(counts, design, offset=offset)
    fit = fit_negbin(counts, design, offset=offset, theta=theta)
    np.testing.assert_allclose(fit.coef, poisson.coef, rtol=0, atol=1e-6)
    np.testing.assert_allclose(fit.se, poisson.se, rtol=1e-4)
    assert fit.deviance == pytest.approx(poisson.deviance, rel=1e-6)
    assert fit.loglik == pytest.approx(scipy.stats.poisson.logpmf(counts, fit.fitted).sum(), rel=1e-6)
    weights = case_weights(0, 0, 50, counts.size)
    np.testing.assert_allclose(
        refit_negbin(counts, design, weights, target=1, offset=offset, theta=theta),
        refit_poisson(counts, design, weights, target=1, offset=offset),
        rtol=0,
        atol=1e-7,
    )


def test_fit_negbin__flags_counts_without_overdispersion():
    rng = np.random.default_rng(0)
    _, design = make(n=300)
    counts = rng.binomial(4, 0.5, 300)
    fit = fit_negbin(counts, design)
    assert fit.converged
    assert not fit.theta_converged
    assert fit.theta > 100
    np.testing.assert_allclose(fit.coef, fit_poisson(counts, design).coef, atol=1e-4)


def test_fit_negbin__leaves_out_a_dependent_column_as_r_does():
    counts, design = make()
    more = np.column_stack([design, 2 * design[:, 1] + 1])
    for theta in (None, 2.0):
        fit = fit_negbin(counts, more, theta=theta)
        assert np.isnan(fit.coef[3])
        np.testing.assert_allclose(fit.coef[:3], fit_negbin(counts, design, theta=theta).coef, rtol=1e-10)
    weights = case_weights(0, 0, 20, counts.size)
    for options in ({"theta": 2.0}, {"reestimate": True}):
        refitted = refit_negbin(counts, more, weights, target=1, **options)
        np.testing.assert_allclose(refitted, refit_negbin(counts, design, weights, target=1, **options), atol=1e-5)
        assert np.isnan(refit_negbin(counts, more, weights, target=3, **options)).all()


@pytest.mark.parametrize(
    ("outliers", "seed", "beta", "theta", "theta_converged"),
    [
        ((15, 30), 6, 0.5876225, 0.8863894, True),
        # R: "alternation limit reached".
        ((20, 60), 3, 0.3634916, 0.5177531, False),
    ],
)
def test_fit_negbin__matches_r_on_outliers(outliers, seed, beta, theta, theta_converged):
    counts, design = make(seed=seed)
    counts[:2] = outliers
    fit = fit_negbin(counts, design)
    np.testing.assert_allclose([fit.coef[1], fit.theta], [beta, theta], atol=1e-7)
    assert fit.theta_converged == theta_converged


def test_fit_negbin__says_so_where_the_steps_of_r_break_down():
    # R: "no valid set of coefficients has been found".
    counts, design = make(seed=3)
    counts[:2] = 500, 90_000
    fit = fit_negbin(counts, design)
    assert not fit.converged
    assert not fit.theta_converged
    assert np.isnan(fit.theta)
    np.testing.assert_array_equal(fit.coef, fit_poisson(counts, design).coef)
    refitted = refit_negbin(counts, design, np.ones((1, counts.size), dtype=np.uint16), target=1, reestimate=True)
    assert refitted[0] == fit.coef[1]
    # A held theta is no trouble: the likelihood is concave.
    held = refit_negbin(counts, design, case_weights(0, 0, 20, counts.size), target=1, theta=0.1, start=fit.coef)
    assert (np.abs(held) < 20).all()


@settings(max_examples=25)
@given(st.permutations(range(60)))
def test_fit_negbin__does_not_depend_on_cell_order(order):
    counts, design = make(n=60, seed=3)
    for theta in (None, 0.8):
        a, b = fit_negbin(counts, design, theta=theta), fit_negbin(counts[order], design[order], theta=theta)
        np.testing.assert_allclose(a.coef, b.coef, rtol=1e-8, atol=1e-10)
        assert a.theta == pytest.approx(b.theta, rel=1e-8)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=80, max_size=80))
def test_fit_negbin__weights_equal_repeated_cells(times):
    counts, design = make(n=80, seed=5)
    times = np.array(times) + (np.arange(80) % 2)
    repeated = np.repeat(np.arange(80), times)
    if np.ptp(design[repeated, 1]) == 0 or counts[repeated][design[repeated, 1] > 0].sum() == 0:
        return
    drawn = times[None, :].astype(np.uint16)
    for theta in (None, 0.8):
        a = fit_negbin(counts, design, weights=times, theta=theta)
        b = fit_negbin(counts[repeated], design[repeated], theta=theta)
        np.testing.assert_allclose(a.coef, b.coef, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-7, atol=1e-9)
        assert a.loglik == pytest.approx(b.loglik, rel=1e-9)
        assert a.n_iter == b.n_iter
        by_refit = refit_negbin(counts, design, drawn, target=1, theta=theta, reestimate=theta is None)
        assert by_refit[0] == pytest.approx(a.coef[1], abs=1e-8 if theta is None else 1e-4)
        ones = np.ones((1, repeated.size), dtype=np.uint16)
        in_rows = refit_negbin(counts[repeated], design[repeated], ones, target=1, theta=0.8)
        np.testing.assert_allclose(refit_negbin(counts, design, drawn, target=1, theta=0.8), in_rows, atol=1e-9)


@pytest.mark.parametrize(("kind", "power"), [("HC0", 0.0), ("HC3", 1.0)])
def test_sandwich_se__serves_a_negative_binomial_fit_with_counts_and_means_divided(kind, power):
    # Score (y - mu) / s z and information mu / s z z', with s = 1 + mu / theta: counts and means divided by s.
    counts, design = make(seed=6)
    fit = fit_negbin(counts, design)
    s = 1 + fit.fitted / fit.theta
    whitened = design * np.sqrt(fit.fitted / s)[:, None]
    bread = np.linalg.inv(whitened.T @ whitened)
    hat = np.diag(whitened @ bread @ whitened.T)
    score = design * ((counts - fit.fitted) / s / (1 - hat) ** power)[:, None]
    expected = np.sqrt((bread @ score.T @ score @ bread)[1, 1])
    error = sandwich_se(counts / s, fit.fitted / s, design, fit.covariance, target=1, kind=kind)
    assert error == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("counts", "design", "error"),
    [
        ([1, -1, 0], np.ones((3, 1)), InputError),
        ([1, np.nan, 0], np.ones((3, 1)), InputError),
        ([1, 0.5, 0], np.ones((3, 1)), InputError),
        ([1, 2_000_000, 0], np.ones((3, 1)), InputError),
        ([1, 2], np.ones((3, 1)), InputError),
        ([1, 2], np.ones((2, 3)), DesignError),
        ([1, 2], np.array([[1.0], [np.inf]]), DesignError),
    ],
)
def test_fit_negbin__refuses_what_is_no_regression(counts, design, error):
    with pytest.raises(error):
        fit_negbin(counts, design)


@pytest.mark.parametrize("theta", [0.0, -1.0, np.nan])
def test_fit_negbin__refuses_a_theta_that_is_not_above_0(theta):
    counts, design = make(n=20)
    with pytest.raises(OptionError, match="theta"):
        fit_negbin(counts, design, theta=theta)
    with pytest.raises(OptionError, match="theta"):
        refit_negbin(counts, design, np.ones((1, 20), dtype=np.uint16), target=1, theta=theta)


def test_fit_negbin__refuses_weights_below_0():
    counts, design = make(n=20)
    with pytest.raises(InputError, match="weights"):
        fit_negbin(counts, design, weights=-np.ones(20))
