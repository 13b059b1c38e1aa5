"""What Cell Ranger ARC writes: filtered_feature_bc_matrix, as .h5 or as a folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, first_few
from scanlink.io.backed import tenx_on_disk
from scanlink.io.mtx import read_mtx
from scanlink.io.mudata_files import split_features
from scanlink.io.multiome_data import assemble
from scanlink.io.named import _cells_by_features
from scanlink.io.obs import index_cells
from scanlink.io.opening import PathLikeStr, existing_file, quiet, reading

__all__ = ["open_10x_h5", "open_10x_mtx", "read_10x_h5", "read_10x_mtx"]


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
    file = existing_file(path, "a 10x .h5 file")
    return _finish(open_10x_h5(file, backed=backed), str(file), cells, barcode, one_based=one_based)


def open_10x_h5(file: Path, *, backed: bool = False) -> AnnData:
    """All features of a 10x ``.h5`` file side by side, as they are."""
    import h5py

    with reading(file, "a 10x .h5 file"):
        with h5py.File(file, "r") as content:
            groups = sorted(content)
            if "matrix" not in content or "features" not in content["matrix"]:
                kind = " (this is a .h5mu or .h5ad file: give it that suffix)" if {"mod", "obs"} & set(groups) else ""
                raise InputError(
                    f"{file}: a 10x .h5 file with the group 'matrix/features' was expected, found the groups "
                    f"{first_few(groups) or 'none'}{kind}"
                )
        if backed:
            return tenx_on_disk(file)
        with quiet(), warnings.catch_warnings():
            # muon.read_10x_h5 is this call and the split by feature type; it takes two seconds more to import.
            warnings.filterwarnings("ignore", category=ImportWarning)
            from scanpy import read_10x_h5 as read

            return read(file, gex_only=False)


def read_10x_mtx(
    folder: PathLikeStr, *, cells: pd.DataFrame | None = None, barcode: str | None = None, one_based: bool = False
) -> MuData:
    """Read the folder ``filtered_feature_bc_matrix`` of a multiome run.

    Parameters
    ----------
    folder
        Folder with ``matrix.mtx``, ``features.tsv`` and ``barcodes.tsv``, each perhaps ``.gz``.
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
    path, adata = open_10x_mtx(folder)
    return _finish(adata, str(path), cells, barcode, one_based=one_based)


def open_10x_mtx(folder: PathLikeStr) -> tuple[Path, AnnData]:
    """The folder, and all features of its matrix side by side."""
    path = Path(folder)
    if path.is_file() and path.name in ("matrix.mtx", "matrix.mtx.gz"):
        path = path.parent
    if not path.is_dir():
        existing_file(path, "a 10x folder")
        raise InputError(f"{path}: a 10x folder was expected, found a file")
    matrix = next((path / name for name in ("matrix.mtx.gz", "matrix.mtx") if (path / name).is_file()), None)
    if matrix is None:
        names = sorted(entry.name for entry in path.iterdir())
        raise InputError(
            f"{path}: no matrix.mtx or matrix.mtx.gz in this folder; found {first_few(names) or 'no files'}. The "
            "folder filtered_feature_bc_matrix was expected, with matrix.mtx, features.tsv and barcodes.tsv"
        )
    named = read_mtx(matrix)
    return path, _cells_by_features(named, named.cells or "columns")


def _finish(adata: AnnData, source: str, cells: pd.DataFrame | None, barcode: str | None, *, one_based: bool) -> MuData:
    rna, atac = split_features(adata, source)
    if cells is not None:
        cells = index_cells(cells, {"rna": rna.obs_names}, barcode=barcode)
    # Genes of 10x have an interval too, but of the reference that was used there: not the one the user will give.
    rna.var = rna.var.drop(columns=["feature_types", "interval", "pattern", "read", "sequence"], errors="ignore")
    atac.var = atac.var.drop(columns=["feature_types", "pattern", "read", "sequence"], errors="ignore")
    return assemble(rna, atac, cells, source={"path": source}, one_based=one_based)
