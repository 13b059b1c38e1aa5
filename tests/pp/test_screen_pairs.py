"""Pairs of genes and targets."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from small_screens import GENES, GUIDES, parts

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError


def screen(guides=GUIDES, **options):
    return sl.io.assemble_screen(*parts(**options), guides=guides)


def rows(pairs):
    return [tuple(None if pd.isna(value) else value for value in row) for row in pairs.itertuples(index=False)]


def test_screen_pairs__lists_what_is_near_and_what_is_named(caplog):
    pairs = sl.pp.screen_pairs(screen(), GENES)
    # TSS: NOC2L at 1,000 (+), HES4 at 94,999 (-), TBCE at 2,000,000 (+), further than 1 Mb from all.
    assert rows(pairs) == [
        ("NOC2L", "enh1", 50_150 - 1_000, "discovery"),
        ("NOC2L", "enh2", 90_050 - 1_000, "discovery"),
        ("NOC2L", "NOC2L", 1_009 - 1_000, "positive_control"),
        ("HES4", "enh1", 94_999 - 50_150, "discovery"),
        ("HES4", "enh2", 94_999 - 90_050, "discovery"),
        ("HES4", "NOC2L", 94_999 - 1_009, "discovery"),
    ]
    assert pairs["distance"].dtype == "Int64"
    assert not caplog.records


def test_screen_pairs__are_those_of_cis_pairs():
    mdata = screen()
    each = mdata["guide"].var.drop_duplicates("target").query("target != 'non-targeting'")
    multiome = sl.ds.simulate(n_cells=60, n_genes=8, n_peaks=40, n_links=4, n_interactions=0).mdata
    multiome.mod["rna"] = multiome["rna"][:, :3].copy()
    multiome.mod["atac"] = multiome["atac"][:, : len(each)].copy()
    multiome["rna"].var_names = mdata["rna"].var_names
    multiome["rna"].var = multiome["rna"].var[[]]
    multiome["atac"].var = each[["chrom", "start", "end"]].astype({"start": int, "end": int}).set_index(each["target"])
    for options in ({"window": 60_000}, {"window": 45_000, "anchor": "body"}, {"window": 94_998, "overlap": "center"}):
        expected = sl.pp.cis_pairs(multiome, GENES, **{"anchor": "tss", **options}).rename(columns={"peak": "target"})
        found = sl.pp.screen_pairs(mdata, GENES, **options)
        found = found[found["kind"] == "discovery"]
        own = (expected["gene"] == "NOC2L") & (expected["target"] == "NOC2L")
        assert rows(found[["gene", "target", "distance"]]) == rows(expected[~own])


@pytest.mark.parametrize("name", ["ENSG01", "ENSG01.7", "NOC2L"])
@pytest.mark.parametrize(
    "genes", [["NOC2L", "HES4", "TBCE"], ["ENSG01", "ENSG02", "ENSG03"], ["ENSG01.2", "ENSG02", "E"]]
)
def test_screen_pairs__finds_positive_controls_by_name_or_identifier(name, genes):
    mdata = screen(GUIDES.assign(target=GUIDES["target"].replace("NOC2L", name)), genes=genes)
    annotation = GENES.assign(gene_id=["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"])
    annotation["gene_id"] = ["ENSG01", "ENSG02", "ENSG03"]
    # Identifiers of Ensembl have eleven digits; shorter ones end in no version.
    pairs = sl.pp.screen_pairs(mdata, annotation)
    assert rows(pairs[pairs["kind"] == "positive_control"])[0][2] == 9


@pytest.mark.parametrize("column", ["symbol", "gene_symbols", "feature_name", "gene_short_name"])
def test_screen_pairs__finds_positive_controls_by_symbol(column):
    mdata = screen(GUIDES.assign(target=GUIDES["target"].replace("enh2", "HES4_old")))
    mdata["rna"].var[column] = pd.Categorical(["NOC2L", "HES4_old", "TBCE"])
    pairs = sl.pp.screen_pairs(mdata, GENES).set_index(["gene", "target"])
    assert pairs.loc[("HES4", "HES4_old")].tolist() == [94_999 - 90_050, "positive_control"]
    assert pairs.loc[("NOC2L", "HES4_old"), "kind"] == "discovery"


def test_screen_pairs__finds_positive_controls_by_place():
    guides = GUIDES.assign(target=GUIDES["target"].replace("NOC2L", "promoter_1"))
    guides.loc[guides["guide"] == "g4", ["start", "end"]] = 995, 1_001
    pairs = sl.pp.screen_pairs(screen(guides), GENES).set_index(["gene", "target"])
    assert pairs.loc[("NOC2L", "promoter_1")].tolist() == [-2, "positive_control"]
    guides.loc[guides["guide"] == "g4", ["start", "end"]] = 990, 1_000
    pairs = sl.pp.screen_pairs(screen(guides), GENES).set_index(["gene", "target"])
    assert pairs.loc[("NOC2L", "promoter_1"), "kind"] == "discovery"


def test_screen_pairs__pairs_a_named_target_wherever_it_lies(caplog):
    far = GUIDES.copy()
    far.loc[far["guide"] == "g4", ["start", "end"]] = 5_000_000, 5_000_100
    pairs = sl.pp.screen_pairs(screen(far), GENES).set_index(["gene", "target"])
    assert pairs.loc[("NOC2L", "NOC2L")].tolist() == [5_000_050 - 1_000, "positive_control"]
    assert "1 targets that are called as a gene are not within 1000000 bp of its TSS" in caplog.text
    other = GUIDES.copy()
    other.loc[other["guide"] == "g4", "chrom"] = "chr7"
    pairs = sl.pp.screen_pairs(screen(other), GENES).set_index(["gene", "target"])
    assert pairs.loc[("NOC2L", "NOC2L"), "distance"] is pd.NA
    none = GUIDES.copy()
    none.loc[none["guide"].isin(["g3", "g4"]), ["chrom", "start", "end"]] = [None, -9, -9]
    pairs = sl.pp.screen_pairs(screen(none), GENES)
    assert ("NOC2L", "NOC2L", None, "positive_control") in rows(pairs)
    assert "enh2" not in set(pairs["target"])
    assert "1 targets have no coordinates and no gene's name, and are in no pair: 'enh2'" in caplog.text


def test_screen_pairs__takes_only_the_genes_wanted():
    pairs = sl.pp.screen_pairs(screen(), GENES, only=["HES4"])
    assert set(pairs["gene"]) == {"HES4"}
    with pytest.raises(MissingKeyError, match="1 of 1 genes of `only` are not in the data: 'XYZ'"):
        sl.pp.screen_pairs(screen(), GENES, only=["XYZ"])


def test_screen_pairs__works_without_places_at_all():
    named = sl.pp.screen_pairs(screen(GUIDES[["guide", "target"]]), GENES)
    assert rows(named) == [("NOC2L", "NOC2L", None, "positive_control")]
    with pytest.raises(InputError, match="no pairs: there are 3 gene loci and 0 targets"):
        sl.pp.screen_pairs(screen(GUIDES[["guide", "target"]].replace("NOC2L", "enh3")), GENES)


def test_screen_pairs__explains_why_there_are_none():
    with pytest.raises(
        InputError, match=r"no pairs: chromosome names differ. Found 'chr1' for the targets and 'NC_1' for"
    ):
        sl.pp.screen_pairs(screen(), GENES.assign(chrom="NC_1"))
    pd.testing.assert_frame_equal(
        sl.pp.screen_pairs(screen(), GENES.assign(chrom="1")), sl.pp.screen_pairs(screen(), GENES)
    )
    away = GENES.assign(start=GENES["start"] + 50_000_000, end=GENES["end"] + 50_000_000)
    with pytest.raises(
        InputError, match=r"no pairs: no target lies within 1,000,000 bp of any of 3 genes; the nearest"
    ):
        sl.pp.screen_pairs(screen(), away)


def test_screen_pairs__refuses_what_is_wrong():
    mdata = screen()
    with pytest.raises(OptionError, match="window is -1"):
        sl.pp.screen_pairs(mdata, GENES, window=-1)
    with pytest.raises(OptionError, match="anchor is 'x'"):
        sl.pp.screen_pairs(mdata, GENES, anchor="x")
    start = mdata["guide"].var["start"].copy()
    mdata["guide"].var["start"] = start + np.arange(6)
    with pytest.raises(InputError, match=r"1 targets have several places in mdata\['guide'\].var: 'enh1'"):
        sl.pp.screen_pairs(mdata, GENES)
    mdata["guide"].var["start"] = start.where(start != 90_000, 90_200)
    with pytest.raises(InputError, match=r"guide.var: 1 of 3 intervals are impossible, the first chr1:90200.0-90100.0"):
        sl.pp.screen_pairs(mdata, GENES)
    mdata["guide"].var["target"] = "non-targeting"
    with pytest.raises(InputError, match="all guides are controls"):
        sl.pp.screen_pairs(mdata, GENES)
    del mdata["guide"].var["target"]
    with pytest.raises(MissingKeyError, match="no column 'target'"):
        sl.pp.screen_pairs(mdata, GENES)


def test_screen_pairs__of_real_data_are_those_published(shared):
    mdata = sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    genes = sl.io.read_genes(shared / "annotation" / "ABC_CollapsedGeneBounds.hg19.bed.gz")
    published = pd.read_csv(shared / "crispri" / "sceptreIGVF_pairs_to_test.csv")
    published = published.rename(columns={"gene_id": "gene", "intended_target_name": "target"})
    near = published.merge(sl.pp.screen_pairs(mdata, genes), on=["gene", "target"], how="left")
    assert (near["kind"] == near["pair_type"]).sum() == 90
    assert near.loc[near["pair_type"] == "positive_control", "distance"].abs().max() < 1_100
    # The rest, of one target, are of genes on its chromosome, but further than the megabase that the paper speaks of.
    rest = near[near["kind"].isna()]
    assert set(rest["target"]) == {"candidate_enh_3"}
    far = rest[["gene", "target"]].merge(sl.pp.screen_pairs(mdata, genes, window=10_000_000), on=["gene", "target"])
    assert len(far) == 20
    assert far["distance"].abs().min() > 1_000_000


@pytest.mark.parametrize("placed", [True, False])
def test_screen_pairs__of_real_data_tell_another_build(shared, caplog, placed):
    mdata = sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    if not placed:
        mdata["rna"].var = mdata["rna"].var[["symbol"]]
    for build in ("hg19", "hg38"):
        caplog.clear()
        genes = sl.io.read_genes(shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz")
        with caplog.at_level(logging.WARNING, "scanlink"):
            sl.pp.screen_pairs(mdata, genes)
        # Where the data place their genes, and where targets that are called as a gene lie.
        told = build == "hg38"
        assert ("110 of 110 genes lie 10 kb or more from where the data have them" in caplog.text) == (told and placed)
        assert ("the annotation looks like hg38 (GRCh38)" in caplog.text) == (told and placed)
        assert ("10 targets that are called as a gene are not within 10000 bp of its TSS" in caplog.text) == told
        assert ("build" in caplog.text) == told


def test_screen_pairs__says_what_targets_without_a_place_may_be_called(caplog):
    guides = GUIDES[["guide", "target"]].replace({"enh1": "noc2l", "enh2": "1-Mar"})
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.screen_pairs(screen(guides), GENES)
    assert "1 made dates or numbers by a spreadsheet ('1-Mar')" in caplog.text
    assert "1 in other upper and lower case, as of man and mouse ('noc2l' is 'NOC2L' there)" in caplog.text
