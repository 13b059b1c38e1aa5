"""Files of the anndata family: .h5mu, and .h5ad with one modality or with both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import h5py
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem
from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.assays import Assay, Whole, split_features
from scanlink.io.disk import counts_on_disk
from scanlink.io.feature_types import modality_name
from scanlink.io.hdf5_content import check_content
from scanlink.io.multiome_data import assemble_whole
from scanlink.io.obs import cells_by_barcode
from scanlink.io.opening import PathLikeStr, existing_file, quiet, reading
from scanlink.io.raw_counts import Layer
from scanlink.io.sparse_structure import check_adata

__all__ = ["choose_modalities", "named_modalities", "open_h5ad", "open_h5mu", "read_h5ad", "read_h5mu"]

log = logging.getLogger("scanlink")


def read_h5mu(
    path: PathLikeStr,
    *,
    cells: pd.DataFrame | None = None,
    barcode: str | None = None,
    rna_key: str | None = "rna",
    atac_key: str | None = "atac",
    layer: Layer = None,
    one_based: bool = False,
    backed: bool = False,
) -> MuData:
    """Read a ``.h5mu`` file.

    Parameters
    ----------
    path
        The file.
    cells
        Metadata to add; cells that are not in it are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    rna_key, atac_key
        Names of the modalities in the file; ``rna`` and ``atac`` also find gene, gex and peaks. Others are
        dropped, and a warning is logged.
    layer
        Layer with raw counts instead of ``X``; see :func:`scanlink.io.read`.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.
    backed
        Whether the counts stay on disk; see :func:`scanlink.io.read`.

    Returns
    -------
    MuData that keeps scanlink's contract; see :func:`scanlink.io.assemble`.

    Raises
    ------
    MissingKeyError
        If a modality does not exist; names those that do.
    InputError
        If the file is damaged or its content is not as expected.

    Examples
    --------
    >>> import tempfile, pathlib, scanlink as sl
    >>> import numpy as np
    >>> rna, atac = AnnData(np.array([[1], [2]])), AnnData(np.array([[0], [1]]))
    >>> rna.var_names, atac.var_names = ["NOC2L"], ["chr1:10-20"]
    >>> with tempfile.TemporaryDirectory() as folder, quiet():
    ...     sl.io.assemble(rna, atac).write(pathlib.Path(folder, "x.h5mu"))
    ...     mdata = read_h5mu(pathlib.Path(folder, "x.h5mu"))
    >>> mdata.shape
    (2, 2)
    """
    whole = open_h5mu(path, {"rna": rna_key, "atac": atac_key}, backed=backed)
    return assemble_whole(whole, cells_by_barcode(whole, cells, barcode), layer=layer, one_based=one_based)


def open_h5mu(path: PathLikeStr, keys: Mapping[str, str | None], *, backed: bool = False) -> Whole:
    """Open two modalities of a ``.h5mu`` file as they are.

    ``keys`` says what they are called in the file, by our names, such as ``{"rna": "gene", "atac": "peak"}``; None
    finds it. In ``obs`` a prefix ``KEY:`` becomes one of our names. Raises MissingKeyError if a modality does not
    exist, OptionError if several may be the one that has no key.
    """
    file = existing_file(path, "a .h5mu file")
    present = _modalities_of(file)
    named = named_modalities(file, present, keys)
    with reading(file, "a .h5mu file"), quiet():
        with h5py.File(file, "r") as content:
            used = ("obs/", *(f"mod/{key}/" for key in named.values()))
            check_content(content, file, "a .h5mu file", used=used, in_pieces=backed, texts=False)
            obs = read_elem(content["obs"])
            mod = {} if backed else {key: _in_memory(content["mod"][key]) for key in named.values()}
        for name, key in named.items():
            if key in mod:
                check_adata(mod[key], f"{file}: {name}", written=True)
        if backed:
            mod = {key: _on_disk(file, "a .h5mu file", f"mod/{key}") for key in named.values()}
    return choose_modalities(file, mod, obs, named, present)


def choose_modalities(
    file: Path, mod: Mapping[str, AnnData], obs: pd.DataFrame, named: Mapping[str, str], present: list[str]
) -> Whole:
    """Take two modalities by what they are called in the file; a warning says which are dropped."""
    others = [key for key in present if key not in named.values()]
    if others:
        log.warning("%s: modalities other than %s are dropped: %s", file, " and ".join(named), first_few(others))
    rna, second = (mod[key] for key in named.values())
    obs = _renamed(obs, {f"{key}:": f"{name}:" for name, key in named.items()})
    return Whole(rna, second, {"path": str(file)}, obs)


def _modalities_of(file: Path) -> list[str]:
    """List the modalities of a ``.h5mu`` file, in their order."""
    with reading(file, "a .h5mu file"), h5py.File(file, "r") as content:
        if "mod" not in content:
            raise InputError(
                f"{file}: a .h5mu file with the group 'mod' was expected, found the groups "
                f"{first_few(sorted(content)) or 'none'}. Is it a .h5ad or a 10x .h5 file? Then give it that suffix"
            )
        check_content(content, file, "a .h5mu file", used=())
        return [str(name) for name in content["mod"].attrs.get("mod-order", list(content["mod"]))]


def named_modalities(file: Path, present: list[str], keys: Mapping[str, str | None]) -> dict[str, str]:
    """Name each modality as the file does: by its key, or where that is None, by its likeliest name.

    MissingKeyError if one is not there, OptionError if several may be meant.
    """
    if not present:
        raise InputError(f"{file}: no modalities were found; {' and '.join(keys)} were expected")
    named = {modality: modality_name(modality, present, keys, file=file) for modality in keys}
    missing = [key for key in named.values() if key not in present]
    if missing:
        raise MissingKeyError(
            f"{file}: no modality {first_few(missing)}; modalities found: {first_few(present)}. "
            f"Pass {' and '.join(f'{name}_key=' for name in keys)} with the names in the file"
        )
    return named


def _renamed(obs: pd.DataFrame, prefixes: dict[str, str]) -> pd.DataFrame:
    names = []
    for name in map(str, obs.columns):
        prefix = next((old for old in prefixes if name.startswith(old)), None)
        names.append(name if prefix is None else prefixes[prefix] + name.removeprefix(prefix))
    return obs.set_axis(pd.Index(names, dtype=object), axis=1)


def read_h5ad(path: PathLikeStr, *, backed: bool = False) -> AnnData:
    """Read a ``.h5ad`` file as it is, without the warnings of old layouts."""
    file = existing_file(path, "a .h5ad file")
    with reading(file, "a .h5ad file"), quiet():
        in_pieces = backed and not _has_old_layout(file)
        with h5py.File(file, "r") as content:
            check_content(content, file, "a .h5ad file", in_pieces=in_pieces)
        if in_pieces:
            return _on_disk(file, "a .h5ad file")
        adata = anndata.read_h5ad(file)
        check_adata(adata, str(file), written=True)
        return adata


def open_h5ad(path: PathLikeStr, assay: Assay, *, backed: bool = False) -> Whole:
    """Open both modalities of a ``.h5ad`` file as they are, told apart by their feature types."""
    return split_features(Path(path), read_h5ad(path, backed=backed), assay, is_10x=False)


def _in_memory(modality: Any) -> AnnData:
    """Read a modality of a ``.h5mu`` file; muon 0.1 wrote none of what says to anndata and mudata that it is one."""
    content = read_elem(modality)
    return content if isinstance(content, AnnData) else AnnData(**content)


def _on_disk(file: Path, what: str, key: str = "") -> AnnData:
    """Open a ``.h5ad`` file, or a modality of a ``.h5mu`` (``key``, such as ``"mod/rna"``), with its matrices on disk.

    ``obs`` and ``var`` are read; what is neither ``X``, a layer nor ``raw`` is left out.
    """
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


def _has_old_layout(file: Path) -> bool:
    """Tell whether a ``.h5ad`` file is of anndata before 0.7, which kept its tables in another way."""
    with h5py.File(file, "r") as content:
        old = isinstance(content.get("obs"), h5py.Dataset)
    if old:
        log.info("%s has the layout of anndata before 0.7 and is read into memory", file)
    return old
