"""Pairs of linked enhancers, from our tables and from others'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError

PEAKS = ["chr1-10000-10500", "chr1-900-1100", "chr1-2000-2400", "chr2-100-300", "chrX-5-25"]


def links(**columns):
    table = pd.DataFrame({"group": "T", "gene": "g", "peak": PEAKS, "fdr": [0.01, 0.02, 0.03, 0.04, 0.5]})
    return table.assign(**columns)


def test_enhancer_pairs__are_all_pairs_of_links_in_genomic_order():
    found = sl.tl.enhancer_pairs(links())
    assert list(found.columns) == ["group", "gene", "enhancer_1", "enhancer_2", "distance"]
    assert found[["enhancer_1", "enhancer_2"]].values.tolist() == [
        ["chr1-900-1100", "chr1-2000-2400"],
        ["chr1-900-1100", "chr1-10000-10500"],
        ["chr1-900-1100", "chr2-100-300"],
        ["chr1-2000-2400", "chr1-10000-10500"],
        ["chr1-2000-2400", "chr2-100-300"],
        ["chr1-10000-10500", "chr2-100-300"],
    ]
    assert found["distance"].tolist() == [1200, 9250, pd.NA, 8050, pd.NA, pd.NA]


def test_enhancer_pairs__need_two_links_of_a_gene_in_a_group():
    table = pd.concat([links().head(1), links(group="B").iloc[[1]], links(gene="h").head(2)])
    assert sl.tl.enhancer_pairs(table)[["group", "gene"]].values.tolist() == [["T", "h"]]


def test_enhancer_pairs__leave_out_what_was_not_tested_and_count_a_link_once():
    table = pd.concat([links(), links(status="separated"), links().head(2)], ignore_index=True)
    assert len(sl.tl.enhancer_pairs(table)) == 6
    assert sl.tl.enhancer_pairs(links(status=["ok", "ok", "failed", "failed", "ok"])).shape[0] == 1


@pytest.mark.parametrize(
    ("bounds", "number"),
    [({"max_distance": 1200}, 1), ({"max_distance": 9000}, 2), ({"min_distance": 1201}, 2), ({"min_distance": 0}, 3)],
)
def test_enhancer_pairs__within_bounds(bounds, number):
    found = sl.tl.enhancer_pairs(links(), **bounds)
    assert len(found) == number
    assert found["distance"].notna().all()


def test_enhancer_pairs__sets_of_three():
    found = sl.tl.enhancer_pairs(links(), order=3)
    assert list(found.columns)[2:] == ["enhancer_1", "enhancer_2", "enhancer_3", "distance"]
    assert len(found) == 4
    assert found["distance"].tolist()[0] == 9250
    assert len(sl.tl.enhancer_pairs(links(), order=3, min_distance=1201)) == 0


def test_enhancer_pairs__of_a_table_of_scent(tmp_path):
    rng = np.random.default_rng(0)
    peaks = [f"chr1-{1000 * k}-{1000 * k + 400}" for k in range(40)]
    text = pd.DataFrame({"gene": "g", "peak": peaks, "beta": 0.1, "se": 0.1, "z": 1.0, "p": rng.random(40)})
    text["boot_basic_p"] = np.r_[[1e-5, 2e-5, 4e-5], rng.uniform(0.2, 1, 37)]
    text.to_csv(tmp_path / "scent.txt", sep=" ", index=False)
    found = sl.tl.enhancer_pairs(sl.io.read_links(tmp_path / "scent.txt"))
    assert found["group"].unique().tolist() == ["all"]
    assert set(found["enhancer_1"]) | set(found["enhancer_2"]) == set(peaks[:3])


def test_enhancer_pairs__none():
    found = sl.tl.enhancer_pairs(links(), fdr=0.015)
    assert len(found) == 0
    assert list(found.columns) == ["group", "gene", "enhancer_1", "enhancer_2", "distance"]


@pytest.mark.parametrize(
    ("table", "words", "error", "says"),
    [
        (links().drop(columns="peak"), {}, MissingKeyError, "no column 'peak'"),
        (links().drop(columns="fdr"), {}, MissingKeyError, "neither fdr nor p_value"),
        (links(peak=["a", "b", "c", "d", "e"]), {}, InputError, "a"),
        (links(), {"fdr": 0}, OptionError, "fdr"),
        (links(), {"order": 1}, OptionError, "order"),
        (links(), {"min_distance": 5, "max_distance": 4}, OptionError, "above"),
        ([1], {}, InputError, "list"),
    ],
)
def test_enhancer_pairs__says_what_is_wrong(table, words, error, says):
    with pytest.raises(error, match=says):
        sl.tl.enhancer_pairs(table, **words)
