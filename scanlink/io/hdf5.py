"""Matrices in HDF5 files, whoever wrote them, read a few rows or columns at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scanlink.errors import InputError, OptionError
from scanlink.io.hdf5_content import check_values, encoding_of, shape_of
from scanlink.io.opening import reading
from scanlink.io.sparse_structure import Disorder, check_indices, check_pointers

__all__ = ["Source", "cut"]

# Entries per piece when nobody says how many rows: some 100 MB at work, whatever the number of columns.
ENTRIES_PER_CHUNK = 4_000_000


@dataclass(frozen=True)
class Source:
    """A matrix in an HDF5 file, which is open only while it is read."""

    path: Path
    key: str  # group (sparse) or dataset (dense)
    kind: str  # "csr", "csc" or "dense", seen as cells x features
    shape: tuple[int, int]  # (n_cells, n_features)
    dtype: np.dtype[Any]
    what: str  # what the file is, for messages about damage, such as "a 10x .h5 file"

    @classmethod
    def find(cls, path: Path, key: str, what: str) -> Source:
        """Look up what a file says of a matrix of the anndata family, or of 10x; InputError if it has no pieces."""
        with h5py.File(path, "r") as file:
            matrix = file[key]
            if isinstance(matrix, h5py.Dataset):
                check_values(matrix, f"{path}: {key}")
                if matrix.ndim != 2:
                    raise InputError(f"{path}: {key} has {matrix.ndim} dimensions; cells x features were expected")
                return cls(path, key, "dense", (int(matrix.shape[0]), int(matrix.shape[1])), matrix.dtype, what)
            if "shape" in matrix:  # 10x: features x cells, by column
                shape = shape_of(matrix, f"{path}: {key}")[::-1]
                return cls(path, key, "csr", shape, matrix["data"].dtype, what)
            encoding = encoding_of(matrix)
            kind = encoding.removesuffix("_matrix")
            if kind not in ("csr", "csc"):
                raise InputError(
                    f"{path}: {key} is a matrix of kind {encoding or 'unknown'!r}, which cannot be read in pieces; a "
                    "sparse matrix (csr_matrix, csc_matrix) or an array was expected"
                )
            return cls(path, key, kind, shape_of(matrix, f"{path}: {key}"), matrix["data"].dtype, what)

    def pieces(self, length: int | None, wanted: NDArray[np.bool_] | None) -> Iterator[tuple[int, int, Any]]:
        """Yield consecutive rows (columns of ``csc``), first and last (half open), as ``csr_array`` or ``csc_array``.

        ``length`` rows are a piece, or as many as make enough entries. Pieces without any row that is ``wanted`` are
        passed over.
        """
        major = self.shape[1] if self.kind == "csc" else self.shape[0]
        with reading(self.path, self.what), h5py.File(self.path, "r") as file:
            matrix = file[self.key]
            if self.kind == "dense":
                ends = np.arange(1, major + 1, dtype=np.int64) * self.shape[1]
            else:
                starts = check_pointers(matrix["indptr"][:], major, matrix["indices"].size, f"{self.path}: {self.key}")
                ends = starts[1:]
            disorder = Disorder()
            for start, stop in cut(ends, length):
                if wanted is not None and not wanted[start:stop].any():
                    continue
                if self.kind == "dense":
                    yield start, stop, sp.csr_array(matrix[start:stop])
                else:
                    block, more = self._sparse(matrix, starts[start : stop + 1])
                    disorder += more
                    yield start, stop, block
            disorder.refuse(f"{self.path}: {self.key}")

    def _sparse(self, matrix: Any, starts: NDArray[np.int64]) -> tuple[Any, Disorder]:
        """Read rows (columns of ``csc``) that begin and end at these places of the file."""
        by_column = self.kind == "csc"
        minor, lines = self.shape[0 if by_column else 1], starts.size - 1
        begin, end = int(starts[0]), int(starts[-1])
        indices = matrix["indices"][begin:end]
        disorder = check_indices(
            indices, starts - begin, minor, f"{self.path}: {self.key}", "cell" if by_column else "feature"
        )
        make: Any = sp.csc_array if by_column else sp.csr_array
        shape = (minor, lines) if by_column else (lines, minor)
        return make((matrix["data"][begin:end], indices.astype(np.int32), starts - begin), shape=shape), disorder


def cut(ends: NDArray[np.int64], length: int | None = None) -> Iterator[tuple[int, int]]:
    """Cut rows into pieces, half open, of ``length`` rows or about four million stored entries.

    ``ends`` has the entries up to the end of each row. Shape ``(n_rows,)``.
    """
    if length is not None and length < 1:
        raise OptionError(f"chunk_rows is {length}, expected a number of at least 1, or None to have it chosen")
    start = 0
    while start < ends.size:
        if length is not None:
            stop = start + length
        else:
            done = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + ENTRIES_PER_CHUNK, side="right")))
        yield start, min(stop, ends.size)
        start = stop
