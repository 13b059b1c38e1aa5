"""A .h5mu file that is written a few cells at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scanlink.io.opening import quiet

__all__ = ["MultiomeWriter", "assemble"]

_HEADER = 512  # bytes before the HDF5 part, by which mudata knows its files
_HDF5_CHUNK = 1 << 18


def assemble(
    obs: pd.DataFrame, features: Mapping[str, pd.DataFrame], counts: Mapping[str, sp.csr_matrix] | None = None
) -> MuData:
    """Make a MuData of its parts; the metadata are in ``.obs`` under plain names in every version of mudata."""
    bare = pd.DataFrame(index=obs.index)
    with quiet():
        mdata = MuData(
            {
                name: AnnData((counts or {}).get(name), obs=bare.copy(), var=var.rename_axis(None))
                for name, var in features.items()
            }
        )
    for name in obs:
        mdata.obs[name] = obs[name]
    return mdata


class MultiomeWriter:
    """Append cells to the matrices of a new .h5mu, then add everything else.

    The file gets its name when it is complete; a broken run leaves no file that looks whole. ``chunk_cells`` are
    collected before they go to disk.
    """

    def __init__(self, path: Path, *, n_vars: dict[str, int], chunk_cells: int) -> None:
        import h5py

        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        self._n_vars = n_vars
        self._chunk_cells = chunk_cells
        self._waiting: dict[str, list[sp.csr_matrix]] = {name: [] for name in n_vars}
        self._row_ends: dict[str, list[np.ndarray]] = {name: [np.zeros(1, dtype=np.int64)] for name in n_vars}
        self._stored = dict.fromkeys(n_vars, 0)
        self._file: Any = h5py.File(self._partial, "w", userblock_size=_HEADER)
        for name in n_vars:
            group = self._file.create_group(f"mod/{name}/X")
            for part in ("data", "indices"):
                group.create_dataset(part, shape=(0,), maxshape=(None,), chunks=(_HDF5_CHUNK,), dtype=np.int32)

    def __enter__(self) -> MultiomeWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def append(self, **cells: sp.csr_matrix) -> None:
        """Add cells: for each modality their counts, CSR int32 with sorted indices. Shape ``(n, n_vars)``."""
        for name, counts in cells.items():
            self._waiting[name].append(counts)
        if sum(counts.shape[0] for counts in self._waiting[name]) >= self._chunk_cells:
            self._flush()

    def _flush(self) -> None:
        for name, waiting in self._waiting.items():
            group = self._file[f"mod/{name}/X"]
            stored = self._stored[name]
            end = stored + sum(counts.nnz for counts in waiting)
            for part in ("data", "indices"):
                group[part].resize((end,))
                if end > stored:
                    group[part][stored:end] = np.concatenate([getattr(counts, part) for counts in waiting])
            for counts in waiting:
                self._row_ends[name].append(counts.indptr[1:].astype(np.int64) + stored)
                stored += counts.nnz
            self._stored[name] = end
            waiting.clear()

    def finish(self, rest: MuData) -> None:
        """Add all that is not a matrix, taken from a MuData without ``X``, and give the file its name."""
        import h5py

        self._flush()
        for name, n_vars in self._n_vars.items():
            row_ends = np.concatenate(self._row_ends[name])
            group = self._file[f"mod/{name}/X"]
            group.create_dataset("indptr", data=row_ends)
            group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
            group.attrs["shape"] = np.array([len(row_ends) - 1, n_vars], dtype=np.int64)
        # mudata itself writes the rest, so that the file is of the version installed.
        with tempfile.TemporaryDirectory(dir=self._path.parent) as folder:
            skeleton = Path(folder) / "rest.h5mu"
            with quiet():
                rest.write(skeleton)
            header = skeleton.read_bytes()[:_HEADER]
            with h5py.File(skeleton) as source:
                _copy_missing(source, self._file)
        self._file.close()
        with self._partial.open("r+b") as stream:
            stream.write(header)
        self._partial.replace(self._path)


def _copy_missing(source: Any, target: Any) -> None:
    """Copy groups, datasets and attributes that the target lacks; the matrices, which it has, stay."""
    for key, value in source.attrs.items():
        if key not in target.attrs:
            target.attrs[key] = value
    for key in source:
        if key == "X":
            continue
        if key in target:
            _copy_missing(source[key], target[key])
        else:
            source.copy(key, target)
