"""Colours and signs of the heat map are those of the effects; what was not tested is hatched."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pl.tables import epi_table, links_table, luminance, sizes

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import heatmap


def matrix(ax):
    """Drawn numbers, NaN where there is none."""
    mesh = ax.collections[0]
    shape = len(ax.get_yticklabels()), len(ax.get_xticklabels())
    return np.ma.filled(mesh.get_array(), np.nan).reshape(shape)


def rows(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def signs(ax):
    """Sign and whether it is bold, by row and column."""
    return {(text.get_position()[::-1]): (text.get_text(), text.get_fontweight() == "bold") for text in ax.texts}


@pytest.fixture
def links():
    return pd.DataFrame(
        {
            "group": ["T", "B", "T", "B", "T"],
            "gene": ["A", "A", "C", "C", "D"],
            "peak": ["p", "p", "q", "q", "r"],
            "beta": [0.5, -0.2, -0.4, np.nan, 0.3],
            "p_value": [1e-6, 0.3, 1e-4, np.nan, 1e-3],
            "fdr": [1e-5, 0.4, 1e-3, np.nan, 1e-2],
            "status": ["ok", "ok", "ok", "peak_rare", "ok"],
        }
    )


def test_heatmap__draws_effects_signs_and_gaps(links):
    ax = heatmap(links)
    assert rows(ax) == ["A  p", "D  r", "C  q"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["T", "B"]
    np.testing.assert_array_equal(matrix(ax), [[0.5, -0.2], [0.3, np.nan], [-0.4, np.nan]])
    assert signs(ax) == {(0, 0): ("+", True), (0, 1): ("−", False), (1, 0): ("+", True), (2, 0): ("−", True)}
    assert ax.patch.get_hatch() == "/////"
    assert ax.figure.axes[-1].get_ylabel() == "effect (natural log)"


def test_heatmap__colours_are_centred_at_0_and_legible_in_grey(links):
    ax = heatmap(links)
    mesh = ax.collections[0]
    assert mesh.norm.vmin == -mesh.norm.vmax
    mesh.update_scalarmappable()
    assert luminance(mesh.cmap(0.5)[:3]) > 0.9
    # Both ends are dark, and so the sign is written: light on dark, dark on light.
    for text in ax.texts:
        column, row = text.get_position()
        ground = mesh.cmap(mesh.norm(matrix(ax)[row, column]))[:3]
        assert abs(luminance(ground) - luminance(text.get_color())) > 0.3


def test_heatmap__takes_the_pairs_and_groups_that_are_named(links):
    pairs = pd.DataFrame({"gene": ["C", "A"], "peak": ["q", "p"]})
    ax = heatmap(links, pairs=pairs, groups=["B", "T"])
    assert rows(ax) == ["C  q", "A  p"]
    np.testing.assert_array_equal(matrix(ax), [[np.nan, -0.4], [-0.2, 0.5]])
    assert rows(heatmap(links, top=1)) == ["A  p"]


def test_heatmap__top_pairs_do_not_depend_on_the_order_of_rows():
    table = links_table(6_000, n_groups=4)
    first, second = heatmap(table, top=12), heatmap(table.iloc[::-1], top=12, groups=[f"type {g}" for g in range(4)])
    assert rows(first) == rows(second)
    np.testing.assert_array_equal(matrix(first), matrix(second))
    best = table.sort_values("p_value").drop_duplicates(["gene", "peak"]).head(12)
    assert {f"{gene}  {peak}" for gene, peak in best[["gene", "peak"]].itertuples(index=False)} == set(rows(first))


def test_heatmap__enhancer_pairs_are_named_by_their_middles():
    epi = pd.concat([epi_table(20, seed=1).assign(group=group) for group in ("T", "B")], ignore_index=True)
    ax = heatmap(epi, top=5)
    assert len(rows(ax)) == 5
    chosen = epi.loc[epi["p_value"].idxmin()]
    start = int(chosen["enhancer_1"].split(":")[1].split("-")[0])
    assert f"{chosen['gene']}  chr1:{(start + 400) / 1e3:,.0f} × {(start + 4_300) / 1e3:,.0f} kb" in rows(ax)
    assert ax.figure.axes[-1].get_ylabel() == "interaction (natural log)"
    assert heatmap(epi, contrast="11").figure.axes[-1].get_ylabel() == "effect of 11 against 00 (natural log)"
    odd = epi.assign(enhancer_1="e1", enhancer_2=[f"e{k}" for k in range(len(epi))])
    assert rows(heatmap(odd, top=1))[0].split("  ")[1].startswith("e1 × e")


def test_heatmap__extreme_effects_do_not_fade_the_others():
    table = links_table(4_000, n_groups=4)
    table.loc[table["p_value"].idxmin(), "beta"] = 50.0
    mesh = heatmap(table, top=30).collections[0]
    assert mesh.norm.vmax < 5
    assert heatmap(table, top=30).figure.axes[-1].get_ylabel()


def test_heatmap__hundreds_of_thousands_are_a_small_picture():
    ax = heatmap(links_table(300_000, n_groups=29))
    assert matrix(ax).shape == (30, 29)
    n_bytes = sizes(ax)
    assert n_bytes["png"] < 400_000
    assert n_bytes["svg"] < 1_200_000


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({}, {"groups": ["NK"]}, MissingKeyError, "has group 'NK'; its groups are 'T', 'B'"),
        ({}, {"top": 0}, OptionError, "top: expected a whole number"),
        ({}, {"pairs": pd.DataFrame({"gene": ["Z"], "peak": ["p"]})}, MissingKeyError, "1 of the pairs .* 'Z p'"),
        ({}, {"pairs": pd.DataFrame({"gene": ["Z"]})}, MissingKeyError, "the table pairs has no column 'peak'"),
        ({"status": "collinear"}, {}, InputError, r"was tested \(status collinear 5\)"),
    ],
)
def test_heatmap__says_what_is_wrong(links, change, options, error, message):
    with pytest.raises(error, match=message):
        heatmap(links.assign(**change), **options)
    with pytest.raises(MissingKeyError, match="the table links has no column 'group'"):
        heatmap(links.drop(columns="group"))
