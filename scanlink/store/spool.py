"""Counts that come cell by cell and are wanted feature by feature: sorted on disk, in memory that does not grow."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scanlink.store.columns import smallest_type

__all__ = ["ENTRIES", "Spool"]

# Non-zero counts that are sorted together. Some 40 bytes are needed for each at work.
ENTRIES = 1 << 24
# Where each feature begins and the end, cells, and counts.
Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class _Run:
    """Counts of one memory full, by feature, in the file: starts (int64), cells (int32), values."""

    place: int
    n_entries: int
    dtype: np.dtype[Any]


class Spool:
    """Takes counts in any order and gives them back by feature, sorted by cell.

    What does not fit in memory goes to one file, in runs that are each sorted by feature; then of all runs the same
    features are read and put together. The file is only appended to, then read by position, and deleted at the end.
    ``entries`` counts are sorted together, half as many while others are taken, which need room of their own; it
    changes no result.
    """

    def __init__(self, path: Path, n_features: int, n_cells: int, *, entries: int = ENTRIES) -> None:
        self._path, self._shape, self._entries = path, (n_features, n_cells), entries
        # Pages of memory are taken as they are filled.
        self._room = max(1, entries // 2)
        self._features, self._cells, self._values = (np.empty(self._room, dtype=np.int32) for _ in range(3))
        self._used = 0
        self._runs: list[_Run] = []
        self._file: IO[bytes] | None = None
        self._counts = np.zeros(n_features, dtype=np.int64)
        self.largest = 0

    @property
    def n_entries(self) -> int:
        """Counts taken so far."""
        return self._used + sum(run.n_entries for run in self._runs)

    def add(self, features: NDArray[Any], cells: NDArray[Any], values: NDArray[Any]) -> None:
        """Take counts: no zeros, and no cell and feature twice. Shape ``(n,)`` each."""
        self.largest = max(self.largest, int(values.max(initial=0)))
        begin = 0
        while begin < values.size:
            if self._used == self._room:
                self._flush()
            end = min(values.size, begin + self._room - self._used)
            part = slice(self._used, self._used + end - begin)
            self._features[part], self._cells[part] = features[begin:end], cells[begin:end]
            self._values[part] = values[begin:end]
            self._used, begin = part.stop, end

    def rest(self) -> None:
        """Make room: nothing more will be taken."""
        if self._runs:
            self._flush()
            self._release()

    def give(self, take: Callable[[*Columns], None]) -> None:
        """Hand over all features in order, some at a time; the spool is empty afterwards.

        ``take`` gets where each feature begins (from 0) and the end, cells, and values. What it gets is not kept
        here, so that there is never more than one of them in memory.
        """
        if not self._runs:
            held = [self._held(ordered=True)]
            self._release()
            take(*held.pop())
            return
        self.rest()
        total = np.concatenate([[0], np.cumsum(self._counts)])
        first, n_features = 0, self._shape[0]
        while first < n_features:
            room = int(total[first]) + self._entries
            last = max(first + 1, int(np.searchsorted(total, room, side="right")) - 1)
            take(*self._gather(first, last, int(total[last] - total[first])))
            first = last

    def _by_feature(
        self, features: NDArray[Any], cells: NDArray[Any], values: NDArray[Any], *, rows: int, ordered: bool
    ) -> Columns:
        """Put counts together by feature; ``ordered``: with the cells of each in order."""
        triplets: Any = sp.coo_array((values, (features, cells)), shape=(rows, self._shape[1]))
        # No cell is there twice, and what says so keeps scipy from sorting.
        triplets.has_canonical_format = not ordered
        matrix = triplets.tocsr()
        return matrix.indptr, matrix.indices, matrix.data

    def _held(self, *, ordered: bool) -> Columns:
        """Put together what is in memory."""
        part = slice(0, self._used)
        return self._by_feature(
            self._features[part], self._cells[part], self._values[part], rows=self._shape[0], ordered=ordered
        )

    def _flush(self) -> None:
        if not self._used:
            return
        if self._file is None:
            self._file = open(self._path, "w+b", buffering=0)  # noqa: SIM115 - closed by __exit__
        starts, cells, values = self._held(ordered=False)
        dtype = smallest_type(int(values.max(initial=0)))
        place = self._file.seek(0, os.SEEK_END)
        for part in (starts.astype(np.int64), cells.astype(np.int32, copy=False), values.astype(dtype)):
            _write(self._file, part)
        self._counts += np.diff(starts)
        self._runs.append(_Run(place, self._used, dtype))
        self._used = 0

    def _gather(self, first: int, last: int, size: int) -> Columns:
        features, cells = (np.empty(size, dtype=np.int32) for _ in range(2))
        values = np.empty(size, dtype=max((run.dtype for run in self._runs), key=lambda dtype: dtype.itemsize))
        done = 0
        for run in self._runs:
            starts = self._read(run.place + 8 * first, np.dtype(np.int64), last - first + 1)
            begin, n = int(starts[0]), int(starts[-1] - starts[0])
            part = slice(done, done + n)
            features[part] = np.repeat(np.arange(last - first, dtype=np.int32), np.diff(starts))
            place = run.place + 8 * (self._shape[0] + 1)
            cells[part] = self._read(place + 4 * begin, np.dtype(np.int32), n)
            place += 4 * run.n_entries
            values[part] = self._read(place + run.dtype.itemsize * begin, run.dtype, n)
            done += n
        return self._by_feature(features, cells, values, rows=last - first, ordered=True)

    def _read(self, place: int, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
        assert self._file is not None
        out = np.empty(n, dtype=dtype)
        view, done = out.data.cast("B") if n else memoryview(b""), 0
        while done < len(view):
            piece = os.pread(self._file.fileno(), len(view) - done, place + done)
            if not piece:
                raise OSError(f"{self._path} ends early")
            view[done : done + len(piece)] = piece
            done += len(piece)
        return out

    def _release(self) -> None:
        self._features, self._cells, self._values = (np.empty(0, dtype=np.int32) for _ in range(3))
        self._used = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._release()
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


def _write(file: IO[bytes], array: NDArray[Any]) -> None:
    """Write all of it: an unbuffered file may take less at a time."""
    view = np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")
    while view:
        view = view[file.write(view) :]
