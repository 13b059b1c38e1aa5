"""Zarr stores of MuData and AnnData, which are folders called .zarr."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import mudata
from anndata import AnnData

from scanlink.errors import InputError, OptionError
from scanlink.io.assays import Assay, Whole, split_features
from scanlink.io.feature_types import are_named_otherwise
from scanlink.io.hdf5_content import encoding_of, refuse_beyond_memory
from scanlink.io.mudata_files import choose_modalities, named_modalities
from scanlink.io.opening import PathLikeStr, existing_file, quiet, reading
from scanlink.io.sparse_structure import check_adata

__all__ = ["open_zarr", "read_zarr"]

_WHAT = "a Zarr store of AnnData or MuData"


def read_zarr(path: PathLikeStr, modality: str) -> AnnData:
    """Read one modality from a store: of AnnData as it is, of MuData the modality of that name."""
    content = _content(path)
    if isinstance(content, AnnData):
        return content
    named = named_modalities(Path(path), list(content.mod), {modality: None})
    return content.mod[named[modality]]


def open_zarr(path: PathLikeStr, assay: Assay, keys: Mapping[str, str | None]) -> Whole:
    """Open both modalities of a store as they are; of AnnData, they are told apart by the types of features."""
    content = _content(path)
    if not isinstance(content, AnnData):
        named = named_modalities(Path(path), list(content.mod), keys)
        return choose_modalities(Path(path), dict(content.mod), content.obs, named, list(content.mod))
    if are_named_otherwise(keys):
        raise OptionError(f"{path}: names of modalities (rna_key= and the like) were given, but this store has none")
    return split_features(Path(path), content, assay, is_10x=False)


def _content(path: PathLikeStr) -> Any:
    """Read a store into memory."""
    store = Path(path)
    if not store.is_dir():
        existing_file(store, _WHAT)
        raise InputError(f"{store}: this is a file; {_WHAT} was expected, which is a folder. Packed? Then unpack it")
    try:
        import zarr
    except ImportError:
        raise InputError(f"{store}: to read {_WHAT}, install zarr: pip install zarr") from None
    with reading(store, _WHAT), quiet():
        _check_files(store)
        root = zarr.open_group(str(store), mode="r")
        refuse_beyond_memory(_n_bytes(root), str(store), _WHAT)
        _refuse_lost(root, store)
        groups = set(root.group_keys())
        if not {"mod", "obs"} & groups:
            raise InputError(f"{store}: {_WHAT} was expected, found the groups {', '.join(sorted(groups)) or 'none'}")
        content = mudata.read_zarr(str(store)) if "mod" in groups else anndata.read_zarr(str(store))
        for name, part in content.mod.items() if "mod" in groups else [("", content)]:
            check_adata(part, f"{store}: {name}" if name else str(store), written=True)
        return content


def _check_files(store: Path) -> None:
    """Refuse links, which lead out of the store or in circles, and values that are programs of Python."""
    for folder, folders, files in os.walk(store):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                raise InputError(
                    f"{store}: {path.relative_to(store)} is a link to {os.readlink(path)!r}; {_WHAT} that holds its "
                    "own data was expected. Copy it with what its links name (cp -rL)"
                )
            if name in (".zarray", ".zmetadata", "zarr.json") and _is_pickled(json.loads(path.read_bytes())):
                raise InputError(
                    f"{store}: {path.relative_to(store)} says that its values are pickled, which would be run as they "
                    f"are read; {_WHAT} was expected. Read it where it was made, and write it anew"
                )


def _is_pickled(says: Any, *, packing: bool = False) -> bool:
    """Tell whether a way in which values are packed, of an array or of all of a store, is Python's own."""
    if isinstance(says, list):
        return any(_is_pickled(part, packing=packing) for part in says)
    if not isinstance(says, dict):
        return False
    names = (str(says.get(key, "")) for key in ("id", "name"))
    return (packing and any(name.endswith("pickle") for name in names)) or any(
        _is_pickled(part, packing=packing or key in ("compressor", "filters", "codecs")) for key, part in says.items()
    )


def _refuse_lost(group: Any, store: Path) -> None:
    """Refuse sparse matrices some of whose values have no file: Zarr takes these for zeros, of which they have none."""
    for _, inner in group.groups():
        _refuse_lost(inner, store)
        if encoding_of(inner).startswith(("csr", "csc")) and "data" in inner:
            values = inner["data"]
            if values.size and values.nchunks_initialized < values.nchunks and not getattr(values, "shards", None):
                raise InputError(
                    f"{store}: of {values.nchunks:,} pieces of {values.path}, {values.nchunks_initialized:,} are "
                    "there; was it copied incompletely? Copy it again"
                )


def _n_bytes(group: Any) -> int:
    """Count the bytes that all arrays of a group take in memory, or one piece of an array where that is more."""
    own = sum(
        max(int(array.size), math.prod(map(int, array.chunks or ()))) * int(array.dtype.itemsize or 8)
        for _, array in group.arrays()
    )
    return own + sum(_n_bytes(inner) for _, inner in group.groups())
