"""The counts of a modality on disk, column by column, each with a checksum of its own."""

from __future__ import annotations

import json
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import InputError
from scanlink.store.levels import LevelColumn, count_levels
from scanlink.store.npy import ArrayFile, ArrayWriter

__all__ = ["FEATURE", "ColumnReader", "ColumnWriter", "Modality", "smallest_type"]

Modality = Literal["rna", "atac", "guide"]

# What a feature of a modality is called; with an s, the table of their names.
FEATURE: dict[Modality, str] = {"rna": "gene", "atac": "peak", "guide": "guide"}

_TYPES = (np.uint8, np.uint16, np.int32)
# Entries whose levels are counted in one go.
_PIECE = 1 << 21


def smallest_type(largest: int) -> np.dtype[Any]:
    """Choose the smallest type of values on disk that holds the largest count of a modality."""
    return np.dtype(next(kind for kind in _TYPES if largest <= np.iinfo(kind).max))


class ColumnReader:
    """Columns of one modality of a store, read one at a time.

    Files are opened at the first read and stay open in this process; nothing of them is kept in memory. Where the file
    system lost track of one (a server that was started anew), all are opened once more, and the checksum of the store,
    as its manifest has it, must not have changed.
    """

    def __init__(self, folder: Path, modality: Modality, checksum: str) -> None:
        self._folder, self._modality, self._checksum = folder, modality, checksum
        self._files: dict[str, ArrayFile] = {}

    def read(self, feature: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Read the cells in which a feature is non-zero, increasing, and its counts there. Shape ``(n_nonzero,)`` both.

        What is not as it was written is an InputError. Not a RunError, which would end the run: another node may read
        it well, and blocks of other features can be finished.
        """
        try:
            try:
                return self._read(feature)
            except OSError:
                self._files = {}
                self._check_unchanged()
                return self._read(feature)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(self._damaged(Path(error.filename or self._folder).name, feature, reason)) from error

    def _read(self, feature: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        first, last = self._file("starts").read(feature, feature + 2).tolist()
        cells, values = self._file("cells").read(first, last), self._file("values").read(first, last)
        checksum, expected = _crc(cells, values), int(self._file("crc").read(feature, feature + 1)[0])
        if checksum != expected:
            names = f"{self._modality}_cells.npy or {self._modality}_values.npy"
            raise InputError(self._damaged(names, feature, "the checksum is wrong"))
        return cells.astype(np.int32, copy=False), values.astype(np.int32)

    def _file(self, part: str) -> ArrayFile:
        if not self._files:
            parts = ("starts", "crc", "cells", "values")
            opened = {name: ArrayFile(self._folder / f"{self._modality}_{name}.npy") for name in parts}
            # Now that they are open, nothing that happens to the folder can make them those of another store.
            self._check_unchanged()
            self._files = opened
        return self._files[part]

    def _check_unchanged(self) -> None:
        try:
            now = json.loads((self._folder / "manifest.json").read_text())["sha256"]
        except (OSError, ValueError, KeyError):
            now = None
        if now != self._checksum:
            raise InputError(
                f"the store {self._folder} was replaced or removed while it was read. Start the scan again, with a "
                "folder of its own for each data set"
            )

    def _damaged(self, files: str, feature: int, reason: str) -> str:
        return (
            f"{self._folder}: {files}: {FEATURE[self._modality]} number {feature} cannot be read: {reason}. The "
            "store is damaged: delete the folder and start the command again, which makes it anew and keeps what is "
            "finished"
        )


class ColumnWriter:
    """The files of one modality, written column after column, all from one end to the other.

    ``n_entries`` are the non-zero counts of all columns; ``largest`` of them says the type of the values. ``levels``
    are columns of the table of cells by whose levels non-zero cells are counted.
    """

    def __init__(
        self,
        folder: Path,
        modality: Modality,
        *,
        n_features: int,
        n_entries: int,
        largest: int,
        levels: tuple[LevelColumn, ...] = (),
    ) -> None:
        self._name, self._levels = modality, levels
        shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            "values": (smallest_type(largest), (n_entries,)),
            "cells": (np.dtype(np.int32), (n_entries,)),
            "starts": (np.dtype(np.int64), (n_features + 1,)),
            "crc": (np.dtype(np.uint32), (n_features,)),
        }
        for number, column in enumerate(levels):
            shapes[f"levels_{number}"] = (np.dtype(np.int32), (n_features, len(column.levels)))
        self._folder, self._shapes = folder, shapes
        self._files: dict[str, ArrayWriter] = {}
        self._end = 0
        self.digests: dict[str, str] = {}

    def add(self, starts: NDArray[Any], cells: NDArray[Any], values: NDArray[Any]) -> None:
        """Append columns.

        ``starts``, of shape ``(n_columns + 1,)``, says where each begins in ``cells`` and ``values``, and the end.
        Positions of cells increase within a column, and counts are not zero: shape ``(n_entries,)`` both.
        """
        cells = np.ascontiguousarray(cells, dtype="<i4")
        values = np.ascontiguousarray(values, dtype=self._files["values"].dtype)
        self._files["cells"].add(cells)
        self._files["values"].add(values)
        edges = starts.astype(np.int64)
        self._files["starts"].add(edges[1:] + self._end)
        self._end += int(edges[-1])
        ends = edges.tolist()
        crc = [_crc(cells[a:b], values[a:b]) for a, b in pairwise(ends)]
        self._files["crc"].add(np.array(crc, dtype=np.uint32))
        for number, column in enumerate(self._levels):
            first = 0
            while first < len(ends) - 1:
                last = max(first + 1, int(np.searchsorted(edges, ends[first] + _PIECE, side="right")) - 1)
                counted = count_levels(column, edges[first : last + 1] - ends[first], cells[ends[first] : ends[last]])
                self._files[f"levels_{number}"].add(counted)
                first = last

    def __enter__(self) -> ColumnWriter:
        try:
            for part, (dtype, shape) in self._shapes.items():
                self._files[part] = ArrayWriter(self._folder / f"{self._name}_{part}.npy", dtype, shape)
            self._files["starts"].add(np.zeros(1, dtype=np.int64))
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.digests = {f"{self._name}_{part}.npy": file.close() for part, file in self._files.items()}
        finally:
            # Nothing happens to those that are closed.
            self._abandon()

    def _abandon(self) -> None:
        for file in self._files.values():
            file.abandon()


def _crc(cells: NDArray[Any], values: NDArray[Any]) -> int:
    """Compute the CRC-32 of the bytes of the cells, then those of the values, as they lie on disk."""
    return zlib.crc32(values.data, zlib.crc32(cells.data)) if cells.size else 0
