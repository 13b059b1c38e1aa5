"""A store in which no gene has anything to do with a peak, or a guide: their profiles dealt out anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError
from scanlink.store.columns import ColumnWriter, Modality
from scanlink.store.levels import level_columns
from scanlink.store.new import new_store
from scanlink.store.store import Store

__all__ = ["permuted"]


def permuted(store: Store, source: ArrayLike, path: str | os.PathLike[str], *, modality: Modality = "atac") -> Store:
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
    modality
        Whose profiles are dealt out: ``"atac"``, or ``"guide"`` of a screen.

    Returns
    -------
    Store
        Opened.

    Raises
    ------
    InputError
        If ``source`` does not name every cell once.
    MissingKeyError
        If the store does not have the modality.
    RunError
        If the folder cannot be written, or the disk is full.
    """
    rows, final = np.asarray(source), Path(path)
    places = np.arange(store.n_cells, dtype=np.int32)
    if not np.array_equal(np.sort(rows), places):
        raise InputError(f"source has {rows.size} positions, expected each of 0 to {places.size - 1} once")
    target = np.empty_like(places)
    target[rows] = places
    starts = store.starts(modality)
    with new_store(final) as made:
        for name in store.manifest["bytes"]:
            if not name.startswith(f"{modality}_"):
                _link(store.path / name, made.folder / name)
        made.take_over(store.manifest)
        made.levels = level_columns(store.cells)
        writer = ColumnWriter(
            made.folder,
            modality,
            n_features=starts.size - 1,
            n_entries=int(starts[-1]),
            largest=np.iinfo(store.value_type(modality)).max,
            levels=made.levels,
        )
        with writer:
            for feature in range(starts.size - 1):
                cells, values = store.column(modality, feature)
                cells = target[cells]
                order = np.argsort(cells)
                writer.add(np.array([0, cells.size]), cells[order], values[order])
        made.digests |= writer.digests
    return Store.open(final)


def _link(old: Path, new: Path) -> None:
    """Give a file a second name, or copy it; stores are replaced and never written to, so that both stay."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)
