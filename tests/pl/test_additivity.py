"""Sums of single effects against joint effects: what is drawn and counted is what the table says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pl.tables import epi_table, sizes

from scanlink.errors import InputError, MissingKeyError
from scanlink.pl import additivity


def points(ax):
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets())])


def median_drawn(ax):
    return float(ax.figure.axes[-1].get_xticklabels()[0].get_text().removeprefix("median ").replace("−", "-"))


@pytest.fixture
def three():
    return pd.DataFrame({"beta_10": [0.2, 0.3, 0.1], "beta_01": [0.1, 0.3, 0.4], "beta_11": [0.4, 0.5, 0.5]})


def test_additivity__draws_sum_against_joint_effect_and_counts_sides(three):
    ax = additivity(three.round(6))
    np.testing.assert_allclose(points(ax), [[0.3, 0.4], [0.6, 0.5], [0.5, 0.5]])
    assert ax.get_title().splitlines()[1] == "1 above the line, 1 below, 1 on it"
    assert ax.get_xlim() == ax.get_ylim()
    line = next(line for line in ax.lines if line.get_color() == "black")
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())


def test_additivity__box_holds_the_quantiles_of_the_difference():
    epi = epi_table(500)
    ax = additivity(epi)
    difference = epi["beta_11"] - epi["beta_10"] - epi["beta_01"]
    assert median_drawn(ax) == pytest.approx(difference.median(), abs=6e-4)
    box = ax.figure.axes[-1].patches[0].get_path().vertices[:, 1]
    np.testing.assert_allclose([box.min(), box.max()], difference.quantile([0.25, 0.75]))


def test_additivity__marks_called_interactions_on_their_side():
    epi = epi_table(500)
    ax = additivity(epi)
    called = epi[epi["fdr"] < 0.1]
    up = int((called["beta_interaction"] > 0).sum())
    assert 0 < up < len(called)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == [f"more than multiplied ({up})", f"less than multiplied ({len(called) - up})"]
    above, below = (np.asarray(c.get_offsets()) for c in ax.collections if "multiplied" in c.get_label())
    assert (above[:, 1] > above[:, 0]).all()
    assert (below[:, 1] < below[:, 0]).all()


def test_additivity__halved_joint_effects_lie_below_the_line():
    """The coding of 11 as 2 halves beta_11: most pairs then seem redundant, and are not."""
    epi = epi_table(2_000)
    halved = epi.assign(beta_11=epi["beta_11"] / 2)

    def share_below(table):
        text = additivity(table).get_title().splitlines()[1]
        above, below = (int(word.replace(",", "")) for word in text.split() if word[0].isdigit())
        return below / (above + below)

    assert 0.45 < share_below(epi) < 0.55
    assert share_below(halved) > 0.75


def test_additivity__leaves_out_what_has_no_numbers():
    epi = epi_table(50)
    epi.loc[:9, ["beta_10", "beta_01", "beta_11"]] = np.nan
    epi.loc[:9, "status"] = "too_few_11"
    epi.loc[10, "beta_11"] = -np.inf
    ax = additivity(epi)
    assert ax.get_title().startswith("T: 39 pairs")
    assert len(points(ax)) == 39


def test_additivity__far_points_do_not_squeeze_the_others():
    epi = epi_table(500)
    epi.loc[0, "beta_11"] = 60.0
    ax = additivity(epi)
    assert ax.get_ylim()[1] < 10
    assert "1 outside the axes" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_additivity__takes_a_pair_of_axes_or_cuts_one(three):
    first, second = Figure().subplots(1, 2)
    assert additivity(three, ax=(first, second)) is first
    assert second.get_ylabel() == "11 − (10 + 01) (natural log)"
    left, right = Figure(layout="constrained").subplots(1, 2)
    assert additivity(three, ax=left) is left
    assert len(left.figure.axes) == 3
    assert not right.lines
    by_hand = Figure().add_axes((0.1, 0.1, 0.8, 0.8))
    additivity(three, ax=by_hand)
    box = by_hand.figure.axes[-1]
    assert by_hand.get_position().x1 < box.get_position().x0
    with pytest.raises(InputError, match="ax holds 3 axes, expected one or a pair"):
        additivity(three, ax=[first, second, left])


def test_additivity__hundreds_of_thousands_are_a_small_picture():
    n_bytes = sizes(additivity(pd.concat([epi_table(30_000)] * 10, ignore_index=True)))
    assert n_bytes["png"] < 300_000
    assert n_bytes["svg"] < 600_000


def test_additivity__says_what_is_wrong(three):
    with pytest.raises(MissingKeyError, match="the table epi has no column 'beta_11'"):
        additivity(three.drop(columns="beta_11"))
    assert additivity(three.iloc[:0]).texts[0].get_text() == "the table epi is empty: nothing to draw"
    with pytest.raises(InputError, match="none of the 3 rows of the table epi was tested"):
        additivity(three.assign(beta_11=np.nan))
