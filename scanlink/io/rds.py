"""R objects from .rds files: sparse matrices of the Matrix package, data frames, Seurat and Signac objects."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scanlink.errors import InputError
from scanlink.io.assays import Assay, Whole
from scanlink.io.named import NamedMatrix, cells_by_features
from scanlink.io.obs import plain_dtypes
from scanlink.io.opening import PathLikeStr, existing_file, reading
from scanlink.io.seurat import Seurat
from scanlink.io.sparse_structure import check_indices, check_lengths, check_pointers

__all__ = ["open_rds", "read_rds", "read_rds_matrix", "read_rds_table"]

_EXPECTED = "an .rds file with a dgCMatrix or a data.frame"


def read_rds(path: PathLikeStr) -> NamedMatrix | pd.DataFrame | Seurat:
    """Read a sparse matrix, a data frame or a Seurat object that R's ``saveRDS`` wrote, as it is in the file.

    Known are ``dgCMatrix``, ``dgRMatrix``, ``dgTMatrix``, ``ngCMatrix``, ``lgCMatrix``, a numeric ``matrix`` with
    names, and ``data.frame``, whose factors become categories and names of rows the index; and Seurat objects from
    version 3.
    """
    import rdata

    file = existing_file(path, _EXPECTED)
    constructors: dict[Any, Any] = {
        **rdata.conversion.DEFAULT_CLASS_MAP,
        **dict.fromkeys(("dgCMatrix", "dgRMatrix", "dgTMatrix", "ngCMatrix", "lgCMatrix"), _sparse),
    }
    with reading(file, _EXPECTED), warnings.catch_warnings():
        # What it says is said below, for the object as a whole: no constructor for a class.
        warnings.filterwarnings("ignore", message="Missing constructor for R class", category=UserWarning)
        warnings.filterwarnings("ignore", message="Unknown encoding", category=UserWarning)
        try:
            content = rdata.read_rds(file, constructor_dict=constructors)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    if isinstance(content, NamedMatrix):
        return NamedMatrix(content.matrix, content.rows, content.columns, source=str(file))
    if isinstance(content, pd.DataFrame):
        return plain_dtypes(content)
    kind = ", ".join(map(str, getattr(content, "class", None) or [type(content).__name__]))
    if kind == "Seurat":
        return Seurat.of(content, str(file))
    if type(content).__name__ == "DataArray" and content.ndim == 2 and len(content.coords) == 2:
        rows, columns = (pd.Index(content.coords[name].values.astype(str)) for name in content.dims)
        return NamedMatrix(sparse.csr_matrix(content.values), rows, columns, source=str(file))
    raise InputError(
        f"{file}: {_EXPECTED} was expected, found an object of class {kind!r}. In R, save the parts one by one, such "
        "as saveRDS(object@assays$RNA@counts, 'rna_matrix.rds') and saveRDS(object@meta.data, 'cells.rds')"
    )


def read_rds_matrix(path: PathLikeStr, modality: str) -> NamedMatrix:
    """Read the matrix of a modality, of a Seurat object its raw counts; a data.frame is refused."""
    content = read_rds(path)
    if isinstance(content, pd.DataFrame):
        raise InputError(f"{path}: a matrix was expected for {modality}, found a data.frame of {len(content):,} rows")
    return content.matrix(modality) if isinstance(content, Seurat) else content


def open_rds(path: PathLikeStr, assay: Assay, keys: Mapping[str, str | None]) -> Whole:
    """Open both modalities of a Seurat object, with its metadata of cells; ``keys`` are names of assays."""
    content = read_rds(path)
    if not isinstance(content, Seurat):
        kind = "a data.frame" if isinstance(content, pd.DataFrame) else "one matrix"
        raise InputError(
            f"{path}: a Seurat object with genes and {assay.features} was expected, found {kind}; a matrix of one "
            f"modality goes with another: {assay.pair}"
        )
    rna, second = (cells_by_features(content.matrix(name, keys), "columns") for name in ("rna", assay.second))
    return Whole(rna, second, {"path": str(path)}, plain_dtypes(content.cells))


def read_rds_table(path: PathLikeStr) -> pd.DataFrame:
    """Read a data.frame, of a Seurat object its metadata of cells; a matrix is refused."""
    content = read_rds(path)
    if isinstance(content, NamedMatrix):
        raise InputError(f"{path}: a data.frame of cells was expected, found a matrix")
    return plain_dtypes(content.cells) if isinstance(content, Seurat) else content


def _sparse(r_object: Any, attributes: Mapping[str, Any]) -> NamedMatrix:
    """Build a matrix from the slots of R's Matrix classes (column pointers p, 0-based rows i, values x)."""
    kind = str(attributes["class"][0])
    slots = vars(r_object)
    shape = (int(slots["Dim"][0]), int(slots["Dim"][1]))
    for side, names in enumerate(slots["Dimnames"]):
        if names is not None and len(names) != shape[side]:
            raise InputError(f"a {kind} has {shape[side]:,} {'columns' if side else 'rows'} and {len(names):,} names")
    places = slots["j"] if kind[2] == "R" else slots["i"]
    values = np.asarray(slots["x"]) if "x" in slots else np.ones(len(places), dtype=bool)
    matrix: Any
    if kind[2] in "CR":
        lines, there = ("row", "column") if kind[2] == "R" else ("column", "row")
        check_lengths(len(values), len(places), kind)
        starts = check_pointers(slots["p"], shape[kind[2] == "C"], len(places), kind, lines)
        disorder = check_indices(places, starts, shape[kind[2] == "R"], kind, there)
        disorder.refuse(kind)
    if kind[2] == "C":
        matrix = sparse.csc_matrix((values, slots["i"], slots["p"]), shape=shape)
    elif kind[2] == "R":
        matrix = sparse.csr_matrix((values, slots["j"], slots["p"]), shape=shape)
    else:
        matrix = sparse.coo_matrix((values, (slots["i"], slots["j"])), shape=shape).tocsc()
    rows, columns = (
        None if names is None else pd.Index(np.asarray(names).astype(object)) for names in slots["Dimnames"]
    )
    return NamedMatrix(matrix, rows, columns)
