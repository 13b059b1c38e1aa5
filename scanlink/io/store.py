"""The scan store: counts on disk, feature by feature, so that a worker reads only its genes and peaks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse
from mudata import MuData
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, RunError, first_few
from scanlink.io.files import save_array

__all__ = ["Store", "new_store", "write_store"]

Modality = Literal["rna", "atac"]

_FORMAT = 1
_ARRAYS = tuple(f"{modality}_{part}" for modality in ("rna", "atac") for part in ("values", "cells", "starts"))


@dataclass(frozen=True)
class Store:
    """Counts of both modalities by feature (CSC), memory-mapped, and the table of cells.

    Attributes
    ----------
    path
        Folder of the store.
    """

    path: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open a store that :func:`write_store` made.

        Raises
        ------
        InputError
            If the folder is no store, or one of another format, or its files are not complete.
        """
        store = cls(Path(path))
        try:
            manifest = store.manifest
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"{path} is not a scan store: its manifest.json cannot be read ({error})") from error
        if manifest.get("format") != _FORMAT:
            raise InputError(
                f"{path} is a store of format {manifest.get('format')!r}, expected {_FORMAT}: make it anew"
            )
        for name, size in manifest["bytes"].items():
            found = (store.path / name).stat().st_size if (store.path / name).is_file() else None
            if found != size:
                raise InputError(
                    f"{path}: {name} has {found} bytes, expected {size}: the store is damaged, make it anew"
                )
        return store

    @cached_property
    def manifest(self) -> dict:
        """Format, sizes and checksum."""
        return json.loads((self.path / "manifest.json").read_text())

    @property
    def checksum(self) -> str:
        """SHA-256 over all counts, names and the table of cells."""
        return str(self.manifest["sha256"])

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a cell, in order of barcode."""
        return pd.read_parquet(self.path / "cells.parquet")

    @cached_property
    def genes(self) -> pd.Index:
        """Names of the genes, in stored order."""
        return pd.Index(pd.read_parquet(self.path / "genes.parquet")["name"])

    @cached_property
    def peaks(self) -> pd.Index:
        """Names of the peaks, in stored order."""
        return pd.Index(pd.read_parquet(self.path / "peaks.parquet")["name"])

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Values, cells and starts of the columns of both modalities, memory-mapped, by name such as ``rna_values``."""
        return {name: np.load(self.path / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}

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
        """
        starts = self.arrays[f"{modality}_starts"]
        part = slice(int(starts[feature]), int(starts[feature + 1]))
        return self.arrays[f"{modality}_cells"][part], self.arrays[f"{modality}_values"][part]

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


def write_store(mdata: MuData, path: str | os.PathLike[str]) -> Store:
    """Write the store of a dataset; it appears under its name only when complete.

    Parameters
    ----------
    mdata
        Modalities ``rna`` and ``atac`` with the same cells, raw counts.
    path
        Folder to make. An existing store of that name is replaced.

    Returns
    -------
    Store
        Opened.

    Raises
    ------
    InputError
        If both modalities do not have the same cells.
    RunError
        If the folder cannot be written, or the disk is full.

    Notes
    -----
    Cells are stored in order of barcode, so that neither the order of the cells in a file nor the way in which it
    was read changes a result.

    Examples
    --------
    >>> import tempfile
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=300, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = write_store(data.mdata, f"{folder}/store")
    ...     cells, counts = store.column("rna", 0)
    ...     bool(counts.sum() == data.mdata["rna"][:, store.genes[0]].X.sum())
    True
    """
    final = Path(path)
    barcodes = mdata["rna"].obs_names
    if not barcodes.equals(mdata["atac"].obs_names):
        raise InputError("rna and atac do not have the same cells in the same order: read them with scanlink.io first")
    order = np.argsort(barcodes.to_numpy(dtype=str), kind="stable")
    with new_store(final) as work:
        _plain(mdata.obs.reindex(barcodes[order])).to_parquet(work / "cells.parquet")
        for modality, names in (("rna", "genes"), ("atac", "peaks")):
            data = mdata[modality]
            pd.DataFrame({"name": data.var_names.to_numpy(dtype=str)}).to_parquet(
                work / f"{names}.parquet", index=False
            )
            columns = scipy.sparse.csc_array(scipy.sparse.csr_array(data.X)[order])
            columns.sum_duplicates()
            columns.eliminate_zeros()
            save_array(work / f"{modality}_values.npy", columns.data.astype(np.int32))
            save_array(work / f"{modality}_cells.npy", columns.indices.astype(np.int32))
            save_array(work / f"{modality}_starts.npy", columns.indptr.astype(np.int64))
    return Store.open(final)


@contextmanager
def new_store(final: Path) -> Iterator[Path]:
    """A folder to write a store's tables and arrays to, which then gets its manifest and its name.

    Raises
    ------
    RunError
        If it cannot be written, or the disk is full; nothing is left of it.
    """
    work = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}")
    try:
        work.mkdir(parents=True)
        yield work
        written, checksum = Store(work), _checksum(work)
        manifest = {
            "format": _FORMAT,
            "n_cells": len(written.cells),
            "n_genes": len(written.genes),
            "n_peaks": len(written.peaks),
            "bytes": {file.name: file.stat().st_size for file in sorted(work.iterdir())},
            "sha256": checksum,
        }
        (work / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for file in work.iterdir():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        if _is_store_of(final, checksum):
            shutil.rmtree(work)
        else:
            _move(work, final)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise RunError(
            f"the scan store {final} cannot be written: {error.strerror or error}. "
            "Free some space or name another folder; nothing was changed"
        ) from error


def _is_store_of(path: Path, checksum: str) -> bool:
    try:
        return Store.open(path).checksum == checksum
    except InputError:
        return False


def _move(work: Path, final: Path) -> None:
    """Replace the store of that name; where another process was faster with the same store, its own is as good."""
    if final.exists():
        shutil.rmtree(final)
    try:
        os.replace(work, final)
    except OSError:
        if not _is_store_of(final, Store(work).checksum):
            raise
        shutil.rmtree(work)


def _checksum(folder: Path) -> str:
    """Over the contents, not the parquet files' bytes, which also hold the versions of the writer."""
    digest = hashlib.sha256()
    for name in _ARRAYS:
        digest.update(name.encode() + np.load(folder / f"{name}.npy", mmap_mode="r").tobytes())
    for name in ("genes", "peaks"):
        digest.update("\n".join(pd.read_parquet(folder / f"{name}.parquet")["name"]).encode())
    cells = pd.read_parquet(folder / "cells.parquet")
    # With the types, because the text "1" and the number 1 make different models, and missing is not empty.
    digest.update(str(cells.dtypes.to_dict()).encode())
    digest.update(cells.to_csv(float_format="%.17g", na_rep="\0").encode())
    return digest.hexdigest()


def _plain(cells: pd.DataFrame) -> pd.DataFrame:
    """Columns that parquet can hold; anything but numbers, booleans and texts becomes text."""
    out = pd.DataFrame(index=cells.index.astype(str))
    out.index.name = "cell"
    for name in cells.columns:
        column = cells[name]
        if pd.api.types.is_numeric_dtype(column):
            out[str(name)] = column.to_numpy()
        else:
            text = column.astype(object).where(column.notna(), None)
            out[str(name)] = [None if value is None else str(value) for value in text]
    return out
