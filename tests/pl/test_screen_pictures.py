"""Pictures of a screen say what its tables say, for three tests as for hundreds of thousands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pl.tables import boxes, interactions_table, joint_table, luminance, overlaps, screen_table, sizes

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import additivity, qq, screen_aic, screen_links, screen_power, volcano


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_qq__sets_controls_beside_what_was_asked_for_in_the_order_of_kinds():
    table = screen_table(200, n_controls=300)
    ax = qq(table, kinds=["robust"], by="kind")
    names = ["robust, discovery (200)", "robust, non_targeting (300)", "robust, shuffled (300)"]
    assert legend(ax)[:3] == names
    curves = {line.get_label().split(" (")[0]: line for line in ax.get_lines() if line.get_linestyle() == "None"}
    assert len({line.get_marker() for line in curves.values()}) == 4
    p = table.loc[table["kind"] == "shuffled", "p_robust"]
    assert curves["robust, shuffled"].get_ydata().max() == pytest.approx(-np.log10(p.min()))


def test_qq__cuts_off_what_would_squeeze_the_controls():
    table = screen_table(200, n_controls=300)
    table.loc[:4, "p_robust"] = 10.0 ** -np.arange(20, 25)
    ax = qq(table, kinds=["robust"], by="kind", top=6)
    lost = int(((table["p_robust"] < 1e-6) & (table["kind"] == "discovery")).sum())
    assert lost >= 5
    assert legend(ax)[0] == f"robust, discovery (200; ↑ {lost} below 1e-06)"
    arrows = ax.collections[-1].get_offsets()
    assert (arrows[:, 1] < ax.get_ylim()[1]).all()
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    where = ax.transData.transform(arrows)
    assert not any(box.contains(*point) for point in where)
    assert ax.get_ylim()[1] < 12
    with pytest.raises(OptionError, match="top: expected a number above 0; found -1"):
        qq(table, top=-1)


def test_volcano__leaves_controls_out_and_cuts_off_at_the_top():
    table = screen_table(300, n_controls=500)
    called = int((table["fdr"] < 0.1).sum())
    assert volcano(table).get_title() == f"all: 300 tested, {called} called at FDR 0.1"
    ax = volcano(table, top=4)
    lost = int(((table["p_value"] < 1e-4) & (table["kind"] == "discovery")).sum())
    assert f"{lost} below 0.0001" in legend(ax)
    assert ax.get_ylim()[1] < 5
    with pytest.raises(InputError, match="holds negative controls only"):
        volcano(table[table["kind"] == "shuffled"])
    with pytest.raises(OptionError, match="top: expected"):
        volcano(table, top=0)


def test_volcano__of_interactions_and_of_one_target():
    table = interactions_table(200, n_controls=50)
    assert volcano(table).get_title().startswith("all: 200 tested")
    single = volcano(table, contrast="1")
    assert single.get_xlabel() == "effect of target 1 alone (natural log)"
    assert single.get_ylabel() == "wald p-value (−log10)"
    with pytest.raises(OptionError, match="contrast '10' is not in the table interactions; expected interaction, 1, 2"):
        volcano(table, contrast="10")


def test_additivity__of_a_screen_adds_the_interaction():
    table = interactions_table(3, n_controls=3)
    ax = additivity(table)
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets())])
    tested = table[table["kind"] == "discovery"]
    total = tested["beta_1"] + tested["beta_2"]
    np.testing.assert_allclose(sorted(drawn[:, 0]), sorted(total))
    np.testing.assert_allclose(sorted(drawn[:, 1] - drawn[:, 0]), sorted(tested["beta_interaction"]))
    assert ax.get_xlabel() == "sum of single effects, targets 1 + 2 (natural log)"


def test_power__is_the_share_of_tests_with_a_smaller_limit():
    table = pd.DataFrame(
        {"min_interaction": [0.5, 1.0, 2.0, np.inf], "kind": "discovery", "target_1": "a", "status": "ok"}
    )
    ax = screen_power(table)
    curve = next(line for line in ax.lines if line.get_linewidth() > 1.5)
    x, y = curve.get_data()
    # One that could show nothing counts in the share.
    assert dict(zip(x[1:-1], y[1:-1], strict=True)) == {0.5: 25.0, 1.0: 50.0, 2.0: 75.0}
    assert ax.get_title() == "4 tests: half could show 1.5 or more"
    assert screen_power(table.assign(min_interaction=[1.0, np.inf, np.inf, np.inf])).get_title() == (
        "4 tests: less than half could show any"
    )


def test_power__is_of_what_was_asked_for():
    table = screen_table(60, n_controls=200)
    half = table.loc[table["kind"] == "discovery", "min_effect"].median()
    assert screen_power(table).get_title() == f"all: 60 tests: half could show {half:.2g} or more"


def test_aic__counts_what_differs_by_two_and_gathers_what_lies_outside():
    table = pd.DataFrame({"aic_multiplicative": 100.0, "aic_additive": 100 + np.array([2.1, 2.0, 0, -1, -3, 400.0])})
    ax = screen_aic(table)
    assert legend(ax) == ["multiply (2)", "cannot be told (3)", "add (1)"]
    assert sum(patch.get_height() for patch in ax.patches) == 6
    texts = [tick.get_text() for tick in ax.get_xticklabels()]
    assert texts[0].startswith("≤ −")
    assert texts[-1].startswith("≥ ")
    assert len({patch.get_hatch() for patch in ax.patches}) == 3


def test_links__draws_each_pair_once_by_what_calls_it():
    table = joint_table(400)
    twice = pd.concat([table, table.assign(peak="chr1:5-9", p_link=1.0, beta_link=0.0)], ignore_index=True)
    ax = screen_links(twice)
    linked, in_screen = table["fdr_link"] < 0.1, table["fdr_screen"] < 0.1
    opposite = int((table["beta_link"] * table["beta_screen"] < 0).sum())
    assert ax.get_title() == f"K562: 400 pairs, {opposite} with opposite signs"
    assert legend(ax) == [
        f"neither ({(~linked & ~in_screen).sum()})",
        f"link only ({(linked & ~in_screen).sum()})",
        f"screen only ({(in_screen & ~linked).sum()})",
        f"link and screen ({(linked & in_screen).sum()})",
        *legend(ax)[4:],
    ]
    drawn = next(c for c in ax.collections if c.get_label().startswith("link and screen"))
    both = table[linked & in_screen]
    np.testing.assert_allclose(sorted(drawn.get_offsets()[:, 1]), sorted(both["beta_screen"]))
    assert {text.get_text() for text in ax.texts} <= set(table.loc[in_screen, "gene"])
    assert overlaps(boxes(ax)) == []


def test_links__draws_intervals_where_they_can_be_told():
    table = joint_table(3).assign(fdr_link=0.01)
    ax = screen_links(table)
    bars = [c for c in ax.collections if hasattr(c, "get_segments") and c.get_segments()]
    ends = np.array([segment[:, 0] for c in bars for segment in c.get_segments() if np.ptp(segment[:, 1]) == 0])
    np.testing.assert_allclose(np.sort(np.ptp(ends, axis=1)), 3 * [2 * 1.959964 * 0.1], rtol=1e-6)
    assert not [
        c
        for c in screen_links(joint_table(3_000)).collections
        if hasattr(c, "get_segments") and len(c.get_segments()) > 300
    ]


def test_links__categories_are_told_apart_in_grey_or_by_shape():
    ax = screen_links(joint_table(400))
    marks = [c for c in ax.collections if "only" in c.get_label() or "and" in c.get_label()]
    shapes = {tuple(c.get_paths()[0].vertices.ravel().round(3)) for c in marks}
    assert len(shapes) == len(marks) == 3
    assert max(luminance(c.get_facecolors()[0]) for c in marks) < 0.6


@pytest.mark.parametrize(
    "draw",
    [
        lambda: screen_links(
            pd.concat([joint_table(30_000)] * 10, ignore_index=True).assign(
                target=lambda t: np.arange(len(t)).astype(str)
            )
        ),
        lambda: screen_power(pd.concat([screen_table(30_000)] * 10, ignore_index=True)),
        lambda: screen_aic(pd.concat([interactions_table(30_000)] * 10, ignore_index=True)),
    ],
    ids=["links", "power", "aic"],
)
def test_pictures__of_hundreds_of_thousands_are_small(draw):
    n_bytes = sizes(draw())
    assert n_bytes["png"] < 300_000
    assert n_bytes["svg"] < 600_000


def test_pictures__say_what_is_wrong():
    with pytest.raises(MissingKeyError, match="the table given has no column 'min_effect'"):
        screen_power(pd.DataFrame({"beta": [1.0]}))
    with pytest.raises(MissingKeyError, match="no column 'aic_multiplicative'"):
        screen_aic(pd.DataFrame({"aic_additive": [1.0]}))
    with pytest.raises(InputError, match="has no finite number above 0"):
        screen_power(pd.DataFrame({"min_effect": [np.inf]}))
    joint = joint_table(5)
    with pytest.raises(InputError, match="none of the 5 rows of the table was tested on both sides"):
        screen_links(joint.assign(status_link="peak_rare"))
    with pytest.raises(MissingKeyError, match="its groups are 'K562'"):
        screen_links(joint, group="HeLa")
    with pytest.raises(OptionError, match="screen_fdr: expected a number"):
        screen_links(joint, screen_fdr=2)
    with pytest.raises(OptionError, match="kinds: 'shuffled' not known"):
        screen_links(joint, kinds=("shuffled",))
