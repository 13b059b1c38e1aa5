"""Detectable effects: the formula, the threshold of the scan, and the power by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.stats import fit_poisson


@pytest.fixture
def links():
    table = pd.DataFrame(
        {
            "group": list("TTTTBBN"),
            "gene": "g",
            "peak": list("abcdabx"),
            "se": [0.1, 0.1, 0.1, np.nan, 0.2, 0.3, np.nan],
            "se_robust": [0.12, 0.2, np.nan, np.nan, 0.2, 0.4, np.nan],
            "p_value": [1e-5, 2e-3, 0.5, np.nan, 0.3, 0.6, np.nan],
            "status": [*("ok",) * 3, "peak_rare", "ok", "ok", "gene_rare"],
        }
    )
    return table.assign(fdr=table.groupby("group")["p_value"].transform(sl.stats.adjust))


def test_power__threshold_is_that_of_the_scan(links, caplog):
    found = sl.tl.power(links)
    assert found.columns.tolist() == ["group", "gene", "peak", "se", "alpha", "min_effect", "min_fold"]
    # Called in T up to 2e-3; nothing in B, of two tests; nothing tested in N.
    np.testing.assert_array_equal(found["alpha"], [2e-3, 2e-3, 2e-3, np.nan, 0.05, 0.05, np.nan])
    np.testing.assert_array_equal(found["se"], [0.12, 0.2, 0.1, np.nan, 0.2, 0.4, np.nan])
    expected = (norm.isf(found["alpha"] / 2) + norm.ppf(0.8)) * found["se"]
    np.testing.assert_allclose(found["min_effect"], expected)
    np.testing.assert_allclose(found["min_fold"], np.exp(expected))
    assert "nothing is called at FDR 0.1 in 1 groups ('B'): alpha is 0.1 / number of tests there" in caplog.text


def test_power__alpha_and_power_that_are_given(links, caplog):
    found = sl.tl.power(links.drop(columns=["p_value", "fdr", "se_robust", "status"]), alpha=0.01, power=0.9)
    assert found["min_effect"][0] == pytest.approx((norm.isf(0.005) + norm.ppf(0.9)) * 0.1)
    assert found["min_effect"].isna().tolist() == [False] * 3 + [True] + [False] * 2 + [True]
    assert not caplog.text


def test_power__p_values_of_zero_leave_no_threshold(links):
    links["p_value"] = links["p_value"].where(links["peak"] != "a", 0.0)
    links["fdr"] = links["fdr"].where(links["peak"] == "a", 0.9)
    found = sl.tl.power(links)
    assert found["alpha"][0] == pytest.approx(0.1 / 3)


def test_power__is_what_simulation_finds():
    rng = np.random.default_rng(5)
    n, mean, sets = 20_000, 0.8, 600
    opened = (np.arange(n) < 0.4 * n).astype(float)
    depth = rng.normal(0, 0.3, n)
    design = np.column_stack([np.ones(n), opened, depth])
    base = np.log(mean) + depth
    weighted = design * np.exp(base)[:, None]
    se = float(np.sqrt(np.linalg.inv(design.T @ weighted)[1, 1]))
    table = pd.DataFrame({"group": ["T"], "gene": ["g"], "peak": ["a"], "se": [se]})
    row = sl.tl.power(table, alpha=0.01).iloc[0]
    called = 0
    for _ in range(sets):
        fit = fit_poisson(rng.poisson(np.exp(base + row["min_effect"] * opened)).astype(float), design)
        called += 2 * norm.sf(abs(fit.coef[1] / fit.se[1])) <= 0.01
    error = np.sqrt(0.8 * 0.2 / sets)
    assert abs(called / sets - 0.8) < 3 * error


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda t: t.drop(columns="se"), {}, MissingKeyError, "the table links has no column 'se'"),
        (lambda t: t.drop(columns="fdr"), {}, MissingKeyError, "no column 'fdr'"),
        (lambda t: t.assign(se=np.nan, se_robust=np.nan), {}, InputError, "no pair of the table links was tested"),
        (lambda t: t, {"power": 1.0}, OptionError, "power: expected a number between 0 and 1; found 1.0"),
        (lambda t: t, {"alpha": 0}, OptionError, "alpha: expected a number between 0 and 1"),
        (lambda t: t, {"fdr": 10}, OptionError, "fdr: expected a number between 0 and 1"),
        (lambda t: t, {"power": 0.04, "alpha": 0.05}, OptionError, r"above alpha.*\(0.05\); found 0.04"),
    ],
)
def test_power__says_what_is_wrong(links, change, options, error, message):
    with pytest.raises(error, match=message):
        sl.tl.power(change(links), **options)
