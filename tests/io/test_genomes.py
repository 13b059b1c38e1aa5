"""Which genome build coordinates are of: as files say, by the ends of chromosomes, and by distances that links have."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.io.genomes import build_in_header, build_named, signs_of_build
from scanlink.io.places import gene_places

GTF = 'chr1\tx\tgene\t11869\t14409\t.\t+\t.\tgene_id "ENSG00000290825.1"; gene_name "DDX11L2";\n'


@pytest.mark.parametrize(
    ("header", "build"),
    [
        ("##description: evidence-based annotation of the human genome (GRCh38), version 44 (Ensembl 110)\n", "hg38"),
        ("##description: evidence-based annotation of the human genome (GRCh37), version 19 (Ensembl 74)\n", "hg19"),
        (
            "##description: evidence-based annotation of the human genome (GRCh38), version 38 (Ensembl 104) - mapped "
            "to GRCh37 with gencode-backmap\n",
            "hg19",
        ),
        ("#!genome-build GRCm38.p6\n#!genome-version GRCm38\n", "mm10"),
        ("#!genome-build GRCm39\n", "mm39"),
        ("#gtf-version 2.2\n#!genome-build T2T-CHM13v2.0\n", "hs1"),
        ("#!genome-build GRCh38 and GRCm39\n", None),
        ("#!genome-build mRatBN7.2\n", None),
        ("track name=genes\n\n#!genome-build GRCh37.p13\n", "hg19"),
        ('track-7\tx\texon\t1\t9\t.\t+\t.\tgene_id "A";\n#!genome-build GRCh37.p13\n', None),
        ("", None),
    ],
)
def test_build_in_header__as_gencode_ensembl_and_refseq_say_it(tmp_path, header, build):
    (tmp_path / "x.gtf").write_text(header + GTF + "#!genome-build GRCh38 is no header here\n")
    assert build_in_header(tmp_path / "x.gtf") == build
    assert sl.io.read_genes(tmp_path / "x.gtf").attrs.get("build") == build


def test_build_named__10x():
    assert build_named("refdata-cellranger-arc-GRCh38-2020-A-2.0.0") == "hg38"
    assert build_named("GRCm39-2024-A") == "mm39"
    assert build_named("GRCh38_and_mm10") is None


@pytest.mark.parametrize("build", ["hg19", "hg38"])
def test_signs_of_build__of_real_annotations(shared, build):
    other = {"hg19": "hg38", "hg38": "hg19"}[build]
    genes = sl.io.read_genes(shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz")
    signs = signs_of_build(genes)
    assert signs.build == build
    # Counted by hand, with the lengths that UCSC gives.
    end = {"hg38": ("chr22", 50_818_468), "hg19": ("chr17", 81_195_210)}[other]
    beyond = genes[(genes["chrom"] == end[0]) & (genes["start"] >= end[1])]
    assert 0 < len(beyond) <= signs.beyond[other]
    assert signs_of_build(beyond).beyond[other] == len(beyond)
    # Half a genome more or less, and chromosomes by other names, are of the same build.
    assert signs_of_build(genes.sample(frac=0.5, random_state=1)).build == build
    assert signs_of_build(genes.assign(chrom=genes["chrom"].str.removeprefix("chr"))).build == build
    # Of another species, or of few places, nothing is said.
    assert signs_of_build(genes.assign(start=genes["start"] * 2, end=genes["end"] * 2)).build is None
    assert signs_of_build(genes[genes["chrom"] == "chr14"].head(50)).build is None


@pytest.mark.parametrize("build", ["hg19", "hg38", "hs1", "mm9", "mm10", "mm39"])
def test_signs_of_build__tells_all_that_are_known_apart(build):
    import bioframe

    sizes = bioframe.assembly_info(build).chromsizes.drop("chrM")
    rng = np.random.default_rng(1)
    rows = [
        pd.DataFrame({"chrom": name, "start": rng.integers(0, size, size // 30_000)}) for name, size in sizes.items()
    ]
    places = pd.concat(rows, ignore_index=True)
    assert signs_of_build(places).build == build
    # One that is damaged does not matter; what the file says does not either, if it cannot be.
    damaged = pd.concat([places, pd.DataFrame({"chrom": ["chr1"], "start": [10**9]})])
    assert signs_of_build(damaged, "hg19" if build == "mm10" else "mm10").build == build


@pytest.mark.parametrize(
    ("right", "file"), [("hg19", "a549/a549_scicar_counts.h5mu"), ("hg38", "bmmc/bmmc_multiome_A_counts.h5mu")]
)
@pytest.mark.parametrize("distances", [True, False])
def test_gene_places__warns_of_links_of_another_build(shared, caplog, right, file, distances):
    mdata = sl.io.read(shared / file)
    annotations = {
        build: sl.io.read_genes(shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz")
        for build in ("hg19", "hg38")
    }
    pairs = sl.pp.cis_pairs(mdata, annotations[right])
    peaks = mdata["atac"].var.loc[pairs["peak"], ["chrom", "start", "end"]]
    links = pairs if distances else pairs.drop(columns="distance")
    for build, genes in annotations.items():
        # A strand that was not known when the distances were measured is no other build.
        for table in (genes, genes.assign(strand=".")):
            caplog.clear()
            with caplog.at_level(logging.WARNING, "scanlink"):
                gene_places(links, peaks, genes=table)
            # The 219 peaks near genes of bone marrow fit all builds of man.
            told = build != right and (distances or right == "hg19")
            assert ("links and genes may be of different genome builds" in caplog.text) == told
            if told:
                assert f"the annotation looks like {build}" in caplog.text
                assert ("genes lie 10 kb or more from where the distances have them" in caplog.text) == distances
