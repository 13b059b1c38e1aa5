"""A whole run, and its check, on real data whose annotation is of the right build, and of another."""

from __future__ import annotations

import logging

import pytest
from pp.tenx_file import SIMULATED, write_10x

import scanlink as sl
from scanlink.pipeline.check import check
from scanlink.pipeline.multiome import RunOptions
from scanlink.pipeline.run import run

HEADERS = {"hg19": "#!genome-build GRCh37.p13\n", "hg38": "#!genome-build GRCh38.p14\n"}


def write_gtf(bed, build, path):
    """The genes of a BED file as Ensembl would write them."""
    genes = sl.io.read_genes(bed)
    rows = (
        f"{g.chrom.removeprefix('chr')}\tensembl\tgene\t{g.start + 1}\t{g.end}\t.\t{g.strand}\t.\t"
        f'gene_id "{g.gene_id}"; gene_name "{g.gene}";\n'
        for g in genes.itertuples()
    )
    path.write_text(HEADERS[build] + "".join(rows))


@pytest.mark.parametrize("build", ["hg19", "hg38"])
def test_check_and_run__tell_an_annotation_of_another_build(shared, tmp_path, caplog, build):
    write_gtf(shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz", build, tmp_path / "genes.gtf")
    folder = shared / "pbmc10k"
    options = RunOptions.model_validate(
        {
            "input": {
                "rna": str(folder / "rna_matrix.rds"),
                "atac": str(folder / "atac_matrix.rds"),
                "cells": str(folder / "metafile.rds"),
            },
            "genes": str(tmp_path / "genes.gtf"),
            "groups": {"by": "celltype", "only": ["pDC"]},
            "scan": {"formula": "log(nUMI)", "ladder": "none"},
            "cluster": "none",
            "report": False,
        }
    )
    # All genes, and those that are frequent enough to be tested.
    absent = {
        check: "41 of 100 genes are not in the annotation: 'MIR1302-2HG', 'AL627309.1', 'AL627309.3', 'AL627309.2', "
        "'AL627309.5' and 36 more: 31 of clones and loci, whose names change with each release ('AL627309.1'). "
        "That costs about ",
        run: "2 of 24 genes are not in the annotation: 'LINC01409', 'SLC35E2A'. That costs about ",
    }
    for call, message in absent.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "scanlink"):
            call(options, *((tmp_path / "out",) if call is run else ()))
        told = (
            "genes and peaks may be of different genome builds: peaks cover the TSS of 2 genes (of 47 " in caplog.text
        )
        assert told == ("build" in caplog.text) == (build == "hg19")
        assert ("the annotation looks like hg19 (GRCh37), as its file says" in caplog.text) == told
        assert message in caplog.text


@pytest.mark.parametrize("call", [check, run])
def test_check_and_run__say_once_how_genes_are_found(tmp_path, caplog, call):
    write_10x(tmp_path / "x.h5")
    genes = SIMULATED.genes
    # Of another database, and with chromosomes as Ensembl calls them.
    rows = (
        f"{g.chrom.removeprefix('chr')}\tx\tgene\t{g.start + 1}\t{g.end}\t.\t{g.strand}\t.\t"
        f'gene_id "ENSG{k:011d}"; gene_name "{g.gene}";\n'
        for k, g in enumerate(genes.itertuples())
    )
    (tmp_path / "genes.gtf").write_text("".join(rows))
    options = RunOptions.model_validate(
        {
            "input": str(tmp_path / "x.h5"),
            "genes": str(tmp_path / "genes.gtf"),
            "scan": {"formula": "log(nUMI)", "ladder": "none"},
            "cluster": "none",
            "report": False,
        }
    )
    with caplog.at_level(logging.INFO, "scanlink"):
        call(options, *((tmp_path / "out",) if call is run else ()))
    for message in (
        "no gene_id of rna.var is in the annotation; genes are matched by name",
        "chromosomes of the genes have other names than in the data",
        "pair with nothing, as no peak is on their chromosomes",
    ):
        assert caplog.text.count(message) == 1, message
