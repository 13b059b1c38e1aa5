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
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.columns import ColumnReader, Modality
from scanlink.io.npy import ArrayFile
from scanlink.io.parquet import read_shared

__all__ = ["BARCODE", "FORMAT", "Modality", "Store"]

FORMAT = 2
# Column of cells.parquet that names the cell; no column of a user is called so.
BARCODE = "__barcode__"


@dataclass(frozen=True)
class Store:
    """Counts of both modalities by feature (CSC), read a column at a time, and the table of cells.

    It travels between processes as its path alone. Nothing of it is kept in memory that is as long as the features or
    the cells, unless it is asked for by name. docs/store.md has the format.

    Attributes
    ----------
    path
        Folder of the store.
    """

    path: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.path,)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open a store that :func:`scanlink.io.make_store.write_store` made.

        Raises
        ------
        InputError
            If the folder is no store, or one of another format, or its files are not complete.
        """
        store = cls(Path(path))
        try:
            manifest = store.manifest
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a scan store: its manifest.json cannot be read ({error})") from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            found = manifest.get("format") if isinstance(manifest, dict) else None
            raise InputError(f"{path} is a store of format {found!r}, expected {FORMAT}: make it anew")
        for name, size in manifest["bytes"].items():
            try:
                found = (store.path / name).stat().st_size
            except OSError:
                found = None
            if found != size:
                raise InputError(
                    f"{path}: {name} has {found} bytes, expected {size}: the store is damaged, make it anew"
                )
        return store

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Format, shape, sizes, levels and checksums."""
        found: dict[str, Any] = json.loads((self.path / "manifest.json").read_text())
        return found

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
        """Some columns of the table of cells; ``cells`` has all of them."""
        table = read_shared(self.path / "cells.parquet", [BARCODE, *columns])
        return table.set_index(BARCODE).rename_axis("cell")[columns]

    @cached_property
    def genes(self) -> pd.Index:
        """Names of the genes, in stored order."""
        return self._names("genes")

    @cached_property
    def peaks(self) -> pd.Index:
        """Names of the peaks, in stored order."""
        return self._names("peaks")

    def _names(self, kind: str) -> pd.Index:
        return pd.Index(pd.read_parquet(self.path / f"{kind}.parquet")["name"])

    @cached_property
    def _readers(self) -> dict[str, ColumnReader]:
        return {name: ColumnReader(self.path, name, self.checksum) for name in ("rna", "atac")}

    def column(self, modality: Modality, feature: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Cells in which a feature is non-zero, and its counts there.

        Parameters
        ----------
        modality
            ``"rna"`` or ``"atac"``.
        feature
            Position in ``genes`` or ``peaks``.

        Returns
        -------
        tuple of numpy.ndarray
            Positions in ``cells``, increasing, and counts. Shape ``(n_nonzero,)`` both.

        Raises
        ------
        InputError
            If the file is damaged, which the column's checksum tells; names the file and the feature.
        """
        return self._readers[modality].read(feature)

    def starts(self, modality: Modality) -> NDArray[np.int64]:
        """Where the columns of all features begin, and the end of the last. Shape ``(n_features + 1,)``."""
        found: NDArray[np.int64] = np.load(self.path / f"{modality}_starts.npy")
        return found

    def value_type(self, modality: Modality) -> np.dtype[Any]:
        """Type of the counts of a modality on disk, the smallest that holds the largest of them."""
        return ArrayFile(self.path / f"{modality}_values.npy").dtype

    def level_counts(self, modality: Modality, column: str) -> tuple[dict[str, int], NDArray[np.int32]] | None:
        """In how many cells of each level of a column every feature is non-zero, as counted when the store was made.

        Parameters
        ----------
        modality
            ``"rna"`` or ``"atac"``.
        column
            Of the table of cells.

        Returns
        -------
        tuple or None
            Cells on each level, by its name, and counts. Shape ``(n_features, n_levels)``. None: the column has too
            many levels, or is neither text, boolean nor whole number.
        """
        for number, known in enumerate(self.manifest["levels"]):
            if known["column"] == column:
                counts: NDArray[np.int32] = np.load(self.path / f"{modality}_levels_{number}.npy")
                return dict(zip(known["levels"], known["n_cells"], strict=True)), counts
        return None

    def positions(self, modality: Modality, names: pd.Series | pd.Index) -> NDArray[np.int32]:
        """Positions of features by name.

        Raises
        ------
        MissingKeyError
            If some are not in the store; names the first.
        """
        index = (self.genes if modality == "rna" else self.peaks).get_indexer(pd.Index(names))
        if (index < 0).any():
            absent = pd.unique(pd.Index(names)[index < 0])
            kind = "genes" if modality == "rna" else "peaks"
            raise MissingKeyError(
                f"{len(absent)} {kind} of the pairs are not in the data ({first_few(absent)}): "
                f"check the names, or leave those pairs out"
            )
        return index.astype(np.int32)
