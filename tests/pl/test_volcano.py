"""The volcano plot says what the tables say, for three pairs as for hundreds of thousands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pl.tables import boxes, epi_table, links_table, luminance, overlaps, sizes

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import volcano
from scanlink.stats import adjust


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax):
    """Points of each collection, by the words of its label."""
    return {c.get_label().split(" (")[0]: np.asarray(c.get_offsets()) for c in ax.collections}


@pytest.fixture
def three():
    return pd.DataFrame(
        {
            "group": "T",
            "gene": ["A", "B", "C"],
            "beta": [0.5, -0.4, 0.1],
            "p_value": [1e-6, 1e-4, 0.5],
            "fdr": [3e-6, 1.5e-4, 0.5],
            "status": "ok",
        }
    )


def test_volcano__draws_each_pair_where_it_belongs(three):
    ax = volcano(three)
    drawn = points(ax)
    np.testing.assert_allclose(drawn["called, above 0"], [[0.5, 6]])
    np.testing.assert_allclose(drawn["called, below 0"], [[-0.4, 4]])
    np.testing.assert_allclose(drawn["_points"], [[0.1, -np.log10(0.5)]])
    assert legend(ax) == ["not called (1)", "called, above 0 (1)", "called, below 0 (1)"]
    assert ax.get_title() == "T: 3 tested, 2 called at FDR 0.1"
    assert [text.get_text() for text in ax.texts] == ["A", "B"]
    assert ax.texts[0].xy == pytest.approx((0.5, 6))


def test_volcano__a_line_parts_called_from_others_only_where_one_does(three):
    def lines(table):
        return [line.get_ydata()[0] for line in volcano(table).lines if line.get_linestyle() == ":"]

    assert lines(three) == pytest.approx([4])
    # Rates of two groups: no p-value separates them.
    assert lines(three.assign(fdr=[0.5, 0.01, 0.01])) == []


def test_volcano__leaves_out_what_was_not_tested(three):
    more = pd.concat([three, three.assign(status="gene_rare", beta=np.nan, p_value=np.nan, fdr=np.nan)])
    assert volcano(more).get_title() == volcano(three).get_title()


def test_volcano__draws_a_contrast_with_rates_of_its_own():
    epi = epi_table(200, groups=("T", "B"))
    ax = volcano(epi, contrast="10", kind="wald")
    expected = int((epi.groupby("group")["p_10"].transform(adjust) < 0.1).sum())
    assert ax.get_title() == f"2 groups: 200 tested, {expected} called at FDR 0.1"
    assert ax.get_xlabel() == "effect of 10 against 00 (natural log)"
    assert ax.get_ylabel() == "wald p-value (−log10)"
    drawn = np.concatenate(list(points(ax).values()))
    np.testing.assert_allclose(np.sort(drawn[:, 0]), np.sort(epi["beta_10"]))
    assert volcano(epi).get_title().endswith(f"{int((epi['fdr'] < 0.1).sum())} called at FDR 0.1")


def test_volcano__names_the_group_where_there_are_several():
    epi = epi_table(100, groups=("T", "B"))
    first = epi.loc[epi["p_value"].idxmin()]
    assert volcano(epi).texts[0].get_text() == f"{first['gene']} ({first['group']})"
    assert volcano(epi, group=first["group"]).texts[0].get_text() == first["gene"]


def test_volcano__impossible_numbers_are_at_the_edge_or_counted(three):
    odd = pd.concat([three] * 200, ignore_index=True)
    odd.loc[0, "p_value"] = 0.0
    odd.loc[1, "beta"] = -40.0
    odd.loc[4, "beta"] = np.inf
    ax = volcano(odd, labels=0)
    assert legend(ax)[3:] == ["1 below 1e-300", "1 beyond the edge", "1 without a finite effect"]
    low, high = ax.get_xlim()
    assert -5 < low < high < 5
    drawn = points(ax)
    assert drawn["1 below 1e-300"][0, 1] > 6
    assert low < drawn["1 beyond the edge"][0, 0] < -0.5
    assert drawn["1 below 1e-300"][0, 1] < ax.get_ylim()[1]
    assert sizes(ax)["png"]


@pytest.mark.parametrize("n", [40, 4_000])
def test_volcano__no_name_covers_another_or_leaves_the_axes(n):
    ax = volcano(links_table(n, linked=0.3), labels=40)
    texts = boxes(ax)
    assert len(texts) >= 5
    assert overlaps(texts) == []
    frame = ax.get_window_extent().padded(1)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in texts)
    legend_box = ax.get_legend().get_window_extent()
    assert not any(legend_box.padded(-1).overlaps(box) for box in texts)


def test_volcano__names_are_placed_anew_when_the_figure_changes():
    ax = volcano(links_table(2_000, linked=0.3), labels=40)
    boxes(ax)
    ax.figure.set_size_inches(3, 2.4)
    small = boxes(ax)
    assert overlaps(small) == []
    ax.figure.set_size_inches(9, 8)
    large = boxes(ax)
    assert overlaps(large) == []
    assert len(small) < len(large)


def test_volcano__hundreds_of_thousands_are_a_small_picture():
    ax = volcano(links_table(300_000, n_groups=3))
    n_bytes = sizes(ax)
    assert n_bytes["png"] < 300_000
    assert n_bytes["svg"] < 600_000
    drawn = ax.collections[0]
    assert drawn.get_rasterized()
    assert len(drawn.get_offsets()) < 320 * 320
    # Where more points are, the grey is darker.
    shades = [luminance(color) for color in drawn.get_facecolors()[[0, -1]]]
    assert shades[0] > shades[1] + 0.3


def test_volcano__signs_are_told_apart_in_grey(three):
    ax = volcano(three)
    up, down = (next(c for c in ax.collections if c.get_label().startswith(f"called, {w}")) for w in ("above", "below"))
    assert not np.allclose(up.get_paths()[0].vertices, down.get_paths()[0].vertices)
    grey = luminance(ax.collections[0].get_facecolors()[0])
    assert min(grey - luminance(c.get_facecolors()[0]) for c in (up, down)) > 0.15


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({}, {"contrast": "10"}, OptionError, "contrast '10' is of a table of enhancer pairs"),
        ({}, {"kind": "bayes"}, OptionError, "kind 'bayes' is not known; expected wald"),
        ({}, {"kind": "tail"}, MissingKeyError, "the table links has no column 'p_tail'"),
        ({}, {"group": "B"}, MissingKeyError, "no row of the table links has group 'B'; its groups are 'T'"),
        ({}, {"fdr": 0}, OptionError, "fdr: expected a number above 0"),
        ({}, {"labels": -1}, OptionError, "labels: expected a whole number"),
        ({}, {"ax": "here"}, InputError, "ax is a str, expected matplotlib axes"),
        ({"status": "gene_rare"}, {}, InputError, r"none of the 3 rows .* was tested \(status gene_rare 3\)"),
        ({"beta": np.nan}, {}, InputError, "'beta', 'p_value' is missing in all of them"),
        ({"beta": np.inf}, {}, InputError, "no effect in column 'beta' is finite"),
        ({"p_value": [0.1, 2.0, 0.2]}, {}, InputError, "column 'p_value' runs from 0.1 to 2.0"),
    ],
)
def test_volcano__says_what_is_wrong(three, change, options, error, message):
    with pytest.raises(error, match=message):
        volcano(three.assign(**change), **options)


def test_volcano__says_which_contrasts_there_are():
    with pytest.raises(OptionError, match="contrast '00' is not in the table epi; expected interaction, 10, 01, 11, "):
        volcano(epi_table(5), contrast="00")
