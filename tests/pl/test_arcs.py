"""Arcs join genes and peaks where the tables say, and names do not cover each other."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from pl.tables import boxes, links_table, luminance, overlaps, sizes

from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pl import arcs
from scanlink.pl._in_region import Region


def curves(ax):
    """Ends, colour, width and dash of each arc, in the order of the drawing."""
    arcs_drawn = []
    for collection in ax.collections:
        if not isinstance(collection, LineCollection) or len(collection.get_segments()[0]) < 10:
            continue
        for segment, color, width in zip(
            collection.get_segments(), collection.get_colors(), collection.get_linewidths(), strict=True
        ):
            dashed = collection.get_linestyle()[0][1] is not None
            arcs_drawn.append((segment[0], segment[-1], luminance(color[:3]), width, dashed, segment[:, 1]))
    return arcs_drawn


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def genes():
    return pd.DataFrame(
        {
            "chrom": ["chr1", "chr1", "chr2"],
            "start": [5_000, 30_000, 5_000],
            "end": [9_000, 34_000, 9_000],
            "strand": ["+", "-", "+"],
            "gene": ["A", "B", "C"],
        }
    )


@pytest.fixture
def links():
    return pd.DataFrame(
        {
            "group": ["T", "T", "B", "T", "T"],
            "gene": ["A", "B", "A", "A", "C"],
            "peak": ["chr1:2000-2500", "chr1:15000-15400", "chr1:15000-15400", "chr1:50000-50400", "chr2:1000-1100"],
            "beta": [0.5, -0.2, 0.1, 0.3, 0.9],
            "fdr": [1e-8, 0.01, 0.02, 0.5, 0.001],
            "status": "ok",
        }
    )


def test_arcs__run_from_the_first_transcribed_base_to_the_middle_of_the_peak(links, genes):
    ax = arcs(links, genes, "chr1:1-60,000", groups="T")
    by_ends = {(float(a[0]), float(b[0])): rest for a, b, *rest in curves(ax)}
    assert set(by_ends) == {(5_000.0, 2_250.0), (33_999.0, 15_200.0)}
    (light_up, width_up, dashed_up, _), (light_down, width_down, dashed_down, _) = by_ends.values()
    assert (dashed_up, dashed_down) == (False, True)
    # The stronger is broader and darker.
    assert width_up > width_down
    assert light_up < light_down
    assert ax.get_xlim() == (1, 60_000)
    assert ax.get_xlabel() == "chr1 (Mb); FDR < 0.1"
    assert legend(ax) == ["above 0", "below 0", "|effect| 0.12", "|effect| 0.5"]


def test_arcs__a_panel_a_group(links, genes):
    ax = arcs(links, genes, ("chr1", 0, 60_000))
    assert labels(ax) == ["T\n2 links", "B\n1 link", "peaks", "genes"]
    bases = [float(a[1]) for a, *_ in curves(ax)]
    assert len(set(bases)) == 2
    assert labels(arcs(links, genes, ("chr1", 0, 60_000), groups=["B"]))[0] == "B\n1 link"
    assert labels(arcs(links, genes, ("chr1", 40_000, 60_000), groups=["B", "T"]))[:2] == ["B\nno link", "T\nno link"]
    assert labels(arcs(links, genes, ("chr1", 40_000, 60_000)))[0] == "no link"


def test_arcs__width_may_be_the_false_discovery_rate(links, genes):
    ax = arcs(links, genes, "chr1:1-60,000", groups="T", width="fdr")
    assert legend(ax)[2:] == ["−log10 FDR 2", "−log10 FDR 8"]
    widths = sorted(width for *_, width, _, _ in curves(ax))
    assert widths[1] == pytest.approx(3.4)
    zero = arcs(links.assign(fdr=0.0), genes, "chr1:1-60,000", width="fdr")
    assert np.isfinite([width for *_, width, _, _ in curves(zero)]).all()


def test_arcs__linked_peaks_and_genes_are_black_others_grey(links, genes):
    ax = arcs(links, genes, "chr1:1-60,000", groups="B")
    other, linked = (c for c in ax.collections if isinstance(c, PatchCollection))
    middles = [
        [path.get_extents().x0 + path.get_extents().width / 2 for path in c.get_paths()] for c in (linked, other)
    ]
    assert middles[0] == pytest.approx([15_200])
    assert middles[1] == pytest.approx([2_250, 50_200])
    assert luminance(linked.get_facecolor()[0]) < 0.05 < 0.5 < luminance(other.get_facecolor()[0])
    weights = {text.get_text(): text.get_fontweight() for text in ax.texts}
    assert weights == {"A": "bold", "B": "normal"}


def test_arcs__pairs_of_enhancers_hang_below_the_peaks(links, genes):
    epi = pd.DataFrame(
        {
            "group": ["T", "T"],
            "gene": "A",
            "enhancer_1": "chr1:2000-2500",
            "enhancer_2": ["chr1:15000-15400", "chr1:50000-50400"],
            "beta_interaction": [-0.7, 0.4],
            "fdr": [0.01, 0.4],
        }
    )
    ax = arcs(links, genes, "chr1:1-60,000", groups="T", epi=epi)
    assert labels(ax)[1] == "1 pair"
    hanging = [curve for curve in curves(ax) if curve[-1].min() < curve[0][1] - 1]
    assert [(float(a[0]), float(b[0])) for a, b, *_ in hanging] == [(2_250, 15_200)]
    assert hanging[0][4] is True
    assert labels(arcs(links, genes, "chr1:1-60,000", epi=epi.assign(fdr=1.0)))[2] == "0 pairs"


def test_arcs__takes_coordinates_of_peaks_from_a_table(links, genes):
    named = links.assign(peak=["p1", "p2", "p2", "p3", "p4"])
    with pytest.raises(InputError, match=r"4 of 4 peak names hold no coordinates.* Or give peaks="):
        arcs(named, genes, "chr1:1-60,000")
    table = pd.DataFrame(
        {"chrom": "chr1", "start": [100, 200, 300, 400], "end": [150, 250, 350, 450]}, index=["p1", "p2", "p3", "p4"]
    )
    ax = arcs(named, genes, "chr1:1-60,000", peaks=table, groups="T")
    assert {float(b[0]) for _, b, *_ in curves(ax)} >= {125.0, 225.0}


def test_arcs__of_several_loci_the_nearest_is_meant(links, genes):
    twice = pd.concat([genes, genes.iloc[[0]].assign(start=48_000, end=49_000)])
    ax = arcs(links.assign(fdr=0.01), twice, "chr1:1-60,000", groups="T")
    assert (48_000.0, 50_200.0) in {(float(a[0]), float(b[0])) for a, b, *_ in curves(ax)}


def test_arcs__says_which_links_it_cannot_draw(links, genes, caplog):
    with caplog.at_level(logging.WARNING, logger="scanlink"):
        arcs(links.replace({"gene": {"A": "ENSG1"}}), genes, "chr1:1-60,000")
    assert "2 links to peaks in chr1:1-60,000 are of genes that the annotation does not have on chr1 ('ENSG1')" in (
        caplog.text
    )


@pytest.mark.parametrize("width", [3, 9])
def test_arcs__names_of_genes_do_not_overlap(width):
    rng = np.random.default_rng(0)
    start = np.sort(rng.integers(0, 1_000_000, 60))
    crowd = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": start,
            "end": start + rng.integers(500, 60_000, 60),
            "strand": rng.choice(["+", "-", "."], 60),
            "gene": [f"GENE-{k}" for k in range(60)],
        }
    )
    table = links_table(300, linked=0.2)
    table = table.assign(gene=rng.choice(crowd["gene"], 300))
    ax = arcs(table, crowd, "chr1:0-1,000,000", ax=Figure(figsize=(width, 4), layout="constrained").subplots())
    assert overlaps(boxes(ax)) == []
    unnamed = int(labels(ax)[-1].split("(")[1].split()[0]) if "(" in labels(ax)[-1] else 0
    assert unnamed + len(ax.texts) == 60
    # Genes with links have their names first.
    linked = set(table.loc[table["fdr"] < 0.1, "gene"])
    named = [text.get_text() for text in ax.texts]
    assert len(linked & set(named)) / len(linked) >= len(named) / 60


def test_arcs__hundreds_of_thousands_of_rows_and_a_whole_chromosome_are_a_small_picture():
    table = links_table(300_000, n_groups=20)
    names = [f"G{k}" for k in range(10_000)]
    start = 45_000 * (np.arange(10_000) % 533)
    genes = pd.DataFrame(
        {"chrom": [f"chr{1 + k // 533}" for k in range(10_000)], "start": start, "end": start + 20_000, "gene": names}
    )
    ax = arcs(table, genes, "chr2:0-24,000,000")
    assert ax.get_xlabel() == "chr2 (Mb); FDR < 0.1; 12 of 20 groups"
    assert len(labels(ax)) == 14
    n_bytes = sizes(ax)
    assert n_bytes["png"] < 800_000
    assert n_bytes["svg"] < 2_000_000


def test_arcs__only_the_strongest_of_thousands_are_drawn(genes):
    peaks = [f"chr1:{10 * k}-{10 * k + 5}" for k in range(6_000)]
    beta = np.linspace(0.1, 1, 6_000)
    ax = arcs(pd.DataFrame({"gene": "A", "peak": peaks, "beta": beta, "fdr": 0.01}), genes, "chr1:0-60,000")
    assert labels(ax)[0] == "2,000 strongest\nof 6,000 links"
    assert len(curves(ax)) == 2_000
    assert min(float(b[0]) for _, b, *_ in curves(ax)) >= 40_000


@pytest.mark.parametrize("text", ["chr1", "chr1:5", "chr1:9-5", "chr1:a-b", ("chr1", 5), 7, ("chr1", -1, 5)])
def test_region__says_what_it_expects(text):
    with pytest.raises(InputError, match="region"):
        Region.of(text)


@pytest.mark.parametrize("text", ["chr1:1,000-2,000", "chr1:1000–2000", ("chr1", 1000, 2000)])
def test_region__is_read(text):
    assert str(Region.of(text)) == "chr1:1,000-2,000"


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({}, {"groups": ["NK"]}, MissingKeyError, "has group 'NK'; its groups are 'B', 'T'"),
        ({}, {"width": "p"}, OptionError, "width 'p' is not known"),
        ({}, {"region": "chr7:1-9"}, MissingKeyError, "neither genes nor peaks are on 'chr7'; peaks are on 'chr1'"),
        ({"fdr": 2.0}, {"width": "fdr", "fdr": 3}, OptionError, "fdr: expected a number above 0"),
        ({}, {"epi": pd.DataFrame({"enhancer_1": [1]})}, MissingKeyError, "the table epi has no column 'enhancer_2'"),
    ],
)
def test_arcs__says_what_is_wrong(links, genes, change, options, error, message):
    with pytest.raises(error, match=message):
        arcs(links.assign(**change), genes, options.pop("region", "chr1:1-60,000"), **options)


def test_arcs__draws_into_a_subfigure(links, genes):
    left, right = Figure(figsize=(9, 4), layout="constrained").subfigures(1, 2)
    ax = right.subplots()
    assert arcs(links, genes, "chr1:1-60,000", ax=ax) is ax
    assert overlaps(boxes(ax)) == []
    assert not left.axes
