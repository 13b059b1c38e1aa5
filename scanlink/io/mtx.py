"""Matrices in Matrix Market files, and the names of their rows and columns beside them."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from scanlink.errors import InputError, first_few
from scanlink.io.feature_types import feature_types
from scanlink.io.hdf5_content import refuse_beyond_memory
from scanlink.io.named import NamedMatrix
from scanlink.io.opening import PathLikeStr, existing_file, open_text, reading, refuse_nul, suffix_of
from scanlink.io.releases import mmread_csr
from scanlink.io.text_tables import is_comment, separator_of

__all__ = ["read_mtx", "read_names"]

log = logging.getLogger("scanlink")

_BARCODE_FILES = ("barcodes", "cells", "cell_names", "barcode", "colnames", "obs_names")
_FEATURE_FILES = {
    "rna": ("features", "genes", "gene_names", "rownames"),
    "atac": ("peaks", "peak_names", "features", "regions", "rownames"),
    "guide": ("guides", "guide_names", "grnas", "features", "rownames"),
}
# What the first line of a file of names may say, in small letters and without signs.
_HEADERS = {
    *("x", "v1", "id", "name", "names", "index", "rownames", "colnames", "symbol", "ensembl", "ensemblid", "target"),
    *(
        "gene",
        "genes",
        "geneid",
        "geneids",
        "genename",
        "genenames",
        "genesymbol",
        "geneshortname",
        "feature",
        "features",
    ),
    *(
        "featureid",
        "featurename",
        "barcode",
        "barcodes",
        "cell",
        "cells",
        "cellid",
        "cellname",
        "cellnames",
        "cellbarcode",
    ),
    *("peak", "peaks", "peakid", "peakname", "region", "regions", "chrom", "chr", "seqnames", "interval"),
    *("guide", "guides", "guideid", "guidename", "grna", "sgrna", "grnaid", "sgrnaid", "obsnames", "varnames"),
}
_PIECE = 1 << 24  # bytes looked at in one go
_ENDINGS = (".tsv", ".txt", ".csv", ".bed")


def read_names(path: PathLikeStr) -> pd.DataFrame:
    """Read a file of names without a header: one name a line, or a table such as 10x ``features.tsv``.

    All fields are text, and columns numbered from 0. ``.csv`` has commas, all others (``.tsv``, ``.bed``) tabs.
    Comments in ``.bed``, as Cell Ranger writes them, are passed over.
    """
    what = "a file of names"
    file = existing_file(path, what)
    with reading(file, what), open_text(file) as opened:
        lines = [line for line in opened if suffix_of(file) != ".bed" or not is_comment(line)]
        refuse_nul(lines, file)
        text = io.StringIO("".join(lines))
        # A gene may be called NA or NaN, or have a quote in its name: nothing is interpreted but the separator.
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if suffix_of(file) == ".csv" else csv.QUOTE_NONE
        table = pd.read_csv(
            text, sep=separator_of(file), header=None, dtype=str, keep_default_na=False, quoting=quoting
        )
        # R's write.table(quote = TRUE) is read without quotes as well.
        return pd.DataFrame({name: table[name].str.strip('"') for name in table})


def read_mtx(
    path: PathLikeStr, modality: str = "rna", features: PathLikeStr | None = None, barcodes: PathLikeStr | None = None
) -> NamedMatrix:
    """Read a sparse matrix in Matrix Market format, as it is in the file, and its names from files beside it.

    The files of names may be given. None looks beside the matrix for ``features.tsv``, ``barcodes.tsv`` and the like,
    also as ``.txt``, ``.csv``, ``.gz``; first for those that begin like the matrix, as ``rna_features.tsv`` beside
    ``rna.mtx``. The modality (``"rna"``, ``"atac"``, ``"guide"``) says whether ``genes.tsv`` or ``peaks.tsv`` may be
    one. Raises InputError if names are not found, or do not fit the shape of the matrix.
    """
    file = existing_file(path, "a matrix as .mtx")
    with reading(file, "a matrix in Matrix Market format"):
        matrix = _entries(file)
    n_rows, n_columns = matrix.shape
    barcode_file = Path(barcodes) if barcodes else _beside(file, _BARCODE_FILES, matrix.shape, "barcodes", "barcodes=")
    feature_names, keyword = _FEATURE_FILES[modality], f"{modality}_features="
    feature_file = Path(features) if features else _beside(file, feature_names, matrix.shape, "features", keyword)
    cells = _fit(read_names(barcode_file), matrix.shape)[0]
    table = _fit(read_names(feature_file), matrix.shape)
    if (len(table), len(cells)) == (n_rows, n_columns):
        side = "columns"  # also if square, when both ways fit: 10x and R have the features in rows
        if n_rows == n_columns:
            log.warning(
                "%s: the matrix is square (%s x %s), so its shape cannot tell which side the cells are on; features x "
                "cells is assumed, as of 10x and in R. If its rows are cells (scanpy's X), write its transpose",
                file,
                f"{n_rows:,}",
                f"{n_columns:,}",
            )
    elif (len(cells), len(table)) == (n_rows, n_columns):
        side = "rows"
    else:
        raise InputError(
            f"{file}: the matrix has {n_rows:,} rows and {n_columns:,} columns, but {feature_file.name} has "
            f"{len(table):,} names and {barcode_file.name} {len(cells):,}; do the three files belong together?"
        )
    names, var = _features(table)
    rows, columns = (pd.Index(cells), names) if side == "rows" else (names, pd.Index(cells))
    return NamedMatrix(matrix, rows, columns, source=str(file), cells=side, features=var)


def _entries(file: Path) -> sparse.csr_matrix:
    """Read the entries of a file, each place once, whose header says no more than the file can hold."""
    from scipy.io import mminfo

    n_rows, n_columns, n_entries, layout, kind, symmetry = mminfo(str(file))
    if symmetry != "general" or kind == "complex":
        raise InputError(f"{file}: the header says {kind} {symmetry}; integer general (or real, pattern) was expected")
    # A line of an entry takes four bytes, and gzip makes a thousandth of it at best.
    most = file.stat().st_size // 4 * (1_032 if file.name.endswith(".gz") else 1)
    if layout == "coordinate" and n_entries > most:
        raise InputError(
            f"{file}: the header says {n_entries:,} entries, and a file of {file.stat().st_size:,} bytes cannot hold "
            "them; was it copied incompletely? Copy it again"
        )
    n_bytes = 8 * (n_rows + n_columns) + 16 * n_entries
    refuse_beyond_memory(n_bytes, f"{file}: a matrix of {n_rows:,} x {n_columns:,}", "the header")
    if layout == "coordinate":
        _check_body(file, n_entries, kind)
    matrix = mmread_csr(str(file))
    if layout == "coordinate" and matrix.nnz < n_entries:
        raise InputError(
            f"{file}: {n_entries - matrix.nnz:,} of {n_entries:,} entries repeat one of the same row and column; "
            "each once was expected. Is the file joined from several? Then write their sum"
        )
    # Without values, all are 1.
    return sparse.csr_matrix(matrix, dtype=bool) if kind == "pattern" else matrix


def _check_body(file: Path, n_entries: int, kind: str) -> None:
    """Refuse signs that no number of this kind has, and fields too many: scipy reads 0x10 as 0, and 5.7 as 5."""
    signs = b"0123456789+- \t\r\n" + (b".eEinfatyINFATY" if kind == "real" else b"")
    n_fields, before = 0, True
    with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as body:
        while (line := body.readline()).startswith(b"%") or not line.strip():
            if not line:
                return
        while piece := body.read(_PIECE):
            if odd := piece.translate(None, signs):
                raise InputError(
                    f"{file}: found the sign {chr(odd[0])!r} among the entries, which the header says are {kind}; "
                    "whole numbers were expected. If they are 5.0 or 1e5, write real in the header in place of integer"
                )
            blank = np.frombuffer(piece, dtype=np.uint8) <= ord(" ")
            n_fields += int(np.count_nonzero(blank[:-1] & ~blank[1:])) + int(before and not blank[0])
            before = bool(blank[-1])
    each = 2 if kind == "pattern" else 3
    if n_fields > each * n_entries:
        raise InputError(
            f"{file}: {n_fields:,} numbers were found after the header, {each} for each of {n_entries:,} entries were "
            "expected: row, column and value"
        )


def _beside(file: Path, kinds: tuple[str, ...], shape: tuple[int, ...], what: str, keyword: str) -> Path:
    stem = file.name[: file.name.lower().index(".mtx")]
    # rna_features beside rna.mtx, and sample_features beside sample_matrix.mtx
    prefixed = [f"{stem}{joint}{kind}" for kind in kinds for joint in ("_", ".", "-")]
    prefixed += [f"{stem.removesuffix('matrix')}{kind}" for kind in kinds if stem.endswith("matrix")]
    names = [f"{base}{ending}{gz}" for base in (*prefixed, *kinds) for ending in _ENDINGS for gz in ("", ".gz")]
    files = [file.with_name(name) for name in names if file.with_name(name).is_file()]
    for number, candidate in enumerate(files):
        if len(_fit(read_names(candidate), shape)) in shape:
            if number:
                log.warning(
                    "%s: the names of its %s are taken from %s, because %s has not as many names as the matrix has "
                    "rows or columns; if that is not meant, give the right file (%s)",
                    file,
                    what,
                    candidate.name,
                    first_few(other.name for other in files[:number]),
                    keyword,
                )
            return candidate
    if files:
        return files[0]
    raise InputError(
        f"{file}: no file with the names of its {what} was found beside it; {kinds[0]}.tsv, {kinds[1]}.tsv or "
        f"{stem}_{kinds[0]}.tsv (also .txt, .csv, .gz) was expected. Or name the file: {keyword}"
    )


def _fit(table: pd.DataFrame, shape: tuple[int, ...]) -> pd.DataFrame:
    """Drop a header, which shows as one line too many, and the row numbers of R's write.csv."""
    if len(table) - 1 in shape and len(table) not in shape and _is_header(table.iloc[0]):
        table = table.iloc[1:]
        if table.shape[1] == 2 and table[0].tolist() == [str(i + 1) for i in range(len(table))]:
            table = table.drop(columns=0)
        table = table.set_axis(range(table.shape[1]), axis=1)
    return table.reset_index(drop=True)


def _is_header(line: pd.Series) -> bool:
    """Tell whether a line names columns; another one too many was added anywhere, and would move all names."""
    return any(re.sub(r"[^a-z0-9]", "", str(word).lower()) in _HEADERS for word in line)


def _features(table: pd.DataFrame) -> tuple[pd.Index, pd.DataFrame]:
    """Tell one column of names, 10x (id, symbol, type, ...) and BED (chrom, start, end) apart."""
    var = pd.DataFrame(index=range(len(table)))
    if table.shape[1] == 1:
        return pd.Index(table[0]), var
    if table.shape[1] >= 3 and table[1].str.isdecimal().all() and table[2].str.isdecimal().all():
        var["chrom"], var["start"], var["end"] = table[0], table[1].astype("int64"), table[2].astype("int64")
        return pd.Index(table[0] + ":" + table[1] + "-" + table[2]), var
    var["gene_ids"] = table[0]
    if table.shape[1] >= 3:
        var["feature_types"] = table[2]
    if table.shape[1] == 6 and (types := feature_types(var)) is not None:
        # Of genes; peaks are called by their places already.
        var["interval"] = (table[3] + ":" + table[4] + "-" + table[5]).where(types[1] == "rna", "")
    return pd.Index(table[1]), var
