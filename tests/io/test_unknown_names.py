"""Names that are not there: of which kind they are, and what they may be called."""

from __future__ import annotations

import pytest

from scanlink.io.unknown_names import why_unknown


@pytest.mark.parametrize(
    ("absent", "known", "message"),
    [
        ("ENSG00000141510.12", "ENSG00000141510", "1 with another version of the identifier"),
        ("ENSG00000141510", "ENSG00000141510.12", "1 with another version of the identifier"),
        ("1-Mar", "MARCHF1", "1 made dates or numbers by a spreadsheet"),
        ("2-Sep", "SEPT2", "1 made dates"),
        ("Sep-02", "Septin2", "1 made dates"),
        ("2021-12-01 00:00:00", "DELEC1", "1 made dates"),
        ("hg19_GAPDH", "GAPDH", "1 with a genome before the name"),
        ("mm10___Gapdh", "Gapdh", "1 with a genome before the name"),
        ("Gapdh", "GAPDH", "1 in other upper and lower case, as of man and mouse"),
        ("HLA.DRA", "HLA-DRA", "1 with other punctuation"),
        ("chr1-100-200", "chr1:100-200", "1 with other punctuation"),
        ("SEPT2", "SEPTIN2", "1 renamed"),
        ("MARCHF1", "MARCH1", "1 renamed"),
        ("TBCE-1", "TBCE", "1 with a number behind the name, as copies of equal names"),
    ],
)
def test_why_unknown__says_what_is_known_instead(absent, known, message):
    told = why_unknown([absent], ["ACTB", known, "TP53"])
    assert told.startswith(message)
    assert f"{absent!r} is {known!r} there" in told


def test_why_unknown__counts_each_kind_and_each_name_once():
    told = why_unknown(
        ["1-Mar", "3-Mar", "actb", "tp53", "PPAP2B", "2.31E+13", "RP11-431K24.1"], ["MARCHF3", "ACTB", "TP53"]
    )
    assert told == (
        "3 made dates or numbers by a spreadsheet ('3-Mar' is 'MARCHF3' there), 2 in other upper and lower case, as of "
        "man and mouse ('actb' is 'ACTB' there), 1 of clones and loci, whose names change with each release "
        "('RP11-431K24.1')"
    )


def test_why_unknown__two_genes_may_be_meant_by_one_date():
    assert "'1-Mar' is 'MARCHF1' or 'MTARC1' there" in why_unknown(["1-Mar"], ["MTARC1", "MARCHF1"])


@pytest.mark.parametrize("absent", ["PPAP2B", "99-Mar-x", "1-May", "GENE-9", "2021-05-01", "ENSMUSG00000000001"])
def test_why_unknown__says_nothing_of_what_it_does_not_know(absent):
    assert why_unknown([absent], ["ACTB", "GAPDH", "ENSG00000000001"]) == ""
