"""Epistasis as a labelled call: the same numbers however it is computed, and a status for every pair."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.stats import fit_states, interaction_p
from scanlink.tl.epistasis.options import EpistasisOptions
from scanlink.tl.epistasis.table import EPISTASIS_TABLE


def simulate():
    return sl.ds.simulate(n_cells=1200, n_genes=8, n_peaks=40, n_links=14, n_interactions=3, seed=3)


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture(scope="module")
def pairs(data):
    """All pairs of some peaks of each gene, in two groups."""
    cis = sl.pp.cis_pairs(data.mdata, data.genes)
    few = cis.groupby("gene").head(4)
    groups = data.mdata.obs["celltype"].value_counts().index[:2]
    table = pd.concat([few.assign(group=group, fdr=0.0) for group in groups], ignore_index=True)
    return sl.tl.enhancer_pairs(table)


def same(a, b):
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_epistasis__has_a_row_and_a_status_for_every_pair(data, pairs):
    table = sl.tl.epistasis(data.mdata, pairs, groupby="celltype", ladder=[(200, None)])
    assert list(table.columns) == EPISTASIS_TABLE.names(EpistasisOptions())
    keys = ["group", "gene", "enhancer_1", "enhancer_2"]
    assert len(table.merge(pairs, on=[*keys, "distance"])) == len(pairs) == len(table)
    tested = table["status"] == "ok"
    assert set(table["status"]) >= {"ok", "too_few_11"}
    numbers = table.filter(regex="^(beta|se|p|ci|min|fdr|reri)").columns
    assert table.loc[tested, numbers].notna().all(axis=None)
    assert table.loc[~tested, numbers].isna().all(axis=None)
    assert (table.filter(like="n_boot").to_numpy()[tested] == 200).all()
    assert (table[["n_00", "n_10", "n_01", "n_11"]].sum(axis=1) == table["n_cells"]).all()
    assert (table["p_value"].dropna() == table["p_robust_interaction"].dropna()).all()


def test_epistasis__numbers_are_those_of_the_kernels(data, pairs):
    table = sl.tl.epistasis(data.mdata, pairs, groupby="celltype", p_value="robust", ladder="none", formula="log(nUMI)")
    mdata = data.mdata
    row = table[table["status"] == "ok"].iloc[0]
    cells = (mdata.obs["celltype"] == row["group"]).to_numpy()
    y = mdata["rna"][cells, row["gene"]].X.toarray().ravel().astype(float)
    a, b = (mdata["atac"][cells, row[f"enhancer_{k}"]].X.toarray().ravel() > 0 for k in (1, 2))
    state = a + 2 * b
    design = np.column_stack([np.ones(y.size), np.log(mdata.obs["nUMI"].to_numpy()[cells])])
    fit = fit_states(y, state, design)
    names = ["beta_10", "beta_01", "beta_11", "beta_interaction", "reri"]
    np.testing.assert_allclose(row[names].astype(float), fit.estimates, rtol=1e-8)
    assert row["n_11"] == (state == 3).sum()
    assert row["umi_01"] == y[state == 2].sum()
    assert row["p_robust_interaction"] == pytest.approx(interaction_p(y, state, design), rel=1e-6)


def test_epistasis__does_not_depend_on_blocks_order_or_which_other_pairs(data, pairs, tmp_path):
    words = {"groupby": "celltype", "ladder": [(60, 0.5), (120, None)], "seed": 4}
    whole = sl.tl.epistasis(data.mdata, pairs, **words, block_genes=1)
    same(sl.tl.epistasis(data.mdata, pairs, **words, block_genes=5), whole)
    some = sl.tl.epistasis(data.mdata, pairs.sample(frac=0.3, random_state=0), **words)
    keys = ["group", "gene", "enhancer_1", "enhancer_2"]
    both = some.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(some)
    for name in [column for column in whole if column not in (*keys, "fdr", "fdr_gene")]:
        pd.testing.assert_series_equal(both[name], both[f"{name}_whole"], check_names=False)


def test_epistasis__on_workers_and_stopped_in_between(data, pairs, tmp_path):
    words = {"groupby": "celltype", "ladder": [(60, None)], "out": tmp_path / "run", "block_genes": 1}
    here = sl.tl.epistasis(data.mdata, pairs, **words)
    parts = sorted((tmp_path / "run").glob("parts/epistasis-*/block-*.parquet"))
    assert len(parts) > 4
    for part in parts[::2]:
        part.unlink()
    kept = {part: part.stat().st_mtime_ns for part in parts[1::2]}
    with sl.cluster.client("local", n_workers=2) as client:
        same(sl.tl.epistasis(data.mdata, pairs, **words, client=client), here)
    assert kept == {part: part.stat().st_mtime_ns for part in parts[1::2]}


def test_epistasis__separate_models_and_dosage(data, pairs, caplog):
    right = sl.tl.epistasis(data.mdata, pairs, groupby="celltype", model="separate", p_value="robust", ladder="none")
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        halved = sl.tl.epistasis(
            data.mdata, pairs, groupby="celltype", model="separate", coding="dosage", p_value="wald"
        )
    assert "half of the log fold change" in caplog.text
    np.testing.assert_allclose(halved["beta_11"], right["beta_11"] / 2)
    np.testing.assert_allclose(halved["p_11"], right["p_11"])
    assert right["p_tail_interaction"].isna().all()


def test_epistasis__negative_binomial(data, pairs):
    table = sl.tl.epistasis(data.mdata, pairs, groupby="celltype", family="negbin", ladder=[(50, None)])
    assert list(table.columns) == EPISTASIS_TABLE.names(EpistasisOptions(family="negbin"))
    tested = table[table["status"] == "ok"]
    assert (tested["theta"] > 0).all()
    assert tested["p_boot_interaction"].notna().all()


def test_epistasis__three_enhancers(data):
    cis = sl.pp.cis_pairs(data.mdata, data.genes).groupby("gene").head(3).assign(fdr=0.0)
    sets = sl.tl.enhancer_pairs(cis, order=3)
    table = sl.tl.epistasis(data.mdata, sets, ladder=[(50, None)])
    assert list(table.columns) == EPISTASIS_TABLE.names(EpistasisOptions(order=3))
    assert "beta_110" in table
    tested = table["status"] == "ok"
    assert tested.any()
    assert table.loc[tested, ["beta_interaction", "p_boot_interaction", "p_robust_interaction"]].notna().all(axis=None)


def test_epistasis__donors(pairs):
    mdata = simulate().mdata
    mdata.obs["donor"] = np.random.default_rng(0).integers(0, 12, mdata.n_obs).astype(str)
    table = sl.tl.epistasis(mdata, pairs, groupby="celltype", cluster="donor", ladder=[(50, None)])
    plain = sl.tl.epistasis(mdata, pairs, groupby="celltype", ladder=[(50, None)])
    tested = table["status"] == "ok"
    np.testing.assert_array_equal(table["beta_interaction"], plain["beta_interaction"])
    assert not np.isclose(table.loc[tested, "se_robust_11"], plain.loc[tested, "se_robust_11"]).any()


def test_epistasis__finds_what_was_planted(data):
    planted = data.interactions
    links = pd.concat(
        [planted[["gene", name]].rename(columns={name: "peak"}) for name in ("enhancer_1", "enhancer_2")]
    ).assign(fdr=0.0)
    table = sl.tl.epistasis(
        data.mdata, sl.tl.enhancer_pairs(links), formula="log(nUMI)", p_value="robust", ladder="none"
    )
    assert set(table["status"]) <= {"ok", "too_few_11"}
    assert len(table) >= len(planted.drop_duplicates(["gene"]))


@pytest.mark.parametrize(
    ("change", "words", "error", "says"),
    [
        (lambda t: t.drop(columns="enhancer_2"), {}, MissingKeyError, "enhancer_2"),
        (lambda t: t.drop(columns="group"), {}, MissingKeyError, "group"),
        (lambda t: t.assign(enhancer_2=t["enhancer_1"]), {}, InputError, "twice"),
        (lambda t: pd.concat([t, t]), {}, InputError, "given twice"),
        (lambda t: t.head(1).assign(gene="nosuch"), {}, MissingKeyError, "nosuch"),
        (lambda t: t.head(1).assign(group="nosuch"), {}, MissingKeyError, "nosuch"),
        (lambda t: t, {"coding": "dosage"}, OptionError, "separate"),
        (lambda t: t, {"model": "separate", "p_value": "tail"}, OptionError, "no tail"),
        (lambda t: t, {"formula": "nosuch"}, MissingKeyError, "nosuch"),
        (lambda t: t, {"ladder": "epistatis"}, OptionError, "'epistasis'"),
        (lambda t: t, {"client": "local"}, InputError, "Dask client"),
    ],
)
def test_epistasis__says_what_is_wrong(data, pairs, change, words, error, says):
    with pytest.raises(error, match=says):
        sl.tl.epistasis(data.mdata, change(pairs), **{"groupby": "celltype", **words})


def test_heterogeneity__is_cochrans():
    from scipy.stats import chi2

    rng = np.random.default_rng(0)
    epi = pd.DataFrame({"group": [f"t{k}" for k in range(6)] * 2, "gene": np.repeat(["g", "h"], 6)})
    epi = epi.assign(enhancer_1="a", enhancer_2="b", beta_interaction=rng.normal(size=12), status="ok")
    epi["se_robust_interaction"] = rng.uniform(0.2, 0.9, 12)
    epi.loc[[2, 11], "status"] = "separated"
    found = sl.tl.heterogeneity(epi)
    assert found["n_groups"].tolist() == [5, 5]
    own = epi[(epi["gene"] == "h") & (epi["status"] == "ok")]
    w = own["se_robust_interaction"].to_numpy() ** -2
    mean = np.average(own["beta_interaction"], weights=w)
    q = np.sum(w * (own["beta_interaction"] - mean) ** 2)
    row = found.set_index("gene").loc["h"]
    assert row["interaction"] == pytest.approx(mean)
    assert row["q"] == pytest.approx(q)
    assert row["p_heterogeneity"] == pytest.approx(chi2.sf(q, 4))
    assert row["se"] == pytest.approx(w.sum() ** -0.5)


def test_heterogeneity__needs_two_groups_and_the_columns():
    epi = pd.DataFrame({"group": ["B"], "gene": "g", "enhancer_1": "a", "enhancer_2": "b", "status": "ok"})
    with pytest.raises(MissingKeyError, match="beta_interaction"):
        sl.tl.heterogeneity(epi)
    assert len(sl.tl.heterogeneity(epi.assign(beta_interaction=1.0, se_robust_interaction=1.0))) == 0
