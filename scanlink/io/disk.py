"""Counts that stay in their file: one modality of a .h5mu, .h5ad or 10x .h5, read a few cells at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset
from numpy.typing import NDArray

from scanlink.errors import InputError
from scanlink.io.hdf5 import Source
from scanlink.io.releases import layers_of
from scanlink.io.sparse_structure import check_adata

__all__ = ["Chunk", "DiskCounts", "counts_on_disk", "select", "together"]


class Chunk(NamedTuple):
    """A rectangle of a matrix, in memory: ``block`` is ``matrix[rows, cols]``.

    Rows are a slice, or positions where those of the file were put into another order.
    """

    rows: Any
    cols: slice
    block: Any


@dataclass(frozen=True, eq=False)
class _Selection:
    """Which rows and columns of a source make up a matrix; None: all, in order."""

    source: Source
    rows: NDArray[np.int64] | None = None
    columns: NDArray[np.int64] | None = None
    # For the message about values that are no counts.
    label: str = ""
    hint: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        n_rows, n_columns = self.source.shape
        return (
            n_rows if self.rows is None else self.rows.size,
            n_columns if self.columns is None else self.columns.size,
        )


class _Counts:
    """What both kinds have in common; anndata wants classes of their own for each."""

    format: str

    def __init__(self, selection: _Selection) -> None:
        self.selection = selection
        self.shape = selection.shape
        self.dtype = selection.source.dtype
        self.backend = "hdf5"

    def __repr__(self) -> str:
        source = self.selection.source
        return f"<{self.shape[0]} x {self.shape[1]} counts in {source.path.name}, {source.key}>"

    def __len__(self) -> int:
        return self.shape[0]

    def copy(self) -> Any:
        """Return the same object: it cannot be changed."""
        return self

    def named(self, label: str, hint: str) -> DiskCounts:
        """Give it the name and the hint that a message about values that are no counts has."""
        return _made(replace(self.selection, label=label, hint=hint))

    def select(self, rows: Any = None, columns: Any = None) -> DiskCounts:
        """Take fewer cells, in any order, and fewer features, in the same order; nothing is read."""
        old = self.selection
        n_rows, n_columns = self.shape
        chosen = replace(old, rows=_within(old.rows, rows, n_rows), columns=_within(old.columns, columns, n_columns))
        if chosen.columns is not None and (np.diff(chosen.columns) <= 0).any():
            raise InputError("features of counts on disk can be left out, but not put into another order")
        if chosen.rows is not None and np.unique(chosen.rows).size < chosen.rows.size:
            raise InputError("cells of counts on disk can be left out or put into another order, but not repeated")
        return _made(chosen)

    def same_cells(self, other: _Counts) -> bool:
        """Tell whether both are features of one matrix, for the same cells: then one reading serves both."""
        mine, theirs = self.selection, other.selection
        if mine.source != theirs.source or mine.source.kind == "csc":
            return False
        if mine.rows is None or theirs.rows is None:
            return mine.rows is theirs.rows
        return np.array_equal(mine.rows, theirs.rows)

    def chunks(self, length: int | None = None) -> Iterator[Chunk]:
        """Yield pieces in the order of the file, with the rows of the matrix that they are."""
        for (chunk,) in together([self], length):
            yield chunk

    def to_memory(self) -> Any:
        """Read all of it, as CSR or CSC."""
        make: Any = sp.csc_matrix if self.format == "csc" else sp.csr_matrix
        blocks, rows = [], []
        for chunk in self.chunks():
            blocks.append(chunk.block)
            rows.append(np.arange(self.shape[0])[chunk.rows])
        if not blocks:
            return make(self.shape, dtype=self.dtype)
        if self.format == "csc":
            return make(sp.hstack(blocks, format="csc"))
        whole, order = make(sp.vstack(blocks, format="csr")), np.concatenate(rows)
        return whole if (np.diff(order) > 0).all() else whole[np.argsort(order)]

    def __getitem__(self, index: Any) -> Any:
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        (rows, row_of), (columns, column_of) = (
            np.unique(_positions(index_of, n), return_inverse=True)
            for index_of, n in zip((rows, columns), self.shape, strict=True)
        )
        return self.select(rows, columns).to_memory()[row_of][:, column_of]


class _ByCell(_Counts, CSRDataset):
    format = "csr"


class _ByFeature(_Counts, CSCDataset):
    format = "csc"


DiskCounts = _ByCell | _ByFeature


def counts_on_disk(path: Path, key: str, what: str) -> DiskCounts:
    """Open counts in a file, at a key such as ``"mod/rna/X"``, as ``X`` of an AnnData that keeps them there.

    ``what`` is what the file is, for messages about damage. Raises InputError if it cannot be read in pieces.
    """
    return _made(_Selection(Source.find(path, key, what)))


def select(adata: AnnData, *, cells: Any = None, features: Any = None) -> AnnData:
    """Take some cells and features of a modality as data of their own, in memory or on disk as they were.

    Masks or positions; None: all. On disk, features keep their order.
    """
    index = tuple(
        slice(None) if chosen is None else _positions(chosen, n)
        for chosen, n in zip((cells, features), adata.shape, strict=True)
    )
    if not any(isinstance(matrix, _Counts) for matrix in (adata.X, *layers_of(adata).values())):
        check_adata(adata, "the counts", repeated=False)
        return adata[index].copy()
    obs, var = _lines(adata.obs, index[0]), _lines(adata.var, index[1])
    layers = {name: layer.select(cells, features) for name, layer in layers_of(adata).items()}
    # What is raw has features of its own.
    raw = None if adata.raw is None else {"X": adata.raw.X.select(cells), "var": adata.raw.var}
    matrix = None if adata.X is None else adata.X.select(cells, features)
    return AnnData(matrix, obs=obs, var=var, layers=layers, uns=dict(adata.uns), raw=raw)


def _lines(table: pd.DataFrame, index: Any) -> pd.DataFrame:
    """Take some rows; categories that no row has any more are dropped, as anndata does."""
    lines = table.iloc[index].copy()
    for name in lines.columns[[isinstance(dtype, pd.CategoricalDtype) for dtype in lines.dtypes]]:
        lines[name] = lines[name].cat.remove_unused_categories()
    return lines


def together(matrices: list[_Counts], length: int | None = None) -> Iterator[tuple[Chunk, ...]]:
    """Read matrices that have one source and the same cells once, in pieces; yields a chunk of each."""
    source = matrices[0].selection.source
    places = [
        tuple(
            _places(chosen, n)
            for chosen, n in zip((one.selection.rows, one.selection.columns), source.shape, strict=True)
        )
        for one in matrices
    ]
    by_column = source.kind == "csc"
    major = places[0][by_column]
    for start, stop, block in source.pieces(length, None if major is None else major >= 0):
        yield tuple(
            _chunk(block, start, stop, rows, columns, shape=one.shape)
            for one, (rows, columns) in zip(matrices, places, strict=True)
        )


def _chunk(block: Any, start: int, stop: int, rows: Any, columns: Any, *, shape: tuple[int, int]) -> Chunk:
    """Cut a piece of a source down to the rows and columns that were selected."""
    by_column = block.format == "csc"
    major, minor = (columns, rows) if by_column else (rows, columns)
    where: Any = slice(start, stop)
    if major is not None:
        place = major[start:stop]
        if (place < 0).any():
            block = block[:, place >= 0] if by_column else block[place >= 0]
            place = place[place >= 0]
        steps = np.diff(place)
        where = slice(int(place[0]), int(place[-1]) + 1) if (steps == 1).all() else place
    if minor is not None:
        block = _renamed(block, minor, shape[0] if by_column else shape[1])
    if by_column:
        return Chunk(slice(0, shape[0]), where, block)
    return Chunk(where, slice(0, shape[1]), block)


def _renamed(block: Any, place: NDArray[np.int32], n: int) -> Any:
    """Keep the entries whose place is not -1, at their place; ``n`` is the new number of minor rows or columns."""
    indices = place[block.indices]
    keep = indices >= 0
    if not keep.all():
        starts = np.concatenate([[0], np.cumsum(keep)])[block.indptr]
        data, indices = block.data[keep], indices[keep]
    else:
        starts, data = block.indptr, block.data
    by_column = block.format == "csc"
    make: Any = sp.csc_array if by_column else sp.csr_array
    return make((data, indices, starts), shape=(n, block.shape[1]) if by_column else (block.shape[0], n))


def _places(chosen: NDArray[np.int64] | None, n: int) -> NDArray[np.int32] | None:
    """Tell where each row of the source went; -1: nowhere."""
    if chosen is None:
        return None
    out = np.full(n, -1, dtype=np.int32)
    out[chosen] = np.arange(chosen.size, dtype=np.int32)
    return out


def _within(old: NDArray[np.int64] | None, index: Any, n: int) -> NDArray[np.int64] | None:
    if index is None:
        return old
    positions = _positions(index, n)
    if positions.size == n and (positions == np.arange(n)).all():
        return old
    return positions if old is None else old[positions]


def _positions(index: Any, n: int) -> NDArray[np.int64]:
    """Turn an index into positions."""
    if isinstance(index, slice):
        return np.arange(*index.indices(n), dtype=np.int64)
    values = np.ravel(np.asarray(index))
    if values.dtype == bool:
        return np.flatnonzero(values)
    return np.arange(n, dtype=np.int64)[values]


def _made(selection: _Selection) -> DiskCounts:
    return _ByFeature(selection) if selection.source.kind == "csc" else _ByCell(selection)
