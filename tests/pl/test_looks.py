"""What all pictures have in common: axes of one's own, no pyplot, and points that are thinned when they are many."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from many_points import main
from matplotlib.figure import Figure
from pl.tables import draw_example, epi_table, examples, interactions_table, luminance, needed, screen_table

import scanlink as sl
from scanlink.errors import InputError
from scanlink.pl._looks import MANY, SIGNS, STYLES, thinned
from scanlink.pl._show import not_shown
from scanlink.pl._tables import as_text, exact_interval

# Pictures of tables of any size that are drawn into given axes.
OF_TABLES = [
    name
    for name in sl.pl.__all__
    if needed(name)[0] in ("table", "links", "epi") and "ax" in inspect.signature(getattr(sl.pl, name)).parameters
]
# Beside the first example of each picture: picture, table and options.
MORE = {
    "volcano of pairs": ("volcano", epi_table, {}),
    "qq of pairs": ("qq", epi_table, {}),
    "heatmap of pairs": ("heatmap", epi_table, {}),
    "qq of a screen": ("qq", partial(screen_table, n_controls=100), {"by": "kind", "kinds": ["robust"], "top": 3}),
    "volcano of a screen": ("volcano", partial(screen_table, n_controls=100), {"top": 3}),
    "volcano of interactions": ("volcano", partial(interactions_table, n_controls=100), {}),
    "additivity of interactions": ("additivity", partial(interactions_table, n_controls=100), {}),
}
CASES = [*OF_TABLES, *MORE]


def case(label, n):
    """Name of a picture, arguments with tables of ``n`` rows, and options."""
    name, make, options = MORE.get(label, (label, None, {}))
    arguments = examples(n)
    if make is not None:
        arguments[needed(name)[0]] = [partial(make, n)]
    return name, arguments, options


@pytest.mark.parametrize("name", sl.pl.__all__)
def test_pictures__are_called_by_the_name_of_their_file(name):
    assert getattr(sl.pl, name).__module__ == f"scanlink.pl.{name}"
    picture, _ = draw_example(name, examples(50))
    file = io.BytesIO()
    picture.figure.savefig(file, format="png")
    assert len(file.getvalue()) > 5_000


def test_pl__lists_every_picture_once():
    files = sorted(path.stem for path in Path(sl.pl.__file__).parent.glob("[!_]*.py"))
    assert files == sorted(sl.pl.__all__)


@pytest.mark.parametrize("label", CASES)
@pytest.mark.parametrize("n", [1, 3, 200])
def test_pictures__draw_any_number_of_rows_into_the_axes_they_are_given(label, n):
    name, arguments, options = case(label, n)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert draw_example(name, arguments, ax=right, **options)[0] is right
    assert not left.lines
    assert not left.collections
    figure.savefig(io.BytesIO(), format="png")
    alone, _ = draw_example(name, arguments, **options)
    alone.figure.savefig(io.BytesIO(), format="svg")


@pytest.mark.parametrize("label", CASES)
def test_pictures__of_an_empty_table_say_so_and_refuse_what_is_no_table(label):
    name, arguments, options = case(label, 5)
    _, table = draw_example(name, arguments, **options)
    with pytest.raises(InputError, match="is a list, expected a table"):
        draw_example(name, {**arguments, needed(name)[0]: [lambda: [1, 2]]}, **options)
    arguments = {**arguments, needed(name)[0]: [lambda: table.iloc[:0]]}
    empty = draw_example(name, arguments, **options)[0]
    assert "is empty: nothing to draw" in empty.texts[0].get_text()
    given = Figure().subplots()
    assert draw_example(name, arguments, ax=given, **options)[0] is given
    # The page says why there is no picture.
    with not_shown(), pytest.raises(InputError, match="is empty: nothing to draw"):
        draw_example(name, arguments, **options)


@pytest.mark.parametrize("label", [label for label in CASES if label != "arcs"])
def test_pictures__do_not_change_the_table(label):
    name, arguments, options = case(label, 60)
    _, table = draw_example(name, arguments, **options)
    before = table.copy(deep=True)
    draw_example(name, {**arguments, needed(name)[0]: [lambda: table]}, **options)
    pd.testing.assert_frame_equal(table, before)


def test_benchmark__of_many_points_runs_over_every_picture_of_a_table(capsys):
    main(["--rows", "6000"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert [name for name, *_ in rows] == OF_TABLES
    # Kilobytes of the SVG.
    assert max(float(row[3]) for row in rows) < 1_500


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
    ranges = (0.0, 1.0), (0.0, 1.0)
    grid_x, grid_y, counts = thinned(x, y, ranges, steps=50)
    assert counts.sum() == 50_000
    assert grid_x.size <= 2_500
    assert (np.diff(counts) >= 0).all()
    cells = np.column_stack([x, y]) * 50 // 1
    np.testing.assert_array_equal(
        np.unique(np.column_stack([grid_x, grid_y]) * 50 // 1, axis=0), np.unique(cells, axis=0)
    )
    np.testing.assert_allclose((grid_x * 50) % 1, 0.5)
    again = thinned(x[::-1], y[::-1], ranges, steps=50)
    np.testing.assert_array_equal(again[0], grid_x)
    few = thinned(x[:MANY], y[:MANY], ranges)
    np.testing.assert_array_equal(few[0], x[:MANY])


def test_exact_interval__is_that_of_scipy():
    from scipy.stats import binomtest

    k, n = np.array([0, 3, 10, 1]), np.array([10, 10, 10, 1])
    expected = [binomtest(int(a), int(b)).proportion_ci(method="exact") for a, b in zip(k, n, strict=True)]
    low, high = exact_interval(k, n)
    np.testing.assert_allclose(low, [interval.low for interval in expected])
    np.testing.assert_allclose(high, [interval.high for interval in expected])


def test_as_text__names_of_any_type_become_text():
    texts = as_text(pd.Series([1, "1", "b", None], dtype=object, index=[4, 5, 6, 7]))
    assert texts.index.tolist() == [4, 5, 6, 7]
    assert texts.iloc[:3].tolist() == ["1", "1", "b"]
    assert texts.isna().tolist() == [False, False, False, True]
