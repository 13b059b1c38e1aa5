"""Power of a screen: what it must rise with, what it must not depend on, and the data behind it."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from ds.test_simulate_screen import model_of

from scanlink.ds.simulated_screen import simulate_screen
from scanlink.errors import InputError, OptionError
from scanlink.stats import fit_negbin
from scanlink.tl.interactions.power import power_screen, run_pairs

GRID = {
    "guides_per_cell": [6.0, 12.0],
    "interaction": [0.0, 0.6, 1.5],
    "n_pairs": 40,
    "n_cells": 3_000,
    "n_targets": 80,
    "baseline": (3.6, 0.3),
    "min_both": 6,
}


@pytest.fixture(scope="module")
def table():
    return power_screen(**GRID)


def test_power_screen__rises_with_guides_and_interaction(table):
    assert table["n_failed"].sum() == 0
    assert (table["n_pairs"] == 40).all()
    for name in ("wald", "robust"):
        shares = table[name].to_numpy().reshape(2, 3)
        assert (np.diff(shares, axis=1) > 0).all()
        assert (shares[1, 1:] > shares[0, 1:]).all()
        np.testing.assert_allclose(table[f"error_{name}"], np.sqrt(table[name] * (1 - table[name]) / table["n_pairs"]))
    least = table["min_interaction"].to_numpy().reshape(2, 3)
    assert (least[1] < least[0]).all()
    both = table["n_both"].to_numpy().reshape(2, 3)
    assert both[1, 0] == pytest.approx(3_000 * (1 - (1 - 12 / 160) ** 2) ** 2, rel=0.05)


def test_power_screen__rejects_as_often_as_it_says():
    found = power_screen(
        guides_per_cell=[40.0], interaction=[0.0], n_pairs=200, n_cells=3_000, n_targets=400, baseline=(4.0, 0.3)
    )
    error = np.sqrt(0.05 * 0.95 / found["n_pairs"][0])
    assert found["n_pairs"][0] >= 150
    assert abs(found["wald"][0] - 0.05) < 3.5 * error
    assert abs(found["robust"][0] - 0.05) < 3.5 * error


def test_power_screen__does_not_depend_on_the_rest_of_the_grid(table):
    alone = power_screen(**{**GRID, "guides_per_cell": [12.0], "interaction": [1.5]})
    pd.testing.assert_frame_equal(alone, table.iloc[[5]].reset_index(drop=True))
    assert not power_screen(**{**GRID, "guides_per_cell": [12.0], "interaction": [1.5]}, seed=1).equals(alone)


class Workers:
    """What a Dask client is to this function."""

    def __init__(self):
        self.n = 0

    def submit(self, task, *given, pure):
        self.n += 1
        return task(*given)

    def gather(self, futures):
        return futures


def test_power_screen__is_the_same_with_workers(table):
    workers = Workers()
    found = power_screen(**{**GRID, "interaction": [0.6]}, client=workers)
    assert workers.n == 4
    pd.testing.assert_frame_equal(found, table.iloc[[1, 4]].reset_index(drop=True))


def test_run_pairs__tests_the_data_of_simulate_screen():
    model = model_of(n_cells=3_000, n_targets=6, seed=9)
    rows = run_pairs([model], [0.7], n_pairs=3, min_both=11)
    screen = simulate_screen(
        n_cells=3_000, n_genes=3, n_targets=6, n_non_targeting=0, guides_per_cell=6.0, interaction=0.7, seed=9
    )
    obs, guide = screen.mdata.obs, screen.mdata["guide"]
    for row, truth in zip(rows.itertuples(), screen.truth.itertuples(), strict=True):
        a, b = (
            1 - np.prod(1 - (guide[:, own].X.toarray() >= 5) * guide.var["efficiency"].to_numpy()[own], axis=1)
            for own in (guide.var["target"] == truth.target_1, guide.var["target"] == truth.target_2)
        )
        design = np.column_stack([np.ones(len(obs)), a, b, obs[["s_score", "g2m_score", "percent.mito"]], a * b])
        counts = screen.mdata["rna"][:, truth.gene].X.toarray().ravel()
        fit = fit_negbin(counts, design, offset=np.log(obs["nUMI"] / 1e6))
        assert row.n_both == np.count_nonzero(a * b)
        assert (row.beta, row.se) == pytest.approx((fit.coef[-1], fit.se[-1]))


def test_run_pairs__detectable_interactions_are_detected():
    # What a pair is said to see with 80 % power, planted: half of the sizes are that of the middle pair.
    model = model_of(n_cells=4_000, n_targets=120, guides_per_target=3, guides_per_cell=20.0, baseline=(4.0, 0.0))
    none = run_pairs([model], [0.0], n_pairs=50, min_both=11)
    least = float(none["min_interaction"].median())
    assert none["min_interaction"].std() < 0.2 * least
    planted = run_pairs([model], [least, -least], n_pairs=50, min_both=11)
    called = (planted["p_wald"] <= 0.05).groupby(planted["interaction"]).mean()
    # What the cells could show does not depend on what is in them, even where no count is left with both.
    gone = run_pairs([model], [-12.0], n_pairs=10, min_both=11)
    assert gone["se"].max() > 3 * gone["min_interaction"].max()
    np.testing.assert_allclose(gone["min_interaction"], none["min_interaction"][:10], rtol=0.2)
    # More where counts rise, fewer where they fall.
    assert called.mean() == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 100) + 0.03)


def test_run_pairs__takes_the_first_with_enough_cells():
    model = model_of(n_cells=2_000, n_targets=20, seed=2)
    both = np.array([model.n_both(gene) for gene in range(10)])
    rows = run_pairs([model], [0.0], n_pairs=3, min_both=int(np.sort(both)[-4]))
    assert rows["gene"].tolist() == np.flatnonzero(both >= np.sort(both)[-4])[:3].tolist()
    rows = run_pairs([model], [0.0], n_pairs=1, min_both=int(both.max()))
    assert rows["n_both"].tolist() == [both.max()]


def test_power_screen__tells_of_pairs_with_too_few_cells(caplog):
    with caplog.at_level(logging.WARNING, "scanlink"):
        found = power_screen(
            guides_per_cell=[4.0], interaction=[0.0], n_pairs=40, n_cells=2_000, n_targets=60, min_both=12
        )
    assert 0 < found["n_pairs"][0] < 40
    assert "pairs are tested, not 40: no more of 30 have 12 cells with guides of both" in caplog.text
    with pytest.raises(InputError, match="no pair has 500 cells with guides of both targets"):
        power_screen(guides_per_cell=[3.0], n_cells=2_000, n_targets=60, min_both=500)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": 0}, OptionError, "alpha: expected"),
        ({"n_pairs": 0}, OptionError, "n_pairs is 0"),
        ({"min_both": 0.5}, OptionError, "min_both is 0.5"),
        ({"interaction": []}, OptionError, "expected lists of numbers"),
        ({"guides_per_cell": []}, OptionError, "expected lists of numbers"),
        ({"client": 3}, InputError, "expected a Dask client"),
    ],
)
def test_power_screen__says_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        power_screen(**options)
