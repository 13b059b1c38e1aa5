"""Negative binomial fits against R's glm.nb and statsmodels, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import load_simulated

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats import basic_p, case_weights, fit_poisson, refit_poisson, sandwich_se, weights_from_indices
from scanlink.stats.negbin import fit_negbin, refit_negbin

# Printed by negbin_reference.R: beta, se, deviance, theta, se_theta, log likelihood.
FROM_R = {
    "plain": [
        0.134415609100324,
        0.489527593542581,
        57.163915016503,
        0.461899577306526,
        0.133329938667039,
        -105.979907647609,
    ],
    "offset": [
        0.14859530541408,
        0.504481747008727,
        56.8642911739376,
        0.427857232255977,
        0.120171791717155,
        -107.136171608849,
    ],
    "repeated": [
        0.230038972977156,
        0.493159999487391,
        56.7445901435846,
        0.450422338958242,
        0.129169203772578,
        -104.90937132407,
    ],
    "separated": [
        -25.842833365043,
        48846.2894207725,
        43.3535440230614,
        0.503827068684887,
        0.169246830985189,
        -78.333075201715,
    ],
    "even": [
        -0.287682072451781,
        0.204342639748812,
        3.94000846896099,
        735311.452522649,
        29004778.7255497,
        -86.0533689334989,
    ],
    "held": [0.158449574440698, 0.324326678063963, 104.477393436498],
    "held silent": [-19.3326250973965, 1884.68753796089, 75.0410567053687],
}


def make(n=400, seed=0, beta=0.5, theta=1.0):
    rng = np.random.default_rng(seed)
    depth = rng.normal(size=n)
    opened = (rng.random(n) < 0.2).astype(float)
    mean = np.exp(-0.2 + 0.4 * depth + beta * opened)
    counts = rng.poisson(mean * rng.gamma(theta, 1 / theta, n)).astype(float)
    return counts, np.column_stack([np.ones(n), opened, depth])


def made_in_r():
    """The data of negbin_reference.R."""
    i = np.arange(60)
    peak = (i % 4 == 0).astype(float)
    counts = (((i * i) % 7) * ((i * 5) % 3)) // 2 + (i % 11 == 0) * 9
    data = {
        "counts": counts,
        "silent": counts * (1 - peak),
        "even": 2 + i % 2,
        "offset": ((13 * i) % 60) / 60 - 0.5,
        "times": (i % 4 + 1) % 3,
    }
    return data, np.column_stack([np.ones(60), peak, ((7 * i) % 60) / 30 - 1])


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


def test_refit_negbin__matches_r_boot_on_14_pairs_with_its_indices(shared):
    data = load_simulated(shared)
    indices = data.table("boot_negbin_R100_14pairs_indices_1based.csv.gz", header=None).to_numpy() - 1
    weights = weights_from_indices(indices, 1000)
    replicates = data.table("boot_negbin_R100_14pairs_t.csv.gz")
    summary = data.table("boot_negbin_R100_14pairs_summary.csv")
    assert len(summary) == 14
    for row in summary.itertuples():
        counts, design = data.counts[row.gene], data.design(row.peak)
        fit = fit_negbin(counts, design)
        assert fit.coef[1] == pytest.approx(row.t0, abs=1e-10)
        like_r = refit_negbin(counts, design, weights, target=1, reestimate=True)
        np.testing.assert_allclose(like_r, replicates[f"{row.gene}|{row.peak}"], rtol=0, atol=1e-9)
        assert basic_p(fit.coef[1], like_r) == row.boot_basic_p
        # With theta held, a replicate moves by a small part of the bootstrap's standard deviation.
        held = refit_negbin(counts, design, weights, target=1, start=fit.coef, theta=fit.theta)
        assert np.abs(held - like_r).max() < 0.35 * row.boot_sd
        assert np.corrcoef(held, like_r)[0, 1] > 0.99


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


def test_refit_negbin__does_not_depend_on_start_or_on_the_other_replicates():
    counts, design = make(n=300)
    weights = case_weights(0, 0, 40, 300)
    fit = fit_negbin(counts, design)
    found = refit_negbin(counts, design, weights, target=1)
    far = refit_negbin(counts, design, weights, target=1, theta=fit.theta, start=[3.0, -4.0, 2.0])
    np.testing.assert_allclose(far, found, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(refit_negbin(counts, design, weights[7:9], target=1), found[7:9])
    like_r = [refit_negbin(counts, design, w, target=1, reestimate=True) for w in (weights, weights[7:9])]
    np.testing.assert_array_equal(like_r[1], like_r[0][7:9])


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
        found = refit_negbin(counts, more, weights, target=1, **options)
        np.testing.assert_allclose(found, refit_negbin(counts, design, weights, target=1, **options), atol=1e-5)
        assert np.isnan(refit_negbin(counts, more, weights, target=3, **options)).all()


@pytest.mark.parametrize("options", [{"theta": 1.0}, {"reestimate": True}], ids=["held", "re-estimated"])
def test_refit_negbin__nan_where_the_peak_is_open_in_every_drawn_cell(options):
    counts, design = make(n=50)
    weights = np.where(design[:, 1] > 0, 3, 0).astype(np.uint16)[None, :]
    assert np.isnan(refit_negbin(counts, design, weights, target=1, **options)).all()
    assert np.isnan(refit_negbin(counts, design, 0 * weights, target=1, **options)).all()


def test_refit_negbin__separated_replicate_gets_the_large_value_of_r():
    data, design = made_in_r()
    weights = np.ones((1, 60), dtype=np.uint16)
    for options, name in (({"theta": 1.5}, "held silent"), ({"reestimate": True}, "separated")):
        found = refit_negbin(data["silent"], design, weights, target=1, **options)
        assert found[0] == pytest.approx(FROM_R[name][0], abs=1e-9)


def test_refit_negbin__without_a_single_count_is_the_poisson_fit():
    counts, design = make(n=200)
    fit = fit_negbin(0 * counts, design)
    assert np.isnan([fit.theta, fit.se_theta, fit.loglik]).all()
    assert not fit.theta_converged
    np.testing.assert_array_equal(fit.coef, fit_poisson(0 * counts, design).coef)
    weights = (counts == 0).astype(np.uint16)[None, :]
    found = refit_negbin(counts, design, weights, target=1, reestimate=True)
    np.testing.assert_allclose(found, refit_poisson(counts, design, weights, target=1, path="glm"), atol=1e-12)
    assert np.isfinite(refit_negbin(counts, design, weights, target=1, theta=1.0)).all()
    with pytest.raises(InputError, match="no theta"):
        refit_negbin(0 * counts, design, weights, target=1)


@pytest.mark.parametrize(
    ("outliers", "seed", "beta", "theta", "found"),
    [
        ((15, 30), 6, 0.5876225, 0.8863894, True),
        # R: "alternation limit reached".
        ((20, 60), 3, 0.3634916, 0.5177531, False),
    ],
)
def test_fit_negbin__matches_r_on_outliers(outliers, seed, beta, theta, found):
    counts, design = make(seed=seed)
    counts[:2] = outliers
    fit = fit_negbin(counts, design)
    np.testing.assert_allclose([fit.coef[1], fit.theta], [beta, theta], atol=1e-7)
    assert fit.theta_converged == found


def test_fit_negbin__says_so_where_the_steps_of_r_break_down():
    # R: "no valid set of coefficients has been found".
    counts, design = make(seed=3)
    counts[:2] = 500, 90_000
    fit = fit_negbin(counts, design)
    assert not fit.converged
    assert not fit.theta_converged
    assert np.isnan(fit.theta)
    np.testing.assert_array_equal(fit.coef, fit_poisson(counts, design).coef)
    found = refit_negbin(counts, design, np.ones((1, counts.size), dtype=np.uint16), target=1, reestimate=True)
    assert found[0] == fit.coef[1]
    # A held theta is no trouble: the likelihood is concave.
    held = refit_negbin(counts, design, case_weights(0, 0, 20, counts.size), target=1, theta=0.1, start=fit.coef)
    assert (np.abs(held) < 20).all()


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(60)))
def test_fit_negbin__does_not_depend_on_cell_order(order):
    counts, design = make(n=60, seed=3)
    for theta in (None, 0.8):
        a, b = fit_negbin(counts, design, theta=theta), fit_negbin(counts[order], design[order], theta=theta)
        np.testing.assert_allclose(a.coef, b.coef, rtol=1e-8, atol=1e-10)
        assert a.theta == pytest.approx(b.theta, rel=1e-8)


@settings(max_examples=25, deadline=None)
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
    found = sandwich_se(counts / s, fit.fitted / s, design, fit.covariance, target=1, kind=kind)
    assert found == pytest.approx(expected, rel=1e-5)


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


def test_refit_negbin__refuses_weights_and_targets_that_do_not_fit():
    counts, design = make(n=20)
    with pytest.raises(InputError, match="weights"):
        refit_negbin(counts, design, np.ones((1, 19), dtype=np.uint16), target=1)
    with pytest.raises(OptionError, match="target 3"):
        refit_negbin(counts, design, np.ones((1, 20), dtype=np.uint16), target=3)
    with pytest.raises(InputError, match="weights"):
        fit_negbin(counts, design, weights=-np.ones(20))
