"""Negative binomial replicates against R's boot with its indices, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from negbin_data import FROM_R, made_in_r, make
from reference import load_simulated

from scanlink.errors import InputError, OptionError
from scanlink.stats import basic_p, case_weights, fit_poisson, refit_poisson, weights_from_indices
from scanlink.stats.negbin import fit_negbin, refit_negbin


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


def test_refit_negbin__does_not_depend_on_start_or_on_the_other_replicates():
    counts, design = make(n=300)
    weights = case_weights(0, 0, 40, 300)
    fit = fit_negbin(counts, design)
    refitted = refit_negbin(counts, design, weights, target=1)
    far = refit_negbin(counts, design, weights, target=1, theta=fit.theta, start=[3.0, -4.0, 2.0])
    np.testing.assert_allclose(far, refitted, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(refit_negbin(counts, design, weights[7:9], target=1), refitted[7:9])
    like_r = [refit_negbin(counts, design, w, target=1, reestimate=True) for w in (weights, weights[7:9])]
    np.testing.assert_array_equal(like_r[1], like_r[0][7:9])


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
        refitted = refit_negbin(data["silent"], design, weights, target=1, **options)
        assert refitted[0] == pytest.approx(FROM_R[name][0], abs=1e-9)


def test_refit_negbin__without_a_single_count_is_the_poisson_fit():
    counts, design = make(n=200)
    fit = fit_negbin(0 * counts, design)
    assert np.isnan([fit.theta, fit.se_theta, fit.loglik]).all()
    assert not fit.theta_converged
    np.testing.assert_array_equal(fit.coef, fit_poisson(0 * counts, design).coef)
    weights = (counts == 0).astype(np.uint16)[None, :]
    refitted = refit_negbin(counts, design, weights, target=1, reestimate=True)
    np.testing.assert_allclose(refitted, refit_poisson(counts, design, weights, target=1, path="glm"), atol=1e-12)
    assert np.isfinite(refit_negbin(counts, design, weights, target=1, theta=1.0)).all()
    with pytest.raises(InputError, match="no theta"):
        refit_negbin(0 * counts, design, weights, target=1)


def test_refit_negbin__refuses_weights_targets_and_starts_that_do_not_fit():
    counts, design = make(n=20)
    with pytest.raises(InputError, match="weights"):
        refit_negbin(counts, design, np.ones((1, 19), dtype=np.uint16), target=1)
    with pytest.raises(OptionError, match="target 3"):
        refit_negbin(counts, design, np.ones((1, 20), dtype=np.uint16), target=3)
    with pytest.raises(InputError, match="start has shape"):
        refit_negbin(counts, design, np.ones((1, 20), dtype=np.uint16), target=1, theta=1.0, start=[0.0, 0.0])
