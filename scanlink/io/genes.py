"""Genes of an annotation, from GTF or BED, as one table."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from scanlink.errors import InputError, OptionError, first_few
from scanlink.io.genomes import build_in_header
from scanlink.io.opening import PathLikeStr, existing_file, open_text, reading, refuse_nul, suffix_of
from scanlink.io.text_tables import is_comment

__all__ = ["read_genes"]

_COLUMNS = ["chrom", "start", "end", "strand", "gene_id", "gene", "gene_type"]
_GTF_COLUMNS = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"]
_INSIDE = r'(?:[^"\\]++|\\.)*+'
_QUOTED = f'"{_INSIDE}"'
# What headers of BED files in the wild call their columns.
_BED_NAMES = {
    "chr": "chrom",
    "chromosome": "chrom",
    "chromstart": "start",
    "chromend": "end",
    "name": "gene",
    "gene_name": "gene",
    "symbol": "gene",
    "ensembl_id": "gene_id",
    "biotype": "gene_type",
    "gene_biotype": "gene_type",
}


def read_genes(path: PathLikeStr, *, feature: str = "gene") -> pd.DataFrame:
    """Read the genes of an annotation.

    Parameters
    ----------
    path
        GTF (``.gtf``) or BED (``.bed``), perhaps ``.gz``. A BED file has three to six columns (chrom, start, end, then
        name, score and strand, told by their values in whatever order), twelve of which the first six are taken, or a
        header that names them. Names that are Ensembl identifiers are ``gene_id``, too.
    feature
        Rows of the GTF file that are taken. If there are no rows ``"gene"``, each gene is the span of its transcripts
        or, without these, of its exons.

    Returns
    -------
    One row per gene, in the order of the file, with columns ``chrom``, ``start``, ``end`` (bp, 0-based half-open),
    ``strand`` (``+``, ``-`` or ``.``), ``gene_id`` (without version; the copies on Y keep ``_PAR_Y``), ``gene`` (the
    symbol, not unique), ``gene_type``. What a file does not have is missing (NaN). If comments at the beginning of the
    file name a build of man or mouse, ``attrs["build"]`` has it, as ``"hg38"``.

    Raises
    ------
    InputError
        If the file is empty, damaged, of another format, or has rows where start is not before end.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".gtf") as file:
    ...     _ = file.write('chr1\\tHAVANA\\tgene\\t11869\\t14409\\t.\\t+\\t.\\tgene_id "ENSG00000290825.1"; '
    ...                    'gene_type "lncRNA"; gene_name "DDX11L2";\\n')
    ...     file.flush()
    ...     read_genes(file.name)
      chrom  start    end strand          gene_id     gene gene_type
    0  chr1  11868  14409      +  ENSG00000290825  DDX11L2    lncRNA
    """
    what = "an annotation as .gtf or .bed"
    file, suffix = existing_file(path, what), suffix_of(path)
    if suffix in (".gff", ".gff3"):
        raise InputError(f"{file}: GFF3 is not read; get the same annotation as GTF (.gtf.gz)")
    with reading(file, what):
        first, build = _first_line(file), build_in_header(file)
        is_gtf = len(first.split("\t")) == 9 and "gene_id" in first.split("\t")[8]
        if suffix == ".bed" and is_gtf:
            raise InputError(
                f"{file}: named .bed, but its lines are GTF; name it .gtf, as the first coordinate differs"
            )
        if suffix == ".gtf" and not is_gtf:
            raise InputError(
                f"{file}: named .gtf, but its first line has {len(first.split(chr(9)))} fields separated by tabs, "
                f"or no gene_id; 9 were expected, found {first[:80]!r}"
            )
        if is_gtf or suffix == ".gtf":
            genes = _read_gtf(file, feature)
        elif suffix == ".bed":
            if feature != "gene":
                raise OptionError(f"feature={feature!r} works with GTF files only; {file} is a BED file")
            genes = _read_bed(file)
        else:
            raise InputError(f"{file}: unknown suffix {suffix!r}; {what} was expected")
    bad = (genes["start"] >= genes["end"]).to_numpy() | (genes["start"] < 0).to_numpy()
    if bad.any():
        rows = (f"{g.gene} ({g.chrom}:{g.start}-{g.end})" for g in genes[bad].itertuples())
        raise InputError(
            f"{file}: {bad.sum():,} of {len(genes):,} genes are empty or begin before 0: {first_few(rows)}. "
            "0 <= start < end was expected, once 0-based and half-open"
        )
    genes["strand"] = genes["strand"].where(genes["strand"] != "", ".")
    odd = ~genes["strand"].isin(["+", "-", "."])
    if odd.any():
        raise InputError(f"{file}: strands +, - or . were expected, found {first_few(genes['strand'][odd].unique())}")
    genes = genes[_COLUMNS].reset_index(drop=True)
    if build is not None:
        genes.attrs["build"] = build
    return genes


def _first_line(file: Path) -> str:
    with open_text(file) as text:
        for line in text:
            if not is_comment(line):
                return line.rstrip("\r\n")
    raise InputError(f"{file}: no line but comments was found; genes were expected")


def _read_gtf(file: Path, feature: str) -> pd.DataFrame:
    wanted = [feature] if feature != "gene" else ["gene", "transcript", "exon"]
    for kind in wanted:
        # A full annotation has millions of rows of which one in fifty is a gene: rows are filtered before they are
        # parsed, and the whole file is passed over again only where it has no rows of genes.
        mark = f"\t{kind}\t"
        with open_text(file) as text:
            lines = [line for line in text if mark in line and not is_comment(line) and line.split("\t", 3)[2] == kind]
        if lines:
            genes = _parse_gtf(lines, file)
            return genes if kind in (feature, "gene") else _span(genes)
    with open_text(file) as text:
        seen = {line.split("\t", 3)[2] for line in text if not is_comment(line) and line.count("\t") >= 3}
    raise InputError(f"{file}: no rows {' or '.join(map(repr, wanted))} were found; found {first_few(sorted(seen))}")


def _parse_gtf(lines: list[str], file: Path) -> pd.DataFrame:
    fields = [line.rstrip("\r\n").split("\t", 8) for line in lines]
    short = next((line for line, parts in zip(lines, fields, strict=True) if len(parts) != 9), None)
    if short is not None:
        raise InputError(f"{file}: 9 fields separated by tabs were expected, found {short.rstrip()[:80]!r}")
    table = pd.DataFrame(fields, columns=_GTF_COLUMNS, dtype=object)
    attributes = table["attributes"]
    genes = pd.DataFrame({"chrom": table["chrom"], "strand": table["strand"]})
    genes["start"], genes["end"] = _positions(table["start"], file) - 1, _positions(table["end"], file)
    ids = _attribute(attributes, "gene_id")
    missing = ids.isna()
    if missing.any():
        raise InputError(f"{file}: {missing.sum():,} rows have no gene_id: {first_few(attributes[missing].str[:60])}")
    genes["gene_id"] = _without_version(ids)
    # Ensembl and GENCODE say gene_name, RefSeq says gene; a gene without a name goes by its id.
    names = _first_known(_attribute(attributes, "gene_name"), _attribute(attributes, "gene"))
    genes["gene"] = _first_known(names, genes["gene_id"])
    genes["gene_type"] = _first_known(_attribute(attributes, "gene_type"), _attribute(attributes, "gene_biotype"))
    return genes


def _first_known(values: pd.Series, others: pd.Series) -> pd.Series:
    return values.where(values.notna(), others)


def _attribute(attributes: pd.Series, key: str) -> pd.Series:
    # Whole pairs are passed over from the beginning, so that no value is searched: it may hold semicolons and keys.
    found = attributes.str.extract(
        rf'^(?:(?:[^";]++|{_QUOTED})*+;)*?\s*{key}\s+(?:"({_INSIDE})"|([^";]*[^";\s]))\s*(?:;|$)'
    )
    values = _first_known(found[0].str.strip(), found[1]).astype(object)
    return values.where(values != "", np.nan)


def _without_version(ids: pd.Series) -> pd.Series:
    # Only ids of Ensembl have versions; in those of other databases a dot belongs to the name (WormBase Y74C9A.2).
    return ids.str.replace(r"^(ENS\w+?)\.\d+(_PAR_Y)?$", r"\1\2", regex=True)


def _span(parts: pd.DataFrame) -> pd.DataFrame:
    """Join transcripts or exons to genes; a gene_id on two contigs, as in RefSeq on X and Y, makes two genes."""
    groups = parts.groupby(["chrom", "strand", "gene_id"], sort=False, dropna=False)
    return groups.agg(
        start=("start", "min"), end=("end", "max"), gene=("gene", "first"), gene_type=("gene_type", "first")
    ).reset_index()


def _read_bed(file: Path) -> pd.DataFrame:
    header, lines = _header_and_lines(file)
    refuse_nul(lines, file)
    widths = np.fromiter((line.count("\t") + 1 for line in lines), dtype=np.int64, count=len(lines))
    width = int(widths[0])
    uneven = np.flatnonzero(widths != width)
    if uneven.size:
        raise InputError(
            f"{file}: {uneven.size:,} rows do not have the {width} columns of the first, such as "
            f"{lines[uneven[0]].rstrip()[:60]!r} with {widths[uneven[0]]}; is the file truncated?"
        )
    if header is not None and len(header) != width:
        raise InputError(f"{file}: the header names {len(header)} columns, but rows have {width}")
    if header is None and (width < 3 or width in (7, 8)):
        raise InputError(
            f"{file}: found {width} columns separated by tabs, the first row {lines[0].rstrip()[:60]!r}; 3 to 6 were "
            "expected (chrom, start, end, name, score, strand), 12, or a header that names them"
        )
    table = pd.read_csv(io.StringIO("".join(lines)), sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
    if header is None:
        table = table.iloc[:, :6]
        header = _bed_header(table)
    table = table.set_axis(header, axis=1)
    missing = [name for name in ("chrom", "start", "end") if name not in table]
    if missing:
        raise InputError(f"{file}: the header names no column {first_few(missing)}; found {first_few(header)}")
    genes = pd.DataFrame({"chrom": table["chrom"]})
    genes["start"], genes["end"] = _positions(table["start"], file), _positions(table["end"], file)
    place = table["chrom"] + ":" + table["start"] + "-" + table["end"]
    names = table["gene"] if "gene" in table else table.get("gene_id", place)
    genes["gene"] = names.where(~names.isin(["", "."]), place)
    genes["strand"] = table.get("strand", ".")
    for name in ("gene_id", "gene_type"):
        values = table[name] if name in table else pd.Series(np.nan, index=table.index, dtype=object)
        genes[name] = values.where(values != "", np.nan)
    if "gene_id" not in table and _are_ensembl(genes["gene"]):
        genes["gene_id"] = genes["gene"]
    genes["gene_id"] = _without_version(genes["gene_id"].astype(object))
    return genes


def _header_and_lines(file: Path) -> tuple[list[str] | None, list[str]]:
    """Find the rows of a BED file, and the names of its columns: in a line with or without #, before the first row."""
    header: list[str] | None = None
    lines: list[str] = []
    with open_text(file) as text:
        for line in text:
            fields = [name.strip().lower() for name in line.lstrip("#").rstrip("\r\n").split("\t")]
            named = [_BED_NAMES.get(name, name) for name in fields]
            if not lines and len(named) >= 3 and (line.startswith("#") or named[0] == "chrom"):
                header = named
            elif not is_comment(line):
                lines.append(line)
    if not lines:
        raise InputError(f"{file}: no line but headers and comments was found; genes were expected")
    return header, lines


def _bed_header(table: pd.DataFrame) -> list[str]:
    """Name the first columns of a BED file that has no header, up to six, by what is in those after the third."""
    columns = {place: table.iloc[:, place] for place in range(3, table.shape[1])}
    places = sorted(columns, reverse=True)
    strand = next((place for place in places if columns[place].isin(["+", "-", "."]).all()), None)
    number = {place for place in columns if columns[place].str.fullmatch(r"-?[\d.]+(?:[eE][-+]?\d+)?").all()}
    texts = [place for place in columns if place not in {strand, *number}]
    ids = [place for place in texts if _are_ensembl(columns[place])]
    names = [place for place in texts if place not in ids] or ids
    # Names may be numbers, too, as those of Entrez: then they are where the format has them.
    name = names[0] if names else next((place for place in columns if place != strand), None)
    header = ["chrom", "start", "end", *(f"column {place + 1}" for place in columns)]
    # Where no strand is found, the column that should be one is shown in the error.
    for place, word in ((5, "strand") if strand is None else (strand, "strand"), (name, "gene")):
        if place in columns:
            header[place] = word
    if ids and name not in ids:
        header[ids[0]] = "gene_id"
    return header


def _are_ensembl(names: pd.Series) -> bool:
    return bool(names.astype(str).str.fullmatch(r"ENS[A-Z]*G\d{11}(?:\.\d+)?(?:_PAR_Y)?").mean() > 0.5)


def _positions(column: pd.Series, file: Path) -> pd.Series:
    bad = ~column.str.strip().str.fullmatch(r"-?\d{1,18}")
    if bad.any():
        raise InputError(
            f"{file}: {bad.sum():,} rows have no whole number in column {column.name!r}: "
            f"{first_few(column[bad])}; positions in bp were expected. Is the first line a header of other names?"
        )
    return column.astype("int64")
