from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanlink.errors import InputError
from scanlink.io.peaks import looks_like_peaks, parse_peaks, peak_table
from scanlink.io.releases import is_text


@pytest.mark.parametrize(
    ("name", "chrom", "start", "end"),
    [
        ("chr1:10-20", "chr1", 10, 20),
        ("chr1-10-20", "chr1", 10, 20),
        ("chr1_10_20", "chr1", 10, 20),
        ("1:0-20", "1", 0, 20),
        ("KI270728.1-5-10", "KI270728.1", 5, 10),
        ("GL000194.1:5-10", "GL000194.1", 5, 10),
        ("chrUn_KI270742v1_100_200", "chrUn_KI270742v1", 100, 200),
        ("chr1_KI270706v1_random-100-200", "chr1_KI270706v1_random", 100, 200),
        ("HLA-DRB1*15:01-100-200", "HLA-DRB1*15:01", 100, 200),
        ("HLA-A*01:01:01:01:5-10", "HLA-A*01:01:01:01", 5, 10),
        ("chr1:3000000000-3000000001", "chr1", 3_000_000_000, 3_000_000_001),
    ],
)
def test_parse_peaks__understands_contigs_with_separators(name: str, chrom: str, start: int, end: int) -> None:
    row = parse_peaks([name]).loc[name]
    assert (row.chrom, row.start, row.end) == (chrom, start, end)


_CONTIG = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9.:_*\-]{0,12}[A-Za-z0-9]\Z")


@given(st.lists(st.tuples(_CONTIG, st.integers(0, 10**9), st.integers(1, 10**6)), min_size=1), st.sampled_from(":-_"))
def test_parse_peaks__gives_back_what_names_were_made_of(peaks: list[tuple[str, int, int]], separator: str) -> None:
    names = [f"{chrom}{separator}{start}-{start + width}" for chrom, start, width in peaks]
    table = parse_peaks(names)
    assert table.index.tolist() == names
    assert table.to_numpy().tolist() == [[chrom, start, start + width] for chrom, start, width in peaks]
    assert is_text(table["chrom"])
    assert table.dtypes[["start", "end"]].tolist() == ["int64", "int64"]


@pytest.mark.parametrize("name", ["NOC2L", "chr1:10", "chr1:-5-10", "chr1 10 20", "10-20", "", "chr1:10-20:+", ":1-2"])
def test_parse_peaks__names_what_is_not_a_peak(name: str) -> None:
    with pytest.raises(InputError, match=rf"1 of 2 peak names hold no coordinates: {re.escape(repr(name))}"):
        parse_peaks(["chr1:10-20", name])


def test_parse_peaks__one_based_start_moves_and_end_does_not() -> None:
    assert parse_peaks(["chr1-10-20"], one_based=True).iloc[0].tolist() == ["chr1", 9, 20]
    # A single base, written 1-based closed, is empty if read as half-open.
    assert parse_peaks(["chr1-10-10"], one_based=True).iloc[0].tolist() == ["chr1", 9, 10]
    with pytest.raises(InputError, match=r"1 of 1 peaks are empty .* chr1-10-10 \(10, 10\)"):
        parse_peaks(["chr1-10-10"])
    with pytest.raises(InputError, match="begin before 0"):
        parse_peaks(["chr1-0-10"], one_based=True)


@pytest.mark.parametrize("chrom", ["chrom", "seqnames", "chr", "Chromosome"])
def test_peak_table__prefers_columns_over_names(chrom: str) -> None:
    var = pd.DataFrame({chrom: pd.Categorical(["chr2"]), "start": [5.0], "end": ["9"]}, index=["chr1:1-2"])
    table = peak_table(var)
    assert table.loc["chr1:1-2"].tolist() == ["chr2", 5, 9]
    assert is_text(table["chrom"])
    assert table.dtypes[["start", "end"]].tolist() == ["int64", "int64"]


def test_peak_table__reads_the_interval_of_10x() -> None:
    assert peak_table(pd.DataFrame({"interval": ["chr1:5-9"]}, index=["peak_1"])).loc["peak_1"].tolist() == [
        "chr1",
        5,
        9,
    ]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("start", 1.5, "no whole number in column 'start': 'b: 1.5'"),
        ("end", None, "no whole number in column 'end'"),
        ("chrom", None, "no chromosome in column 'chrom': 'b'"),
    ],
)
def test_peak_table__names_bad_coordinates(column: str, value: object, message: str) -> None:
    var = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [1, 1], "end": [9, 9]}, index=["a", "b"]).astype(object)
    var.loc["b", column] = value
    with pytest.raises(InputError, match=message):
        peak_table(var)


def test_looks_like_peaks__is_decided_by_most_names(shared) -> None:
    genes, peaks = (pd.read_csv(shared / "pbmc10k" / f"{kind}_names.csv")["x"] for kind in ("gene", "peak"))
    assert not looks_like_peaks(genes)
    assert looks_like_peaks(peaks)
    assert not looks_like_peaks([])


def test_parse_peaks__agrees_with_real_columns(shared) -> None:
    names = pd.read_csv(shared / "pbmc10k" / "peak_names.csv")["x"]
    parts = names.str.rsplit("-", n=2, expand=True)
    table = parse_peaks(names)
    assert len(table) == 33_887
    assert table["chrom"].tolist() == parts[0].tolist()
    assert table["start"].tolist() == parts[1].astype(int).tolist()
    assert table["end"].tolist() == parts[2].astype(int).tolist()
