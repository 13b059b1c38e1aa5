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
    # 44 genes and 600 peaks of bone marrow are too few to tell; then it is told by the ends of chromosomes.
    assert found.plausible == (right or name == "bmmc")
    assert found.convincing == right
    # The limit, 5, lies in a wide gap.
    assert found.ratio > 12 if right else found.ratio < 3
    # Half of the TSS are wrong where the strand is not known, and still.
    if right and name != "bmmc":
        assert sl.pp.tss_enrichment(peaks, genes[genes["gene"].isin(names)].drop(columns="strand")).ratio > 9


FILES = {
    "a549": ("a549/a549_scicar_counts.h5mu", "hg19"),
    "bmmc": ("bmmc/bmmc_multiome_A_counts.h5mu", "hg38"),
    "pbmc_muon": ("pbmc_muon/test_rna_atac.h5mu", "hg38"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("build", ["hg19", "hg38"])
def test_cis_pairs__tells_builds_of_real_data(shared, caplog, name, build):
    file, right = FILES[name]
    mdata = sl.io.read(shared / file)
    genes = sl.io.read_genes(shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz")
    with caplog.at_level(logging.WARNING, "scanlink"):
        assert len(sl.pp.cis_pairs(mdata, genes)) > 100
    if build == right:
        assert "build" not in caplog.text
        return
    assert "genes and peaks may be of different genome builds" in caplog.text
    assert f"the peaks look like {right}" in caplog.text
    assert f"the annotation looks like {build}" in caplog.text
    assert f"Give the annotation of {right}" in caplog.text
    # Named and counted: of few peaks, genes that 10x placed; of many, places beyond the ends of chromosomes.
    counted = {
        "a549": "679 of 51,320 lie where hg38 has no sequence, the first at chr1:249,076,975",
        "bmmc": "2 of 599 lie where hg19 has no sequence, the first at chr17:81,966,568",
        "pbmc_muon": "39 of 42 genes lie 10 kb or more from where the data have them: 'CDC14A', 'CD2'",
    }
    assert counted[name] in caplog.text


def test_tss_enrichment__right_builds_are_not_taken_for_wrong_ones(shared):
    rng = np.random.default_rng(0)
    wrong = 0
    for name, build in (("pbmc10k", "hg38"), ("a549", "hg19")):
        peaks, names = data(shared, name)
        genes = bounds(shared, build)
        genes = genes[genes["gene"].isin(names)]
        for n_genes in (100, 300, 1_000):
            for n_peaks in (300, 1_500, 5_000):
                some = peaks.sample(n_peaks, random_state=rng), genes.sample(n_genes, random_state=rng)
                wrong += not sl.pp.tss_enrichment(*some).plausible
    assert wrong == 0


def test_tss_enrichment__of_dense_peaks_in_one_place(shared):
    # 100 peaks and 100 genes at the beginning of chromosome 1: chance covers every eighth TSS.
    folder = shared / "pbmc10k"
    mdata = sl.io.read(rna=folder / "rna_matrix.rds", atac=folder / "atac_matrix.rds", cells=folder / "metafile.rds")
    for build, right in (("hg38", True), ("hg19", False)):
        genes = bounds(shared, build)
        found = sl.pp.tss_enrichment(mdata["atac"].var, genes[genes["gene"].isin(mdata["rna"].var_names)])
        assert found.plausible == found.convincing == right
    bodies = sl.io.read_genes(folder / "gencode_v44_gene_bodies.bed.gz")
    assert sl.pp.tss_enrichment(mdata["atac"].var, bodies[bodies["gene"].isin(mdata["rna"].var_names)]).plausible


def lifted(genes: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Genes at the same share of chromosomes of another length."""
    factor = genes["chrom"].map(sizes[1]) / genes["chrom"].map(sizes[0])
    start = (genes["start"] * factor).astype(int)
    return genes.assign(start=start, end=start + 4_000)


def test_cis_pairs__tells_builds_of_the_mouse(caplog):
    import bioframe

    sizes = [bioframe.assembly_info(build).chromsizes.drop(["chrM", "chrY"]) for build in ("mm10", "mm39")]
    rng = np.random.default_rng(3)
    start = [
        pd.DataFrame({"chrom": name, "start": rng.integers(0, size - 4_000, 400)}) for name, size in sizes[0].items()
    ]
    genes = pd.concat(start, ignore_index=True)
    genes = genes.assign(end=genes["start"] + 4_000, strand="+", gene=[f"Gm{i}" for i in range(len(genes))])
    open_ones = genes.iloc[::2]
    peaks = open_ones[["chrom"]].assign(start=(open_ones["start"] - 300).clip(lower=0), end=open_ones["start"] + 300)
    peaks.index = [f"p{i}" for i in range(len(peaks))]
    mdata = layout_mudata(list(genes["gene"]), peaks)
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.cis_pairs(mdata, genes)
        assert caplog.text == ""
        moved = lifted(genes, sizes)
        moved.attrs["build"] = "mm39"
        sl.pp.cis_pairs(mdata, moved)
    assert "the peaks look like mm10 (GRCm38)" in caplog.text
    assert "the annotation looks like mm39 (GRCm39)" in caplog.text
    assert "lie where mm39 has no sequence, the first at chr" in caplog.text


def test_cis_pairs__believes_open_promoters_more_than_what_files_say(caplog):
    genes, peaks = spaced(100, 0)
    mdata = layout_mudata(list(genes["gene"]), peaks.assign(genome="hg19"))
    genes.attrs["build"] = "hg38"
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.cis_pairs(mdata, genes)
    assert caplog.text == ""
    few = genes.head(10)
    few.attrs["build"] = "hg38"
    with caplog.at_level(logging.WARNING, "scanlink"):
        sl.pp.cis_pairs(layout_mudata(list(few["gene"]), peaks.head(10).assign(genome="GRCh37")), few)
    assert "the peaks look like hg19 (GRCh37), as their file says" in caplog.text
    assert "the annotation looks like hg38 (GRCh38), as its file says" in caplog.text


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
