"""A store in which no gene has anything to do with a peak: ATAC profiles dealt out anew."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError
from scanlink.io.files import save_array
from scanlink.io.store import Store, new_store

__all__ = ["permuted"]


def permuted(store: Store, source: ArrayLike, path: str | os.PathLike[str]) -> Store:
    """Write a store in which cells have the whole ATAC profiles of other cells; RNA and covariates stay.

    Parameters
    ----------
    store
        The counts as measured.
    source
        Position in ``store.cells`` of the cell whose profile each cell gets: every cell once. Shape ``(n_cells,)``.
    path
        Folder to make, as in :func:`write_store`. What does not change is linked to ``store``, not copied, where the
        file system can.

    Returns
    -------
    Store
        Opened.

    Raises
    ------
    InputError
        If ``source`` does not name every cell once.
    RunError
        If the folder cannot be written, or the disk is full.
    """
    arrays = store.arrays
    rows, final = np.asarray(source), Path(path)
    places = np.arange(len(store.cells), dtype=np.int32)
    if not np.array_equal(np.sort(rows), places):
        raise InputError(f"source has {rows.size} positions, expected each of 0 to {places.size - 1} once")
    target = np.empty_like(places)
    target[rows] = places
    cells, values = target[arrays["atac_cells"]], np.array(arrays["atac_values"])
    for first, last in pairwise(arrays["atac_starts"].tolist()):
        part = slice(first, last)
        order = np.argsort(cells[part])
        cells[part], values[part] = cells[part][order], values[part][order]
    with new_store(final) as work:
        for name in store.manifest["bytes"]:
            if name not in ("atac_cells.npy", "atac_values.npy"):
                _link(store.path / name, work / name)
        save_array(work / "atac_cells.npy", cells)
        save_array(work / "atac_values.npy", values)
    return Store.open(final)


def _link(old: Path, new: Path) -> None:
    """The same file under a second name, or a copy; stores are replaced and never written to, so that both stay."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)
