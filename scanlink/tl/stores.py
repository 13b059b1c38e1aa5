"""Whatever the counts are in becomes a scan store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mudata import MuData

from scanlink import io
from scanlink.errors import InputError, first_few
from scanlink.store.columns import Modality
from scanlink.store.make import write_store
from scanlink.store.store import Store

__all__ = ["store_of"]


def store_of(
    mdata: MuData | Store | str | os.PathLike[str],
    folder: Path,
    *,
    modalities: Sequence[Modality] = ("rna", "atac"),
    check: Callable[[MuData], None] | None = None,
) -> Store:
    """The scan store of whatever the counts are in, made below ``folder`` if need be.

    Parameters
    ----------
    mdata
        MuData, scan store or its folder.
    folder
        Where a store goes that has to be made.
    modalities
        What it holds.
    check
        What a MuData has to pass; None: :func:`scanlink.io.check`.

    Raises
    ------
    InputError
        If it is none of these, lacks a modality, or is not as a scan needs it.
    """
    names = " and ".join(modalities)
    if isinstance(mdata, (Store, str, os.PathLike)):
        store = mdata if isinstance(mdata, Store) else Store.open(mdata)
        if not set(modalities) <= set(store.modalities):
            raise InputError(f"the store {store.path} holds {' and '.join(store.modalities)}, expected {names}")
        return store
    if not isinstance(mdata, MuData):
        quoted = " and ".join(map(repr, modalities))
        raise InputError(f"mdata is a {type(mdata).__name__}, expected a MuData with {quoted}, or a scan store")
    for modality in modalities:
        if modality in mdata.mod and mdata[modality].isbacked:
            raise InputError(
                f"{modality} is on disk (backed): call mdata = scanlink.pp.filter_features(mdata), which reads in "
                "pieces and returns what is kept in memory"
            )
    (check or io.check)(mdata)
    if not mdata.obs.columns.is_unique:
        twice = mdata.obs.columns[mdata.obs.columns.duplicated()]
        raise InputError(f"obs has columns of the same name ({first_few(twice)}): rename or drop them")
    return write_store(mdata, folder / "store", modalities=modalities)
