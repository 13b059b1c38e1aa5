"""Links beside a screen: what is joined, what agreement is, and what is said where nothing fits."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr
from scipy.stats import binomtest, fisher_exact, spearmanr

import scanlink as sl
from scanlink.adjustment import adjust_table
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.tl.screen_links.call import COLUMNS, screen_links
from scanlink.tl.screen_links.summary import screen_links_summary


@pytest.fixture
def screen():
    return pd.DataFrame(
        {
            "kind": ["discovery", "discovery", "positive_control", "shuffled"],
            "group": "all",
            "gene": ["ENSG01", "ENSG01", "ENSG02", "ENSG01"],
            "target": ["e1", "e2", "e3", "e1"],
            "distance": pd.array([-700, None, 0, None], dtype="Int64"),
            "beta": [-0.7, 0.1, -1.0, 0.0],
            "se": 0.1,
            "se_robust": [0.2, np.nan, 0.2, 0.2],
            "p_value": [1e-9, 0.4, 1e-20, 0.5],
            "fdr": [1e-8, 0.5, 1e-19, np.nan],
            "status": ["ok", "ok", "ok", "ok"],
        }
    )


@pytest.fixture
def guides():
    return pd.DataFrame(
        {
            "target": ["e1", "e1", "e2", "e3", "non-targeting"],
            "chrom": ["chr1", "chr1", "chr1", "chr2", None],
            "start": [1_000, 1_200, 5_000, 300, np.nan],
            "end": [1_100, 1_300, 5_100, 400, np.nan],
        }
    )


@pytest.fixture
def links():
    return pd.DataFrame(
        {
            "group": ["B", "T", "B", "B", "B"],
            "gene": ["MYC", "MYC", "MYC", "TP53", "TP53"],
            "peak": ["chr1:1250-1800", "chr1:1250-1800", "chr1:5100-5600", "chr2:100-350", "chr1:1250-1800"],
            "distance": [-500, -500, 3_000, 20, 7],
            "beta": [0.5, 0.3, 0.2, 0.9, 0.1],
            "se": 0.05,
            "p_value": [1e-6, 0.01, 0.3, 1e-9, 0.5],
            "fdr": [1e-5, 0.02, 0.4, 1e-8, 0.6],
            "status": "ok",
        }
    )


GENES = pd.DataFrame({"gene_id": ["ENSG01.7", "ENSG02", "ENSG03"], "gene": ["MYC", "TP53", "KRAS"]})


def test_links__of_the_same_gene_on_the_target(screen, guides, links):
    table = screen_links(screen, links, guides, genes=GENES)
    assert list(table.columns) == list(COLUMNS)
    assert table[["group", "gene", "gene_screen", "target", "peak"]].to_numpy().tolist() == [
        ["B", "MYC", "ENSG01", "e1", "chr1:1250-1800"],
        ["T", "MYC", "ENSG01", "e1", "chr1:1250-1800"],
        ["B", "TP53", "ENSG02", "e3", "chr2:100-350"],
    ]
    assert table["kind"].tolist() == ["discovery", "discovery", "positive_control"]
    # Robust errors where they are known, the distance of the link.
    assert table["se_screen"].tolist() == [0.2, 0.2, 0.2]
    assert table["se_link"].tolist() == [0.05] * 3
    assert table["distance"].tolist() == [-500, -500, 20]
    assert table["beta_link"].tolist() == [0.5, 0.3, 0.9]
    assert table["beta_screen"].tolist() == [-0.7, -0.7, -1.0]


def test_links__a_gap_is_counted_from_base_to_base(screen, guides, links):
    def targets(max_gap):
        return screen_links(screen, links, guides, genes=GENES, max_gap=max_gap)["target"].tolist()

    # The target e2 ends at base 5,099, and the peak begins at 5,100.
    assert "e2" not in targets(0)
    assert "e2" in targets(1)


def test_links__names_match_with_versions_and_in_both_directions(screen, guides, links):
    ids = {"MYC": "ENSG01.3", "TP53": "ENSG02.1"}
    by_id = links.assign(gene=links["gene"].map(ids))
    swapped = {"ENSG01": "MYC", "ENSG02": "TP53"}
    by_name = screen.assign(gene=screen["gene"].map(swapped))
    one = screen_links(screen, links, guides, genes=GENES)
    for table in (
        screen_links(screen.assign(gene=screen["gene"] + ".9"), by_id, guides),
        screen_links(by_name, links, guides),
        screen_links(by_name, by_id, guides, genes=GENES),
    ):
        pd.testing.assert_frame_equal(
            table.drop(columns=["gene", "gene_screen"]), one.drop(columns=["gene", "gene_screen"])
        )


def test_links__a_name_of_two_genes_is_left_out_aloud(screen, guides, links, caplog):
    genes = pd.concat([GENES, pd.DataFrame({"gene_id": ["ENSG02"], "gene": ["MYC"]})])
    links = pd.concat([links, links.head(1).assign(gene="KRAS", peak="chr1:1000-1050")])
    screen = pd.concat([screen, screen.head(1).assign(gene="ENSG03")])
    with caplog.at_level(logging.WARNING, "scanlink"):
        assert set(screen_links(screen, links, guides, genes=genes)["gene"]) == {"KRAS"}
    assert "their name stands for several genes: 'ENSG01', 'ENSG02'" in caplog.text


@pytest.mark.parametrize("shift", [0, 25_000])
def test_links__another_build_shows_in_the_distances(caplog, shift):
    names = [f"g{number}" for number in range(6)]
    start = np.arange(6) * 100_000 + 50_000
    guides = pd.DataFrame({"target": names, "chrom": "chr1", "start": start, "end": start + 100})
    tested = {"beta": 0.5, "p_value": 1e-6}
    screen = pd.DataFrame({"gene": names, "target": names, "distance": start - shift, **tested})
    peaks = [f"chr1:{place}-{place + 100}" for place in start]
    links = pd.DataFrame({"gene": names, "peak": peaks, "distance": start, **tested})
    with caplog.at_level("WARNING", "scanlink"):
        assert len(screen_links(screen, links, guides)) == 6
    told = (
        "of 6 pairs with a linked peak on the target, 6 have distances from the gene that differ by more than "
        "10000 bp: 'g0 chr1:50000-50100'"
    )
    assert (told in caplog.text) == ("different genome builds" in caplog.text) == (shift > 0)


def test_links__a_target_without_a_place_is_said(screen, guides, links, caplog):
    guides.loc[guides["target"] == "e3", "chrom"] = None
    with caplog.at_level(logging.WARNING, "scanlink"):
        table = screen_links(screen, links, guides, genes=GENES)
    assert set(table["target"]) == {"e1"}
    assert "1 targets have no place and are left out: 'e3'" in caplog.text


def test_links__without_rates_get_those_of_each_group(screen, guides, links):
    links = pd.concat([links.drop(columns=["fdr", "group"]).assign(group="B"), links.assign(group="T")])
    links = links.drop_duplicates(["group", "gene", "peak"])
    table = screen_links(screen, links, guides, genes=GENES)
    own = links[links["group"] == "B"]
    expected = dict(zip(own["gene"] + own["peak"], adjust_table(own["p_value"].to_numpy()), strict=True))
    rows = table[table["group"] == "B"]
    assert rows["fdr_link"].tolist() == [
        expected[gene + peak] for gene, peak in zip(rows["gene"], rows["peak"], strict=True)
    ]
    nameless = screen_links(screen, links.drop(columns="group").drop_duplicates(["gene", "peak"]), guides, genes=GENES)
    assert set(nameless["group"]) == {"all"}


def test_links__takes_places_of_peaks_from_a_table(screen, guides, links):
    names = {peak: f"peak{k}" for k, peak in enumerate(links["peak"].unique())}
    places = pd.DataFrame(
        {"chrom": "chr1", "start": [1_250, 5_100, 10], "end": [1_800, 5_600, 20]}, index=list(names.values())
    )
    renamed = links.assign(peak=links["peak"].map(names))
    assert screen_links(screen, renamed, guides, genes=GENES, peaks=places)["peak"].tolist() == ["peak0", "peak0"]
    with pytest.raises(MissingKeyError, match="1 linked peaks are not in the table of peaks: 'peak0'"):
        screen_links(screen, renamed, guides, genes=GENES, peaks=places.drop(index="peak0"))


def test_links__says_what_does_not_fit(screen, guides, links):
    with pytest.raises(InputError, match=r"none of the 2 genes of the screen \('ENSG01', 'ENSG02'\) .* give genes="):
        screen_links(screen, links, guides)
    with pytest.raises(InputError, match="Is the annotation that of the right species"):
        screen_links(screen, links, guides, genes=GENES.assign(gene_id="ENSG99"))
    with pytest.raises(InputError, match="each of them stands for several genes"):
        screen_links(screen, links, guides, genes=GENES.assign(gene_id="ENSG01"))
    with pytest.raises(InputError, match=r"the nearest are 50,001 bp apart\. Expected one genome build"):
        screen_links(
            screen, links, guides.assign(start=guides["start"] + 54_600, end=guides["end"] + 54_600), genes=GENES
        )
    with pytest.raises(InputError, match="chromosome names differ: '1', '2' for the targets and 'chr1', 'chr2'"):
        screen_links(screen, links, guides.assign(chrom=guides["chrom"].str.removeprefix("chr")), genes=GENES)
    with pytest.raises(InputError, match="only negative controls"):
        screen_links(screen[screen["kind"] == "shuffled"], links, guides, genes=GENES)
    with pytest.raises(MissingKeyError, match="the table links has no column 'peak'"):
        screen_links(screen, links.drop(columns="peak"), guides)
    with pytest.raises(MissingKeyError, match="the table of guides has no column 'chrom'"):
        screen_links(screen, links, guides.drop(columns="chrom"), genes=GENES)
    with pytest.raises(OptionError, match="max_gap is -1"):
        screen_links(screen, links, guides, max_gap=-1)


def joint(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    link, screen = rng.normal(0, 1, (2, n))
    screen = screen - 0.6 * link
    p_link, p_screen = (2 * ndtr(-2 * np.abs(value)) for value in (link, screen))
    return pd.DataFrame(
        {
            "group": "T",
            "group_screen": "all",
            "gene_screen": [f"g{k // 4}" for k in range(n)],
            "target": [f"e{k}" for k in range(n)],
            "kind": "discovery",
            "beta_link": link,
            "p_link": p_link,
            "fdr_link": adjust_table(p_link),
            "status_link": "ok",
            "beta_screen": screen,
            "p_screen": p_screen,
            "fdr_screen": adjust_table(p_screen),
            "status_screen": "ok",
        }
    )


def test_summary__is_that_of_scipy():
    table = joint(80)
    found = screen_links_summary(table).iloc[0]
    rank = spearmanr(table["beta_link"], table["beta_screen"])
    assert (found["rank_correlation"], found["p_rank"]) == (rank.statistic, rank.pvalue)
    opposite = int((table["beta_link"] * table["beta_screen"] < 0).sum())
    assert found["n_opposite"] == opposite
    assert found["share_opposite"] == opposite / 80
    assert found["p_opposite"] == binomtest(opposite, 80).pvalue
    linked, hits = table["fdr_link"] < 0.1, table["fdr_screen"] < 0.1
    square = pd.crosstab(linked, hits).to_numpy()
    assert found["p_odds"] == pytest.approx(fisher_exact(square).pvalue)
    assert found["odds_low"] < found["odds_ratio"] < found["odds_high"]
    assert found["recall"] == (linked & hits).sum() / hits.sum()
    assert found["precision"] == (linked & hits).sum() / linked.sum()
    assert 0 < found["n_found_opposite"] <= found["n_found"] == hits.sum()


def test_summary__odds_ratio_is_that_of_r():
    """fisher.test(matrix(c(8, 2, 1, 5), 2)) of R 4.2.2, whose search ends earlier than that of scipy."""
    rows = joint(16)
    rows["fdr_link"], rows["fdr_screen"] = 1.0, 1.0
    rows.loc[:9, "fdr_screen"] = 0.0
    rows.loc[[*range(8), 10], "fdr_link"] = 0.0
    found = screen_links_summary(rows).iloc[0]
    numbers = [found[name] for name in ("odds_ratio", "odds_low", "odds_high", "p_odds")]
    np.testing.assert_allclose(numbers, [15.46969, 1.008849, 1049.791, 0.03497], rtol=0.01)


def test_summary__counts_a_pair_once_by_its_foremost_peak():
    table = joint(30)
    worse = table.assign(p_link=1.0, beta_link=-table["beta_link"], fdr_link=1.0)
    shuffled = pd.concat([worse, table]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(screen_links_summary(shuffled), screen_links_summary(table))


def test_summary__leaves_out_promoters_and_what_was_not_tested():
    table = joint(30)
    table.loc[:4, "kind"] = "positive_control"
    table.loc[5, "status_link"] = "peak_rare"
    assert screen_links_summary(table)["n_pairs"].tolist() == [24]
    assert screen_links_summary(table, kinds=["discovery", "positive_control"])["n_pairs"].tolist() == [29]
    none = screen_links_summary(table.assign(status_screen="gene_rare")).iloc[0]
    assert none["n_pairs"] == 0
    assert none[["rank_correlation", "share_opposite", "recall", "odds_ratio"]].isna().all()
    with pytest.raises(OptionError, match="link_fdr: expected"):
        screen_links_summary(table, link_fdr=0)
    with pytest.raises(OptionError, match="kinds: 'shuffled' not known"):
        screen_links_summary(table, kinds=["shuffled"])
    with pytest.raises(MissingKeyError, match="no column 'p_screen'"):
        screen_links_summary(table.drop(columns="p_screen"))


def test_links__of_a_simulated_screen_find_its_truth():
    """Links built on what was planted: perturbations lower what they raise."""
    data = sl.tl.simulate_screen(
        n_cells=1_500, n_genes=8, n_targets=24, guides_per_cell=6.0, effect=(-1.0, 0.1), seed=5
    )
    table = sl.tl.screen(data.mdata, data.pairs, controls=["shuffled"], n_controls=5)
    guides = data.mdata["guide"].var
    place = guides.dropna(subset=["chrom"]).drop_duplicates("target").set_index("target")
    true = data.pairs.set_index("target")["beta"]
    names = data.pairs["target"].tolist()
    links = data.pairs[["gene"]].assign(
        peak=[f"{row.chrom}:{int(row.start) - 50}-{int(row.end) + 50}" for row in place.loc[names].itertuples()],
        beta=[0.01 - 0.5 * true[name] for name in names],
        p_value=[1e-8 if true[name] else 0.5 for name in names],
        group="K562",
    )
    both = screen_links(table, links, guides)
    assert len(both) == len(data.pairs)
    found = screen_links_summary(both).iloc[0]
    assert found["n_linked"] == 16
    assert found["n_found"] >= 12
    assert found["recall"] > 0.8
    # Of what is found at a rate of 0.1 some have no effect, and no sign.
    assert found["n_found_opposite"] >= 0.8 * found["n_found"]
    assert found["p_found_opposite"] < 0.01
    assert found["p_odds"] < 1e-3
