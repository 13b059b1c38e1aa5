"""What Cell Ranger ARC writes: filtered_feature_bc_matrix, as .h5 or as a folder."""

from __future__ import annotations

from pathlib import Path

import h5py
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, first_few
from scanlink.io.assays import MULTIOME, Assay, Whole, split_features
from scanlink.io.disk import counts_on_disk
from scanlink.io.hdf5_content import check_content
from scanlink.io.mtx import read_mtx
from scanlink.io.multiome_data import assemble_whole
from scanlink.io.named import cells_by_features
from scanlink.io.obs import cells_by_barcode
from scanlink.io.opening import PathLikeStr, existing_file, quiet, reading

__all__ = ["open_10x_h5", "open_10x_mtx", "read_10x_features", "read_10x_folder", "read_10x_h5", "read_10x_mtx"]


def read_10x_h5(
    path: PathLikeStr,
    *,
    cells: pd.DataFrame | None = None,
    barcode: str | None = None,
    one_based: bool = False,
    backed: bool = False,
) -> MuData:
    """Read a 10x ``filtered_feature_bc_matrix.h5`` of a multiome run.

    Parameters
    ----------
    path
        The file (Cell Ranger ARC, or version 3 and later).
    cells
        Metadata to add; cells that are not in it are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    one_based
        Whether starts of peaks count from 1; Cell Ranger's count from 0.
    backed
        Whether the counts stay on disk; see :func:`scanlink.io.read`.

    Returns
    -------
    MuData that keeps scanlink's contract; see :func:`scanlink.io.assemble`.

    Raises
    ------
    InputError
        If the file is truncated, is not a 10x matrix, or lacks genes or peaks; the feature types found are listed.

    Examples
    --------
    >>> read_10x_h5("no_such_file.h5")
    Traceback (most recent call last):
    scanlink.errors.InputError: no_such_file.h5: no such file; a 10x .h5 file was expected. ...
    """
    whole = open_10x_h5(path, MULTIOME, backed=backed)
    return assemble_whole(whole, cells_by_barcode(whole, cells, barcode), one_based=one_based)


def open_10x_h5(path: PathLikeStr, assay: Assay, *, backed: bool = False) -> Whole:
    """Open both modalities of a 10x ``.h5`` file as they are."""
    return split_features(Path(path), read_10x_features(path, backed=backed), assay)


def read_10x_folder(path: PathLikeStr, modality: str, *name_files: PathLikeStr | None) -> AnnData:
    """Read all features of a 10x folder; the modality and files of names are as of :func:`scanlink.io.mtx.read_mtx`."""
    return _in_folder(Path(path), modality, *name_files)


def read_10x_features(path: PathLikeStr, *, backed: bool = False) -> AnnData:
    """Read all features of a 10x ``.h5`` file, whatever their types."""
    file = existing_file(path, "a 10x .h5 file")
    with reading(file, "a 10x .h5 file"):
        with h5py.File(file, "r") as content:
            groups = sorted(content)
            if "matrix" not in content or "features" not in content["matrix"]:
                kind = " (this is a .h5mu or .h5ad file: give it that suffix)" if {"mod", "obs"} & set(groups) else ""
                raise InputError(
                    f"{file}: a 10x .h5 file with the group 'matrix/features' was expected, found the groups "
                    f"{first_few(groups) or 'none'}{kind}"
                )
            check_content(content, file, "a 10x .h5 file", used=("matrix",), in_pieces=backed)
        adata = _on_disk(file)
        if not backed:
            with quiet():
                adata = AnnData(adata.X.to_memory(), obs=adata.obs, var=adata.var)
        return adata


def _on_disk(file: Path) -> AnnData:
    """Open all features of a 10x ``.h5`` file side by side, with the names that scanpy gives their columns."""
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


def read_10x_mtx(
    folder: PathLikeStr, *, cells: pd.DataFrame | None = None, barcode: str | None = None, one_based: bool = False
) -> MuData:
    """Read the folder ``filtered_feature_bc_matrix`` of a multiome run.

    Parameters
    ----------
    folder
        Folder with ``matrix.mtx``, ``features.tsv`` and ``barcodes.tsv``, each perhaps ``.gz``, and with one prefix (as
        in GEO, ``GSM123_sample_``).
    cells
        Metadata to add; cells that are not in it are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    one_based
        Whether starts of peaks count from 1; Cell Ranger's count from 0.

    Returns
    -------
    MuData that keeps scanlink's contract; see :func:`scanlink.io.assemble`.

    Raises
    ------
    InputError
        If a file is missing or truncated, or genes or peaks are missing; the feature types found are listed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_10x_mtx(folder)
    Traceback (most recent call last):
    scanlink.errors.InputError: ...: no matrix.mtx or matrix.mtx.gz in this folder; found no files...
    """
    whole = open_10x_mtx(folder, MULTIOME)
    return assemble_whole(whole, cells_by_barcode(whole, cells, barcode), one_based=one_based)


def open_10x_mtx(path: PathLikeStr, assay: Assay) -> Whole:
    """Open both modalities of a 10x folder, or of a ``.mtx`` of both kinds with names beside it, as they are."""
    return split_features(Path(path), _in_folder(Path(path)), assay)


def _in_folder(path: Path, modality: str = "rna", *name_files: PathLikeStr | None) -> AnnData:
    """Read the matrix of a 10x folder, which in GEO begins with the name of the sample; or this very ``.mtx``."""
    if not path.is_dir():
        matrices = [existing_file(path, "a 10x folder or a .mtx")]
    else:
        names = sorted(entry.name for entry in path.iterdir())
        # Called so, or the only one that ends so.
        matrices = [path / name for name in ("matrix.mtx.gz", "matrix.mtx") if name in names][:1]
        matrices = matrices or [path / name for name in names if name.endswith(("matrix.mtx", "matrix.mtx.gz"))]
        if not matrices:
            raise InputError(
                f"{path}: no matrix.mtx or matrix.mtx.gz in this folder; found {first_few(names) or 'no files'}. The "
                "folder filtered_feature_bc_matrix was expected, with matrix.mtx, features.tsv and barcodes.tsv"
            )
        if len(matrices) > 1:
            found = first_few(file.name for file in matrices)
            raise InputError(
                f"{path}: {len(matrices)} matrices in this folder, {found}; one was expected. Give the path of one"
            )
    named = read_mtx(matrices[0], modality, *name_files)
    return cells_by_features(named, named.cells or "columns")
