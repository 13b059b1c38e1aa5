"""Sandwich errors, false discovery rates and rank checks against other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_poisson import make

from scanlink.errors import InputError
from scanlink.stats import adjust, culprit, dependent_columns, fit_poisson, rescale, sandwich_se


def test_sandwich_se__hc0_matches_statsmodels():
    import statsmodels.api as sm

    counts, design = make(seed=4)
    fit = fit_poisson(counts, design, path="newton")
    error = sandwich_se(counts, fit.fitted, design, fit.covariance, target=1, kind="HC0")
    reference = sm.GLM(counts, design, family=sm.families.Poisson()).fit(tol=1e-14, cov_type="HC0")
    assert error == pytest.approx(reference.bse[1], rel=1e-8)


@pytest.mark.parametrize(("kind", "power"), [("HC2", 0.5), ("HC3", 1.0)])
def test_sandwich_se__matches_the_weighted_least_squares_form(kind, power):
    counts, design = make(n=60, seed=6)
    fit = fit_poisson(counts, design, path="newton")
    root = np.sqrt(fit.fitted)
    whitened = design * root[:, None]
    bread = np.linalg.inv(whitened.T @ whitened)
    hat = np.diag(whitened @ bread @ whitened.T)
    residual = (counts - fit.fitted) / root / (1 - hat) ** power
    expected = np.sqrt((bread @ (whitened.T * residual**2) @ whitened @ bread)[1, 1])
    error = sandwich_se(counts, fit.fitted, design, fit.covariance, target=1, kind=kind)
    assert error == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("method", "name"), [("bh", "fdr_bh"), ("by", "fdr_by")])
@given(p=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=50))
def test_adjust__matches_statsmodels(method, name, p):
    from statsmodels.stats.multitest import multipletests

    np.testing.assert_allclose(adjust(p, method=method), multipletests(p, method=name)[1], rtol=1e-12, atol=0)


def test_adjust__missing_p_values_do_not_count():
    p = np.array([0.01, np.nan, 0.2, np.nan, 0.03])
    q = adjust(p)
    assert np.isnan(q[[1, 3]]).all()
    np.testing.assert_array_equal(q[[0, 2, 4]], adjust(p[[0, 2, 4]]))
    assert np.isnan(adjust(np.full(3, np.nan))).all()


def test_adjust__storey_finds_the_share_of_nulls():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.random(6_000), rng.random(4_000) * 1e-4])
    ratio = adjust(p, method="storey")[-100:] / adjust(p)[-100:]
    assert 0.57 < np.median(ratio) < 0.65


@given(p=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=300))
def test_adjust__a_q_value_is_never_below_its_share_of_nulls(p):
    q = adjust(p, method="storey")
    assert (q <= adjust(p) + 1e-12).all()
    if len(p) < 100:
        np.testing.assert_array_equal(q, adjust(p))


def test_sandwich_se__nan_where_one_cell_alone_determines_the_coefficient():
    counts = np.array([2.0, 1, 0, 3, 1, 1])
    design = np.column_stack([np.ones(6), np.arange(6) == 0])
    fit = fit_poisson(counts, design)
    assert np.isnan(sandwich_se(counts, fit.fitted, design, fit.covariance, target=1, kind="HC3"))
    # Such a cell does no harm to the other coefficients.
    both = np.column_stack([design, [0, 0, 0, 1, 1, 1]])
    fit = fit_poisson(counts, both, path="newton")
    rest = fit_poisson(counts[1:], both[1:, [0, 2]], path="newton")
    error = sandwich_se(counts, fit.fitted, both, fit.covariance, target=2)
    assert error == pytest.approx(
        sandwich_se(counts[1:], rest.fitted, both[1:, [0, 2]], rest.covariance, target=1), rel=1e-5
    )


def test_adjust__refuses_what_is_no_p_value():
    with pytest.raises(InputError, match="expected 0 to 1"):
        adjust([0.5, 1.5])


@given(st.integers(2, 6), st.integers(0, 1000))
def test_dependent_columns__agrees_with_the_rank(n_terms, seed):
    rng = np.random.default_rng(seed)
    design = rng.integers(-1, 2, size=(7, n_terms)).astype(float)
    dependent = dependent_columns(design)
    assert n_terms - len(dependent) == np.linalg.matrix_rank(design)
    kept = [column for column in range(n_terms) if column not in dependent]
    assert np.linalg.matrix_rank(design[:, kept]) == len(kept)


def test_dependent_columns__is_not_misled_by_scale():
    rng = np.random.default_rng(1)
    depth = rng.normal(size=100)
    design = np.column_stack([np.ones(100), 1e6 + depth, 1e-6 * depth + 1e-8 * rng.normal(size=100)])
    assert dependent_columns(design) == []


def test_culprit__names_the_columns_involved():
    design = np.column_stack([np.ones(4), [0, 1, 0, 1], [5, 7, 5, 7], [1, 2, 3, 4]]).astype(float)
    assert dependent_columns(design) == [2]
    assert (
        culprit(design, ["Intercept", "batch", "site", "age"], 2) == "'site' is a combination of 'Intercept', 'batch'"
    )


def test_rescale__leaves_the_peak_coefficient_alone():
    counts, design = make(seed=8)
    raw = np.column_stack([design[:, 0], 1e5 + 2e3 * design[:, 2]])
    a = fit_poisson(counts, np.insert(rescale(raw), 1, design[:, 1], axis=1), path="newton")
    b = fit_poisson(counts, design, path="newton")
    assert a.coef[1] == pytest.approx(b.coef[1], rel=1e-10)
    assert a.se[1] == pytest.approx(b.se[1], rel=1e-10)
