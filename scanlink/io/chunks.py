"""Matrices in pieces, so that one on disk need not fit in memory, and counts collected from these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scanlink.io.disk import Chunk, DiskCounts, together
from scanlink.io.hdf5 import cut
from scanlink.io.sparse_structure import check_pointers, check_structure

__all__ = ["Chunk", "canonical", "collect", "is_backed", "iter_chunks", "iter_modalities"]


def is_backed(matrix: Any) -> bool:
    """Tell whether a matrix lies on disk."""
    return not isinstance(matrix, np.ndarray) and not sp.issparse(matrix)


def iter_chunks(matrix: Any, *, chunk_rows: int | None = None) -> Iterator[Chunk]:
    """Cut a matrix of cells x features into disjoint pieces that lie together in memory or on disk, each CSR or CSC.

    A matrix stored by column (CSC) is cut by column, because its rows are scattered over the whole file; every other
    one is cut by row. What is summed over pieces must therefore allow for either. Counts on disk come in the order of
    the file. The matrix is scipy sparse, numpy, on disk, or an anndata sparse dataset; ``chunk_rows`` (columns for CSC)
    is None for about four million stored entries in a piece.
    """
    if isinstance(matrix, DiskCounts):
        yield from matrix.chunks(chunk_rows)
        return
    check_structure(matrix, "the counts", repeated=False)
    n_rows, n_cols = matrix.shape
    by_column = getattr(matrix, "format", None) == "csc"
    if sp.issparse(matrix) and hasattr(matrix, "indptr"):
        ends = np.asarray(matrix.indptr[1:], dtype=np.int64)
    elif hasattr(matrix, "group"):  # anndata sparse dataset
        group, n_lines = matrix.group, n_cols if by_column else n_rows
        ends = check_pointers(group["indptr"][:], n_lines, group["indices"].size, str(group.name))[1:]
    else:
        ends = np.arange(1, n_rows + 1, dtype=np.int64) * n_cols
    for start, stop in cut(ends, chunk_rows):
        if by_column:
            chunk = Chunk(slice(0, n_rows), slice(start, stop), sp.csc_array(matrix[:, start:stop]))
        else:
            chunk = Chunk(slice(start, stop), slice(0, n_cols), sp.csr_array(matrix[start:stop]))
        if hasattr(matrix, "group"):
            check_structure(chunk.block, str(matrix.group.name), repeated=False)
        yield chunk


def iter_modalities(matrices: Mapping[str, Any], *, chunk_rows: int | None = None) -> Iterator[tuple[str, Chunk]]:
    """Cut several matrices into named pieces; features of one matrix in a file are read only once."""
    every = list(matrices.values())
    if every and all(isinstance(one, DiskCounts) and one.same_cells(every[0]) for one in every):
        for chunks in together(every, chunk_rows):
            yield from zip(matrices, chunks, strict=True)
        return
    for name, matrix in matrices.items():
        for chunk in iter_chunks(matrix, chunk_rows=chunk_rows):
            yield name, chunk


def canonical(chunk: Chunk) -> Any:
    """Bring counts of a piece into ``int32``, every cell and feature once, without zeros; the piece stays as it is."""
    block = chunk.block
    kept = type(block)((block.data.astype(np.int32), block.indices, block.indptr), shape=block.shape, copy=False)
    if not kept.has_canonical_format:
        kept = kept.copy()
        kept.sum_duplicates()
    if kept.data.size and not kept.data.all():
        kept = kept.copy()
        kept.eliminate_zeros()
    return kept


def collect(
    matrix: Any, n_entries: int, *, features: NDArray[np.bool_] | None = None, chunk_rows: int | None = None
) -> sp.csr_matrix:
    """Collect counts, of some ``features`` or of all, as CSR int32 in canonical form.

    ``n_entries`` is how many of them are not zero. Besides the result never more than one piece is in memory.
    """
    shape = (matrix.shape[0], matrix.shape[1] if features is None else int(features.sum()))
    by_column = getattr(matrix, "format", None) == "csc"
    ends = np.zeros(shape[1 if by_column else 0] + 1, dtype=np.int64)
    index: np.ndarray = np.empty(n_entries, dtype=np.int32 if n_entries < 2**31 else np.int64)
    data = np.empty(n_entries, dtype=np.int32)
    line = entry = 0
    order = []
    for chunk in iter_chunks(matrix, chunk_rows=chunk_rows):
        if features is not None:
            chunk = chunk._replace(block=chunk.block[:, features[chunk.cols]])
        block = canonical(chunk)
        if not by_column:
            order.append(np.arange(shape[0])[chunk.rows])
        n_lines = len(block.indptr) - 1
        data[entry : entry + block.nnz] = block.data
        index[entry : entry + block.nnz] = block.indices
        ends[line + 1 : line + n_lines + 1] = block.indptr[1:] + np.int64(entry)
        line, entry = line + n_lines, entry + block.nnz
    kind: Any = sp.csc_matrix if by_column else sp.csr_matrix
    kept = sp.csr_matrix(kind((data, index, ends.astype(index.dtype)), shape=shape))
    rows = np.concatenate(order) if order else np.empty(0, dtype=int)
    # Where the cells have another order than in the file.
    return kept if (np.diff(rows) > 0).all() else kept[np.argsort(rows)]
