"""The QQ plot says what the p-values say, for three pairs as for millions."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pl.tables import epi_table

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import qq
from scanlink.pl._looks import STYLES


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax):
    """Points of each curve, by its kind."""
    return {
        line.get_label().split(" (")[0]: line.get_xydata() for line in ax.get_lines() if line.get_linestyle() == "None"
    }


@pytest.fixture
def links():
    return pd.DataFrame(
        {
            "group": ["T", "T", "B"],
            "p": [0.5, 0.01, 0.2],
            "p_robust": [0.3, 0.03, np.nan],
            "p_boot": [np.nan] * 3,
            "p_tail": [np.nan] * 3,
        }
    )


def test_qq__draws_the_kinds_that_the_table_has(links):
    ax = qq(links)
    assert legend(ax) == ["wald (3)", "robust (2)", "95 % band, n = 2"]
    np.testing.assert_allclose(points(ax)["wald"], -np.log10([[1 / 4, 0.01], [2 / 4, 0.2], [3 / 4, 0.5]]))
    np.testing.assert_allclose(points(ax)["robust"], -np.log10([[1 / 3, 0.03], [2 / 3, 0.3]]))


def test_qq__draws_the_kinds_that_are_asked_for_by_column(links):
    assert legend(qq(links, kinds=["robust"])) == ["robust (2)", "95 % band, n = 2"]
    assert legend(qq(links, kinds=["wald"], by="group")) == ["wald, B (1)", "wald, T (2)", "95 % band, n = 1"]


def test_qq__draws_into_the_axes_it_is_given(links):
    left, right = Figure().subplots(1, 2)
    assert qq(links, ax=right) is right
    assert not left.lines
    qq(links).figure.savefig(io.BytesIO())


def test_qq__band_holds_95_percent_of_uniform_p_values():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(200):
        ax = qq(pd.DataFrame({"p": rng.random(50)}))
        x, y = points(ax)["wald"][0]
        band = ax.collections[0].get_paths()[0].vertices
        ends = band[np.isclose(band[:, 0], x), 1]
        inside.append(ends.min() <= y <= ends.max())
    assert 0.9 < np.mean(inside) < 0.99


def test_qq__millions_are_as_legible_as_hundreds_and_the_smallest_stay():
    p = np.random.default_rng(1).random(1_000_000)
    first, second = (points(qq(pd.DataFrame({"p": order})))["wald"] for order in (p, p[::-1]))
    np.testing.assert_array_equal(first, second)
    assert 30 < len(first) < 70
    np.testing.assert_allclose(first[:3, 1], -np.log10(np.sort(p)[:3]))


def test_qq__p_values_of_zero_are_at_the_edge_and_counted():
    ax = qq(pd.DataFrame({"p": [0.0, 1e-310, 1e-8, 0.3]}))
    assert legend(ax)[0] == "wald (4; ↑ 2 below 1e-300)"
    assert points(ax)["wald"][:, 1].tolist() == pytest.approx([8, -np.log10(0.3)])
    arrows = ax.collections[-1].get_offsets()
    assert len(arrows) == 2
    assert (arrows[:, 1] > 8).all()
    assert (arrows[:, 1] < ax.get_ylim()[1]).all()
    assert np.isfinite(ax.get_ylim()).all()
    assert len(qq(pd.DataFrame({"p": [0.0, 0.0]})).collections) == 2


def test_qq__curves_are_told_apart_in_grey():
    assert len({marker for _, marker in STYLES}) == len({color for color, _ in STYLES}) == len(STYLES)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (
            {},
            {"kinds": ["bayes"]},
            OptionError,
            "'bayes' not known; expected wald, robust, bootstrap, tail, permutation",
        ),
        ({}, {"kinds": ["tail"]}, InputError, "column 'p_tail' has no p-value"),
        ({}, {"by": "celltype"}, MissingKeyError, "the table links has no column 'celltype'"),
        ({"p": [0.1, 2.0, 0.2]}, {}, InputError, "column 'p' runs from 0.1 to 2.0"),
        ({"p": np.nan, "p_robust": np.nan}, {}, InputError, "no p-value in the columns 'p', 'p_robust'"),
    ],
)
def test_qq__says_what_is_wrong(links, change, options, error, message):
    with pytest.raises(error, match=message):
        qq(links.assign(**change), **options)


def test_qq__refuses_more_curves_than_can_be_told_apart():
    table = pd.DataFrame({"group": [f"group {i}" for i in range(9)], "p": 0.5})
    with pytest.raises(InputError, match="9 curves cannot be told apart, expected at most 8: name fewer kinds="):
        qq(table, by="group")


def test_qq__of_enhancer_pairs_is_that_of_a_contrast():
    epi = epi_table(60, groups=("T", "B"))
    ax = qq(epi)
    assert legend(ax) == ["wald (60)", "robust (60)", "95 % band, n = 60"]
    assert ax.get_title() == "interaction"
    observed = np.sort(-np.log10(epi["p_robust_interaction"]))
    np.testing.assert_allclose(np.sort(points(ax)["robust"][:, 1])[-5:], observed[-5:])
    single = qq(epi, contrast="10", kinds=["wald"], group="T")
    of_group = epi[epi["group"] == "T"]
    assert legend(single)[0] == f"wald ({len(of_group)})"
    assert points(single)["wald"][:, 1].max() == pytest.approx(-np.log10(of_group["p_10"].min()))
    assert single.get_title() == "effect of 10 against 00"
    assert legend(qq(epi, by="group", kinds="robust"))[:2] == [
        f"robust, {name} ({count})" for name, count in epi["group"].value_counts().sort_index().items()
    ]


def test_qq__refuses_contrasts_and_groups_that_are_not_there(links):
    with pytest.raises(OptionError, match="contrast '10' is of a table of enhancer pairs"):
        qq(links, contrast="10")
    with pytest.raises(OptionError, match="contrast '12' is not in the table epi"):
        qq(epi_table(5), contrast="12")
    with pytest.raises(MissingKeyError, match="no row of the table links has group 'NK'"):
        qq(links, group="NK")
    with pytest.raises(MissingKeyError, match="the table epi has no column 'p_tail_interaction'"):
        qq(epi_table(5), kinds=["tail"])
