"""The scan store: counts on disk, feature by feature, so that a worker reads only its genes and peaks."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.parquet import read_shared
from scanlink.io.unknown_names import lost_names
from scanlink.store.columns import FEATURE, ColumnReader, Modality
from scanlink.store.npy import ArrayFile

__all__ = ["BARCODE", "FORMAT", "FORMAT_OF_MODALITIES", "MULTIOME", "Modality", "Store"]

# A store of these two is of format 2, one of others of format 3, whose manifest names them.
MULTIOME: tuple[Modality, ...] = ("rna", "atac")
FORMAT, FORMAT_OF_MODALITIES = 2, 3
# Column of cells.parquet that names the cell; no column of a user is called so.
BARCODE = "__barcode__"
# Of a sample of counts: cells, features, and counts that are read at most.
_SOME_CELLS, _SOME_FEATURES, _SOME_COUNTS = 5_000, 2_000, 20_000_000


@dataclass(frozen=True)
class Store:
    """Counts of each modality by feature (CSC), read a column at a time, and the table of cells.

    A store of multiome data has ``rna`` and ``atac``, one of a CRISPR screen ``rna`` and ``guide``.

    It travels between processes as its path alone. Nothing of it is kept in memory that is as long as the features or
    the cells, unless it is asked for by name. docs/store.md has the format.
    """

    path: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.path,)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open a store that :func:`scanlink.store.make.write_store` made; one that is not whole is an InputError."""
        store = cls(Path(path))
        try:
            manifest = store.manifest
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a scan store: its manifest.json cannot be read ({error})") from error
        stored = manifest.get("format") if isinstance(manifest, dict) else None
        if stored not in (FORMAT, FORMAT_OF_MODALITIES):
            raise InputError(
                f"{path} is a store of format {stored!r}, expected {FORMAT} or {FORMAT_OF_MODALITIES}: make it anew"
            )
        for name, size in manifest["bytes"].items():
            try:
                n_bytes = (store.path / name).stat().st_size
            except OSError:
                n_bytes = None
            if n_bytes != size:
                raise InputError(
                    f"{path}: {name} has {n_bytes} bytes, expected {size}: the store is damaged, make it anew"
                )
        return store

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Format, shape, sizes, levels and checksums."""
        manifest: dict[str, Any] = json.loads((self.path / "manifest.json").read_text())
        return manifest

    @property
    def checksum(self) -> str:
        """SHA-256 over all counts, names and the table of cells."""
        return str(self.manifest["sha256"])

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.manifest["n_cells"])

    @cached_property
    def cell_columns(self) -> list[str]:
        """Names of the columns of the table of cells."""
        return [name for name in pq.read_schema(self.path / "cells.parquet").names if name != BARCODE]

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a cell, in order of barcode."""
        return self.cell_table(self.cell_columns)

    def cell_table(self, columns: list[str]) -> pd.DataFrame:
        """Read some columns of the table of cells; ``cells`` has all of them."""
        table = read_shared(self.path / "cells.parquet", [BARCODE, *columns])
        return table.set_index(BARCODE).rename_axis("cell")[columns]

    @cached_property
    def modalities(self) -> tuple[Modality, ...]:
        """Which modalities it has: ``("rna", "atac")`` of multiome data, ``("rna", "guide")`` of a screen."""
        return tuple(self.manifest.get("modalities", MULTIOME))

    @cached_property
    def genes(self) -> pd.Index:
        """Names of the genes, in stored order."""
        return self._names("rna")

    @cached_property
    def peaks(self) -> pd.Index:
        """Names of the peaks, in stored order."""
        return self._names("atac")

    @cached_property
    def guides(self) -> pd.Index:
        """Names of the guides of a screen, in stored order."""
        return self._names("guide")

    @cached_property
    def guide_table(self) -> pd.DataFrame:
        """What is known of the guides: of target, efficiency, chrom, start, end, threshold those that the data had."""
        return self._table("guide").set_index("name").rename_axis(None)

    def features(self, modality: Modality) -> pd.Index:
        """Give the names of the features of a modality, in stored order: ``genes``, ``peaks`` or ``guides``."""
        self._need(modality)
        names: pd.Index = getattr(self, f"{FEATURE[modality]}s")
        return names

    def _names(self, modality: Modality) -> pd.Index:
        return pd.Index(self._table(modality, ["name"])["name"])

    def _table(self, modality: Modality, columns: list[str] | None = None) -> pd.DataFrame:
        self._need(modality)
        return pd.read_parquet(self.path / f"{FEATURE[modality]}s.parquet", columns=columns)

    def _need(self, modality: str) -> None:
        if modality not in self.modalities:
            raise MissingKeyError(
                f"the store {self.path} has no modality {modality!r}, found {first_few(self.modalities)}: multiome "
                "data have 'rna' and 'atac', a CRISPR screen 'rna' and 'guide'. Choose the data that go with the "
                "analysis, and a folder of its own for each"
            )

    @cached_property
    def _readers(self) -> dict[Modality, ColumnReader]:
        return {name: ColumnReader(self.path, name, self.checksum) for name in self.modalities}

    def column(self, modality: Modality, feature: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Read the positions in ``cells``, increasing, in which a feature is non-zero, and its counts there.

        Shape ``(n_nonzero,)`` both. A damaged file, which the column's checksum tells, is an InputError that names it.
        """
        if modality not in self._readers:
            self._need(modality)
        return self._readers[modality].read(feature)

    @cached_property
    def sampled(self) -> NDArray[np.intp]:
        """Positions of the cells of a sample."""
        return np.sort(np.random.default_rng(0).permutation(self.n_cells)[:_SOME_CELLS])

    def sample(self, modality: Modality) -> sp.csr_array:
        """Read the counts of some features in the cells ``sampled``. Shape ``(n_cells, n_features)``.

        A feature whose file is damaged is empty; who needs it says so.
        """
        rng, starts, cells = np.random.default_rng(0), self.starts(modality), self.sampled
        place = np.full(self.n_cells, -1, dtype=np.int32)
        place[cells] = np.arange(cells.size, dtype=np.int32)
        features = rng.permutation(len(starts) - 1)[:_SOME_FEATURES]
        features = np.sort(features[np.cumsum(np.diff(starts)[features]) <= _SOME_COUNTS])
        parts = []
        for number, feature in enumerate(features):
            try:
                rows, values = self.column(modality, int(feature))
            except InputError:
                continue
            rows, values = place[rows][place[rows] >= 0], values[place[rows] >= 0]
            parts.append((values, rows, np.full(rows.size, number, dtype=np.int32)))
        if not parts:
            return sp.csr_array((cells.size, features.size))
        values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
        return sp.coo_array((values, (rows, columns)), shape=(cells.size, features.size)).tocsr()

    def starts(self, modality: Modality) -> NDArray[np.int64]:
        """Read where the columns of all features begin, and the end of the last. Shape ``(n_features + 1,)``."""
        self._need(modality)
        starts: NDArray[np.int64] = np.load(self.path / f"{modality}_starts.npy")
        return starts

    def value_type(self, modality: Modality) -> np.dtype[Any]:
        """Give the type of the counts of a modality on disk, the smallest that holds the largest of them."""
        self._need(modality)
        return ArrayFile(self.path / f"{modality}_values.npy").dtype

    def level_counts(self, modality: Modality, column: str) -> tuple[dict[str, int], NDArray[np.int32]] | None:
        """Read in how many cells of each level of a column every feature is non-zero, as counted by the maker.

        Gives the cells on each level by its name, and counts of shape ``(n_features, n_levels)``; None where the column
        has too many levels, or is neither text, boolean nor whole number.
        """
        self._need(modality)
        for number, entry in enumerate(self.manifest["levels"]):
            if entry["column"] == column:
                counts: NDArray[np.int32] = np.load(self.path / f"{modality}_levels_{number}.npy")
                return dict(zip(entry["levels"], entry["n_cells"], strict=True)), counts
        return None

    def positions(self, modality: Modality, names: pd.Series | pd.Index) -> NDArray[np.int32]:
        """Find the positions of features by name; a MissingKeyError names the first that are not there."""
        index = self.features(modality).get_indexer(pd.Index(names))
        if (index < 0).any():
            absent = pd.Index(names)[index < 0].nunique()
            raise MissingKeyError(
                f"{absent} {FEATURE[modality]}s of the pairs are not in the data "
                f"{lost_names(names, index < 0, self.features(modality))}: check the names, or leave those pairs out"
            )
        return index.astype(np.int32)
