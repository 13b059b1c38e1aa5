"""Files whose counts stay on disk: their tables of cells and features are read, and where the counts are."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from scanlink.io.disk import counts_on_disk
from scanlink.io.opening import quiet

__all__ = ["anndata_on_disk", "has_old_layout", "multiome_on_disk", "tenx_on_disk"]

log = logging.getLogger("scanlink")


def anndata_on_disk(file: Path, what: str, key: str = "") -> AnnData:
    """Open a ``.h5ad`` file, or a modality of a ``.h5mu`` (``key``, such as ``"mod/rna"``), with its matrices on disk.

    ``obs`` and ``var`` are read; what is neither ``X``, a layer nor ``raw`` is left out.
    """
    import h5py
    from anndata.io import read_elem

    prefix = f"{key}/" if key else ""
    with h5py.File(file, "r") as content, quiet():
        group: Any = content[key] if key else content
        obs, var = read_elem(group["obs"]), read_elem(group["var"])
        raw_var = read_elem(group["raw/var"]) if "raw/X" in group and "raw/var" in group else None
        layers = list(group["layers"]) if "layers" in group else []
        has_matrix = "X" in group
    with quiet():
        return AnnData(
            counts_on_disk(file, f"{prefix}X", what) if has_matrix else None,
            obs=obs,
            var=var,
            layers={name: counts_on_disk(file, f"{prefix}layers/{name}", what) for name in layers},
            raw=None if raw_var is None else {"X": counts_on_disk(file, f"{prefix}raw/X", what), "var": raw_var},
        )


def multiome_on_disk(file: Path, keys: tuple[str, ...]) -> tuple[dict[str, AnnData], pd.DataFrame]:
    """Open some modalities of a ``.h5mu`` file by name, and read its table of cells."""
    import h5py
    from anndata.io import read_elem

    with h5py.File(file, "r") as content, quiet():
        obs = read_elem(content["obs"])
    return {key: anndata_on_disk(file, "a .h5mu file", f"mod/{key}") for key in keys}, obs


def tenx_on_disk(file: Path) -> AnnData:
    """Open all features of a 10x ``.h5`` file side by side, with the names that scanpy gives their columns."""
    import h5py

    with h5py.File(file, "r") as content:
        matrix = content["matrix"]
        barcodes = matrix["barcodes"].asstr()[:]
        columns = {str(name): table for name, table in matrix["features"].items() if not str(name).startswith("_")}
        texts = {name: table.asstr()[:] for name, table in columns.items()}
    names = texts.pop("name")
    first = {new: texts.pop(old) for old, new in (("id", "gene_ids"), ("feature_type", "feature_types"))}
    var = pd.DataFrame({**first, **texts}, index=pd.Index(names, dtype=object))
    with quiet():
        obs = pd.DataFrame(index=pd.Index(barcodes, dtype=object))
        return AnnData(counts_on_disk(file, "matrix", "a 10x .h5 file"), obs=obs, var=var)


def has_old_layout(file: Path) -> bool:
    """Tell whether a ``.h5ad`` file is of anndata before 0.7, which kept its tables in another way."""
    import h5py

    with h5py.File(file, "r") as content:
        old = isinstance(content.get("obs"), h5py.Dataset)
    if old:
        log.info("%s has the layout of anndata before 0.7 and is read into memory", file)
    return old
