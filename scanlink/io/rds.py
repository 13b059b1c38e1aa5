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

__all__ = ["read_rds"]

_EXPECTED = "an .rds file with a dgCMatrix or a data.frame"


def read_rds(path: PathLikeStr) -> NamedMatrix | pd.DataFrame:
    """Read a sparse matrix or a data frame that R's ``saveRDS`` wrote.

    Parameters
    ----------
    path
        File with a ``dgCMatrix`` (or ``dgRMatrix``, ``dgTMatrix``, ``ngCMatrix``, ``lgCMatrix``), a numeric ``matrix``
        with names of rows and columns, or a ``data.frame``.

    Returns
    -------
    The matrix with the names of its rows and columns, as it is in the file; or the table, factors as categories and
    names of rows as index.

    Raises
    ------
    InputError
        If the file is not an .rds file, is truncated, or holds another kind of object.

    Examples
    --------
    >>> import rdata
    >>> table = read_rds(rdata.TESTDATA_PATH / "test_dataframe.rds")
    >>> table["class"].tolist(), table["value"].tolist()
    (['a', 'b', 'b'], [1, 2, 3])
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
        found = rdata.read_rds(file, constructor_dict=constructors)
    if isinstance(found, NamedMatrix):
        return NamedMatrix(found.matrix, found.rows, found.columns, source=str(file))
    if isinstance(found, pd.DataFrame):
        return plain_dtypes(found)
    kind = ", ".join(map(str, getattr(found, "class", None) or [type(found).__name__]))
    if type(found).__name__ == "DataArray" and found.ndim == 2 and len(found.coords) == 2:
        rows, columns = (pd.Index(found.coords[name].values.astype(str)) for name in found.dims)
        return NamedMatrix(sparse.csr_matrix(found.values), rows, columns, source=str(file))
    raise InputError(
        f"{file}: {_EXPECTED} was expected, found an object of class {kind!r}. In R, save the parts one by one, such "
        "as saveRDS(object@assays$RNA@counts, 'rna_matrix.rds') and saveRDS(object@meta.data, 'cells.rds')"
    )


def _sparse(found: Any, attributes: Mapping[str, Any]) -> NamedMatrix:
    """Build a matrix from the slots of R's Matrix classes (column pointers p, 0-based rows i, values x)."""
    kind = str(attributes["class"][0])
    slots = vars(found)
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
