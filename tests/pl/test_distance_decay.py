"""Shares and medians by distance are those of the table."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pl.tables import links_table, sizes
from scipy.stats import binomtest

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import distance_decay
from scanlink.pl.distance_decay import median_interval


def ticks(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def segments(ax):
    return {round(float(s[0, 0]), 3): s[:, 1] for c in ax.collections for s in c.get_segments()}


@pytest.fixture
def links():
    n = 4_000
    rng = np.random.default_rng(2)
    distance = rng.integers(-100_000, 100_000, n)
    linked = rng.random(n) < 0.3 * np.exp(-np.abs(distance) / 20_000)
    return pd.DataFrame({"distance": distance, "beta": rng.normal(0, 0.3, n), "fdr": np.where(linked, 0.01, 0.8)})


def test_distance_decay__shares_and_intervals(links):
    upper = distance_decay(links)
    away = links["distance"].abs()
    edges = [0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5]
    cut = pd.cut(away, edges, right=False, labels=False)
    expected = (links["fdr"] < 0.1).groupby(cut).agg(["sum", "size"])
    np.testing.assert_allclose(upper.lines[0].get_ydata(), 100 * expected["sum"] / expected["size"])
    bars = segments(upper)
    for place, (k, n) in enumerate(expected.to_numpy()):
        interval = binomtest(int(k), int(n)).proportion_ci(method="exact")
        np.testing.assert_allclose(bars[place], [100 * interval.low, 100 * interval.high])
    lower = upper.figure.axes[-1]
    assert ticks(upper) == [f"{n:,}" for n in expected["size"]]
    assert ticks(lower)[:4] == ["0–1", "1–2", "2–5", "5–10"]


def test_distance_decay__medians_of_linked_and_of_all(links):
    lower = distance_decay(links, edges=[0, 50_000, 100_000]).figure.axes[-1]
    near = links["distance"].abs() < 50_000
    medians = {line.get_label().split(" (")[0]: line.get_ydata() for line in lower.lines}
    every = links["beta"].abs()
    np.testing.assert_allclose(medians["all tested"], [every[near].median(), every[~near].median()])
    called = every[links["fdr"] < 0.1]
    np.testing.assert_allclose(medians["linked"], [called[near].median(), called[~near].median()])
    ends = segments(lower)[-0.08]
    assert ends[0] < every[near].median() < ends[1]


def test_median_interval__holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits = [low <= 0.5 <= high for low, high in (median_interval(np.sort(rng.random(25))) for _ in range(2_000))]
    assert 0.94 < np.mean(hits) < 0.98
    assert median_interval(np.arange(5.0)) is None


def test_distance_decay__bins_without_pairs_leave_a_gap():
    ax = distance_decay(pd.DataFrame({"distance": [10, 30_000], "beta": [0.1, 0.2], "fdr": [0.01, 0.9]}))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [100, *[np.nan] * 4, 0])
    assert ticks(ax) == ["1", "0", "0", "0", "0", "1"]
    ax.figure.savefig(io.BytesIO())


def test_distance_decay__far_pairs_have_a_bin_and_unknown_distances_none():
    table = pd.DataFrame({"distance": pd.array([10, 60_000_000, None], dtype="Int64"), "beta": 0.1, "fdr": 0.01})
    ax = distance_decay(table)
    assert ax.get_title() == "2 of 2 tested pairs linked, FDR 0.1"
    assert sum(int(text) for text in ticks(ax)) == 2


def test_distance_decay__takes_a_pair_of_axes_or_cuts_one(links):
    first, second = Figure().subplots(2, 1)
    assert distance_decay(links, ax=[first, second]) is first
    assert second.get_xlabel() == "distance (kb)"
    alone = Figure(layout="constrained").subplots()
    assert distance_decay(links, ax=alone) is alone
    alone.figure.draw_without_rendering()
    assert alone.get_position().y0 > alone.figure.axes[-1].get_position().y1
    by_hand = Figure().add_axes((0.1, 0.1, 0.8, 0.8))
    distance_decay(links, ax=by_hand)
    assert by_hand.get_position().y0 > by_hand.figure.axes[-1].get_position().y1


def test_distance_decay__hundreds_of_thousands_are_a_small_picture():
    links = links_table(300_000, n_groups=20)
    ax = distance_decay(links)
    linked = np.array([float(y) for y in ax.lines[0].get_ydata()])
    assert ((linked[:-1] > 1) & (linked[:-1] < 10)).all()
    n_bytes = sizes(ax)
    assert n_bytes["png"] < 150_000
    assert n_bytes["svg"] < 200_000


def test_distance_decay__says_what_is_wrong(links):
    with pytest.raises(MissingKeyError, match="the table links has no column 'distance'"):
        distance_decay(links.drop(columns="distance"))
    with pytest.raises(InputError, match="'distance', 'beta', 'fdr' is missing in all of them"):
        distance_decay(links.assign(distance=np.nan))
    with pytest.raises(InputError, match="no tested pair has a distance from 1e"):
        distance_decay(links, edges=[1e7, 2e7])
    with pytest.raises(OptionError, match="edges: expected at least two increasing distances"):
        distance_decay(links, edges=[5, 1])
