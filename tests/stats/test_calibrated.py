"""The calibrated p-value: permutation oracles, rates on null data, invariances, and what must not crash it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scanlink.errors import InputError
from scanlink.stats import fit_poisson
from scanlink.stats.calibrated import calibrated_p, gene_null, peak_null, robust_p

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "calibration.py"


def make(n=300, *, mean=0.5, share=0.15, dispersion=0.7, effect=0.0, seed=0):
    """Counts and a design of intercept, depth, a skewed covariate and a peak that depth opens."""
    rng = np.random.default_rng(seed)
    depth, mito = 0.4 * rng.standard_normal(n), rng.gamma(2.0, size=n)
    chance = 1 / (1 + np.exp(-(np.log(share / (1 - share)) + 0.8 * depth)))
    open_ = (rng.random(n) < chance).astype(float)
    mu = mean * np.exp(depth + effect * open_)
    counts = rng.poisson(mu * rng.gamma(1 / dispersion, dispersion, n) if dispersion else mu)
    return counts.astype(float), np.column_stack([np.ones(n), depth, mito, open_])


def permutation_p(statistic, levels, strata, *, draws=200_000, seed=0):
    """Two-sided p-value of ``sum statistic * levels`` with the levels permuted within strata."""
    rng = np.random.default_rng(seed)
    sums = np.zeros(draws)
    for stratum in np.unique(strata):
        at = strata == stratum
        sums += rng.permuted(np.tile(levels[at], (draws, 1)), axis=1) @ statistic[at]
    seen = statistic @ levels
    # Half the weight on ties is what a smooth tail estimates.
    upper = np.mean(sums > seen) + 0.5 * np.mean(sums == seen)
    return 2 * min(upper, 1 - upper)


def null_block(rng, n, mean, share, dispersion, genes, peaks):
    """Genes and peaks of the same cells that only depth connects, past the filters of a scan."""
    depth = 0.4 * rng.standard_normal(n)
    covariates = np.column_stack([np.ones(n), depth, rng.gamma(2.0, size=n)])
    chance = 1 / (1 + np.exp(-(np.log(share / (1 - share)) + 0.8 * depth)))
    gene_list, peak_list = [], []
    while len(gene_list) < genes:
        counts = rng.poisson(mean * np.exp(depth) * rng.gamma(1 / dispersion, dispersion, n)).astype(float)
        if np.count_nonzero(counts) > 0.05 * n:
            gene_list.append(counts)
    while len(peak_list) < peaks:
        open_ = (rng.random(n) < chance).astype(float)
        if max(4.0, 0.05 * n) < open_.sum() < n - 4:
            peak_list.append(open_)
    return covariates, gene_list, peak_list


@pytest.mark.parametrize("effect", [0.0, 0.5, -0.5], ids="effect={}".format)
@pytest.mark.parametrize("n_strata", [1, 2], ids="strata={}".format)
def test_calibrated_p__matches_the_permutation_test(n_strata, effect):
    rng = np.random.default_rng(4)
    n = 60
    strata = np.arange(n) % n_strata
    open_ = (rng.random(n) < 0.3 + 0.2 * strata).astype(float)
    counts = rng.poisson(30 * np.exp(effect * open_ + 0.4 * strata) * rng.gamma(2.0, 0.5, n)).astype(float)
    covariates = np.column_stack([strata == s for s in range(n_strata)]).astype(float)
    p_value = calibrated_p(counts, np.column_stack([covariates, open_]), target=n_strata)
    expected = permutation_p(gene_null(counts, covariates).residual, open_, strata)
    assert p_value == pytest.approx(expected, rel=0.05, abs=2e-3)


def test_calibrated_p__whole_number_accessibility_matches_the_permutation_test():
    rng = np.random.default_rng(1)
    level = 2.0 * rng.poisson(rng.gamma(1.0, 1.0, 80)) + (rng.random(80) < 0.2)
    counts = rng.poisson(20 * np.exp(0.07 * level) * rng.gamma(3.0, 1 / 3, 80)).astype(float)
    p_value = calibrated_p(counts, np.column_stack([np.ones(80), level]), target=1)
    expected = permutation_p(gene_null(counts, np.ones((80, 1))).residual, level, np.zeros(80))
    assert p_value == pytest.approx(expected, rel=0.15)
    assert calibrated_p(counts, np.column_stack([np.ones(80), np.where(level > 6, 500, level)]), target=1) > 0


def test_calibrated_p__smooths_fishers_exact_test():
    open_, gene = np.repeat([0.0, 1.0], [150, 50]), np.zeros(200)
    gene[:15] = 1.0
    design = np.column_stack([np.ones(200), open_])
    table = stats.hypergeom(200, 30, 50)
    for overlap in (10, 13, 15):
        gene[15:] = 0.0
        gene[: 30 - overlap] = 1.0
        gene[30 - overlap : 30] = 0.0
        gene[150 : 150 + overlap] = 1.0
        assert table.sf(overlap) < calibrated_p(gene, design, target=1) / 2 < table.sf(overlap - 1)


@pytest.mark.parametrize(
    ("n", "mean", "share", "dispersion"), [(300, 0.3, 0.08, 0.5), (400, 0.8, 0.15, 1.0)], ids=["sparse", "dense"]
)
def test_calibrated_p__null_rejections_are_nominal(n, mean, share, dispersion):
    rng = np.random.default_rng(7)
    p, wald = [], []
    while len(p) < 20_000:
        covariates, genes, peaks = null_block(rng, n, mean, share, dispersion, 20, 10)
        prepared = [gene_null(counts, covariates) for counts in genes]
        for number, open_ in enumerate(peaks):
            peak = peak_null(open_, covariates)
            tested = [k for k, y in enumerate(genes) if 0 < y @ open_ < y.sum()]
            p += [robust_p(prepared[k], peak) for k in tested]
            fit = fit_poisson(genes[number], np.column_stack([open_, covariates]), path="newton")
            wald.append(2 * stats.norm.sf(abs(fit.coef[0]) / fit.se[0]))
    p = np.array(p)
    assert not np.isnan(p).any()
    # Three Monte-Carlo errors of 20,000 sets.
    for level in (0.05, 0.01, 0.001):
        assert np.mean(p <= level) == pytest.approx(level, abs=3 * np.sqrt(level / p.size))
    if dispersion == 1.0:
        assert np.mean(np.array(wald) <= 0.01) > 0.02


def test_calibrated_p__finds_a_link():
    p = [calibrated_p(*make(600, effect=0.9, seed=seed), target=3) for seed in range(20)]
    assert np.median(p) < 1e-3


@settings(max_examples=20)
@given(st.permutations(range(60)), st.floats(0.01, 100), st.floats(-100, 100))
def test_calibrated_p__does_not_depend_on_order_or_units(order, scale, shift):
    counts, design = make(60, mean=1.5, share=0.3, effect=0.5, seed=3)
    expected = calibrated_p(counts, design, target=3)
    assert calibrated_p(counts[order], design[order], target=3) == pytest.approx(expected, rel=1e-6)
    other = design * [1, scale, 1, 1] + [0, shift, 0, 0]
    assert calibrated_p(counts, other, target=3) == pytest.approx(expected, rel=1e-6)


def test_calibrated_p__does_not_depend_on_coding():
    counts, design = make(200, effect=0.6, seed=5)
    expected = calibrated_p(counts, design, target=3)
    relevelled = [design * [1, 1, 1, 3], design * [1, 1, 1, -1] + [0, 0, 0, 1]]
    again = np.column_stack([design, design[:, 1] - design[:, 2]])
    for other in (*relevelled, again):
        assert calibrated_p(counts, other, target=3) == pytest.approx(expected, rel=1e-6)
    assert calibrated_p(counts, design, target=3, offset=np.full(200, 2.0)) == pytest.approx(expected, rel=1e-6)
    offset = calibrated_p(counts, design[:, [0, 2, 3]], target=2, offset=design[:, 1])
    assert offset == pytest.approx(expected, rel=0.5)
    assert offset != expected


def test_robust_p__equals_the_one_call():
    counts, design = make(seed=2)
    parts = robust_p(gene_null(counts, design[:, :3]), peak_null(design[:, 3], design[:, :3]))
    assert parts == calibrated_p(counts, design, target=3)


def test_robust_p__level_where_the_peak_never_opens_tells_nothing():
    rng = np.random.default_rng(0)
    donor = np.repeat([0, 1, 2], 60)
    open_ = ((rng.random(180) < 0.3) & (donor < 2)).astype(float)
    counts = (rng.random(180) < 0.2 + 0.2 * open_).astype(float)
    design = np.column_stack([np.ones(180), donor == 1, donor == 2, open_]).astype(float)
    assert peak_null(open_, design[:, :3]).cells.tolist() == list(range(120))
    rest = calibrated_p(counts[:120], design[:120][:, [0, 1, 3]], target=2)
    assert calibrated_p(counts, design, target=3) == pytest.approx(rest, rel=1e-6)


@pytest.mark.parametrize("where", ["closed", "open"])
def test_calibrated_p__separated_pairs_are_finite(where):
    counts, design = make(300, effect=0.0, seed=8)
    counts[design[:, 3] == (where == "closed")] = 0.0
    assert 0.0 < calibrated_p(counts, design, target=3) <= 1.0


@pytest.mark.filterwarnings("error")
def test_calibrated_p__nan_where_undefined():
    counts, design = make(60, seed=9)
    for kind in ("no count", "never open", "always open", "a covariate", "beside a dummy"):
        y, z = counts.copy(), design.copy()
        if kind == "no count":
            y[:] = 0.0
        elif kind == "beside a dummy":
            z[:, 2] = z[:, 3]
            z[0, 3] = 1.0
            z = z[:, [0, 2, 3]]
            z[0, 1] = 1.0
        else:
            z[:, 3] = {"never open": 0.0, "always open": 1.0, "a covariate": z[:, 1] > 0}[kind]
            z[:, 1] = z[:, 3] if kind == "a covariate" else z[:, 1]
        assert np.isnan(calibrated_p(y, z, target=z.shape[1] - 1)), kind


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_calibrated_p__survives_tiny_data(n, seed):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.standard_normal(n), rng.integers(0, 3, n)])
    p = calibrated_p(rng.poisson(rng.gamma(0.3, 10.0, n)), design, target=2)
    assert np.isnan(p) or 0.0 <= p <= 1.0


def test_peak_null__asks_for_whole_numbers():
    with pytest.raises(InputError, match="whole numbers"):
        peak_null([0.0, 0.5, 1.0], np.ones((3, 1)))
    with pytest.raises(InputError, match="at least 0"):
        gene_null([0.0, -1.0, 1.0], np.ones((3, 1)))
    with pytest.raises(InputError, match="expected"):
        calibrated_p([0.0, 1.0], np.ones((2, 2)), target=2)
    with pytest.raises(InputError, match="expected"):
        gene_null([], np.ones((0, 1)))
    with pytest.raises(InputError, match="3 cells and the peak 4"):
        robust_p(gene_null([0, 1, 2], np.ones((3, 1))), peak_null([0, 1, 1, 0], np.ones((4, 1))))


def test_robust_p__donor_without_the_gene():
    counts, design = make(300, mean=1.0, effect=0.8, seed=6)
    donor = np.arange(300) % 3 == 0
    counts[donor] = 0.0
    rest = calibrated_p(counts[~donor], design[~donor], target=3)
    assert calibrated_p(counts, np.column_stack([design, donor]), target=3) == pytest.approx(rest, rel=0.2)


@pytest.mark.slow
def test_benchmark__runs():
    spec = importlib.util.spec_from_file_location("calibration", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    p, z = module.simulate(module.SETTINGS[0], 50, 1)
    again, _ = module.simulate(module.SETTINGS[0], 50, 1)
    np.testing.assert_array_equal(p, again)
    assert ((p >= 0) & (p <= 1) | np.isnan(p)).all()
    assert np.array_equal(np.isnan(z), np.isnan(p[:, 3]))


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_level_in_which_the_peak_is_closed__leaves_the_other_levels_intercept(order):
    rng = np.random.default_rng(3)
    level = np.repeat([0, 1], 30)
    opened = np.where(level == 1, rng.random(60) < 0.5, 0).astype(float)
    counts = rng.poisson(1.0 + opened).astype(float)
    columns = np.column_stack([level == 0, level == 1]).astype(float)[:, order]
    null = peak_null(opened, columns)
    assert null.basis.shape == (30, 1)
    expected = calibrated_p(counts[30:], np.column_stack([np.ones(30), opened[30:]]), target=1)
    found = calibrated_p(counts, np.column_stack([columns, opened]), target=2)
    np.testing.assert_allclose(found, expected, rtol=0.02)
