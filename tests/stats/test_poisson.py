"""Poisson fits against R and statsmodels, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import load_simulated

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats import basic_p, fit_poisson, refit_poisson, weights_from_indices


def make(n=400, seed=0, beta=0.5):
    rng = np.random.default_rng(seed)
    depth = rng.normal(size=n)
    opened = (rng.random(n) < 0.2).astype(float)
    counts = rng.poisson(np.exp(-0.5 + 0.4 * depth + beta * opened)).astype(float)
    return counts, np.column_stack([np.ones(n), opened, depth])


@pytest.mark.parametrize("path", ["glm", "newton"])
@pytest.mark.parametrize("beta", [0.0, 0.3, -0.8], ids="effect={}".format)
def test_fit_poisson__matches_statsmodels(beta, path):
    import statsmodels.api as sm

    counts, design = make(beta=beta)
    offset = np.linspace(-1, 1, counts.size)
    fit = fit_poisson(counts, design, offset=offset, path=path)
    reference = sm.GLM(counts, design, family=sm.families.Poisson(), offset=offset).fit(tol=1e-14, maxiter=100)
    np.testing.assert_allclose(fit.coef, reference.params, rtol=0, atol=1e-7 if path == "glm" else 1e-12)
    np.testing.assert_allclose(fit.se, reference.bse, rtol=1e-4 if path == "glm" else 1e-11)
    assert fit.deviance == pytest.approx(reference.deviance, rel=1e-9)
    assert fit.converged


def test_fit_poisson__matches_r_on_574_simulated_pairs(shared):
    data = load_simulated(shared)
    reference = data.table("fit_poisson_bin_cov3.csv")
    assert len(reference) == 574
    fits = [fit_poisson(data.counts[row.gene], data.design(row.peak)) for row in reference.itertuples()]
    np.testing.assert_allclose([fit.coef[1] for fit in fits], reference["beta"], rtol=0, atol=1e-11)
    np.testing.assert_allclose([fit.se[1] for fit in fits], reference["se"], rtol=0, atol=1e-11)
    np.testing.assert_allclose([fit.deviance for fit in fits], reference["deviance"], rtol=1e-9)
    assert [fit.n_iter for fit in fits] == reference["iter"].tolist()


def test_refit_poisson__matches_r_boot_on_120_pairs_with_its_indices(shared):
    data = load_simulated(shared)
    indices = data.table("boot_poisson_R200_120pairs_indices_1based.csv.gz", header=None).to_numpy() - 1
    weights = weights_from_indices(indices, 1000)
    replicates = data.table("boot_poisson_R200_120pairs_t.csv.gz")
    summary = data.table("boot_poisson_R200_120pairs_summary.csv")
    assert len(summary) == 120
    for row in summary.itertuples():
        counts, design = data.counts[row.gene], data.design(row.peak)
        fit = fit_poisson(counts, design)
        like_r = refit_poisson(counts, design, weights, target=1, start=fit.coef, path="glm")
        np.testing.assert_allclose(like_r, replicates[f"{row.gene}|{row.peak}"], rtol=0, atol=1e-9)
        # To the maximum, where R stops a little before: the same side of every boundary, so the same p-value.
        at_maximum = refit_poisson(counts, design, weights, target=1, start=fit.coef)
        np.testing.assert_allclose(at_maximum, like_r, rtol=0, atol=1e-5)
        for refitted in (like_r, at_maximum):
            assert basic_p(fit.coef[1], refitted) == row.boot_basic_p


def test_fit_poisson__leaves_out_a_dependent_column_as_r_does():
    counts, design = make()
    fit = fit_poisson(counts, np.column_stack([design, 2 * design[:, 1] + 1]))
    assert np.isnan(fit.coef[3])
    np.testing.assert_allclose(fit.coef[:3], fit_poisson(counts, design).coef, rtol=1e-12)


def test_refit_poisson__nan_where_the_peak_is_open_in_every_drawn_cell():
    counts, design = make(n=50)
    weights = np.where(design[:, 1] > 0, 3, 0).astype(np.uint16)[None, :]
    assert np.isnan(refit_poisson(counts, design, weights, target=1)).all()


def test_refit_poisson__separated_replicate_gets_the_large_value_of_r():
    counts, design = make(n=200)
    weights = np.ones((1, 200), dtype=np.uint16)
    weights[0, (design[:, 1] > 0) & (counts > 0)] = 0
    refitted = refit_poisson(counts, design, weights, target=1)[0]
    assert -25 < refitted < -12


@settings(max_examples=25)
@given(st.permutations(range(60)))
def test_fit_poisson__does_not_depend_on_cell_order(order):
    counts, design = make(n=60, seed=3)
    a, b = fit_poisson(counts, design, path="newton"), fit_poisson(counts[order], design[order], path="newton")
    np.testing.assert_allclose(a.coef, b.coef, rtol=1e-10, atol=1e-12)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=80, max_size=80))
def test_fit_poisson__weights_equal_repeated_cells(times):
    counts, design = make(n=80, seed=5)
    times = np.array(times) + (np.arange(80) % 2)
    repeated = np.repeat(np.arange(80), times)
    if np.ptp(design[repeated, 1]) == 0 or counts[repeated][design[repeated, 1] > 0].sum() == 0:
        return
    a = fit_poisson(counts, design, weights=times, path="newton")
    b = fit_poisson(counts[repeated], design[repeated], path="newton")
    np.testing.assert_allclose(a.coef, b.coef, rtol=1e-9, atol=1e-11)
    by_refit = refit_poisson(counts, design, times[None, :].astype(np.uint16), target=1)
    assert by_refit[0] == pytest.approx(a.coef[1], rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(
    ("counts", "design", "error"),
    [
        ([1, -1, 0], np.ones((3, 1)), InputError),
        ([1, np.nan, 0], np.ones((3, 1)), InputError),
        ([1, 2], np.ones((3, 1)), InputError),
        ([1, 2], np.ones((2, 3)), DesignError),
        ([1, 2], np.array([[1.0], [np.inf]]), DesignError),
    ],
)
def test_fit_poisson__refuses_what_is_no_regression(counts, design, error):
    with pytest.raises(error):
        fit_poisson(counts, design)


def test_refit_poisson__refuses_weights_targets_and_starts_that_do_not_fit():
    counts, design = make(n=20)
    weights = np.ones((1, 20), dtype=np.uint16)
    with pytest.raises(InputError, match="weights have shape"):
        refit_poisson(counts, design, weights[:, 1:], target=1)
    with pytest.raises(OptionError, match="target 3"):
        refit_poisson(counts, design, weights, target=3)
    with pytest.raises(InputError, match="start has shape"):
        refit_poisson(counts, design, weights, target=1, start=[0.0, 0.0])
    with pytest.raises(InputError, match="weights must be 20"):
        fit_poisson(counts, design, weights=-np.ones(20))
