"""The scan of a CRISPR screen: real positive controls, the same bits in any pieces, controls, statuses, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

import scanlink as sl
from scanlink.errors import DesignError, InputError, MissingKeyError, OptionError
from scanlink.io.opening import quiet

FORMULA = "prep_batch + guide_count + offset(log(nUMI))"


def copy_of(mdata):
    with quiet():
        return mdata.copy()


@pytest.fixture(scope="module")
def screen():
    return sl.tl.simulate_screen(n_cells=1500, n_genes=8, n_targets=6, guides_per_cell=4.0, n_non_targeting=6, seed=3)


@pytest.fixture(scope="module")
def real(shared):
    folder = shared / "crispri"
    mdata = sl.io.read_screen(folder / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    sl.pp.assign_guides(mdata)
    sl.pp.screen_qc(mdata)
    pairs = sl.io.read_target_pairs(folder / "sceptreIGVF_pairs_to_test.csv")
    return mdata, pairs


def test_real_screen__finds_all_positive_controls(real):
    mdata, pairs = real
    positive = pairs[pairs["kind"] == "positive_control"]
    table = sl.tl.screen(mdata, positive, formula=FORMULA, controls=["shuffled"], n_controls=20)
    own = table[table["kind"] == "positive_control"]
    assert len(own) == 10
    assert (own["status"] == "ok").all()
    assert (own["fdr"] < 1e-3).all()
    assert (own["beta"] < 0).all()
    shuffled = table[table["kind"] == "shuffled"]
    assert shuffled["fdr"].isna().all()
    assert shuffled["p_robust"].min() > 1e-4


def test_real_screen__pairs_of_targets_have_a_status(real):
    mdata, pairs = real
    both = sl.tl.target_pairs(pairs, mdata["guide"].var)
    assert len(both) == 17
    table = sl.tl.screen_interactions(mdata, both, formula=FORMULA, controls=[])
    # Three cells have both perturbations.
    assert (table["n_11"] == 3).all()
    assert (table["status"] == "too_few_11").all()
    some = both.head(3)
    tested = sl.tl.screen_interactions(mdata, some, formula=FORMULA, controls=[], min_both=1, additive=False)
    assert set(tested["status"]) == {"ok", "separated"}
    assert (tested.loc[tested["status"] == "ok", "min_interaction"] > 1).all()


def test_screen__estimates_are_those_of_the_regression(screen):
    table = sl.tl.screen(screen.mdata, screen.pairs, formula=FORMULA, controls=[])
    row = table[table["status"] == "ok"].iloc[0]
    obs, gene = screen.mdata.obs, screen.mdata["rna"][:, row["gene"]].X
    y = np.asarray(gene.todense() if hasattr(gene, "todense") else gene, dtype=float).ravel()
    x = sl.pp.perturbation(screen.mdata, row["target"])
    batch = (obs["prep_batch"] == sorted(obs["prep_batch"].unique())[1]).to_numpy(dtype=float)
    design = np.column_stack([np.ones(y.size), x, batch, obs["guide_count"]])
    fit = sl.stats.fit_negbin(y, design, offset=np.log(obs["nUMI"].to_numpy()))
    np.testing.assert_allclose([row["beta"], row["se"]], [fit.coef[1], fit.se[1]], rtol=1e-8)
    assert row["theta"] == pytest.approx(fit.theta, rel=1e-6)
    assert row["n_perturbed"] == np.count_nonzero(x)


@pytest.mark.parametrize("p_value", ["permutation", "bootstrap"])
def test_screen__same_bits_in_any_blocks_and_beside_any_others(screen, p_value):
    how = {"formula": FORMULA, "p_value": p_value, "ladder": [(200, None)], "permutations": [(100, 0.2), (500, None)]}
    whole = sl.tl.screen(screen.mdata, screen.pairs, controls=["shuffled"], n_controls=12, **how)
    pieces = sl.tl.screen(screen.mdata, screen.pairs, controls=["shuffled"], n_controls=12, block_genes=1, **how)
    pd.testing.assert_frame_equal(whole, pieces, check_exact=True)
    some = sl.tl.screen(screen.mdata, screen.pairs.iloc[::2], controls=[], **how)
    beside = whole[whole["kind"] == "discovery"].merge(some[["gene", "target"]], on=["gene", "target"])
    columns = [name for name in some.columns if name != "fdr"]
    order = ["gene", "target"]
    pd.testing.assert_frame_equal(
        beside[columns].sort_values(order, ignore_index=True),
        some[columns].sort_values(order, ignore_index=True),
        check_exact=True,
    )
    column = "p_perm" if p_value == "permutation" else "p_boot"
    assert some.loc[some["status"] == "ok", column].notna().all()


def test_controls__of_each_kind_and_outside_the_fdr(screen):
    table = sl.tl.screen(screen.mdata, screen.pairs, formula=FORMULA, n_controls=15, seed=5)
    counts = table["kind"].value_counts()
    assert counts["discovery"] + counts.get("positive_control", 0) == len(screen.pairs)
    assert counts["shuffled"] == 15
    assert counts["non_targeting"] <= 15
    assert table.loc[table["kind"] == "non_targeting", "target"].str.startswith("non-targeting").all()
    asked = table["kind"].isin(["discovery", "positive_control"])
    assert table.loc[~asked, "fdr"].isna().all()
    np.testing.assert_array_equal(
        table.loc[asked, "fdr"], multipletests(table.loc[asked, "p_value"], method="fdr_bh")[1]
    )
    # Another seed shuffles otherwise, and leaves what was asked for alone.
    other = sl.tl.screen(screen.mdata, screen.pairs, formula=FORMULA, n_controls=15, seed=6)
    pd.testing.assert_frame_equal(table[asked], other[asked])
    shuffled = table["kind"] == "shuffled"
    assert not np.array_equal(table.loc[shuffled, "beta"], other.loc[shuffled, "beta"], equal_nan=True)


def test_shuffled_control__keeps_the_number_of_perturbed_cells(screen):
    table = sl.tl.screen(
        screen.mdata, screen.pairs, formula=FORMULA, controls=["shuffled"], n_controls=len(screen.pairs)
    )
    asked, shuffled = (table[table["kind"] == kind] for kind in ("discovery", "shuffled"))
    merged = asked.merge(shuffled, on=["gene", "target"], suffixes=("", "_shuffled"))
    assert len(merged) == len(asked)
    assert (merged["n_perturbed"] == merged["n_perturbed_shuffled"]).all()
    assert (merged["beta"] != merged["beta_shuffled"]).all()


def test_efficiency__missing_ones_are_the_median_or_as_told(screen):
    mdata = copy_of(screen.mdata)
    mdata["guide"].var["efficiency"] = np.nan
    binary = sl.tl.screen(mdata, screen.pairs.head(2), formula=FORMULA, controls=[])
    half = sl.tl.screen(mdata, screen.pairs.head(2), formula=FORMULA, controls=[], missing_efficiency=0.999999)
    np.testing.assert_allclose(binary["beta"], half["beta"], rtol=1e-3)
    none = sl.tl.screen(mdata, screen.pairs.head(2), formula=FORMULA, controls=[], missing_efficiency=0.0)
    assert (none["status"] == "few_perturbed").all()


def test_statuses__say_why_a_pair_was_not_tested(screen):
    mdata = copy_of(screen.mdata)
    gene, target = screen.pairs.iloc[0][["gene", "target"]]
    x = sl.pp.perturbation(mdata, target)
    counts = mdata["rna"].X.tolil()
    place = mdata["rna"].var_names.get_loc(gene)
    counts[np.flatnonzero(x), place] = 0
    other = next(name for name in mdata["rna"].var_names if name != gene)
    counts[4:, mdata["rna"].var_names.get_loc(other)] = 0
    mdata["rna"].X = counts.tocsr()
    pairs = pd.DataFrame({"gene": [gene, other], "target": [target, target]})
    table = sl.tl.screen(mdata, pairs, formula=FORMULA, controls=[]).set_index("gene")
    assert table.loc[gene, "status"] == "separated"
    assert table.loc[other, "status"] == "gene_rare"
    rare = sl.tl.screen(mdata, pairs, formula=FORMULA, controls=[], min_perturbed=700)
    assert "few_perturbed" in set(rare["status"])
    assert rare[["beta", "p_value", "fdr"]].isna().all(axis=None)


def test_poisson__is_the_poisson_regression_with_bootstrap_on_moments(screen):
    mdata = copy_of(screen.mdata)
    mdata["guide"].var["efficiency"] = 1.0
    table = sl.tl.screen(
        mdata,
        screen.pairs.head(4),
        formula=FORMULA,
        family="poisson",
        p_value="bootstrap",
        ladder=[(500, None)],
        controls=[],
    )
    ok = table[table["status"] == "ok"]
    assert len(ok)
    assert ok["theta"].isna().all()
    assert ((ok["p_boot"] >= 2 / 500) & (ok["p_boot"] <= 1)).all()
    assert (ok["n_boot"] == 500).all()


def test_interactions__equal_the_states_model_for_calls():
    data = sl.tl.simulate_screen(n_cells=3000, n_genes=4, n_targets=4, guides_per_cell=6.0, seed=2)
    mdata = data.mdata
    mdata["guide"].var["efficiency"] = 1.0
    table = sl.tl.screen_interactions(mdata, data.target_pairs, formula=FORMULA, controls=["shuffled"], n_controls=5)
    row = table[table["status"] == "ok"].iloc[0]
    gene = mdata["rna"][:, row["gene"]].X
    y = np.asarray(gene.todense() if hasattr(gene, "todense") else gene, dtype=float).ravel()
    a, b = (sl.pp.perturbation(mdata, row[name]) for name in ("target_1", "target_2"))
    obs = mdata.obs
    batch = (obs["prep_batch"] == sorted(obs["prep_batch"].unique())[1]).to_numpy(dtype=float)
    design = np.column_stack([np.ones(y.size), batch, obs["guide_count"]])
    fit = sl.stats.fit_states(
        y, (a + 2 * b).astype(int), design, offset=np.log(obs["nUMI"].to_numpy()), family="negbin"
    )
    assert row["beta_interaction"] == pytest.approx(fit.estimates[3], rel=1e-6)
    assert row["cook_ratio"] == pytest.approx(fit.cook_ratio(), rel=1e-4)
    assert row["n_11"] == np.sum(a * b)
    assert np.isfinite(
        row[["aic_additive", "aic_multiplicative", "p_robust_interaction", "min_interaction"]].astype(float)
    ).all()


@pytest.mark.slow
def test_interactions__planted_synergy_is_found_and_nothing_else():
    data = sl.tl.simulate_screen(n_cells=6000, n_genes=6, n_targets=6, guides_per_cell=8.0, interaction=2.0, seed=4)
    table = sl.tl.screen_interactions(
        data.mdata, data.target_pairs, formula=FORMULA, p_value="permutation", controls=["shuffled"]
    )
    asked = table[(table["kind"] == "discovery") & (table["status"] == "ok")]
    assert len(asked)
    # The published truth is an interaction of 2 in each pair.
    assert (asked["p_robust_interaction"] < 0.05).mean() > 0.6
    assert (asked["beta_interaction"] > 0).mean() > 0.8
    controls = table[(table["kind"] == "shuffled") & (table["status"] == "ok")]
    assert 0.01 < (controls["p_robust_interaction"] < 0.05).mean() < 0.1
    assert 0.01 < (controls["p_perm_interaction"] < 0.05).mean() < 0.1


def test_target_pairs__in_order_of_place():
    guides = pd.DataFrame(
        {"target": ["e2", "e1", "e3"], "chrom": ["chr1", "chr1", "chr2"], "start": [500, 100, 7], "end": [600, 200, 9]}
    )
    pairs = pd.DataFrame({"gene": ["A", "A", "A"], "target": ["e2", "e1", "e3"]})
    table = sl.tl.target_pairs(pairs, guides)
    assert table[["target_1", "target_2"]].values.tolist() == [["e1", "e2"], ["e1", "e3"], ["e2", "e3"]]
    assert table["distance"].tolist() == [400, pd.NA, pd.NA]
    assert len(sl.tl.target_pairs(pairs, guides, max_distance=1000)) == 1
    with pytest.raises(OptionError, match="places of targets"):
        sl.tl.target_pairs(pairs, max_distance=1000)


def test_bad_input__says_what_was_found(screen):
    mdata, pairs = screen.mdata, screen.pairs
    with pytest.raises(MissingKeyError, match="no guide"):
        sl.tl.screen(mdata, pairs.head(1).assign(target="nowhere"), formula=FORMULA)
    with pytest.raises(MissingKeyError, match="no column 'target'"):
        sl.tl.screen(mdata, pairs[["gene"]], formula=FORMULA)
    with pytest.raises(MissingKeyError, match="genes of the pairs"):
        sl.tl.screen(mdata, pairs.head(1).assign(gene="XIST9"), formula=FORMULA)
    with pytest.raises(InputError, match="given twice"):
        sl.tl.screen(mdata, pd.concat([pairs, pairs]), formula=FORMULA)
    with pytest.raises(InputError, match="mismatched"):
        sl.tl.screen(mdata, pairs.assign(kind="mismatched"), formula=FORMULA)
    with pytest.raises(OptionError, match="each stage goes on"):
        sl.tl.screen(mdata, pairs, formula=FORMULA, permutations=[(1000, 0.1), (100, None)])
    with pytest.raises(OptionError, match="controls"):
        sl.tl.screen(mdata, pairs, formula=FORMULA, controls=["placebo"])
    with pytest.raises((DesignError, MissingKeyError), match="depth"):
        sl.tl.screen(mdata, pairs, formula="depth")
    twice = screen.target_pairs.assign(target_2=screen.target_pairs["target_1"])
    with pytest.raises(InputError, match="a target twice"):
        sl.tl.screen_interactions(mdata, twice, formula=FORMULA)
    spoilt = copy_of(mdata)
    spoilt["guide"].var["efficiency"] = 1.5
    with pytest.raises(InputError, match=r"0 to 1|0\.\.1|outside"):
        sl.tl.screen(spoilt, pairs, formula=FORMULA)
