"""R objects: sparse matrices of the Matrix package and data frames, from .rds files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scanlink.errors import InputError
from scanlink.io.named import NamedMatrix
from scanlink.io.obs import plain_dtypes
from scanlink.io.opening import PathLikeStr, existing_file, reading

__all__ = ["read_rds", "read_rds_matrix", "read_rds_table"]

_EXPECTED = "an .rds file with a dgCMatrix or a data.frame"


def read_rds(path: PathLikeStr) -> NamedMatrix | pd.DataFrame:
    """Read a sparse matrix or a data frame that R's ``saveRDS`` wrote, as it is in the file.

    Known are ``dgCMatrix``, ``dgRMatrix``, ``dgTMatrix``, ``ngCMatrix``, ``lgCMatrix``, a numeric ``matrix`` with
    names, and ``data.frame``, whose factors become categories and names of rows the index.
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
        content = rdata.read_rds(file, constructor_dict=constructors)
    if isinstance(content, NamedMatrix):
        return NamedMatrix(content.matrix, content.rows, content.columns, source=str(file))
    if isinstance(content, pd.DataFrame):
        return plain_dtypes(content)
    kind = ", ".join(map(str, getattr(content, "class", None) or [type(content).__name__]))
    if type(content).__name__ == "DataArray" and content.ndim == 2 and len(content.coords) == 2:
        rows, columns = (pd.Index(content.coords[name].values.astype(str)) for name in content.dims)
        return NamedMatrix(sparse.csr_matrix(content.values), rows, columns, source=str(file))
    raise InputError(
        f"{file}: {_EXPECTED} was expected, found an object of class {kind!r}. In R, save the parts one by one, such "
        "as saveRDS(object@assays$RNA@counts, 'rna_matrix.rds') and saveRDS(object@meta.data, 'cells.rds')"
    )


def read_rds_matrix(path: PathLikeStr, modality: str) -> NamedMatrix:
    """Read the matrix of a modality; as :func:`read_rds`, and a data.frame is refused."""
    content = read_rds(path)
    if isinstance(content, pd.DataFrame):
        raise InputError(f"{path}: a matrix was expected for {modality}, found a data.frame of {len(content):,} rows")
    return content


def read_rds_table(path: PathLikeStr) -> pd.DataFrame:
    """Read a data.frame; as :func:`read_rds`, and a matrix is refused."""
    content = read_rds(path)
    if isinstance(content, NamedMatrix):
        raise InputError(f"{path}: a data.frame of cells was expected, found a matrix")
    return content


def _sparse(r_object: Any, attributes: Mapping[str, Any]) -> NamedMatrix:
    """Build a matrix from the slots of R's Matrix classes (column pointers p, 0-based rows i, values x)."""
    kind = str(attributes["class"][0])
    slots = vars(r_object)
    shape = (int(slots["Dim"][0]), int(slots["Dim"][1]))
    n_values = len(slots["j"] if kind[2] == "R" else slots["i"])
    values = np.asarray(slots["x"]) if "x" in slots else np.ones(n_values, dtype=np.int32)
    matrix: Any
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
