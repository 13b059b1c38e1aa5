"""The picture of a calibration says what its table says."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scanlink.pl import calibration
from scanlink.tl import Calibration


@pytest.fixture
def permuted():
    table = pd.DataFrame(
        {
            "group": ["all"] * 4 + ["T"],
            "kind": ["wald", "wald", "robust", "robust", "wald"],
            "level": [0.05, 0.001, 0.05, 0.001, 0.05],
            "n_tests": [900] * 4 + [400],
            "ratio": [1.5, 4.0, 1.0, 0.0, 9.0],
            "ratio_low": [1.2, 2.0, 0.8, 0.0, 1.0],
            "ratio_high": [1.9, 8.0, 1.3, 3.7, 20.0],
        }
    )
    return Calibration(table, pd.DataFrame())


def test_calibration__draws_all_groups_together(permuted):
    ax = calibration(permuted)
    assert ax.get_title() == "all: 900 tests"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    drawn = {line.get_label(): line.get_ydata() for line in ax.get_lines() if line.get_linestyle() == "None"}
    assert {kind: sorted(ratios) for kind, ratios in drawn.items()} == {"wald": [1.5, 4.0], "robust": [1.0]}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["within a fifth", "wald", "robust"]
    low, high = ax.get_ylim()
    assert low < 0.8
    assert high > 8


def test_calibration__nothing_rejected_is_an_arrow_at_the_edge(permuted):
    ax = calibration(permuted)
    arrows = [c.get_offsets() for c in ax.collections if hasattr(c, "get_sizes") and len(c.get_offsets())]
    inside = [offsets for offsets in arrows if np.ndim(offsets) == 2 and offsets[:, 1].max() < 0.5]
    assert sum(len(offsets) for offsets in inside) == 1


def test_calibration__one_level_of_nothing(permuted):
    table = permuted.table.query("kind == 'robust' and level == 0.001")
    calibration(Calibration(table, pd.DataFrame())).figure.savefig(io.BytesIO())


def test_calibration__draws_into_the_axes_it_is_given(permuted):
    left, right = Figure().subplots(1, 2)
    assert calibration(permuted, ax=right) is right
    assert not left.lines


def test_calibration__of_an_empty_table_says_so(permuted):
    ax = calibration(Calibration(permuted.table.iloc[:0], pd.DataFrame()))
    assert ax.texts[0].get_text() == "the table of the calibration is empty: nothing to draw"
