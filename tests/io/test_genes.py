from __future__ import annotations

import gzip
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import InputError, OptionError

COLUMNS = ["chrom", "start", "end", "strand", "gene_id", "gene", "gene_type"]
HEAD = "##description: evidence-based annotation\n##provider: GENCODE\n"


def gtf_row(feature: str, start: int, end: int, attributes: str, *, chrom: str = "chr1", strand: str = "+") -> str:
    return f"{chrom}\tHAVANA\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{attributes}\n"


GENCODE = HEAD + "".join(
    [
        gtf_row("gene", 11869, 14409, 'gene_id "ENSG00000223972.5"; gene_type "lncRNA"; gene_name "DDX11L1"; level 2;'),
        gtf_row("transcript", 11869, 14409, 'gene_id "ENSG00000223972.5"; transcript_id "ENST1.1"; gene_name "gene"; '),
        gtf_row("exon", 11869, 12227, 'gene_id "ENSG00000223972.5"; gene_name "DDX11L1"; note "a\tgene\tb";'),
        gtf_row("gene", 5, 9, 'gene_id "ENSG00000182378.15"; gene_type "x y"; gene_name "PLCXD1";', chrom="chrX"),
        gtf_row("gene", 5, 9, 'gene_id "ENSG00000182378.15_PAR_Y"; gene_type "x"; gene_name "PLCXD1";', chrom="chrY"),
        gtf_row("gene", 7, 7, 'gene_id "ENSMUSG00000000001.4"; gene_type "x"; gene_name "Gnai3";', strand="-"),
    ]
)


@pytest.mark.parametrize("name", ["x.gtf", "x.gtf.gz", "x.txt"])
def test_read_genes__gtf(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(GENCODE.encode()) if name.endswith("gz") else GENCODE.encode())
    genes = sl.io.read_genes(tmp_path / name)
    assert list(genes) == COLUMNS
    assert genes.to_numpy().tolist() == [
        ["chr1", 11868, 14409, "+", "ENSG00000223972", "DDX11L1", "lncRNA"],
        ["chrX", 4, 9, "+", "ENSG00000182378", "PLCXD1", "x y"],
        ["chrY", 4, 9, "+", "ENSG00000182378_PAR_Y", "PLCXD1", "x"],
        ["chr1", 6, 7, "-", "ENSMUSG00000000001", "Gnai3", "x"],
    ]
    assert genes[["start", "end"]].dtypes.astype(str).tolist() == ["int64", "int64"]


def test_read_genes__gtf_agrees_with_bioframe(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    starts = rng.integers(1, 10**8, 300)
    rows = [
        gtf_row(
            "gene", s, s + int(w), f'gene_id "G{i}"; gene_name "N{i % 250}"; gene_type "t{i % 3}";', strand="+-"[i % 2]
        )
        for i, (s, w) in enumerate(zip(starts.tolist(), rng.integers(1, 10**5, 300), strict=True))
    ]
    (tmp_path / "x.gtf").write_text("".join(rows))
    genes = sl.io.read_genes(tmp_path / "x.gtf")
    oracle = bioframe.read_table(str(tmp_path / "x.gtf"), schema="gtf")
    assert genes["chrom"].tolist() == oracle["chrom"].tolist()
    assert genes["start"].tolist() == (oracle["start"] - 1).tolist()
    assert genes["end"].tolist() == oracle["end"].tolist()
    assert genes["strand"].tolist() == oracle["strand"].tolist()
    assert genes["gene"].tolist() == oracle["attributes"].str.extract('gene_name "([^"]+)"')[0].tolist()


@pytest.mark.parametrize("kind", ["transcript", "exon"])
def test_read_genes__gtf_without_gene_rows_is_spanned(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.gtf").write_text(
        gtf_row(kind, 100, 200, 'gene_id "Y74C9A.2"; gene_name "nlp-40";')
        + gtf_row(kind, 11, 20, 'gene_id "B"; gene_biotype "protein_coding";', strand="-")
        + gtf_row(kind, 50, 120, 'gene_id "Y74C9A.2"; gene_name "nlp-40";')
        + gtf_row("CDS", 1, 500, 'gene_id "Y74C9A.2";')
    )
    genes = sl.io.read_genes(tmp_path / "x.gtf").set_index("gene_id")
    assert genes.loc["Y74C9A.2", ["chrom", "start", "end", "strand", "gene"]].tolist() == [
        "chr1",
        49,
        200,
        "+",
        "nlp-40",
    ]
    assert genes.loc["B", ["start", "end", "gene", "gene_type"]].tolist() == [10, 20, "B", "protein_coding"]


def test_read_genes__other_features_on_request(tmp_path: Path) -> None:
    (tmp_path / "x.gtf").write_text(GENCODE)
    assert sl.io.read_genes(tmp_path / "x.gtf", feature="exon")["end"].tolist() == [12227]
    with pytest.raises(InputError, match="no rows 'CDS' were found; found 'exon', 'gene', 'transcript'"):
        sl.io.read_genes(tmp_path / "x.gtf", feature="CDS")
    (tmp_path / "x.bed").write_text("chr1\t1\t2\n")
    with pytest.raises(OptionError, match="works with GTF files only"):
        sl.io.read_genes(tmp_path / "x.bed", feature="exon")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("chr1\t5\t9", ["chr1", 5, 9, ".", "chr1:5-9"]),
        ("chr1\t5\t9\tA", ["chr1", 5, 9, ".", "A"]),
        ("chr1\t5\t9\tA\t0\t-", ["chr1", 5, 9, "-", "A"]),
        ("chr1\t5\t9\tA\t0\t+\t5\t9\t0\t1\t4\t0", ["chr1", 5, 9, "+", "A"]),
        ("#chrom\tend\tstart\tsymbol\nchr1\t9\t5\tA", ["chr1", 5, 9, ".", "A"]),
        ("chrom\tstart\tend\tstrand\tsymbol\nchr1\t5\t9\t-\tA", ["chr1", 5, 9, "-", "A"]),
        ("track name=x\n#chrom\tstart\tend\tgene\nchr1\t5\t9\tA", ["chr1", 5, 9, ".", "A"]),
        ("chr1\t5\t9\tA\t-", ["chr1", 5, 9, "-", "A"]),
        ("chr1\t5\t9\t-\tA\t0", ["chr1", 5, 9, "-", "A"]),
        ("chr1\t5\t9\t0.5\t+\tA", ["chr1", 5, 9, "+", "A"]),
        ("chr1\t5\t9\t-", ["chr1", 5, 9, "-", "chr1:5-9"]),
        ("chr1\t5\t9\t7157\t0\t-", ["chr1", 5, 9, "-", "7157"]),
        ("\ufeffchr1\t5\t9\tA", ["chr1", 5, 9, ".", "A"]),
        ("#bed of mine\ntrack name=x\nchr1\t5\t9\tNA", ["chr1", 5, 9, ".", "NA"]),
        ("browser position chr1\n \n#\nchr1\t5\t9\tA", ["chr1", 5, 9, ".", "A"]),
        ("track-7\t5\t9\tA", ["track-7", 5, 9, ".", "A"]),
    ],
)
def test_read_genes__bed_of_any_width(tmp_path: Path, fields: str, expected: list) -> None:
    (tmp_path / "x.bed").write_text(fields + "\n")
    genes = sl.io.read_genes(tmp_path / "x.bed")
    assert list(genes) == COLUMNS
    assert genes.loc[0, ["chrom", "start", "end", "strand", "gene"]].tolist() == expected
    assert genes[["gene_id", "gene_type"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "fields", ["ENSG00000141510.18\tTP53\t-", "TP53\tENSG00000141510.18\t-", "ENSG00000141510\t0\t-"]
)
def test_read_genes__ensembl_names_of_a_bed_are_identifiers(tmp_path: Path, fields: str) -> None:
    (tmp_path / "x.bed").write_text(f"chr17\t5\t9\t{fields}\n")
    genes = sl.io.read_genes(tmp_path / "x.bed")
    symbol = "TP53" if "TP53" in fields else "ENSG00000141510"
    assert genes.loc[0, ["gene_id", "gene", "strand"]].tolist() == ["ENSG00000141510", symbol, "-"]


@pytest.mark.parametrize(
    "attributes",
    [
        'gene_id "A"; gene_name "X;Y Z"; gene_type "t u"',
        'note "see; gene_name "; gene_id "A"; gene_name "X;Y Z"; gene_type "t u";',
        r'note "a \"quoted\"; gene_name 1"; gene_id "A";gene_name "X;Y Z";  gene_type  "t u" ;',
        'havana_gene_name "no"; ref_gene_id "no"; a_gene_type "no"; gene_id "A"; gene_name "X;Y Z"; gene_biotype "t u"',
        'gene_id A; gene_name "X;Y Z"; gene_type t u',
    ],
)
def test_read_genes__attributes_are_pairs_of_key_and_value(tmp_path: Path, attributes: str) -> None:
    (tmp_path / "x.gtf").write_text(gtf_row("gene", 5, 9, attributes))
    genes = sl.io.read_genes(tmp_path / "x.gtf")
    assert genes.loc[0, ["gene_id", "gene", "gene_type"]].tolist() == ["A", "X;Y Z", "t u"]


def test_read_genes__a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "x.gtf").write_bytes(b"\xef\xbb\xbf" + gtf_row("gene", 5, 9, 'gene_id "A"').encode())
    assert sl.io.read_genes(tmp_path / "x.gtf")["chrom"].tolist() == ["chr1"]


@pytest.mark.parametrize("build", ["hg19", "hg38"])
def test_read_genes__real_bed_with_header(shared: Path, build: str) -> None:
    path = shared / "annotation" / f"ABC_CollapsedGeneBounds.{build}.bed.gz"
    genes, oracle = sl.io.read_genes(path), pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    for ours, theirs in zip(
        ["chrom", "start", "end", "strand", "gene_id", "gene", "gene_type"],
        ["#chr", "start", "end", "strand", "Ensembl_ID", "name", "gene_type"],
        strict=True,
    ):
        assert genes[ours].fillna("").astype(str).tolist() == oracle[theirs].tolist()


def test_read_genes__names_need_not_be_unique(shared: Path) -> None:
    genes = sl.io.read_genes(shared / "pbmc10k" / "gencode_v44_gene_bodies.bed.gz")
    assert len(genes) == 62_700
    assert not genes["gene"].is_unique
    assert set(genes["strand"]) == {"."}
    assert genes.loc[0, ["chrom", "start", "end", "gene"]].tolist() == ["chr1", 11868, 14409, "DDX11L2"]


BAD = {
    "empty": ("x.gtf", "", "the file is empty"),
    "only comments": ("x.gtf", HEAD, "no line but comments"),
    "gtf as bed": ("x.bed", GENCODE, "named .bed, but its lines are GTF"),
    "bed as gtf": ("x.gtf", "chr1\t5\t9\tA\n", "named .gtf, but its first line has 4 fields"),
    "gff3": ("x.gff3", "chr1\t.\tgene\t1\t2\t.\t+\t.\tID=gene:1\n", "GFF3 is not read"),
    "unknown": ("x.xyz", "chr1\t5\t9\tA\n", "unknown suffix '.xyz'"),
    "two columns": ("x.bed", "chr1\t5\n", "found 2 columns separated by tabs"),
    "blanks": ("x.bed", "chr1 5 9 A\n", "found 1 columns separated by tabs"),
    "uneven": ("x.bed", "chr1\t5\t9\tA\nchr1\t5\n", "1 rows do not have the 4 columns of the first"),
    "header of table": ("x.bed", "contig\tfrom\tto\nchr1\t5\t9\n", "Is the first line a header of other names"),
    "header too short": ("x.bed", "#chr\tstart\tend\nchr1\t5\t9\tA\n", "names 3 columns, but rows have 4"),
    "header without end": ("x.bed", "#chr\tstart\tstop\nchr1\t5\t9\n", "names no column 'end'"),
    "start = end": ("x.bed", "chr1\t5\t9\tA\nchr1\t9\t9\tB\n", r"1 of 2 genes are empty .* 'B \(chr1:9-9\)'"),
    "start > end": ("x.gtf", gtf_row("gene", 9, 5, 'gene_id "A"'), r"1 of 1 genes are empty .* 'A \(chr1:8-5\)'"),
    "start of 0": ("x.gtf", gtf_row("gene", 0, 5, 'gene_id "A"'), "begin before 0"),
    "strand": ("x.bed", "chr1\t5\t9\tA\t0\tplus\n", "strands .* found 'plus'"),
    "short row": (
        "x.gtf",
        gtf_row("gene", 1, 5, 'gene_id "A"') + "chr1\tHAVANA\tgene\t1\t5\n",
        "9 fields separated by tabs were expected, found 'chr1",
    ),
    "no gene_id": (
        "x.gtf",
        gtf_row("gene", 1, 5, 'gene_id "A"') + gtf_row("gene", 1, 5, 'gene_name "B"'),
        "1 rows have no gene_id",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_read_genes__bad_input_is_told_what_is_wrong(tmp_path: Path, case: str) -> None:
    name, content, message = BAD[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        sl.io.read_genes(tmp_path / name)


def test_read_genes__truncated_gz(tmp_path: Path) -> None:
    (tmp_path / "x.gtf.gz").write_bytes(gzip.compress(GENCODE.encode())[:-12])
    with pytest.raises(InputError, match="truncated or was copied incompletely"):
        sl.io.read_genes(tmp_path / "x.gtf.gz")
