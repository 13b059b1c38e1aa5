"""The made-up genome."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.ds.layout import CHR_X, HG38, lay_out
from scanlink.ds.model import stream
from scanlink.errors import OptionError
from scanlink.pp import tss_enrichment

SIZES = [(5, 20), (80, 500), (2_000, 9_000)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def layout(request) -> tuple[pd.DataFrame, pd.DataFrame]:
    n_genes, n_peaks = request.param
    return lay_out(stream(3, 0), n_genes=n_genes, n_peaks=n_peaks, n_background=30)


def test_lay_out__everything_lies_on_its_chromosome(layout):
    genes, peaks = layout
    length = {**HG38, "chrX": CHR_X, "chrM": 16_569}
    for table in (genes, peaks):
        assert (table["start"] >= 0).all()
        assert (table["start"] < table["end"]).all()
        assert (table["end"] <= table["chrom"].map(length)).all()


def test_lay_out__peaks_are_sorted_and_apart(layout):
    _, peaks = layout
    assert peaks.index.is_unique
    for _, here in peaks.groupby("chrom", sort=False):
        assert (here["start"].to_numpy()[1:] > here["end"].to_numpy()[:-1]).all()
    order = [list(HG38).index(chrom) for chrom in peaks["chrom"]]
    assert (np.diff(order) >= 0).all()
    assert (np.diff(peaks["block"]) >= 0).all()


def test_lay_out__promoters_are_open(layout):
    genes, peaks = layout
    found = tss_enrichment(peaks, genes[genes["role"] == "cis"])
    assert found.n_covered > 0.75 * (genes["role"] == "cis").sum()
    assert found.plausible


def test_lay_out__refuses_peaks_that_do_not_fit():
    with pytest.raises(OptionError, match=r"n_peaks=5000 do not fit around n_genes=5: expected at most \d+"):
        lay_out(stream(0, 0), n_genes=5, n_peaks=5_000, n_background=3)


def test_write_gtf__comes_back_through_the_reader(layout, tmp_path):
    genes, _ = layout
    back = sl.io.read_genes(sl.ds.write_gtf(genes, tmp_path / "genes.gtf.gz"))
    columns = ["chrom", "start", "end", "strand", "gene_id", "gene", "gene_type"]
    pd.testing.assert_frame_equal(
        back[columns].sort_values("gene_id", ignore_index=True),
        genes[columns].sort_values("gene_id", ignore_index=True),
        check_dtype=False,
    )


def test_write_gtf__is_one_based_and_closed_and_has_transcripts(tmp_path):
    genes, _ = lay_out(stream(0, 0), n_genes=5, n_peaks=20, n_background=3)
    path = sl.ds.write_gtf(genes, tmp_path / "genes.gtf")
    rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [row[2] for row in rows] == ["gene", "transcript"] * len(genes)
    assert [int(row[3]) for row in rows[::2]] == (genes["start"] + 1).tolist()
    assert [int(row[4]) for row in rows[::2]] == genes["end"].tolist()
    assert all("transcript_id" in row[8] for row in rows[1::2])


def test_write_gtf__compressed_bytes_do_not_depend_on_time_or_name(tmp_path, monkeypatch):
    genes, _ = lay_out(stream(0, 0), n_genes=5, n_peaks=20, n_background=3)
    first = sl.ds.write_gtf(genes, tmp_path / "a.gtf.gz").read_bytes()
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert sl.ds.write_gtf(genes, tmp_path / "b.gtf.gz").read_bytes() == first
    assert gzip.decompress(first).startswith(b"##")
