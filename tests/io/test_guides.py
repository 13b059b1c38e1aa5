"""Tables of guides: whatever their columns are called, and what is refused."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from small_screens import GUIDES

from scanlink.errors import InputError, MissingKeyError
from scanlink.io.guide_match import match_guides
from scanlink.io.guides import guide_table
from scanlink.io.screen_data import check_guides

TABLE = GUIDES.set_index("guide")


def test_guide_table__is_the_hull_of_the_guides_of_a_target():
    table = guide_table(TABLE)
    assert table.columns.tolist() == ["target", "efficiency", "chrom", "start", "end"]
    assert table.index.tolist() == GUIDES["guide"].tolist()
    assert table.loc[["g1", "g2"], ["start", "end"]].to_numpy().tolist() == [[50_000, 50_300]] * 2
    assert table.loc["g3", ["start", "end"]].tolist() == [90_000, 90_100]
    assert table.loc[["nt1", "nt2"], ["chrom", "start", "end"]].isna().all(axis=None)
    np.testing.assert_array_equal(table["efficiency"], TABLE["efficiency"])


@pytest.mark.parametrize(
    "names",
    [
        {
            "target": "intended_target_name",
            "chrom": "intended_target_chr",
            "start": "intended_target_start",
            "end": "intended_target_end",
        },
        {"target": "grna_target", "chrom": "chr", "efficiency": "Guide.Efficiency"},
        {"target": "target_id", "chrom": "Target Chromosome", "start": "target_site.start", "end": "target_site.stop"},
        {"target": "gRNA_group", "chrom": "seqnames", "start": "chromStart", "end": "chromEnd"},
    ],
)
def test_guide_table__knows_other_names_of_columns(names):
    pd.testing.assert_frame_equal(guide_table(TABLE.rename(columns=names)), guide_table(TABLE))


def test_guide_table__takes_the_place_of_the_target_before_that_of_the_guide():
    table = TABLE.rename(columns={"chrom": "target_chrom", "start": "target_start", "end": "target_end"})
    both = table.assign(chrom="chr7", start=1, end=2)
    pd.testing.assert_frame_equal(guide_table(both), guide_table(TABLE))


@pytest.mark.parametrize(
    "label",
    [
        "NTC",
        "ntc_12",
        "Non-Targeting",
        "nontargeting3",
        "non_targeting_control_7",
        "negative_control",
        "neg-ctrl-4",
        "safe-targeting",
        "scrambled",
        "control",
        "non-targeting guide 5",
    ],
)
def test_guide_table__knows_controls_by_their_label(label, caplog):
    caplog.set_level(logging.INFO, logger="scanlink")
    table = TABLE.assign(target=TABLE["target"].replace("non-targeting", label))
    pd.testing.assert_frame_equal(guide_table(table), guide_table(TABLE))
    assert repr(label) in caplog.text


@pytest.mark.parametrize("label", ["NT5E", "NTF3", "CTRL1", "NEGR1", "control_region", "NTCP_enh"])
def test_guide_table__does_not_take_a_gene_for_a_control(label):
    table = TABLE.assign(target=TABLE["target"].replace("enh2", label))
    assert guide_table(table).loc["g3", "target"] == label


def test_guide_table__believes_the_column_targeting(caplog):
    said = ["TRUE", "TRUE", "TRUE", "TRUE", "FALSE", "FALSE"]
    absent = TABLE.assign(target=TABLE["target"].replace("non-targeting", None), targeting=said)
    pd.testing.assert_frame_equal(guide_table(absent), guide_table(TABLE))
    assert not caplog.records
    named = TABLE.assign(target=TABLE["target"].replace("non-targeting", "chr2_site"), targeting=said)
    pd.testing.assert_frame_equal(guide_table(named), guide_table(TABLE))
    assert "2 guides have a target ('chr2_site') but are not targeting" in caplog.text


@pytest.mark.parametrize("missing", [-9, -1, np.nan])
def test_guide_table__takes_no_number_for_no_place(missing):
    table = TABLE.assign(start=TABLE["start"].replace(-9, missing), end=TABLE["end"].replace(-9, missing))
    pd.testing.assert_frame_equal(guide_table(table), guide_table(TABLE))


def test_guide_table__goes_without_efficiencies_and_places(caplog):
    table = guide_table(TABLE[["target"]])
    assert table[["efficiency", "chrom", "start", "end"]].isna().all(axis=None)
    assert not caplog.records
    partly = TABLE.assign(chrom=TABLE["chrom"].where(TABLE["target"] != "enh2"))
    partly.loc["g3", ["start", "end"]] = np.nan
    assert guide_table(partly).loc["g3", "start":"end"].isna().all()
    assert "1 targets have no coordinates: 'enh2'" in caplog.text


def test_guide_table__says_when_guides_of_a_target_are_far_apart(caplog):
    guide_table(TABLE.assign(end=[50_100, 150_000, 90_100, 1_020, -9, -9]))
    assert "more than 50,000 bp apart: 'enh1'" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": ["enh1", None, "", "NOC2L", "NTC", "NTC"]}, r"2 of 6 guides have no target \('g2', 'g3'\)"),
        ({"target": ["NTC"] * 6}, "all 6 guides are controls"),
        (
            {"efficiency": [50, 80, np.nan, 100, np.nan, np.nan]},
            r"3 efficiencies in column 'efficiency' are not from 0 "
            r"to 1, such as 50 of guide g1. Divide percentages by 100",
        ),
        ({"efficiency": [0.5, -0.1, np.nan, 1, np.nan, np.nan]}, "such as -0.1 of guide g2"),
        ({"efficiency": ["good", "0.5", None, "1", None, None]}, r"1 values in column 'efficiency' are not numbers"),
        ({"chrom": ["chr1", "chr2", "chr1", "chr1", None, None]}, "guides of one target are on different chromosomes"),
        (
            {"start": [50_100, 50_200, 90_000, 999, -9, -9]},
            r"1 guides have impossible coordinates \('g1'\), the first "
            r"chr1:50100-50100. Expected a chromosome and 0 <= start < end",
        ),
        ({"start": [-50, 50_200, 90_000, 999, -9, -9]}, "impossible coordinates"),
        ({"start": [0.5, 50_200, 90_000, 999, -9, -9]}, "impossible coordinates"),
        ({"end": [np.inf, 50_300, 90_100, 1_020, -9, -9]}, "impossible coordinates"),
        ({"chrom": [None, "chr1", "chr1", "chr1", None, None]}, "impossible coordinates"),
        ({"targeting": ["maybe"] * 6}, "column 'targeting' has 'maybe'; expected True, and False for controls"),
    ],
)
def test_guide_table__refuses_what_is_impossible(change, message):
    with pytest.raises(InputError, match=message):
        guide_table(TABLE.assign(**change))


def test_guide_table__names_the_column_that_is_missing():
    with pytest.raises(
        MissingKeyError, match=r"no column of targets, found 'efficiency', .* expected 'target', 'intend"
    ):
        guide_table(TABLE.drop(columns="target"))
    with pytest.raises(MissingKeyError, match=r"has 'start', 'end' but no column 'chrom'"):
        guide_table(TABLE.drop(columns="chrom"))
    with pytest.raises(MissingKeyError, match=r"has 'chrom', 'end' but no column 'start'"):
        guide_table(TABLE.drop(columns="start"))


def test_match_guides__finds_the_column_of_names_and_keeps_the_rest():
    var = pd.DataFrame({"feature": list("abcdef")}, index=GUIDES["guide"][::-1])
    table = GUIDES.assign(guide_name="x", pool=["p"] * 6).rename(columns={"guide": "Protospacer"})
    found = match_guides(var, table)
    assert found.index.equals(var.index)
    assert found["target"].tolist() == GUIDES["target"].tolist()[::-1]
    assert found.columns.tolist() == [
        *("target", "efficiency", "chrom", "start", "end", "guide_name", "pool", "feature")
    ]
    by_index = match_guides(var, TABLE)
    assert by_index["target"].tolist() == found["target"].tolist()


def test_match_guides__finds_guides_by_their_other_name():
    var = pd.DataFrame({"gene_ids": GUIDES["guide"].tolist()}, index=[f"CRISPR_{k}" for k in range(6)])
    assert match_guides(var, GUIDES)["target"].tolist() == GUIDES["target"].tolist()


def test_match_guides__leaves_out_guides_that_are_not_in_the_matrix_and_says_so(caplog):
    found = match_guides(pd.DataFrame(index=["g3", "g1"]), GUIDES)
    assert found["target"].tolist() == ["enh2", "enh1"]
    assert found.loc["g1", "end"] == 50_100
    assert "4 of 6 guides are not in the matrix and left out: 'g2', 'g4', 'nt1', 'nt2'" in caplog.text


@pytest.mark.parametrize(
    ("names", "table", "message"),
    [
        (["g1", "g9", "g8"], GUIDES, r"2 of 3 guides of the matrix are not in it \('g9', 'g8'\): add a row for each"),
        (
            ["x1"],
            GUIDES,
            r"none of the 1 guides of the matrix is in it: the matrix has such as 'x1', column 'guide' "
            r"such as 'g1', 'g2'; columns found",
        ),
        (["g1"], pd.concat([GUIDES, GUIDES[:1]]), r"1 guides are there more than once in column 'guide' \('g1'\)"),
        (["g1"], "guides.csv", "the table of guides is a str, expected a table"),
    ],
)
def test_match_guides__refuses_tables_of_other_guides(names, table, message):
    with pytest.raises(InputError, match=message):
        match_guides(pd.DataFrame(index=names), table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"target": ["enh1", "enh1", "enh2", "NOC2L", "NTC", "NTC"]},
            "'NTC' looks like a label of controls; expected 'non",
        ),
        (
            {"end": [50_100, 50_300, 90_100, 1_020, -9, -9]},
            r"guides of one target have different coordinates \('enh1'\)",
        ),
        ({"threshold": [5, 5, 0, 5, 5, 5]}, r"the threshold of 1 guides is no whole number of at least 1 \('g3'\)"),
        ({"threshold": [5, 5, np.nan, 5, 5, 5]}, "the threshold of 1 guides"),
        ({"efficiency": 2.0}, "6 efficiencies in column 'efficiency' are not from 0 to 1"),
    ],
)
def test_check_guides__refuses_what_later_calls_cannot_use(change, message):
    var = guide_table(TABLE)
    check_guides(var)
    with pytest.raises(InputError, match=message):
        check_guides(var.assign(**change))


def test_check_guides__wants_targets():
    with pytest.raises(MissingKeyError, match=r"guide.var has no column 'target', found 'a': pass the data through"):
        check_guides(pd.DataFrame({"a": [1]}))
