"""The scan's kinds of p-values, negative binomial counts, clusters of cells, and accessibility as counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtr

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError
from scanlink.io.opening import quiet
from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Ladder,
    Weights,
    basic_p,
    bootstrap_tail,
    calibrated_p,
    case_weights,
    climb,
    fit_negbin,
    fit_poisson,
    refit_negbin,
    resample_key,
    rescale,
    sandwich_se,
)

NUMBERS = ["beta", "se", "z", "p", "se_robust", "p_robust", "p_boot", "n_boot", "p_tail", "p_value"]


@pytest.fixture(scope="module")
def data():
    found = sl.ds.simulate(n_cells=500, n_genes=20, n_peaks=60, n_links=15, n_interactions=2, seed=3)
    cells = np.arange(500)
    found.mdata.obs["donor"] = [f"d{k}" for k in cells % 12]
    return found


@pytest.fixture(scope="module")
def pairs(data):
    return sl.pp.cis_pairs(data.mdata, data.genes)


def one_group(data, row, *, binarize=True):
    """Counts, peak and covariates of a row of a scan of all cells, in the order of the store."""
    cells = np.sort(data.mdata.obs_names)
    rna, atac, obs = data.mdata["rna"][cells], data.mdata["atac"][cells], data.mdata.obs.loc[cells]
    counts = rna[:, row.gene].X.toarray().ravel().astype(float)
    peak = atac[:, row.peak].X.toarray().ravel().astype(float)
    design = rescale(np.column_stack([np.ones(cells.size), np.log(obs["nUMI"]), obs["percent.mito"]]).astype(float))
    return counts, (peak > 0).astype(float) if binarize else peak, design, obs


def test_scan__each_kind_is_that_of_its_function(data, pairs):
    links = sl.tl.scan(data.mdata, pairs, p_value="tail", ladder="none")
    tested = links[links["status"] == "ok"]
    assert tested["p_value"].equals(tested["p_tail"])
    assert tested[["p", "p_robust", "p_tail"]].notna().all().all()
    assert tested["p_boot"].isna().all()
    for row in tested.iloc[::23].itertuples():
        counts, peak, covariates, _ = one_group(data, row)
        design = np.insert(covariates, 1, peak, axis=1)
        assert row.p_robust == pytest.approx(calibrated_p(counts, design, target=1), rel=1e-9)
        assert row.p_tail == pytest.approx(bootstrap_tail(counts, design, target=1, estimate=row.beta).p, rel=1e-6)


def test_scan__tail_is_near_what_many_replicates_give(data, pairs):
    ladder = [(4000, None)]
    links = sl.tl.scan(data.mdata, pairs.iloc[:60], p_value="bootstrap", ladder=ladder)
    tested = links[(links["status"] == "ok") & (links["p_tail"] > 0.01)]
    assert len(tested) > 20
    error = np.sqrt(tested["p_tail"] / 2 / 4000) * 2
    assert (np.abs(tested["p_boot"] - tested["p_tail"]) < 5 * error + 0.1 * tested["p_tail"]).all()


@pytest.mark.parametrize("theta", ["held", "estimated"])
def test_scan__negative_binomial(data, pairs, theta):
    ladder = [(40, None)]
    links = sl.tl.scan(
        data.mdata, pairs.iloc[:40], family="negbin", p_value="bootstrap", ladder=ladder, theta=theta, seed=5
    )
    assert links.columns[-2:].tolist() == ["theta", "theta_converged"]
    tested = links[links["status"] == "ok"]
    assert tested[[*NUMBERS, "theta"]].notna().all().all()
    weights = case_weights(resample_key(5, "all"), 0, 40, 500)
    for row in tested.iloc[::11].itertuples():
        counts, peak, covariates, _ = one_group(data, row)
        design = np.insert(covariates, 1, peak, axis=1)
        fit = fit_negbin(counts, design)
        assert row.beta == pytest.approx(fit.coef[1], abs=1e-12)
        assert row.theta == pytest.approx(fit.theta, rel=1e-12)
        found = refit_negbin(
            counts, design, weights, target=1, start=fit.coef, theta=fit.theta, reestimate=theta == "estimated"
        )
        assert row.p_boot == basic_p(fit.coef[1], found)


def test_scan__a_runaway_theta_is_reported(data):
    # Counts that vary less than Poisson counts have no theta.
    with quiet():
        mdata = data.mdata.copy()
    gene = mdata["rna"].var_names[0]
    pattern = np.tile([1.0, 1.0, 2.0, 1.0], 125)
    matrix = mdata["rna"].X.tolil()
    matrix[:, 0] = pattern[:, None]
    mdata.mod["rna"].X = matrix.tocsr()
    peaks = data.mdata["atac"].var_names[:20]
    links = sl.tl.scan(
        mdata, pd.DataFrame({"gene": gene, "peak": peaks}), family="negbin", p_value="wald", formula="percent.mito"
    )
    tested = links[links["status"] == "ok"]
    assert len(tested) > 3
    assert not tested["theta_converged"].any()
    row = tested.iloc[0]
    poisson = sl.tl.scan(mdata, tested[["gene", "peak"]], p_value="wald", ladder="none", formula="percent.mito")
    assert row["beta"] == pytest.approx(poisson.iloc[0]["beta"], abs=1e-3)


def test_scan__donors_are_resampled_whole(data, pairs):
    options = {"p_value": "bootstrap", "ladder": [(200, None)], "seed": 2}
    links = sl.tl.scan(data.mdata, pairs.iloc[:40], cluster="donor", **options)
    tested = links[links["status"] == "ok"]
    assert tested[NUMBERS].notna().all().all()
    donors = pd.factorize(one_group(data, tested.iloc[0])[3]["donor"], sort=True)[0]
    for row in tested.iloc[::13].itertuples():
        counts, peak, covariates, _ = one_group(data, row)
        design = np.insert(covariates, 1, peak, axis=1)
        fit = fit_poisson(counts, design)
        error = sandwich_se(counts, fit.fitted, design, fit.covariance, target=1, clusters=donors)
        assert row.se_robust == pytest.approx(error, rel=1e-9)
        assert row.p_robust == pytest.approx(2 * stdtr(11, -abs(row.beta / error)), rel=1e-9)
        gene = GeneReplicates(Covariates.of(covariates, np.zeros(500), clusters=donors), counts)
        weights = Weights(resample_key(2, "all"), 500, clusters=donors)
        assert climb([(gene, [gene.pair(peak)])], Ladder.of([(200, None)]), weights) == [[(row.p_boot, 200)]]


def test_scan__few_donors_are_said(data, pairs, caplog):
    with quiet():
        mdata = data.mdata.copy()
    mdata.obs["batch2"] = np.where(np.arange(500) % 2, "a", "b")
    mdata.obs["same"] = "a"
    sl.tl.scan(mdata, pairs.iloc[:5], cluster="batch2", p_value="robust", ladder="none")
    assert "fewer than 10 different batch2: 'all (2)'" in caplog.text
    with pytest.raises(InputError, match="all cells have the same 'same'"):
        sl.tl.scan(mdata, pairs.iloc[:5], cluster="same", p_value="robust", ladder="none")
    mdata.obs["holes"] = np.where(np.arange(500) < 3, None, "a")
    with pytest.raises(InputError, match="3 of 500 cells of group 'all' have no 'holes'"):
        sl.tl.scan(mdata, pairs.iloc[:5], cluster="holes", p_value="robust", ladder="none")
    with pytest.raises(MissingKeyError, match=r"no column 'donors' .* to take clusters from"):
        sl.tl.scan(mdata, pairs.iloc[:5], cluster="donors", p_value="robust", ladder="none")


def test_scan__accessibility_as_counts_has_the_same_columns(data, pairs):
    with quiet():
        mdata = data.mdata.copy()
    mdata.mod["atac"].X = mdata["atac"].X.multiply(2).tocsr() - (mdata["atac"].X > 1).astype(mdata["atac"].X.dtype)
    options = {"p_value": "bootstrap", "ladder": [(100, None)]}
    counted = sl.tl.scan(mdata, pairs.iloc[:60], binarize=False, **options)
    binary = sl.tl.scan(mdata, pairs.iloc[:60], **options)
    assert counted.columns.equals(binary.columns)
    tested = counted[counted["status"] == "ok"]
    assert len(tested) > 20
    assert tested[NUMBERS].notna().all().all()
    assert not np.allclose(tested["beta"], binary.loc[tested.index, "beta"])
    row = next(tested.itertuples())
    cells = np.sort(mdata.obs_names)
    peak = mdata["atac"][cells, row.peak].X.toarray().ravel().astype(float)
    counts, _, covariates, _ = one_group(data, row)
    assert np.unique(peak).size > 2
    gene = GeneReplicates(Covariates.of(covariates, np.zeros(500)), counts)
    pair = gene.pair(peak)
    assert climb([(gene, [pair])], Ladder.of([(100, None)]), Weights(resample_key(0, "all"), 500)) == [
        [(row.p_boot, 100)]
    ]
    assert pair.n_refitted < 50


@pytest.mark.parametrize("options", [{"family": "negbin"}, {"cluster": "donor"}, {"binarize": False}], ids=str)
def test_scan__same_bits_in_blocks_of_any_size(data, pairs, options):
    options = {**options, "p_value": "bootstrap", "ladder": [(60, 0.3), (120, None)], "groupby": "celltype"}
    few = pairs.iloc[:80]
    whole = sl.tl.scan(data.mdata, few, **options)
    pd.testing.assert_frame_equal(whole, sl.tl.scan(data.mdata, few, block_genes=1, **options), check_exact=True)
