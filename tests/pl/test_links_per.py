"""Bars count genes, or peaks, by their links."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pl.tables import links_table, sizes

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import links_per


def heights(ax):
    return [int(bar.get_height()) for bar in ax.patches]


@pytest.fixture
def links():
    return pd.DataFrame(
        {
            "group": ["T", "T", "T", "T", "B"],
            "gene": ["A", "A", "A", "B", "A"],
            "peak": ["p", "q", "r", "p", "p"],
            "fdr": [0.01, 0.02, 0.9, 0.03, 0.04],
            "status": "ok",
        }
    )


def test_links_per__counts_within_groups(links):
    ax = links_per(links)
    assert heights(ax) == [2, 1]
    assert (
        ax.get_title()
        == "3 of 3 tested genes have a link\n2 groups, each counted by itself, FDR 0.1, mean 1.33, most 2"
    )
    assert [text.get_text() for text in ax.texts] == ["2", "1"]
    one = links_per(links, of="peak", group="T")
    assert heights(one) == [1, 1]
    assert one.get_title() == "2 of 3 tested peaks have a link\nT, FDR 0.1, mean 1.50, most 2"
    assert (one.get_xlabel(), one.get_ylabel()) == ("linked genes", "peaks")


def test_links_per__nothing_called_is_a_picture_too(links):
    ax = links_per(links.assign(fdr=1.0))
    assert heights(ax) == [0]
    assert ax.get_title().startswith("0 of 3 tested genes have a link")
    assert sizes(ax)["png"]


def test_links_per__many_links_share_the_last_bar():
    links = pd.DataFrame({"gene": ["A"] * 40 + ["B"] * 20 + ["C"], "peak": np.arange(61).astype(str), "fdr": 0.01})
    ax = links_per(links)
    assert heights(ax) == [1] + [0] * 13 + [2]
    assert ax.get_xticklabels()[-1].get_text() == "15+"
    assert ax.get_title().endswith("most 40")


def test_links_per__hundreds_of_thousands_add_up():
    links = links_table(300_000, n_groups=20)
    ax = links_per(links)
    assert sum(h * (k + 1) for k, h in enumerate(heights(ax))) == int((links["fdr"] < 0.1).sum())
    assert sizes(ax)["svg"] < 200_000


def test_links_per__says_what_is_wrong(links):
    with pytest.raises(OptionError, match="of 'group' is not known; expected 'gene' or 'peak'"):
        links_per(links, of="group")
    with pytest.raises(MissingKeyError, match="the table links has no column 'fdr'"):
        links_per(links.drop(columns="fdr"))
    with pytest.raises(InputError, match="none of the 5 rows of the table links was tested"):
        links_per(links.assign(status="peak_rare", fdr=np.nan))
