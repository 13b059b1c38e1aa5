"""What all pictures have in common: axes of one's own, no pyplot, and points that are thinned when they are many."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pl.tables import epi_table, interactions_table, joint_table, links_table, luminance, screen_table

import scanlink as sl
from scanlink.errors import InputError
from scanlink.pl._looks import MANY, SIGNS, STYLES, thinned
from scanlink.pl._tables import as_text, exact_interval

GENES = pd.DataFrame(
    {
        "chrom": "chr1",
        "start": 45_000 * np.arange(8),
        "end": 45_000 * np.arange(8) + 9_000,
        "strand": "+",
        "gene": [f"G{k}" for k in range(8)],
    }
)
DRAW = {
    "qq": lambda table, ax: sl.pl.qq(table, ax=ax),
    "volcano": lambda table, ax: sl.pl.volcano(table, ax=ax),
    "links_per": lambda table, ax: sl.pl.links_per(table, ax=ax),
    "distance_decay": lambda table, ax: sl.pl.distance_decay(table, ax=ax),
    "heatmap": lambda table, ax: sl.pl.heatmap(table, ax=ax),
    "arcs": lambda table, ax: sl.pl.arcs(table, GENES, "chr1:0-400,000", ax=ax),
    "additivity": lambda table, ax: sl.pl.additivity(table, ax=ax),
    "volcano of pairs": lambda table, ax: sl.pl.volcano(table, ax=ax),
    "qq of pairs": lambda table, ax: sl.pl.qq(table, ax=ax),
    "heatmap of pairs": lambda table, ax: sl.pl.heatmap(table, ax=ax),
    "screen_links": lambda table, ax: sl.pl.screen_links(table, ax=ax),
    "screen_power": lambda table, ax: sl.pl.screen_power(table, ax=ax),
    "screen_aic": lambda table, ax: sl.pl.screen_aic(table, ax=ax),
    "qq of a screen": lambda table, ax: sl.pl.qq(table, by="kind", kinds=["robust"], top=3, ax=ax),
    "volcano of a screen": lambda table, ax: sl.pl.volcano(table, top=3, ax=ax),
    "volcano of interactions": lambda table, ax: sl.pl.volcano(table, ax=ax),
    "additivity of interactions": lambda table, ax: sl.pl.additivity(table, ax=ax),
}


def table_for(name, n):
    if name == "screen_links":
        return joint_table(n)
    if name == "screen_aic" or name.endswith("interactions"):
        return interactions_table(n, n_controls=n)
    if name == "screen_power" or name.endswith("screen"):
        return screen_table(n, n_controls=n)
    return epi_table(n) if name == "additivity" or name.endswith("pairs") else links_table(n, linked=0.4).assign(p=0.5)


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("n", [1, 3, 200])
def test_pictures__draw_any_number_of_rows_into_the_axes_they_are_given(name, n):
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert DRAW[name](table_for(name, n), right) is right
    assert not left.lines
    assert not left.collections
    figure.savefig(io.BytesIO(), format="png")
    own = DRAW[name](table_for(name, n), None)
    own.figure.savefig(io.BytesIO(), format="svg")


@pytest.mark.parametrize("name", DRAW)
def test_pictures__refuse_an_empty_table_and_what_is_no_table(name):
    table = table_for(name, 5)
    with pytest.raises(InputError, match="is empty: nothing to draw"):
        DRAW[name](table.iloc[:0], None)
    with pytest.raises(InputError, match="is a list, expected a table"):
        DRAW[name]([1, 2], None)


@pytest.mark.parametrize("name", [name for name in DRAW if name != "arcs"])
def test_pictures__do_not_change_the_table(name):
    table = table_for(name, 60)
    before = table.copy(deep=True)
    DRAW[name](table, None)
    pd.testing.assert_frame_equal(table, before)


def test_pictures__need_no_pyplot_and_scanlink_no_matplotlib():
    program = (
        "import sys, scanlink\nassert 'matplotlib' not in sys.modules\nfrom scanlink import pl\n"
        "assert 'matplotlib' not in sys.modules\nimport pandas as pd\n"
        "pl.volcano(pd.DataFrame({'gene': ['A'], 'beta': [1.0], 'p_value': [0.01], 'fdr': [0.01]}))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_styles__are_told_apart_in_grey_or_by_shape():
    assert len({marker for _, marker in STYLES}) == len(STYLES)
    (up, up_marker, up_dash), (down, down_marker, down_dash) = SIGNS[1], SIGNS[-1]
    assert up_marker != down_marker
    assert up_dash != down_dash
    # Both can be seen on white.
    assert max(luminance(up), luminance(down)) < 0.6


def test_thinned__keeps_every_count_and_moves_points_by_half_a_cell():
    rng = np.random.default_rng(0)
    x, y = rng.random(50_000), rng.random(50_000) ** 3
    ranges = {"x_range": (0.0, 1.0), "y_range": (0.0, 1.0)}
    found_x, found_y, counts = thinned(x, y, **ranges, steps=50)
    assert counts.sum() == 50_000
    assert found_x.size <= 2_500
    assert (np.diff(counts) >= 0).all()
    cells = np.column_stack([x, y]) * 50 // 1
    np.testing.assert_array_equal(
        np.unique(np.column_stack([found_x, found_y]) * 50 // 1, axis=0), np.unique(cells, axis=0)
    )
    np.testing.assert_allclose((found_x * 50) % 1, 0.5)
    again = thinned(x[::-1], y[::-1], **ranges, steps=50)
    np.testing.assert_array_equal(again[0], found_x)
    few = thinned(x[:MANY], y[:MANY], **ranges)
    np.testing.assert_array_equal(few[0], x[:MANY])


def test_exact_interval__is_that_of_scipy():
    from scipy.stats import binomtest

    k, n = np.array([0, 3, 10, 1]), np.array([10, 10, 10, 1])
    expected = [binomtest(int(a), int(b)).proportion_ci(method="exact") for a, b in zip(k, n, strict=True)]
    low, high = exact_interval(k, n)
    np.testing.assert_allclose(low, [interval.low for interval in expected])
    np.testing.assert_allclose(high, [interval.high for interval in expected])


def test_as_text__names_of_any_type_become_text():
    found = as_text(pd.Series([1, "1", "b", None], dtype=object, index=[4, 5, 6, 7]))
    assert found.index.tolist() == [4, 5, 6, 7]
    assert found.iloc[:3].tolist() == ["1", "1", "b"]
    assert found.isna().tolist() == [False, False, False, True]
