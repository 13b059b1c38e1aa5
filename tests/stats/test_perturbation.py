"""Probability of perturbation, and thresholds of guides from a mixture."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from scanlink.errors import InputError
from scanlink.stats.perturbation import perturbation_probability
from scanlink.stats.umi_mixture import fit_umi_mixture


@given(npst.arrays(bool, (4, 9)), npst.arrays(float, 4, elements=st.floats(0, 1)))
def test_perturbation_probability__is_one_less_the_product(calls, efficiency):
    x = perturbation_probability(calls, efficiency)
    np.testing.assert_allclose(x, 1 - np.prod(1 - calls * efficiency[:, None], axis=0), rtol=0, atol=1e-15)
    assert ((x >= 0) & (x <= 1)).all()
    assert (x[~calls.any(axis=0)] == 0).all()
    assert (x[calls[efficiency == 1].any(axis=0)] == 1).all()
    one = calls.sum(axis=0) == 1
    np.testing.assert_array_equal(x[one], (calls * efficiency[:, None]).max(axis=0)[one])
    np.testing.assert_array_equal(x, perturbation_probability([row.astype(int) for row in calls], efficiency))


@pytest.mark.parametrize(
    ("calls", "efficiency", "message"),
    [
        ([], [], "expected one efficiency for each guide, and at least one guide"),
        ([[0, 1]], [0.5, 0.5], r"calls of 1 guides and efficiencies of shape \(2,\)"),
        ([[0, 1], [1]], [0.5, 0.5], r"shapes \(2,\) and \(1,\)"),
        ([[0, 7]], [0.5], "must be 0 or 1: compare UMI counts with a threshold first"),
        ([[0, np.nan]], [0.5], "must be 0 or 1"),
        ([[0, 1]], [np.nan], "expected numbers from 0 to 1: fill in what is not known"),
        ([[0, 1]], [1.5], "efficiencies run from 1.5 to 1.5"),
    ],
)
def test_perturbation_probability__refuses(calls, efficiency, message):
    with pytest.raises(InputError, match=message):
        perturbation_probability(calls, efficiency)


def mixture_of(n_background, rate, n_signal, mean, sd, seed=1):
    rng = np.random.default_rng(seed)
    background, signal = rng.poisson(rate, n_background), np.rint(np.exp(rng.normal(mean, sd, n_signal)))
    label = np.repeat([False, True], [n_background, n_signal])
    counts = np.concatenate([background, signal]).astype(int)
    return counts[counts > 0], label[counts > 0]


@pytest.mark.parametrize(("rate", "mean", "sd"), [(0.05, 2.8, 0.7), (0.3, 2.8, 0.5), (1.0, 3.5, 0.6), (3.0, 4.5, 0.5)])
def test_fit_umi_mixture__finds_the_components(rate, mean, sd):
    counts, label = mixture_of(20_000, rate, 800, mean, sd)
    fit = fit_umi_mixture(counts)
    assert fit.kind == "mixture"
    assert fit.background == pytest.approx(rate, rel=0.3)
    assert fit.mean == pytest.approx(mean, abs=0.1)
    assert fit.sd == pytest.approx(sd, abs=0.1)
    assert fit.share == pytest.approx(label.mean(), rel=0.1)
    # No other threshold is wrong about clearly fewer cells.
    wrong = [np.count_nonzero((counts >= least) != label) for least in range(1, 60)]
    assert wrong[fit.threshold - 1] <= 1.3 * min(wrong) + 5


def test_fit_umi_mixture__threshold_is_where_the_posterior_passes_one_half():
    counts, _ = mixture_of(20_000, 0.5, 800, 2.8, 0.6)
    fit = fit_umi_mixture(counts)
    y = np.array([fit.threshold - 1, fit.threshold], dtype=float)
    bound = scipy.stats.norm(fit.mean, fit.sd)
    signal = fit.share * (bound.cdf(np.log(y + 0.5)) - bound.cdf(np.log(y - 0.5))) / bound.sf(np.log(0.5))
    ambient = scipy.stats.poisson(fit.background)
    background = (1 - fit.share) * ambient.pmf(y) / ambient.sf(0)
    posterior = signal / (signal + background)
    assert posterior[0] <= 0.5 < posterior[1]


def test_fit_umi_mixture__does_not_depend_on_order_or_form():
    counts, _ = mixture_of(3_000, 0.4, 300, 2.5, 0.6)
    fit = fit_umi_mixture(counts)
    assert fit_umi_mixture(np.random.default_rng(2).permutation(counts)) == fit
    assert fit_umi_mixture(*np.unique(counts, return_counts=True)) == fit


def test_fit_umi_mixture__sees_when_there_is_one_component():
    assert fit_umi_mixture(np.ones(500)).threshold is None
    noise, _ = mixture_of(50_000, 0.1, 0, 2.8, 0.5)
    assert (fit_umi_mixture(noise).kind, fit_umi_mixture(noise).threshold) == ("background", None)
    clean, _ = mixture_of(0, 0.1, 1_000, 3.0, 0.5)
    assert (fit_umi_mixture(clean).kind, fit_umi_mixture(clean).threshold) == ("signal", None)


@pytest.mark.parametrize(
    ("counts", "n", "message"),
    [
        ([], None, "found 0 counts"),
        ([0, 1], None, "positive whole counts of UMIs"),
        ([1.5], None, "positive whole counts"),
        ([np.nan], None, "positive whole counts"),
        ([1, 2], [3], "found 2 counts and 1 numbers of cells"),
        ([1, 2], [0, 0], "not all 0"),
    ],
)
def test_fit_umi_mixture__refuses(counts, n, message):
    with pytest.raises(InputError, match=message):
        fit_umi_mixture(counts, n)
