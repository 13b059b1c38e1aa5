"""Cis pairs: against bedtools and brute force."""

from __future__ import annotations

import logging
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.pp.annotation import strip_version
from tests.pp.conftest import layout_mudata


def annotation(*rows, ids=None) -> pd.DataFrame:
    """Genes of rows (chrom, start, end, strand, name)."""
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand", "gene"])
    return table.assign(gene_id=ids if ids is not None else "")


def peak_table(*rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"])
    table.index = [f"{chrom}:{start}-{end}#{i}" for i, (chrom, start, end) in enumerate(rows)]
    return table


ONE_GENE = annotation(("chr1", 10_000, 12_000, "+", "A"))


def brute_force(names, genes, peaks, *, window, anchor, overlap) -> list[tuple[str, str, int]]:
    """The definition, word by word."""
    found = []
    for name in names:
        for peak, where in peaks.iterrows():
            distances = []
            for gene in genes[genes["gene"] == name].itertuples():
                tss = gene.end - 1 if gene.strand == "-" else gene.start
                left, right = (gene.start, gene.end) if anchor == "body" else (tss, tss + 1)
                left, right = max(left - window, 0), right + window
                centre = (where["start"] + where["end"]) // 2
                if overlap == "any":
                    near = where["start"] < right and where["end"] > left
                else:
                    near = left <= centre < right
                if near and gene.chrom == where["chrom"]:
                    distances.append((centre - tss) * (-1 if gene.strand == "-" else 1))
            if distances:
                found.append((name, peak, int(min(distances, key=lambda d: (abs(d), -d)))))
    return found


@st.composite
def layouts(draw):
    chrom = st.sampled_from(["chr1", "chr2", "chrUn_x"])
    span = st.tuples(st.integers(0, 400), st.integers(1, 80))
    strands, names = st.sampled_from("+-."), st.sampled_from("ABCD")
    genes = draw(st.lists(st.tuples(chrom, span, strands, names), min_size=1, max_size=8))
    peaks = draw(st.lists(st.tuples(chrom, span), min_size=1, max_size=8))
    return (
        annotation(*[(c, s, s + n, strand, name) for c, (s, n), strand, name in genes]),
        peak_table(*[(c, s, s + n) for c, (s, n) in peaks]),
    )


@settings(max_examples=100)
@given(layouts(), st.integers(0, 120), st.sampled_from(["body", "tss"]), st.sampled_from(["any", "center"]))
def test_cis_pairs__is_what_the_definition_says(layout, window, anchor, overlap):
    genes, peaks = layout
    names = list(genes["gene"].unique())[::-1]
    expected = brute_force(names, genes, peaks, window=window, anchor=anchor, overlap=overlap)
    options = {"window": window, "anchor": anchor, "overlap": overlap}
    if not expected:
        with pytest.raises(InputError, match="no pairs"):
            sl.pp.cis_pairs(layout_mudata(names, peaks), genes, **options)
        return
    found = sl.pp.cis_pairs(layout_mudata(names, peaks), genes, **options)
    assert list(found.itertuples(index=False, name=None)) == expected


@settings(max_examples=30)
@given(layouts(), st.randoms(use_true_random=False))
def test_cis_pairs__does_not_depend_on_the_order_of_the_annotation(layout, random):
    genes, peaks = layout
    mdata = layout_mudata(sorted(genes["gene"].unique()), peaks)
    order = list(range(len(genes)))
    random.shuffle(order)
    try:
        expected = sl.pp.cis_pairs(mdata, genes, window=300)
    except InputError:
        return
    pd.testing.assert_frame_equal(sl.pp.cis_pairs(mdata, genes.iloc[order], window=300), expected)


@pytest.fixture(scope="module")
def pbmc(shared):
    """33,887 real peaks, 8,767 gene names, and GENCODE 44."""
    folder = shared / "pbmc10k"
    names = pd.read_csv(folder / "peak_names.csv")["x"]
    peaks = names.str.extract(r"^(?P<chrom>.*)-(?P<start>\d+)-(?P<end>\d+)$").astype({"start": int, "end": int})
    peaks["start"] -= 1
    peaks.index = pd.Index(names)
    genes = pd.read_csv(
        folder / "gencode_v44_gene_bodies.bed.gz", sep="\t", header=None, names=["chrom", "start", "end", "gene"]
    )
    return list(pd.read_csv(folder / "gene_names.csv")["x"]), peaks, genes


@pytest.mark.parametrize("window", [500_000, 1_000, 0])
def test_cis_pairs__identical_to_bedtools_window(pbmc, tmp_path, window):
    if shutil.which("bedtools") is None:
        pytest.skip("bedtools is not installed (Debian package bedtools)")
    names, peaks, genes = pbmc
    found = sl.pp.cis_pairs(layout_mudata(names, peaks), genes, window=window)
    genes[genes["gene"].isin(names)].to_csv(tmp_path / "genes.bed", sep="\t", header=False, index=False)
    peaks.rename_axis("name").reset_index()[["chrom", "start", "end", "name"]].to_csv(
        tmp_path / "peaks.bed", sep="\t", header=False, index=False
    )
    command = ["bedtools", "window", "-w", str(window), "-a", tmp_path / "genes.bed", "-b", tmp_path / "peaks.bed"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = {(fields[3], fields[7]) for fields in (line.split("\t") for line in lines)}
    assert len(expected) > 10_000 if window else len(expected) > 1_000
    assert len(found) == len(expected)
    assert set(zip(found["gene"], found["peak"], strict=True)) == expected


def test_cis_pairs__is_in_the_order_of_the_data(pbmc):
    names, peaks, genes = pbmc
    found = sl.pp.cis_pairs(layout_mudata(names, peaks), genes)
    gene, peak = pd.Index(names).get_indexer(found["gene"]), peaks.index.get_indexer(found["peak"])
    assert (np.diff(gene * len(peaks) + peak) > 0).all()


# Distance


@pytest.mark.parametrize(
    ("strand", "peak", "distance"),
    [
        ("+", (10_500, 10_600), 550),
        ("+", (9_000, 9_100), -950),
        ("-", (9_000, 9_100), 2_949),
        ("-", (12_100, 12_200), -151),
    ],
)
def test_cis_pairs__distance_is_positive_downstream(strand, peak, distance):
    genes = ONE_GENE.assign(strand=strand)
    found = sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", *peak))), genes)
    assert found["distance"].tolist() == [distance]


def test_cis_pairs__unknown_strand_is_measured_as_plus():
    mdata = layout_mudata(["A"], peak_table(("chr1", 9_000, 9_100)))
    plus = sl.pp.cis_pairs(mdata, ONE_GENE)
    pd.testing.assert_frame_equal(sl.pp.cis_pairs(mdata, ONE_GENE.assign(strand=".")), plus)
    pd.testing.assert_frame_equal(sl.pp.cis_pairs(mdata, ONE_GENE.drop(columns=["strand", "gene_id"])), plus)


@pytest.mark.parametrize(
    ("start", "near"), [(8_899, False), (8_900, False), (8_901, True), (12_999, True), (13_000, False)]
)
def test_cis_pairs__window_is_half_open(start, near):
    # Body [10000, 12000) with window 1000 reaches [9000, 13000); the peak has 100 bp.
    far = ("chr1", 10_000, 10_100)
    found = sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", start, start + 100), far)), ONE_GENE, window=1_000)
    assert len(found) == 1 + near


# Names


def test_cis_pairs__joins_the_loci_of_a_name(caplog):
    genes = annotation(("chr1", 1_000, 2_000, "+", "A"), ("chr1", 9_000, 9_500, "-", "A"), ("chr2", 50, 90, "+", "A"))
    peaks = peak_table(("chr1", 7_000, 7_200), ("chr2", 0, 10), ("chr2", 90_000, 90_010))
    with caplog.at_level(logging.INFO, "scanlink"):
        found = sl.pp.cis_pairs(layout_mudata(["A"], peaks), genes, window=10_000)
    assert found["peak"].tolist() == peaks.index[:2].tolist()
    assert found["distance"].tolist() == [2_399, -45]
    assert "1 genes have several loci in the annotation, whose pairs are joined: 'A'" in caplog.text


def test_cis_pairs__matches_identifiers_without_version_first():
    # Two loci of one name, told apart by their identifiers; the data call the gene differently.
    genes = annotation(
        ("chr1", 1_000, 2_000, "+", "A"),
        ("chr2", 1_000, 2_000, "+", "A"),
        ("chr1", 1_000, 2_000, "+", "B"),
        ids=["ENSG01.4", "ENSG02.1", ""],
    )
    data_genes = pd.DataFrame({"gene_id": ["ENSG02", None]}, index=["old-name", "B"])
    peaks = peak_table(("chr1", 100, 200), ("chr2", 100, 200))
    found = sl.pp.cis_pairs(layout_mudata(data_genes, peaks), genes)
    assert list(zip(found["gene"], found["peak"], strict=True)) == [("old-name", peaks.index[1]), ("B", peaks.index[0])]
    by_name = sl.pp.cis_pairs(layout_mudata(data_genes, peaks), genes, match="name")
    assert by_name["gene"].tolist() == ["B"]


def test_cis_pairs__keeps_pseudoautosomal_genes_apart():
    genes = annotation(
        ("chrX", 1_000, 2_000, "+", "P"), ("chrY", 1_000, 2_000, "+", "P"), ids=["ENSG07.15", "ENSG07.15_PAR_Y"]
    )
    peaks = peak_table(("chrX", 100, 200), ("chrY", 100, 200))
    data_genes = pd.DataFrame({"gene_id": ["ENSG07"]}, index=["P"])
    assert sl.pp.cis_pairs(layout_mudata(data_genes, peaks), genes)["peak"].tolist() == [peaks.index[0]]
    assert len(sl.pp.cis_pairs(layout_mudata(["P"], peaks), genes)) == 2


def test_strip_version__leaves_what_is_no_version():
    ids = ["ENSMUSG00000064372.1", "AL021155.5", "ENSG07", "ENSG07.15_PAR_Y", "SIMG00000000001.12", None]
    stripped = ["ENSMUSG00000064372", "AL021155.5", "ENSG07", "ENSG07_PAR_Y", "SIMG00000000001", ""]
    assert strip_version(pd.Index(ids)).tolist() == strip_version(pd.Series(ids)).tolist() == stripped


def test_cis_pairs__names_that_are_identifiers_are_found():
    genes = annotation(("chr1", 1_000, 2_000, "+", "A"), ids=["ENSG01.4"])
    found = sl.pp.cis_pairs(layout_mudata(["ENSG01"], peak_table(("chr1", 100, 200))), genes)
    assert found["gene"].tolist() == ["ENSG01"]


def test_cis_pairs__foreign_identifiers_fall_back_to_names(caplog):
    genes = annotation(("chr1", 1_000, 2_000, "+", "A"), ids=["ENSG01.4"])
    data_genes = pd.DataFrame({"gene_id": ["entrez:7"]}, index=["A"])
    mdata = layout_mudata(data_genes, peak_table(("chr1", 100, 200)))
    with caplog.at_level(logging.WARNING, "scanlink"):
        assert len(sl.pp.cis_pairs(mdata, genes)) == 1
    assert "no gene_id of rna.var is in the annotation; genes are matched by name" in caplog.text
    with pytest.raises(InputError, match="none of the 1 genes of the data is in the annotation"):
        sl.pp.cis_pairs(mdata, genes, match="gene_id")


def test_cis_pairs__logs_genes_that_are_absent(caplog):
    names = ["A", *(f"lost{i}" for i in range(7))]
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.cis_pairs(layout_mudata(names, peak_table(("chr1", 100, 200))), ONE_GENE)
    assert (
        "7 of 8 genes are not in the annotation: 'lost0', 'lost1', 'lost2', 'lost3', 'lost4' and 2 more" in caplog.text
    )


def test_cis_pairs__names_that_are_identifiers_are_found_beside_symbols():
    genes = annotation(("chr1", 1_000, 2_000, "+", "A"), ("chr1", 3_000, 4_000, "+", "B"), ids=["ENSG01.4", "ENSG02"])
    found = sl.pp.cis_pairs(layout_mudata(["A", "ENSG02.7"], peak_table(("chr1", 100, 200))), genes)
    assert found["gene"].tolist() == ["A", "ENSG02.7"]
    by_name = sl.pp.cis_pairs(layout_mudata(["A", "ENSG02.7"], peak_table(("chr1", 100, 200))), genes, match="name")
    assert by_name["gene"].tolist() == ["A"]


def test_cis_pairs__says_what_absent_genes_cost_and_what_they_may_be_called(caplog):
    loci = [("chr1", 1_000 + i, 2_000 + i, "+", name) for i, name in enumerate(["ACTB", "GAPDH", "SEPTIN2", "TP53"])]
    peaks = peak_table(("chr1", 100, 200), ("chr1", 300, 400), ("chr1", 500, 600))
    mdata = layout_mudata(["ACTB", "Gapdh", "2-Sep", "unheard"], peaks)
    with caplog.at_level(logging.WARNING, "scanlink"):
        assert len(sl.pp.cis_pairs(mdata, annotation(*loci))) == 3
    assert (
        "3 of 4 genes are not in the annotation: 'Gapdh', '2-Sep', 'unheard': 1 made dates or numbers by a "
        "spreadsheet ('2-Sep' is 'SEPTIN2' there), 1 in other upper and lower case, as of man and mouse "
        "('Gapdh' is 'GAPDH' there). That costs about 9 pairs, at as many a gene as the others have; "
        "rna.var['gene_id'] with Ensembl identifiers finds genes under any name"
    ) in caplog.text
    caplog.clear()
    # Those that are not asked for cost nothing.
    assert len(sl.pp.cis_pairs(mdata, annotation(*loci), only=["ACTB"])) == 3
    assert "not in the annotation" not in caplog.text
    with pytest.raises(MissingKeyError, match="not in the data: 'actb': 1 in other upper and lower case"):
        sl.pp.cis_pairs(mdata, annotation(*loci), only=["actb"])


def test_cis_pairs__says_that_genes_are_there_under_another_identifier(caplog):
    genes = annotation(("chr1", 1_000, 2_000, "+", "A"), ("chr1", 1_000, 2_000, "+", "B"), ids=["ENSG01", "ENSG02"])
    mdata = layout_mudata(pd.DataFrame({"gene_id": ["ENSG01", "ENSG09"]}, index=["A", "B"]), peak_table(("chr1", 1, 2)))
    with caplog.at_level(logging.WARNING, "scanlink"):
        assert sl.pp.cis_pairs(mdata, genes)["gene"].tolist() == ["A"]
    assert "1 of 2 genes are not in the annotation: 'B'. That costs about 1 pairs" in caplog.text
    assert "1 have their name there under another gene_id, and match='name' finds them" in caplog.text
    assert sl.pp.cis_pairs(mdata, genes, match="name")["gene"].tolist() == ["A", "B"]


def test_cis_pairs__only_some_genes():
    genes = annotation(("chr1", 1_000, 2_000, "+", "A"), ("chr1", 1_000, 2_000, "+", "B"))
    mdata = layout_mudata(["A", "B"], peak_table(("chr1", 100, 200)))
    assert sl.pp.cis_pairs(mdata, genes, only=["B"])["gene"].tolist() == ["B"]
    with pytest.raises(MissingKeyError, match="1 of 2 genes of `only` are not in the data: 'C'"):
        sl.pp.cis_pairs(mdata, genes, only=["B", "C"])


# What cannot be


@pytest.mark.parametrize(
    ("peaks", "message"),
    [
        (
            peak_table(("NC_1", 9_000, 9_100)),
            r"chromosome names differ. Found 'NC_1' for the peaks and 'chr1' for the genes",
        ),
        (
            peak_table(("chr1", 900_000, 900_100)),
            r"no peak lies within 500,000 bp of any of 1 genes; the nearest is 888,001 bp",
        ),
    ],
)
def test_cis_pairs__no_pair_says_why(peaks, message):
    with pytest.raises(InputError, match=message):
        sl.pp.cis_pairs(layout_mudata(["A"], peaks), ONE_GENE)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("1", "chr1"),
        ("chr1", "1"),
        ("MT", "chrM"),
        ("chrUn-KI270742v1", "chrUn_KI270742v1"),
        ("KI270742.1", "chrUn_KI270742v1"),
        ("chr14-GL000009v2-random", "GL000009.2"),
    ],
)
def test_cis_pairs__chromosomes_are_known_under_other_names(ours, theirs, caplog):
    genes = annotation(("chr7", 10_000, 12_000, "+", "A"), (theirs, 10_000, 12_000, "+", "B"))
    peaks = peak_table(("chr7", 9_000, 9_100), (ours, 9_200, 9_300))
    with caplog.at_level(logging.INFO, logger="scanlink"):
        pairs = sl.pp.cis_pairs(layout_mudata(["A", "B"], peaks), genes)
    assert pairs["gene"].tolist() == ["A", "B"]
    assert f"have other names than in the data: '{theirs} is {ours}'" in caplog.text


def test_cis_pairs__says_which_chromosomes_pair_with_nothing(caplog):
    genes = annotation(("chr7", 10_000, 12_000, "+", "A"), ("chr8", 10_000, 12_000, "+", "B"))
    peaks = peak_table(("chr7", 9_000, 9_100), ("chr9", 9_200, 9_300), ("chr9", 9_400, 9_500))
    sl.pp.cis_pairs(layout_mudata(["A", "B"], peaks), genes)
    assert "2 of 3 peaks pair with nothing, as the annotation does not have their chromosomes: 'chr9'" in caplog.text
    assert "1 of 2 genes pair with nothing, as no peak is on their chromosomes: 'chr8'" in caplog.text


def test_cis_pairs__names_that_could_be_two_chromosomes_are_left_alone():
    genes = annotation(("chrUn_a", 10_000, 12_000, "+", "A"), ("chr7", 10_000, 12_000, "+", "B"))
    peaks = peak_table(("Un_a", 9_000, 9_100), ("Un-a", 9_200, 9_300), ("chr7", 9_000, 9_100))
    assert sl.pp.cis_pairs(layout_mudata(["A", "B"], peaks), genes)["gene"].tolist() == ["B"]


def test_cis_pairs__names_of_the_annotation_may_be_identifiers():
    mdata = layout_mudata(["A"], peak_table(("chr1", 9_000, 9_100)))
    mdata["rna"].var["gene_id"] = ["ENSG00000000001.2"]
    genes = annotation(("chr1", 10_000, 12_000, "+", "ENSG00000000001"))
    assert sl.pp.cis_pairs(mdata, genes)["gene"].tolist() == ["A"]


def test_cis_pairs__no_gene_in_the_annotation_shows_both_kinds_of_names():
    with pytest.raises(
        InputError, match=r"none of the 1 genes .* found 'ENSMUSG1' in the data and 'A' in the annotation"
    ):
        sl.pp.cis_pairs(layout_mudata(["ENSMUSG1"], peak_table(("chr1", 1, 2))), ONE_GENE)


@pytest.mark.parametrize(
    "bad",
    [
        ("chr1", 200, 100),
        ("chr1", -5, 100),
        ("chr1", np.nan, 100),
        (None, 1, 100),
        ("chr1", 0.5, 9),
        ("chr1", 1, 2.0**62),
    ],
)
def test_cis_pairs__refuses_impossible_intervals(bad):
    with pytest.raises(InputError, match=r"atac.var: 1 of 2 intervals are impossible"):
        sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", 1, 2), bad)), ONE_GENE)
    genes = annotation((*bad, "+", "A"))
    with pytest.raises(InputError, match="the annotation: 1 of 1 intervals are impossible"):
        sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", 1, 2))), genes)


def test_cis_pairs__refuses_tables_without_places():
    with pytest.raises(InputError, match=r"names like chr1:10-20, .* or with columns chrom, start, end in the table"):
        sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", 1, 2))[["chrom"]]), ONE_GENE)
    with pytest.raises(MissingKeyError, match="annotation has no column 'gene'"):
        sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", 1, 2))), ONE_GENE.drop(columns="gene"))
    with pytest.raises(MissingKeyError, match=r"rna.var has no column 'gene_id'"):
        sl.pp.cis_pairs(
            layout_mudata(["A"], peak_table(("chr1", 1, 2))), ONE_GENE.assign(gene_id="ENSG01"), match="gene_id"
        )


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
def test_cis_pairs__refuses_names_that_occur_twice():
    with pytest.raises(InputError, match=r"genes of rna \(which have no column gene_ids .* more than once: 'A'"):
        sl.pp.cis_pairs(layout_mudata(["A", "A"], peak_table(("chr1", 1, 2))), ONE_GENE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": -1}, "window is -1"),
        ({"window": 2**63}, "window is 9223372036854775808, expected a whole number of bp, from 0 to 1,0"),
        ({"window": 2**63 - 1}, "window is 9223372036854775807"),
        ({"window": "500"}, "window is '500'"),
        ({"window": float("inf")}, "window is inf"),
        ({"window": float("nan")}, "window is nan"),
        ({"window": 0.5}, "expected a whole number of bp"),
        ({"anchor": "end"}, "expected 'body' or 'tss'"),
        ({"overlap": "all"}, "expected 'any' or 'center'"),
        ({"match": "symbol"}, "expected 'gene_id', 'name', or None"),
    ],
)
def test_cis_pairs__refuses_options(options, message):
    with pytest.raises(OptionError, match=message):
        sl.pp.cis_pairs(layout_mudata(["A"], peak_table(("chr1", 1, 2))), ONE_GENE, **options)


def test_cis_pairs__needs_no_counts(backed):
    opened, whole = backed
    genes = sl.ds.simulate(n_cells=400, n_genes=40, n_peaks=200, n_links=20, n_interactions=3, seed=3).genes
    pd.testing.assert_frame_equal(sl.pp.cis_pairs(opened, genes), sl.pp.cis_pairs(whole, genes))
