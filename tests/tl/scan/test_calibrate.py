"""Permuted scans: what is kept, what is broken, and what results must not depend on."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.opening import quiet
from scanlink.p_values import KINDS
from scanlink.run import client_for
from scanlink.store.make import write_store
from scanlink.store.store import Store
from scanlink.tl.scan.calibrate import _rates, _shuffle
from scanlink.tl.scan.options import ScanOptions

OPTIONS = {"groupby": "celltype", "p_value": "robust"}


@pytest.fixture(scope="module")
def data():
    return sl.ds.simulate(n_cells=400, n_genes=16, n_peaks=50, n_links=12, n_interactions=2, seed=3)


@pytest.fixture(scope="module")
def pairs(data):
    return sl.pp.cis_pairs(data.mdata, data.genes)


@pytest.fixture(scope="module")
def found(data, pairs):
    return sl.tl.calibrate(data.mdata, pairs, strata="nUMI", n_permutations=2, seed=4, **OPTIONS)


@pytest.fixture
def moves(monkeypatch):
    """Calls of ``permuted`` that a calibration makes: store, source of each cell, peaks before and after."""
    calls = []
    module = sys.modules["scanlink.tl.scan.calibrate"]
    original = module.permuted

    def noted(store, source, path):
        moved = original(store, source, path)
        calls.append((store, source.copy(), dense(store), dense(moved)))
        return moved

    monkeypatch.setattr(module, "permuted", noted)
    return calls


def dense(store: Store) -> np.ndarray:
    out = np.zeros((len(store.cells), len(store.peaks)), dtype=int)
    for feature in range(len(store.peaks)):
        cells, values = store.column("atac", feature)
        out[cells, feature] = values
    return out


def same(a: sl.tl.Calibration, b: sl.tl.Calibration) -> None:
    pd.testing.assert_frame_equal(a.p_values, b.p_values, check_exact=True)
    pd.testing.assert_frame_equal(a.table, b.table, check_exact=True)


def test_calibrate__table_counts_the_p_values(data, found):
    p_values, table = found.p_values, found.table
    assert p_values.columns.tolist() == [
        *("group", "permutation", "gene", "peak", "p", "p_robust", "p_boot", "n_boot", "p_tail")
    ]
    assert p_values["permutation"].unique().tolist() == [1, 2]
    assert p_values[["p", "p_robust"]].notna().all().all()
    assert table["group"].unique().tolist() == ["all", *p_values["group"].unique()]
    assert table["kind"].unique().tolist() == [kind for kind in KINDS if p_values[KINDS[kind].column].notna().any()]
    for row in table.itertuples():
        p = p_values.loc[(p_values["group"] == row.group) | (row.group == "all"), KINDS[row.kind].column].dropna()
        assert row.n_tests == len(p)
        assert row.expected == row.level
        assert row.observed == np.mean(p <= row.level)
        assert row.ratio == pytest.approx(row.observed / row.expected)
        exact = scipy.stats.binomtest(int((p <= row.level).sum()), len(p)).proportion_ci(method="exact")
        assert (row.ratio_low * row.level, row.ratio_high * row.level) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("ladder", "kinds"), [([(50, None)], {"wald", "robust", "bootstrap"}), ("none", {"wald", "robust"})]
)
def test_calibrate__has_the_kinds_that_were_computed(data, pairs, ladder, kinds):
    some = sl.tl.calibrate(data.mdata, pairs.iloc[:20], groupby="celltype", groups=["CD14-Mono"], ladder=ladder)
    assert kinds <= set(some.table["kind"])
    assert ("bootstrap" in set(some.table["kind"])) == (ladder != "none")
    assert some.table["group"].unique().tolist() == ["CD14-Mono"]


def test_calibrate__rates_at_a_level_that_rounding_misses():
    p = [2 * (1 - 0.975), 0.05, 0.050001, np.nan]
    table = _rates(pd.DataFrame({"group": "T", "p": p, "p_robust": p[3], "p_boot": p[3], "p_tail": p[3]}), [0.05])
    assert table[["kind", "n_tests", "observed"]].values.tolist() == [["wald", 3, 2 / 3]]


def test_calibrate__same_seed_same_numbers(data, pairs, found):
    same(sl.tl.calibrate(data.mdata, pairs, strata="nUMI", n_permutations=2, seed=4, **OPTIONS), found)
    first = found.p_values[found.p_values["permutation"] == 1]
    second = found.p_values[found.p_values["permutation"] == 2]
    other = sl.tl.calibrate(data.mdata, pairs, strata="nUMI", seed=5, **OPTIONS).p_values
    assert not set(first["p"]) & set(second["p"])
    assert not set(other["p"]) & set(first["p"])


def test_calibrate__does_not_depend_on_cell_order_or_other_groups(data, pairs, found):
    with quiet():
        shuffled = data.mdata[np.random.default_rng(1).permutation(400)].copy()
    same(sl.tl.calibrate(shuffled, pairs, strata="nUMI", n_permutations=2, seed=4, **OPTIONS), found)
    alone = sl.tl.calibrate(data.mdata, pairs, strata="nUMI", groups=["CD4-Naive"], seed=4, **OPTIONS).p_values
    before = found.p_values[(found.p_values["group"] == "CD4-Naive") & (found.p_values["permutation"] == 1)]
    pd.testing.assert_frame_equal(alone, before.reset_index(drop=True), check_exact=True)


def test_calibrate__store_path_and_client_give_the_same(data, pairs, found, tmp_path):
    store = write_store(data.mdata, tmp_path / "store")
    options = {"strata": "nUMI", "n_permutations": 2, "seed": 4, **OPTIONS}
    same(sl.tl.calibrate(store, pairs, **options), found)
    same(sl.tl.calibrate(str(tmp_path / "store"), pairs, **options), found)
    with client_for(None, cost=1e6) as client:
        same(sl.tl.calibrate(store, pairs, client=client, block_genes=3, **options), found)
    assert store.checksum == Store.open(tmp_path / "store").checksum
    np.testing.assert_array_equal(dense(store), dense(write_store(data.mdata, tmp_path / "again")))


def test_calibrate__goes_on_in_its_folder(data, pairs, found, tmp_path, caplog):
    options = {"strata": "nUMI", "n_permutations": 2, "seed": 4, "out": tmp_path, "block_genes": 2, **OPTIONS}
    same(sl.tl.calibrate(data.mdata, pairs, **options), found)
    assert not list(tmp_path.glob("permutation-*/store"))
    next(tmp_path.glob("permutation-0002/parts/*/block-*.parquet")).unlink()
    caplog.clear()
    with caplog.at_level("INFO", logger="scanlink"):
        same(sl.tl.calibrate(data.mdata, pairs, **options), found)
    assert [message.split(", ")[2].split(" in ")[0] for message in caplog.messages if "scan: " in message] == [
        "0 computed",
        "1 computed",
    ]


def test_calibrate__strata_keep_their_peaks(data, pairs, moves):
    with quiet():
        mdata = data.mdata.copy()
    mdata.obs["few"] = np.arange(400) % 3
    sl.tl.calibrate(mdata, pairs, strata=["nUMI", "few"], **OPTIONS)
    store, source, before, after = moves[0]
    cells = store.cells.assign(bin=0)
    for _, members in cells.groupby("celltype").indices.items():
        depth = cells["nUMI"].to_numpy()[members]
        inner = np.quantile(depth, np.arange(1, 10) / 10)
        cells.iloc[members, cells.columns.get_loc("bin")] = np.searchsorted(inner, depth, side="right")
    keys = ["celltype", "bin", "few"]
    pd.testing.assert_frame_equal(cells[keys].iloc[source].reset_index(drop=True), cells[keys].reset_index(drop=True))
    for _, members in cells.groupby(keys).indices.items():
        np.testing.assert_array_equal(before[members].sum(axis=0), after[members].sum(axis=0))
    # Whole profiles, so that peaks keep what they have in common.
    np.testing.assert_array_equal(after, before[source])
    assert np.mean(source != np.arange(400)) > 0.7


def test_calibrate__strata_of_text_and_cells_outside_the_groups(data, pairs, moves):
    sl.tl.calibrate(data.mdata, pairs, groups=["CD4-Naive"], strata="donor", groupby="celltype", p_value="wald")
    store, source, _, _ = moves[0]
    outside = (store.cells["celltype"] != "CD4-Naive").to_numpy()
    np.testing.assert_array_equal(source[outside], np.flatnonzero(outside))
    assert (store.cells["donor"].to_numpy()[source] == store.cells["donor"].to_numpy()).all()
    assert np.mean(source[~outside] == np.flatnonzero(~outside)) < 0.2


def test_shuffle__all_arrangements_are_equally_likely_and_stay():
    counts: dict[tuple[int, ...], int] = {}
    strata = np.array([0, 1, 0, 0])
    for key in range(3000):
        arrangement = tuple(_shuffle(strata, key).tolist())
        counts[arrangement] = counts.get(arrangement, 0) + 1
    assert len(counts) == 6
    assert all(arrangement[1] == 1 for arrangement in counts)
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 0.001
    # Written down, because results must be the same in every version of numpy.
    assert _shuffle(np.zeros(8, dtype=int), 2**100 + 7).tolist() == [0, 5, 4, 2, 6, 1, 3, 7]


def test_calibrate__a_strong_link_is_gone():
    rng = np.random.default_rng(2)
    mdata = sl.ds.simulate(n_cells=600, n_genes=4, n_peaks=8, n_links=1, n_interactions=0, seed=1).mdata
    opened = rng.random(600) < 0.3
    rna, atac = mdata["rna"].X.tolil(), mdata["atac"].X.tolil()
    rna[:, 0] = rng.poisson(np.where(opened, 3.0, 1.0)).reshape(-1, 1)
    atac[:, 0] = opened.reshape(-1, 1)
    mdata["rna"].X, mdata["atac"].X = rna.tocsr().astype(np.int32), atac.tocsr().astype(np.int32)
    pair = pd.DataFrame({"gene": [mdata["rna"].var_names[0]], "peak": [mdata["atac"].var_names[0]]})
    assert sl.tl.scan(mdata, pair, p_value="robust", ladder="none")["p_robust"].item() < 1e-20
    found = sl.tl.calibrate(mdata, pair, strata="nUMI", n_permutations=40, p_value="robust")
    assert len(found.p_values) == 40
    assert found.p_values["p_robust"].min() > 1e-4
    assert scipy.stats.kstest(found.p_values["p_robust"], "uniform").pvalue > 0.001


def test_calibrate__defaults_are_those_of_scan():
    defaults = ScanOptions()
    shared = [name for name in inspect.signature(sl.tl.scan).parameters if name in ScanOptions.model_fields]
    assert {"formula", "family", "p_value", "ladder", "seed", "robust"} <= set(shared)
    for name in shared:
        assert inspect.signature(sl.tl.scan).parameters[name].default == getattr(defaults, name)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strata": "depth"}, MissingKeyError, "no column 'depth' in the table of cells to take as strata"),
        ({"strata": ["nUMI", "lane"]}, MissingKeyError, "no column 'lane'"),
        ({"strata": "empty"}, InputError, "'empty' is missing in 3 of 400 cells of group 'all'"),
        ({"strata": "text"}, InputError, "'text' is missing in 2 of 400 cells of group 'all'"),
        ({"strata": "name"}, InputError, "all 400 cells of group 'all' are alone in their stratum"),
        ({"n_permutations": 0}, OptionError, "n_permutations: expected a whole number of at least 1; found 0"),
        ({"levels": []}, OptionError, "levels: expected numbers between 0 and 1"),
        ({"levels": [0.05, 5]}, OptionError, r"levels: .*found \[0.05, 5\]"),
        ({"lader": "scent"}, OptionError, r"lader: unknown key; did you mean 'ladder'\?"),
        ({"fdr_method": "by"}, OptionError, "fdr_method: unknown key"),
        ({"p_value": "bayes"}, OptionError, "p_value: "),
        ({"groups": "T", "groupby": "celltype"}, InputError, r"write \['T'\]"),
        ({"groupby": "cell_type"}, MissingKeyError, "no column 'cell_type'"),
        ({"client": "tcp://10.0.0.1:8786"}, InputError, "expected a Dask client"),
        ({"formula": "log(nUMIs)"}, MissingKeyError, r"did you mean 'nUMI'\?"),
        ({"min_nonzero": 1000}, InputError, r"no pair can be tested \(gene_rare \d+\)"),
    ],
)
def test_calibrate__says_what_is_wrong(data, pairs, options, error, message):
    with quiet():
        mdata = data.mdata.copy()
    mdata.obs["empty"] = np.where(np.arange(400) < 3, np.nan, 1.0)
    mdata.obs["text"] = np.where(np.arange(400) < 2, None, "a")
    mdata.obs["name"] = mdata.obs_names
    with pytest.raises(error, match=message):
        sl.tl.calibrate(mdata, pairs, **options)


def test_calibrate__says_how_many_cells_are_alone(data, pairs, caplog):
    with quiet():
        mdata = data.mdata.copy()
    mdata.obs["plate"] = np.where(np.arange(400) < 7, np.arange(400).astype(str), "rest")
    sl.tl.calibrate(mdata, pairs.iloc[:10], strata="plate", p_value="wald")
    assert "group all: 7 of 400 cells are alone in their stratum and keep their own peaks" in caplog.text
