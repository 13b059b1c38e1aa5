"""The formats that are read: one row each, of which the readers and their messages are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from anndata import AnnData

from scanlink.errors import InputError
from scanlink.io.assays import Assay, Whole
from scanlink.io.mtx import read_mtx
from scanlink.io.mudata_files import open_h5ad, open_h5mu, read_h5ad
from scanlink.io.named import NamedMatrix
from scanlink.io.obs import plain_dtypes
from scanlink.io.opening import PathLikeStr, existing_file, reading, suffix_of
from scanlink.io.rds import open_rds, read_rds_matrix, read_rds_table
from scanlink.io.tenx import open_10x_h5, open_10x_mtx, read_10x_features, read_10x_folder
from scanlink.io.text_tables import read_csv_matrix, read_text_table
from scanlink.io.zarr_stores import open_zarr, read_zarr

__all__ = [
    "FORMATS",
    "TABLES",
    "Format",
    "format_of_matrix",
    "format_of_whole",
    "keeps_tables",
    "listed",
    "matrix_words",
    "names_beside",
    "read_table",
    "stays_on_disk",
    "whole_words",
]

ReadWhole = Callable[[Path, Assay, Mapping[str, str | None], bool], Whole]
ReadMatrix = Callable[[Path, str, PathLikeStr | None, PathLikeStr | None], NamedMatrix | AnnData]


@dataclass(frozen=True)
class Format:
    """What one format holds, and who reads it."""

    suffixes: tuple[str, ...]  # without .gz; none: a folder. The first one stands in lists
    name: str | None = None  # what messages call it; None: its first suffix
    family: str | None = None  # what messages call all files of that maker; None: its name
    whole_name: str | None = None  # in lists of formats with both modalities; {features} is what the second one holds
    whole: ReadWhole | None = None  # path, assay, names of the modalities in the file, whether counts stay on disk
    matrix: ReadMatrix | None = None  # path, modality, files of the names of features and of barcodes
    folder: bool = False  # it is a folder, not a file
    backed: bool = False  # counts can stay on disk
    layers: bool = False  # it may hold raw counts in a layer
    keys: bool = False  # modalities have names of their own in it
    keeps_tables: bool = False  # a copy can take tables of results
    names: bool = False  # names of rows and columns may be given
    names_beside: bool = False  # names of rows and columns are in files beside it

    @property
    def label(self) -> str:
        return self.name or self.suffixes[0]


FORMATS = (
    Format(
        (".h5mu",),
        whole=lambda path, assay, keys, backed: open_h5mu(path, keys, backed=backed),
        backed=True,
        layers=True,
        keys=True,
        keeps_tables=True,
    ),
    Format(
        (".h5",),
        name="10x .h5",
        family="10x",
        whole_name=".h5 (10x)",
        whole=lambda path, assay, keys, backed: open_10x_h5(path, assay, backed=backed),
        matrix=lambda path, *names: read_10x_features(path),
        backed=True,
    ),
    Format(
        (".rds",),
        whole_name=".rds (Seurat)",
        whole=lambda path, assay, keys, backed: open_rds(path, assay, keys),
        matrix=lambda path, modality, *names: read_rds_matrix(path, modality),
        keys=True,
    ),
    Format(
        (".h5ad",),
        whole_name=".h5ad (with genes and {features})",
        whole=lambda path, assay, keys, backed: open_h5ad(path, assay, backed=backed),
        matrix=lambda path, *names: read_h5ad(path),
        backed=True,
        layers=True,
        keeps_tables=True,
    ),
    Format(
        (".zarr",),
        whole=lambda path, assay, keys, backed: open_zarr(path, assay, keys),
        matrix=lambda path, modality, *names: read_zarr(path, modality),
        folder=True,
        layers=True,
        keys=True,
    ),
    Format(
        (),
        name="a folder",
        family="10x",
        whole_name="a 10x folder",
        whole=lambda path, assay, keys, backed: open_10x_mtx(path, assay),
        matrix=read_10x_folder,
        folder=True,
        names=True,
    ),
    Format(
        (".mtx",),
        whole_name=".mtx (with types of features)",
        whole=lambda path, assay, keys, backed: open_10x_mtx(path, assay),
        matrix=read_mtx,
        names=True,
        names_beside=True,
    ),
    Format((".csv",), matrix=lambda path, *names: read_csv_matrix(path)),
    Format((".tsv", ".txt"), matrix=lambda path, *names: read_csv_matrix(path)),
)
# Tables of cells and of guides, by suffix.
TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": read_text_table,
    ".tsv": read_text_table,
    ".txt": read_text_table,
    ".parquet": pd.read_parquet,
    ".rds": read_rds_table,
}


def listed(words: Iterable[str], last: str = "or") -> str:
    """Join words as a sentence has them: ``.csv, .tsv or .rds``."""
    *most, final = words
    return f"{', '.join(most)} {last} {final}" if most else final


def whole_words(assay: Assay) -> str:
    """List the formats that hold both modalities, for messages."""
    return listed(
        (row.whole_name or row.suffixes[0]).format(features=assay.features) for row in FORMATS if row.whole is not None
    )


def matrix_words() -> str:
    """List the formats that hold a matrix of one modality, for messages."""
    return listed(row.suffixes[0] if row.suffixes else str(row.whole_name) for row in FORMATS if row.matrix is not None)


def _row(path: PathLikeStr, rows: Iterable[Format]) -> Format | None:
    """Find the format of a path among these: by its suffix, a folder of another suffix as that of 10x."""
    suffix, is_folder = suffix_of(path), Path(path).is_dir()
    possible = [row for row in rows if not is_folder or row.folder]
    named = [row for row in possible if suffix in row.suffixes]
    return next(iter(named or [row for row in possible if is_folder and not row.suffixes]), None)


def format_of_whole(path: PathLikeStr, assay: Assay) -> Format:
    """Find the format of a file or folder that holds both modalities; InputError if there is none of that suffix."""
    row, suffix = _row(path, (row for row in FORMATS if row.whole is not None)), suffix_of(path)
    if row is not None:
        return row
    matrices = matrix_words()
    more = f"; a matrix of one modality ({matrices}) goes with another: {assay.pair}" if suffix in matrices else ""
    raise InputError(f"{path}: unknown suffix {suffix!r}; expected {whole_words(assay)}{more}")


def format_of_matrix(path: PathLikeStr, modality: str) -> Format:
    """Find the format of a file that holds a matrix of one modality; InputError if there is none of that suffix."""
    row = _row(path, (row for row in FORMATS if row.matrix is not None))
    if row is not None:
        return row
    suffix = suffix_of(path)
    raise InputError(f"{path}: unknown suffix {suffix!r} for {modality}; expected {matrix_words()}, perhaps with .gz")


def read_table(path: PathLikeStr) -> pd.DataFrame:
    """Read a table of cells or of guides in one of the formats ``TABLES``; text becomes categories."""
    what = f"a table of cells as {listed(TABLES)}"
    file, suffix = existing_file(path, what), suffix_of(path)
    if suffix not in TABLES:
        raise InputError(f"{file}: unknown suffix {suffix!r}; {what} was expected")
    with reading(file, what):
        return plain_dtypes(TABLES[suffix](file))


def stays_on_disk(path: PathLikeStr) -> bool:
    """Tell whether the counts of a file with both modalities can stay on disk."""
    row = _row(path, (row for row in FORMATS if row.whole is not None))
    return row is None or row.backed  # of an unknown format the reader will tell


def keeps_tables(path: PathLikeStr) -> bool:
    """Tell whether a copy of a file can take tables of results."""
    return any(row.keeps_tables and suffix_of(path) in row.suffixes for row in FORMATS)


def names_beside(path: Path) -> list[Path]:
    """Find files of names that may belong to a matrix, where its format keeps them beside it."""
    if not (path.is_file() and any(row.names_beside and suffix_of(path) in row.suffixes for row in FORMATS)):
        return []
    return [other for other in sorted(path.parent.iterdir()) if suffix_of(other) in (".tsv", ".csv", ".txt")]
