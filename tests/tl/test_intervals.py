"""Intervals of tables against those of statsmodels and scipy: of links, enhancer pairs and pairs of targets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

import scanlink as sl

LEVEL = 0.975


@pytest.fixture(scope="module")
def data():
    found = sl.ds.simulate(n_cells=500, n_genes=6, n_peaks=30, n_links=10, n_interactions=3, seed=3)
    found.mdata.obs["donor"] = [f"d{k}" for k in np.arange(500) % 12]
    return found


@pytest.fixture(scope="module")
def pairs(data):
    return sl.pp.cis_pairs(data.mdata, data.genes)


def counts_of(mdata, modality, name):
    return mdata[modality][:, name].X.toarray().ravel().astype(float)


def errors_of(counts, design, *, robust, clusters=None, weights=None):
    """Coefficients, and the sandwich matrix: of cells by HC0 and HC3 as White has them, of clusters by statsmodels."""
    fit = sm.GLM(counts, design, family=sm.families.Poisson())
    if clusters is not None:
        done = fit.fit(
            tol=1e-12,
            cov_type="cluster",
            cov_kwds={"groups": clusters, "use_correction": False, "df_correction": False},
        )
        return done.params, done.cov_params(), scipy.stats.t(len(set(clusters)) - 1).ppf(LEVEL)
    done = fit.fit(tol=1e-12)
    mu, bread = done.fittedvalues, done.cov_params()
    leverage = mu * np.einsum("ij,jk,ik->i", design, bread, design)
    residual = (counts - mu) / (1 - leverage) if robust == "HC3" else counts - mu
    return done.params, bread @ (design.T * residual**2) @ design @ bread, scipy.stats.norm.ppf(LEVEL)


def near(low, high, estimate, variance, factor):
    half = factor * np.sqrt(variance)
    assert (low, high) == pytest.approx((estimate - half, estimate + half), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("robust", "cluster"), [("HC3", None), ("HC0", None), ("HC0", "donor")])
@pytest.mark.parametrize("p_value", ["robust", "wald"])
def test_links__interval_is_of_the_robust_error_whatever_p_value_is(data, pairs, robust, cluster, p_value):
    options = {"robust": robust, "cluster": cluster, "p_value": p_value, "ladder": None}
    links = sl.tl.scan(data.mdata, pairs, formula="log(nUMI)", **options)
    tested = links[links["status"] == "ok"].iloc[::7]
    assert len(tested) > 5
    assert (tested["beta"].abs() > 0.02).any()
    for row in tested.itertuples():
        opened = (counts_of(data.mdata, "atac", row.peak) > 0).astype(float)
        design = np.column_stack([np.ones(500), opened, np.log(data.mdata.obs["nUMI"])])
        clusters = None if cluster is None else data.mdata.obs[cluster].to_numpy()
        coef, matrix, factor = errors_of(
            counts_of(data.mdata, "rna", row.gene), design, robust=robust, clusters=clusters
        )
        near(row.ci_low, row.ci_high, coef[1], matrix[1, 1], factor)
        assert row.fold_change == pytest.approx(np.exp(coef[1]), rel=1e-5)


@pytest.mark.parametrize(("robust", "cluster"), [("HC3", None), ("HC0", "donor")])
@pytest.mark.parametrize("p_value", ["robust", "wald"])
def test_epistasis__intervals_of_contrasts_interaction_and_reri(data, pairs, robust, cluster, p_value):
    sets = sl.tl.enhancer_pairs(pairs.groupby("gene").head(4).assign(fdr=0.0))
    options = {"robust": robust, "cluster": cluster, "p_value": p_value, "ladder": None}
    table = sl.tl.epistasis(data.mdata, sets, formula="log(nUMI)", **options)
    tested = table[table["status"] == "ok"]
    assert len(tested) > 4
    for row in tested.to_dict("records"):
        a, b = (counts_of(data.mdata, "atac", row[f"enhancer_{k}"]) > 0 for k in (1, 2))
        design = np.column_stack([np.ones(500), np.log(data.mdata.obs["nUMI"]), a & ~b, b & ~a, a & b]).astype(float)
        counts = counts_of(data.mdata, "rna", row["gene"])
        clusters = None if cluster is None else data.mdata.obs[cluster].to_numpy()
        coef, matrix, factor = errors_of(counts, design, robust=robust, clusters=clusters)
        if p_value == "wald":
            matrix = sm.GLM(counts, design, family=sm.families.Poisson()).fit(tol=1e-12).cov_params()
        b10, b01, b11 = coef[2:]
        weights = {"10": [1, 0, 0], "01": [0, 1, 0], "11": [0, 0, 1], "interaction": [-1, -1, 1]}
        for name, w in weights.items():
            near(row[f"ci_low_{name}"], row[f"ci_high_{name}"], coef[2:] @ w, w @ matrix[2:, 2:] @ w, factor)
        slope = np.array([-np.exp(b10), -np.exp(b01), np.exp(b11)])
        reri = np.exp(b11) - np.exp(b10) - np.exp(b01) + 1
        near(row["ci_low_reri"], row["ci_high_reri"], reri, slope @ matrix[2:, 2:] @ slope, factor)


@pytest.mark.parametrize("p_value", ["robust", "wald"])
def test_interactions__interval_of_a_screen(p_value):
    screen = sl.tl.simulate_screen(n_cells=1500, n_genes=4, n_targets=4, guides_per_cell=6.0, seed=2)
    mdata = screen.mdata
    mdata["guide"].var["efficiency"] = 1.0
    options = {"formula": "guide_count", "family": "poisson", "p_value": p_value, "controls": []}
    table = sl.tl.screen_interactions(mdata, screen.target_pairs, **options)
    tested = table[table["status"] == "ok"]
    assert len(tested) > 1
    for row in tested.itertuples():
        a, b = (np.asarray(sl.pp.perturbation(mdata, name), dtype=float) for name in (row.target_1, row.target_2))
        design = np.column_stack([np.ones(a.size), mdata.obs["guide_count"], a, b, a * b])
        counts = counts_of(mdata, "rna", row.gene)
        coef, matrix, factor = errors_of(counts, design, robust="HC3")
        if p_value == "wald":
            matrix = sm.GLM(counts, design, family=sm.families.Poisson()).fit(tol=1e-12).cov_params()
        near(row.ci_low_interaction, row.ci_high_interaction, coef[4], matrix[4, 4], factor)
