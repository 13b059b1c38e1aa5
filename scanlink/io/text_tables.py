"""Plain text: dense matrices, and tables of cells, in which text stays as it is written."""

from __future__ import annotations

import csv
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scanlink.errors import InputError, first_few
from scanlink.io.named import NamedMatrix
from scanlink.io.opening import PathLikeStr, existing_file, open_text, reading, suffix_of

__all__ = ["MISSING", "NO_NUMBER", "as_written", "is_comment", "read_csv_matrix", "read_text_table", "separator_of"]

log = logging.getLogger("scanlink")

# As in R. Whatever else others take for missing (None, null, n/a, nan) may be the name of a level.
MISSING = ["", "NA"]
# What programs write for a number that is missing.
NO_NUMBER = ("NA", "<NA>", "NaN", "nan", "NULL", "null", "None", "none", "N/A", "n/a", "#N/A", ".")
# Identifiers look like numbers, too: with leading zeros, as 1E1 of a plate (no program writes a number like that, for
# its exponents have a sign), or with more digits than a number keeps.
_NUMBER = r"\s*[+-]?(?:(?:0|[1-9]\d{0,14})(?:\.\d*)?|\.\d+)(?:[eE][+-]\d+)?\s*"
# Lines of GTF and BED about the file, with those of UCSC for its browser.
_COMMENT = re.compile(r"#|(?:track|browser)\s|\s*$")
_NO_VALUE = r"(?i:\s*(?:nan|[+-]?inf)\s*)"


def is_comment(line: str) -> bool:
    """Tell whether a line of GTF or BED is a comment, about the tracks of a browser, or empty.

    >>> [is_comment(line) for line in ("#!genome-build GRCh38\\n", "track name=x\\n", "\\n", "track_7\\t5\\t9\\n")]
    [True, True, True, False]
    """
    return _COMMENT.match(line) is not None


def read_csv_matrix(path: PathLikeStr) -> NamedMatrix:
    """Read a dense matrix, sparse: names of columns in the first line, name of the row first in each line.

    Commas are read in ``.csv``, tabs in ``.tsv`` and ``.txt``, perhaps ``.gz``. The first line may be one field shorter
    than the others, as R writes it. Raises InputError if lines differ in length or a value is no number.
    """
    file = existing_file(path, "a matrix as .csv or .tsv")
    separator = separator_of(file)
    with reading(file, "a matrix with names of rows and columns"):
        with open_text(file) as text:
            lines = csv.reader(text, delimiter=separator)
            header, first = next(lines, []), next(lines, [])
        if len(first) < 2 or len(header) not in (len(first), len(first) - 1):
            raise InputError(
                f"{file}: found {len(header)} fields in the first line and {len(first)} fields in the second line, "
                f"separated by {separator!r}; the names of the columns, then a name and one number per column were "
                "expected. Commas are read in .csv, tabs in .tsv and .txt"
            )
        columns = header[len(header) - (len(first) - 1) :]
        rows: list[str] = []
        pieces: list[sparse.csr_matrix] = []
        with open_text(file) as text:
            # In pieces, for a dense matrix in memory can be twenty times its sparse self.
            for piece in pd.read_csv(
                text,
                sep=separator,
                header=None,
                skiprows=1,
                index_col=0,
                chunksize=max(1, 4_000_000 // len(first)),
                dtype={0: str},
                keep_default_na=False,
                na_values=[""],
            ):
                rows.extend(piece.index)
                pieces.append(sparse.csr_matrix(_numbers(piece, columns, file)))
    matrix = sparse.vstack(pieces, format="csr")
    return NamedMatrix(matrix, pd.Index(rows), pd.Index(columns), source=str(file))


def _numbers(piece: pd.DataFrame, columns: list[str], file: Path) -> np.ndarray:
    try:
        return piece.to_numpy(dtype=float)
    except ValueError:
        for position, name in enumerate(columns):
            bad = pd.to_numeric(piece.iloc[:, position], errors="coerce").isna()
            if bad.any():
                value = piece.iloc[:, position][bad].iloc[0]
                raise InputError(
                    f"{file}: {value!r} in row {piece.index[bad][0]!r}, column {name!r} is not a number; a matrix of "
                    "counts with one column of names was expected"
                ) from None
        raise


def read_text_table(file: Path) -> pd.DataFrame:
    """Read a table of cells in text, with or without a name for its first column; see :func:`as_written`."""
    separator = separator_of(file)
    with open_text(file) as text:
        lines = csv.reader(text, delimiter=separator)
        header, first = next(lines, []), next(lines, [])
    with open_text(file) as text:
        # R leaves out the name of the first column, which is then the index.
        of_r = len(header) == len(first) - 1
        with_header: dict[str, Any] = {"header": None, "skiprows": 1} if of_r else {}
        table = pd.read_csv(
            text, sep=separator, index_col=False, dtype=str, keep_default_na=False, na_values=MISSING, **with_header
        )
    if of_r:
        table = table.set_index(0).rename_axis(None)
        # A name that comes again is numbered, as pandas does it.
        table.columns = pd.Index(
            [name + (f".{k}" if (k := header[:i].count(name)) else "") for i, name in enumerate(header)]
        )
    return as_written(table)


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    """Make numbers of the columns of text in which every value is written as a number, and truth values of those.

    Missing are empty values and NA. A column is text as soon as one value has a leading zero (007), is 1E1 or a word.
    Where all words of a column are such as others write for a missing number, a warning says so.

    >>> as_written(pd.DataFrame({"donor": ["001", "1"], "age": ["61", "6.5"], "plate": ["1E1", "2"]})).dtypes.tolist()
    [dtype('O'), dtype('float64'), dtype('O')]
    """
    return table.apply(_typed) if len(table) else table


def _typed(column: pd.Series) -> pd.Series:
    values = column.dropna().drop_duplicates()
    plain = values.str.fullmatch(_NUMBER)
    if plain.any() and (plain | values.str.fullmatch(_NO_VALUE)).all():
        whole = column.notna().all() and values.str.fullmatch(r"\s*[+-]?\d+\s*").all()
        return column.astype(object).astype("int64" if whole else "float64")
    if len(values) and column.notna().all() and values.str.lower().isin(["true", "false"]).all():
        return column.str.lower() == "true"
    odd = values[~plain]
    if plain.any() and odd.isin(NO_NUMBER).all():
        log.warning(
            "column %r is text, each number in it a level, because of %s in %d rows: where that means missing, "
            "leave it empty",
            column.name,
            first_few(odd),
            int(column.isin(odd).sum()),
        )
    return column.astype(object)


def separator_of(file: Path) -> str:
    """Tell what is between the values of a text file, by its suffix."""
    return "," if suffix_of(file) == ".csv" else "\t"
