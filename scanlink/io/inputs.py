"""One door for all formats: both modalities of an experiment, from one file or from two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from anndata import AnnData
from scipy import sparse

from scanlink.errors import OptionError, first_few
from scanlink.io.assays import Assay, Whole
from scanlink.io.cell_names import own_names
from scanlink.io.feature_types import are_named_otherwise
from scanlink.io.formats import (
    FORMATS,
    Format,
    format_of_matrix,
    format_of_whole,
    listed,
    matrix_words,
    read_table,
    whole_words,
)
from scanlink.io.named import NamedMatrix, orient
from scanlink.io.obs import cells_by_barcode
from scanlink.io.opening import PathLikeStr
from scanlink.io.raw_counts import Layer

__all__ = ["open_input"]


def open_input(
    assay: Assay,
    path: PathLikeStr | None,
    rna: PathLikeStr | None,
    second: PathLikeStr | None,
    *,
    cells: PathLikeStr | pd.DataFrame | None,
    barcode: str | None,
    names: Mapping[str, PathLikeStr | None],
    keys: Mapping[str, str | None],
    layer: Layer,
    backed: bool,
) -> tuple[Whole, pd.DataFrame | None]:
    """Read both modalities as they are, from one file or a pair, and the table of cells by barcode.

    ``names`` has the files of names of ``.mtx`` matrices: of ``barcodes``, and of the features of each modality.
    ``keys`` are the names of the modalities in a file; None finds them. The rest as of :func:`scanlink.io.read`.
    """
    row = _format(assay, path, rna, second, layer=layer, backed=backed)
    _refuse_keys(path, row, keys)
    _refuse_names(path, {"rna": rna, assay.second: second}, names)
    table = cells if cells is None or isinstance(cells, pd.DataFrame) else read_table(cells)
    if row is None or row.whole is None:
        whole = _pair({"rna": rna, assay.second: second}, names=names, barcodes=_possible_barcodes(table, barcode))
    else:
        whole = row.whole(Path(str(path)), assay, keys, backed)
    is_table = isinstance(cells, pd.DataFrame)
    if cells is not None:
        whole.source["cells"] = "a table" if is_table else str(cells)
    label = "table of cells" if is_table else str(cells)
    return whole, cells_by_barcode(whole, table, barcode, second=assay.second, label=label)


def _format(
    assay: Assay,
    path: PathLikeStr | None,
    rna: PathLikeStr | None,
    second: PathLikeStr | None,
    *,
    layer: Layer,
    backed: bool,
) -> Format | None:
    """Find the format of the one file, None for a pair; what does not go together is refused."""
    on_disk = f"one file ({', '.join(row.label for row in FORMATS if row.backed)})"
    if path is None:
        if rna is None or second is None:
            raise OptionError(
                f"{assay.reader}() needs a path ({whole_words(assay)}), or both rna= and {assay.second}= "
                f"({matrix_words()})"
            )
        if backed:
            raise OptionError(f"backed=True works with {on_disk}; a pair of files is read into memory")
        return None
    if rna is not None or second is not None:
        raise OptionError(
            f"{assay.reader}() takes either a path with both modalities, or rna= and {assay.second}=, not all of them"
        )
    row = format_of_whole(path, assay)
    if backed and not row.backed:
        raise OptionError(f"{path}: backed=True works with {on_disk}, not with {row.label}")
    if layer is not None and not row.layers:
        layered = listed((row.label for row in FORMATS if row.layers), "and")
        raise OptionError(
            f"{path}: layer= works with {layered} files only; {row.family or row.label} files have no layers"
        )
    return row


def _refuse_keys(path: PathLikeStr | None, row: Format | None, keys: Mapping[str, str | None]) -> None:
    """Refuse names of modalities where a format has none."""
    words = " and ".join(f"{name}_key=" for name in keys)
    if not are_named_otherwise(keys) or (row is not None and row.keys):
        return
    if row is None:
        raise OptionError(f"{words} are names in one file; {' and '.join(f'{name}=' for name in keys)} are files")
    have = listed((row.label for row in FORMATS if row.keys), "and")
    raise OptionError(f"{path}: {words} work with {have} files only; others have types of features")


def _refuse_names(
    path: PathLikeStr | None, files: Mapping[str, PathLikeStr | None], names: Mapping[str, PathLikeStr | None]
) -> None:
    """Refuse files of names where a format has its names in itself, or beside it, and would pass them over."""
    given = [name for name, file in names.items() if file is not None]
    if path is None:
        take = {name for name, file in files.items() if format_of_matrix(str(file), name).names}
        given = [name for name in given if name not in take and not (name == "barcodes" and take)]
    if given:
        words = " and ".join("barcodes=" if name == "barcodes" else f"{name}_features=" for name in given)
        have = listed((row.label for row in FORMATS if row.names), "and")
        there = path if path is not None else first_few(map(str, files.values()))
        raise OptionError(
            f"{words} would not be used: names are in {there} or beside it. They are for {have} of one modality, given "
            f"as {' or '.join(f'{name}=' for name in files)}"
        )


def _pair(
    files: Mapping[str, PathLikeStr | None], *, names: Mapping[str, PathLikeStr | None], barcodes: pd.Index | None
) -> Whole:
    """Read two files of one modality each, both as cells x features."""
    matrices = {}
    for modality, file in files.items():
        read = format_of_matrix(str(file), modality).matrix
        assert read is not None
        matrices[modality] = read(Path(str(file)), modality, names.get(modality), names.get("barcodes"))
    (rna, second), (_, modality) = matrices.values(), matrices
    oriented = orient(
        *(_named(matrix, str(files[name]), name) for name, matrix in matrices.items()),
        barcodes=barcodes,
        second=modality,
    )
    # An AnnData knows its orientation and has more than a matrix with names; it goes on as it is.
    rna, second = (a if isinstance(a, AnnData) else b for a, b in zip((rna, second), oriented, strict=True))
    return Whole(rna, second, {name: str(file) for name, file in files.items()})


def _named(matrix: NamedMatrix | AnnData, path: str, modality: str) -> NamedMatrix:
    """Take the names of a matrix, and where its cells are if that is known."""
    if isinstance(matrix, NamedMatrix):
        return matrix
    empty = sparse.csr_matrix(matrix.shape)
    return NamedMatrix(empty, own_names(matrix.obs, modality), matrix.var_names, source=path, cells="rows")


def _possible_barcodes(table: pd.DataFrame | None, barcode: str | None) -> pd.Index | None:
    """Gather all that may be barcodes in a table of cells."""
    if table is None:
        return None
    candidates = [table.index, *(table[name] for name in ([barcode] if barcode in table else table.columns))]
    return pd.Index(pd.concat([pd.Series(c).astype(str) for c in candidates]).unique())
