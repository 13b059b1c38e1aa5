"""The structure of sparse matrices, looked at before a library that takes it on trust: where it lies, it reads beyond.

A CSR matrix has a pointer to the first entry of each row, and an index, its column, for each entry; CSC the same of
columns. All of it is looked at once, in pieces; nothing is copied as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from scanlink.errors import InputError
from scanlink.io.releases import layers_of

__all__ = ["Disorder", "check_adata", "check_indices", "check_lengths", "check_pointers", "check_structure"]

_PIECE = 1 << 22  # entries looked at in one go
_MOST_ODD, _MOST_ODD_OF_ALL = 3, 0.1
_REMEDY = "Copy the file again, or make the matrix anew from its source"


@dataclass(frozen=True)
class Disorder:
    """Lines whose indices do not rise, among those of two entries and more."""

    n_lines: int = 0
    n_odd: int = 0
    first: int | None = None

    def __add__(self, other: Disorder) -> Disorder:
        first = other.first if self.first is None else self.first
        return Disorder(self.n_lines + other.n_lines, self.n_odd + other.n_odd, first)

    def refuse(self, label: str) -> None:
        """Refuse a few lines out of order where all others are in order: a pointer that is off by one makes these.

        Whoever moves a column, or joins a sorted file with another, makes many.
        """
        if 0 < self.n_odd <= min(_MOST_ODD, _MOST_ODD_OF_ALL * self.n_lines):
            raise _damaged(
                label,
                f"the indices of {self.n_odd:,} of its lines are out of order, first in line {self.first:,} (counted "
                "from 0), and all others are in order: entries of one row or column may stand in the next",
                f"{_REMEDY}; if they are right, call .sort_indices() of the matrix and write it again",
            )


def check_adata(adata: AnnData, label: str, *, repeated: bool = True, written: bool = False) -> None:
    """Check the matrices of a modality that lie in memory: X, layers and raw; InputError names the one at fault.

    Of a view those that it is cut out of are. ``written`` matrices come from a file as it is; ``repeated`` is as of
    :func:`check_structure`.
    """
    while adata.is_view:
        adata = adata._adata_ref
    matrices = {label: adata.X, **{f"{label}.layers[{name!r}]": layer for name, layer in layers_of(adata).items()}}
    if adata.raw is not None:
        matrices[f"{label}.raw"] = adata.raw.X
    for name, matrix in matrices.items():
        check_structure(matrix, name, repeated=repeated, written=written)


def check_structure(matrix: Any, label: str, *, repeated: bool = True, written: bool = False) -> None:
    """Check a matrix in memory, CSR, CSC or COO; others, and those on disk, are passed over.

    ``repeated=False`` lets a row have an entry twice, which scipy takes for their sum; of what was ``written``, a few
    rows may not be out of order. InputError says what is wrong.
    """
    if not sp.issparse(matrix):
        return
    stored: Any = matrix
    by_column = stored.format == "csc"
    n_lines, n_places = stored.shape[::-1] if by_column else stored.shape
    lines, places = ("column", "row") if by_column else ("row", "column")
    if stored.format in ("csr", "csc"):
        check_lengths(len(stored.data), len(stored.indices), label)
        starts = check_pointers(stored.indptr, n_lines, len(stored.indices), label, lines)
        disorder = check_indices(stored.indices, starts, n_places, label, places, repeated=repeated)
        if written:
            disorder.refuse(label)
    elif stored.format == "coo":
        row, column = (stored.coords if hasattr(stored, "coords") else (stored.row, stored.col))[:2]
        check_lengths(len(stored.data), len(row), label)
        check_lengths(len(stored.data), len(column), label)
        _check_range(np.asarray(row), n_lines, label, lines)
        _check_range(np.asarray(column), n_places, label, places)


def check_lengths(n_values: int, n_indices: int, label: str) -> None:
    """Check that there are as many values as indices."""
    if n_values != n_indices:
        raise _damaged(label, f"it has {n_values:,} values and {n_indices:,} indices; as many were expected")


def check_pointers(pointers: Any, n_lines: int, n_entries: int, label: str, lines: str = "row") -> NDArray[np.int64]:
    """Check where the lines of a matrix begin: from 0, never back, to the number of entries; give them as int64."""
    starts = np.asarray(pointers)
    if starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise _damaged(label, f"the pointers of its {lines}s are {starts.dtype}, {starts.ndim}-dimensional")
    starts = starts.astype(np.int64)
    if starts.size != n_lines + 1:
        raise _damaged(
            label, f"it has {starts.size:,} pointers for {n_lines:,} {lines}s; {n_lines + 1:,} were expected"
        )
    if starts[0] != 0:
        raise _damaged(label, f"the pointer of its first {lines} is {starts[0]:,}; 0 was expected")
    back = np.flatnonzero(starts[1:] < starts[:-1])
    if back.size:
        first = int(back[0])
        raise _damaged(
            label,
            f"the pointers of its {lines}s go back {back.size:,} times, first at {lines} {first:,} (counted from 0, "
            f"from {starts[first]:,} to {starts[first + 1]:,})",
        )
    if starts[-1] != n_entries:
        raise _damaged(label, f"its {lines}s end at entry {starts[-1]:,}; it has {n_entries:,}")
    return starts


def check_indices(
    indices: Any, starts: NDArray[np.int64], n_places: int, label: str, places: str = "column", *, repeated: bool = True
) -> Disorder:
    """Check indices, between 0 and ``n_places``; with ``repeated`` also that no line has one twice.

    ``starts`` are checked pointers of these indices, beginning with 0. Gives how many lines are out of order.
    """
    values = np.asarray(indices)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise _damaged(label, f"its indices of {places}s are {values.dtype}, {values.ndim}-dimensional")
    _check_range(values, n_places, label, places)
    disorder = Disorder(n_lines=int(np.count_nonzero(np.diff(starts) > 1)))
    if not repeated:
        return disorder
    n_repeated, named = 0, ""
    for first, last in _pieces(starts):
        begin = int(starts[first])
        part, ends = values[begin : starts[last]], starts[first : last + 1] - begin
        # The values do not matter here.
        piece: Any = sp.csr_array((part, part, ends), shape=(last - first, n_places))
        if piece.has_canonical_format:
            continue
        back = np.flatnonzero(_within(part[1:] < part[:-1], ends))
        lines = np.unique(np.searchsorted(ends, back, side="right")) - 1 + first
        disorder += Disorder(0, lines.size, int(lines[0]) if lines.size else None)
        piece = sp.csr_array((part.copy(), part.copy(), ends), shape=piece.shape)
        piece.sort_indices()
        where = _within(piece.indices[1:] == piece.indices[:-1], ends)
        if where.any():
            place = int(np.flatnonzero(where)[0])
            line = first + int(np.searchsorted(ends, place, side="right")) - 1
            named = named or f"{places} {piece.indices[place]:,} in line {line:,}, both counted from 0"
            n_repeated += int(where.sum())
    if n_repeated:
        raise _damaged(
            label,
            f"{n_repeated:,} of its entries repeat one of the same place, the first {named}",
            "Where they are to be added, call .sum_duplicates() of the matrix; else make it anew from its source",
        )
    return disorder


def _within(steps: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Leave out the steps from one line to the next."""
    inner = ends[1:-1]
    steps[inner[(inner > 0) & (inner <= steps.size)] - 1] = False
    return steps


def _pieces(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut lines into pieces of a few million entries, half open."""
    first, n_lines = 0, starts.size - 1
    while first < n_lines:
        last = int(np.searchsorted(starts, starts[first] + _PIECE, side="right")) - 1
        last = min(max(last, first + 1), n_lines)
        yield first, last
        first = last


def _check_range(values: NDArray[Any], n_places: int, label: str, places: str) -> None:
    if not values.size or (int(values.min()) >= 0 and int(values.max()) < n_places):
        return
    outside = np.flatnonzero((values < 0) | (values >= n_places))
    raise _damaged(
        label,
        f"{outside.size:,} of its {values.size:,} entries name {places}s beyond the {n_places:,} that it has, the "
        f"first {int(values[outside[0]]):,} (counted from 0)",
    )


def _damaged(label: str, fault: str, remedy: str = _REMEDY) -> InputError:
    return InputError(f"{label}: the matrix is damaged: {fault}. {remedy}")
