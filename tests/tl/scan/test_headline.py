"""What is said of the number of links, rates over everything, and the bootstrap beside the p-value that was chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

import scanlink as sl
from scanlink.errors import OptionError
from scanlink.options import GroupOptions
from scanlink.stats.fdr import expected_by_chance
from scanlink.tl.analysis import Given
from scanlink.tl.call import compute, store_of
from scanlink.tl.scan import SCAN
from scanlink.tl.scan.headline import headline
from scanlink.tl.scan.options import LinksOptions, ScanOptions


@pytest.fixture(scope="module")
def data():
    found = sl.ds.simulate(n_cells=400, n_genes=10, n_peaks=40, n_links=12, n_interactions=2, seed=3)
    found.mdata.obs["few"] = [f"d{k}" for k in np.arange(400) % 4]
    found.mdata.obs["many"] = [f"d{k}" for k in np.arange(400) % 12]
    return found


@pytest.fixture(scope="module")
def pairs(data):
    return sl.pp.cis_pairs(data.mdata, data.genes)


@pytest.mark.parametrize(("n", "alpha"), [(1, 0.1), (2, 0.2), (5, 0.1), (200, 0.1), (50, 0.3)])
def test_expected_by_chance__is_what_simulation_gives(n, alpha):
    p = np.sort(np.random.default_rng(n).random((40_000, n)), axis=1)
    below = p <= alpha * np.arange(1, n + 1) / n
    called = np.where(below.any(axis=1), n - np.argmax(below[:, ::-1], axis=1), 0)
    number, share = expected_by_chance(n, alpha)
    assert number == pytest.approx(called.mean(), abs=5 * called.std() / 200)
    assert share == pytest.approx((called > 0).mean(), abs=5 * 0.5 / 200)


def test_expected_by_chance__of_by_is_at_its_smaller_level():
    assert expected_by_chance(3, 0.1, method="by") == expected_by_chance(3, 0.1 / (1 + 1 / 2 + 1 / 3))
    assert expected_by_chance(4, 1.0)[0] == pytest.approx(4)


def test_scan__fdr_all_is_over_everything_tested(data, pairs):
    for scope in ("group", "gene", "all"):
        links = sl.tl.scan(data.mdata, pairs, groupby="celltype", ladder="none", fdr_scope=scope)
        tested = links["p_value"].notna()
        expected = multipletests(links.loc[tested, "p_value"], method="fdr_bh")[1]
        np.testing.assert_array_equal(links.loc[tested, "fdr_all"], expected)
        assert links.loc[~tested, "fdr_all"].isna().all()
        assert (scope == "all") == links["fdr"].equals(links["fdr_all"].rename("fdr"))


def test_scan__fdr_all_is_missing_until_all_groups_are_there(data, pairs, tmp_path):
    groups = GroupOptions(by="celltype")
    given = Given(tmp_path, {"links": LinksOptions()}, store_of(data.mdata, tmp_path)[0], {"pairs": pairs}, groups)
    options = ScanOptions(ladder="none")
    plan = SCAN.rows(given, options)
    compute(SCAN, plan)
    some = SCAN.finish([plan], given, options, groups=[0, 1])
    assert some["fdr"].notna().any()
    assert some["fdr_all"].isna().all()
    for groups in (None, range(len(plan.groups))):
        assert SCAN.finish([plan], given, options, groups=groups)["fdr_all"].notna().any()


def test_headline__is_counted_from_the_table(data, pairs):
    links = sl.tl.scan(data.mdata, pairs, groupby="celltype", ladder="none")
    ok = links[links["status"] == "ok"]
    called = ok[ok["fdr"] < 0.2]
    chance = sum(expected_by_chance(n, 0.2)[0] for n in ok["group"].value_counts())
    n_groups = ok["group"].nunique()
    assert headline(links, {"alpha": 0.2, "scope": "group", "method": "bh"}) == [
        f"{len(called)} links in {called['group'].nunique()} groups at a false discovery rate of 0.2 within each group",
        f"if nothing were linked, chance would call about {chance:.2g}, "
        f"in about {0.2 * n_groups:.2g} of {n_groups} groups",
        f"one rate over all groups together would call {(ok['fdr_all'] < 0.2).sum()}",
    ]
    over_all = headline(links, {"alpha": 0.2, "scope": "all", "method": "bh"})
    assert over_all[0].endswith("over all")
    assert len(over_all) == 2


def test_scan__bootstrap_beside_whatever_p_value_is(data, pairs):
    few = pairs.iloc[:30]
    own = sl.tl.scan(data.mdata, few, p_value="bootstrap", ladder="capstone", seed=2)
    tested = own["status"] == "ok"
    assert own.loc[tested, "n_boot"].isin([100, 2500]).all()
    for p_value in ("robust", "wald"):
        beside = sl.tl.scan(data.mdata, few, p_value=p_value, seed=2)
        np.testing.assert_array_equal(beside["p_boot"], own["p_boot"])
    without = sl.tl.scan(data.mdata, few, ladder=None, seed=2)
    assert without["p_boot"].isna().all()
    assert (without["n_boot"] == 0).all()
    np.testing.assert_array_equal(without["p_value"], own["p_robust"])
    with pytest.raises(OptionError, match="p_value bootstrap needs replicates"):
        sl.tl.scan(data.mdata, few, p_value="bootstrap", ladder="none")


def test_scan__too_few_clusters_for_the_bootstrap(data, pairs, caplog):
    few = pairs.iloc[:20]
    found = sl.tl.scan(data.mdata, few, cluster="few")
    tested = found["status"] == "ok"
    assert tested.any()
    assert found.loc[tested, ["p_value", "fdr", "ci_low", "se_robust"]].notna().all(axis=None)
    assert found["p_boot"].isna().all()
    assert (found["n_boot"] == 0).all()
    assert "the bootstrap is left out" in caplog.text
    own = sl.tl.scan(data.mdata, few, cluster="few", p_value="bootstrap")
    assert set(own["status"]) == {"too_few_clusters"}
    assert own["beta"].isna().all()
    many = sl.tl.scan(data.mdata, few, cluster="many", p_value="bootstrap")
    assert many.loc[many["status"] == "ok", "p_value"].notna().all()


def test_headline__of_one_group_says_what_is_among_the_links():
    links = pd.DataFrame(
        {"group": "all", "gene": ["a", "b"], "status": "ok", "fdr": [0.01, 0.5], "fdr_all": [0.01, 0.5]}
    )
    said = headline(links, {"alpha": 0.1, "scope": "group", "method": "bh"})
    assert said[-1] == "all cells were one group: what differs between types of cells is among the links"
    assert headline(links.assign(group="B"), {"alpha": 0.1, "scope": "group", "method": "bh"}) == said[:-1]


def test_headline__large_numbers_are_written_out():
    n = 30_000
    genes = [f"g{k}" for k in range(n)]
    links = pd.DataFrame({"group": "B", "gene": genes, "status": "ok", "fdr": 0.5, "fdr_all": 0.5})
    said = headline(links, {"alpha": 0.1, "scope": "gene", "method": "bh"})
    assert said[1] == "if nothing were linked, chance would call about 3,000, in about 3,000 of 30,000 genes of a group"
