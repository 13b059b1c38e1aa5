"""Genes and peaks of one genome build, or of two."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from tests.pp.conftest import layout_mudata


def bounds(shared, build) -> pd.DataFrame:
    columns = ["chrom", "start", "end", "gene", "score", "strand", "gene_id", "gene_type"]
    path = shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz"
    return pd.read_csv(path, sep="\t", names=columns, header=0)


def data(shared, name) -> tuple[pd.DataFrame, list[str]]:
    """Peaks, and names of the genes."""
    if name == "pbmc10k":
        folder = shared / "pbmc10k"
        peaks = pd.read_csv(folder / "peak_names.csv")["x"].str.extract(r"^(?P<chrom>.*)-(?P<start>\d+)-(?P<end>\d+)$")
        return peaks.astype({"start": int, "end": int}), list(pd.read_csv(folder / "gene_names.csv")["x"])
    file = {"a549": "a549_scicar_counts.h5mu", "bmmc": "bmmc_multiome_A_counts.h5mu"}[name]
    mdata = sl.io.read(shared / name / file)
    return mdata["atac"].var[["chrom", "start", "end"]], list(mdata["rna"].var_names)


@pytest.mark.parametrize(
    ("name", "build", "right"),
    [
        ("pbmc10k", "hg38", True),
        ("pbmc10k", "hg19", False),
        ("a549", "hg19", True),
        ("a549", "hg38", False),
        ("bmmc", "hg38", True),
        ("bmmc", "hg19", False),
    ],
)
def test_tss_enrichment__tells_builds_apart_on_real_data(shared, name, build, right):
    peaks, names = data(shared, name)
    genes = bounds(shared, build)
    found = sl.pp.tss_enrichment(peaks, genes[genes["gene"].isin(names)])
    assert found.plausible == right
    # The limit, 5, lies in a wide gap.
    assert found.ratio > 12 if right else found.ratio < 3
    # Half of the TSS are wrong where the strand is not known, and still.
    if right and name != "bmmc":
        assert sl.pp.tss_enrichment(peaks, genes[genes["gene"].isin(names)].drop(columns="strand")).ratio > 9


def spaced(n: int, shift: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    start = np.arange(1, n + 1) * 1_000_000
    genes = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 4_000, "gene": [f"G{i}" for i in range(n)]})
    peaks = pd.DataFrame({"chrom": "chr1", "start": start - 300 + shift, "end": start + 300 + shift})
    peaks.index = [f"p{i}" for i in range(n)]
    return genes, peaks


@pytest.mark.parametrize(("shift", "warned"), [(0, False), (45_000, True)])
def test_cis_pairs__warns_of_another_build(caplog, shift, warned):
    genes, peaks = spaced(100, shift)
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.cis_pairs(layout_mudata(list(genes["gene"]), peaks), genes)
    assert ("may be of different genome builds: peaks cover the TSS of 0 genes" in caplog.text) == warned


def test_tss_enrichment__few_genes_say_nothing():
    genes, peaks = spaced(20, 45_000)
    assert sl.pp.tss_enrichment(peaks, genes).plausible
    assert sl.pp.tss_enrichment(peaks[:0], genes).plausible


def test_tss_enrichment__counts_overlapping_and_unsorted_peaks():
    genes, peaks = spaced(50, 0)
    wide = peaks.assign(start=peaks["start"] - 5_000, end=peaks["start"] - 4_990)
    mixed = pd.concat([peaks, wide]).sample(frac=1, random_state=0)
    assert sl.pp.tss_enrichment(mixed, genes).n_covered == 50


def test_import__loads_nothing_heavy():
    code = (
        "import sys, scanlink, scanlink.pp, scanlink.ds; heavy = {'distributed', 'dask_jobqueue', 'scanpy', 'muon', "
        "'matplotlib', 'statsmodels', 'bioframe'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
