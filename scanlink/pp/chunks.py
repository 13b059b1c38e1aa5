"""Matrices in pieces, so that one on disk need not fit in memory; and the check that they hold raw counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

__all__ = ["Chunk", "check_counts", "get_modality", "is_backed", "iter_chunks"]

# Entries per piece when nobody says how many rows: some 100 MB at work, whatever the number of columns.
ENTRIES_PER_CHUNK = 4_000_000


class Chunk(NamedTuple):
    """A rectangle of a matrix: ``block`` is ``matrix[rows, cols]``, in memory."""

    rows: slice
    cols: slice
    block: Any


def get_modality(mdata: MuData, name: str) -> AnnData:
    """One modality of a dataset, or an error that names those which are there.

    Parameters
    ----------
    mdata
        The dataset.
    name
        ``"rna"`` or ``"atac"``.

    Returns
    -------
    The modality.

    Raises
    ------
    MissingKeyError
        If it is not there.
    """
    modalities = getattr(mdata, "mod", None)
    if modalities is None:
        raise InputError(
            f"expected a MuData with modalities 'rna' and 'atac', found {type(mdata).__name__}: read it with "
            "scanlink.io.read"
        )
    if name not in modalities:
        raise MissingKeyError(
            f"no modality {name!r} in the data, found {first_few(modalities) or 'none'}: "
            "scanlink needs 'rna' (genes) and 'atac' (peaks); rename them with MuData({'rna': ..., 'atac': ...})"
        )
    return modalities[name]


def is_backed(matrix: Any) -> bool:
    """Whether a matrix lies on disk (an anndata sparse dataset, or an HDF5 dataset)."""
    return not isinstance(matrix, np.ndarray) and not sp.issparse(matrix)


def iter_chunks(matrix: Any, *, chunk_rows: int | None = None) -> Iterator[Chunk]:
    """Cut a matrix into pieces that lie together in memory or on disk.

    A matrix stored by column (CSC) is cut by column, because its rows are scattered over the whole file; every other
    one is cut by row. What is summed over pieces must therefore allow for either.

    Parameters
    ----------
    matrix
        Counts: scipy sparse, numpy, or an anndata sparse dataset on disk. Shape ``(n_cells, n_features)``.
    chunk_rows
        Rows (columns for CSC) in a piece; None: as many as hold about four million stored entries.

    Yields
    ------
    Chunk
        Disjoint pieces that cover the matrix, each CSR or CSC.

    Raises
    ------
    OptionError
        If ``chunk_rows`` is not positive.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> [chunk.block.shape for chunk in iter_chunks(sp.eye_array(5, format="csr"), chunk_rows=2)]
    [(2, 5), (2, 5), (1, 5)]
    """
    if chunk_rows is not None and chunk_rows < 1:
        raise OptionError(f"chunk_rows is {chunk_rows}, expected a number of at least 1, or None to have it chosen")
    n_rows, n_cols = matrix.shape
    by_column = getattr(matrix, "format", None) == "csc"
    length = n_cols if by_column else n_rows
    for start, stop in _cuts(matrix, length, chunk_rows, width=n_rows if by_column else n_cols):
        if by_column:
            yield Chunk(slice(0, n_rows), slice(start, stop), sp.csc_array(matrix[:, start:stop]))
        else:
            yield Chunk(slice(start, stop), slice(0, n_cols), sp.csr_array(matrix[start:stop]))


def _cuts(matrix: Any, length: int, chunk_rows: int | None, *, width: int) -> Iterator[tuple[int, int]]:
    if chunk_rows is not None:
        for start in range(0, length, chunk_rows):
            yield start, min(start + chunk_rows, length)
        return
    if sp.issparse(matrix) and hasattr(matrix, "indptr"):
        ends = np.asarray(matrix.indptr[1:], dtype=np.int64)
    elif hasattr(matrix, "group"):  # anndata sparse dataset
        ends = np.asarray(matrix.group["indptr"][1:], dtype=np.int64)
    else:
        ends = np.arange(1, length + 1, dtype=np.int64) * width
    start = 0
    while start < length:
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + ENTRIES_PER_CHUNK, side="right")))
        yield start, min(stop, length)
        start = stop


def check_counts(
    chunk: Chunk,
    *,
    what: str,
    cells: pd.Index | None = None,
    features: pd.Index | None = None,
) -> None:
    """Refuse a piece that holds anything but raw counts.

    Parameters
    ----------
    chunk
        The piece.
    what
        Name of the matrix, for the message.
    cells, features
        Names of all rows and columns of the matrix, for the message.

    Raises
    ------
    InputError
        If a value is negative, fractional, infinite or NaN; names the first cell and feature.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> chunk = next(iter_chunks(sp.csr_array([[1.0, 0.5]])))
    >>> check_counts(chunk, what="rna")
    Traceback (most recent call last):
    ...
    scanlink.errors.InputError: rna holds fractional values: 1 of ... stored values looked at, the first 0.5 ...
    """
    data = chunk.block.data
    if data.dtype.kind in "ub":
        return
    bad = data < 0
    kind = "negative"
    if data.dtype.kind == "f" and not bad.any():
        bad = ~np.isfinite(data)
        kind = "NaN or infinite"
        if not bad.any():
            bad = data != np.floor(data)
            kind = "fractional"
    if not bad.any():
        return
    coo = chunk.block.tocoo()  # keeps the order of the stored entries
    first = int(np.argmax(bad))
    row, col = int(coo.row[first]) + chunk.rows.start, int(coo.col[first]) + chunk.cols.start
    cell = cells[row] if cells is not None else f"number {row}"
    feature = features[col] if features is not None else f"number {col}"
    raise InputError(
        f"{what} holds {kind} values: {int(bad.sum())} of {data.size} stored values looked at, the first "
        f"{data[first]:g} "
        f"in cell {cell!s}, feature {feature!s}. Expected raw counts (0, 1, 2, ...): give the matrix from before "
        "normalisation, log or scaling; it is often kept in .layers['counts'] or .raw"
    )
