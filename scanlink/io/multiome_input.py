"""Multiome counts from files of any format."""

from __future__ import annotations

import pandas as pd
from mudata import MuData

from scanlink.io.assays import MULTIOME
from scanlink.io.inputs import open_input
from scanlink.io.multiome_data import assemble_whole
from scanlink.io.opening import PathLikeStr
from scanlink.io.raw_counts import Layer

__all__ = ["read", "read_matrices"]


def read(
    path: PathLikeStr | None = None,
    *,
    rna: PathLikeStr | None = None,
    atac: PathLikeStr | None = None,
    cells: PathLikeStr | pd.DataFrame | None = None,
    barcode: str | None = None,
    rna_features: PathLikeStr | None = None,
    atac_features: PathLikeStr | None = None,
    barcodes: PathLikeStr | None = None,
    rna_key: str | None = "rna",
    atac_key: str | None = "atac",
    layer: Layer = None,
    one_based: bool = False,
    backed: bool = False,
) -> MuData:
    """Read multiome counts from one file or a pair of files, by suffix.

    Parameters
    ----------
    path
        One file or folder with genes and peaks: ``.h5mu``, 10x ``.h5`` or folder, ``.rds`` of Seurat or Signac,
        ``.zarr``; ``.h5ad`` and ``.mtx`` with types of features.
    rna, atac
        Instead of ``path``: one file per modality, each ``.rds`` (matrix or Seurat), ``.h5ad``, 10x ``.h5`` or
        folder, ``.mtx``, ``.zarr``, ``.csv`` or ``.tsv``. Features of other types are left out.
    cells
        Metadata of cells, as a file (``.rds``, ``.csv``, ``.tsv``, ``.parquet``) or a table. Cells that are not in it
        are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    rna_features, atac_features, barcodes
        Files of names of ``.mtx`` matrices; ``None`` looks beside them.
    rna_key, atac_key
        Names of the modalities in a ``.h5mu``, ``.zarr`` or Seurat object; ``rna`` and ``atac`` also find
        gene, gex and peaks.
    layer
        Layer with raw counts instead of ``X`` in ``.h5mu`` and ``.h5ad`` files, ``"raw"`` for ``.raw``; or a mapping,
        such as ``{"rna": "counts"}``.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.
    backed
        Whether the counts of a single file (``.h5mu``, 10x ``.h5``, ``.h5ad``) stay on disk. They are then checked
        when they are read, in pieces: by :func:`scanlink.pp.qc`, :func:`scanlink.pp.filter_features` or when the scan
        store is made. The file must stay where it is.

    Returns
    -------
    MuData with modalities ``rna`` and ``atac``: the same cells in the same order, raw counts, coordinates of peaks in
    ``atac.var``, metadata in ``.obs``, and in ``uns["scanlink"]["read"]`` what each side lost.

    Raises
    ------
    InputError
        If a file is missing, damaged, of unknown suffix, or its content is not as expected.
    OptionError
        If both ``path`` and a pair are given, or neither, or a keyword that the format has no use for.

    Examples
    --------
    >>> read("counts.loom")
    Traceback (most recent call last):
    scanlink.errors.InputError: counts.loom: unknown suffix '.loom'; expected .h5mu, .h5 (10x), ...
    """
    whole, table = open_input(
        MULTIOME,
        path,
        rna,
        atac,
        cells=cells,
        barcode=barcode,
        names={"rna": rna_features, "atac": atac_features, "barcodes": barcodes},
        keys={"rna": rna_key, "atac": atac_key},
        layer=layer,
        backed=backed,
    )
    return assemble_whole(whole, table, layer=layer, one_based=one_based)


def read_matrices(
    *,
    rna: PathLikeStr,
    atac: PathLikeStr,
    cells: PathLikeStr | pd.DataFrame | None = None,
    barcode: str | None = None,
    rna_features: PathLikeStr | None = None,
    atac_features: PathLikeStr | None = None,
    barcodes: PathLikeStr | None = None,
    layer: Layer = None,
    one_based: bool = False,
) -> MuData:
    """Read a pair of matrices, one per modality, of any format.

    Parameters
    ----------
    rna, atac
        One file each: ``.rds`` (dgCMatrix), ``.h5ad``, ``.mtx`` with names beside it, ``.csv`` or ``.tsv``; perhaps
        ``.gz``. Which side holds the cells is found from the names.
    cells
        Metadata of cells, as a file or a table. Cells that are not in it are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    rna_features, atac_features, barcodes
        Files of names of ``.mtx`` matrices; ``None`` looks beside them.
    layer
        Layer with raw counts of ``.h5ad`` files; see :func:`read`.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.

    Returns
    -------
    As :func:`read`.

    Raises
    ------
    InputError
        If a file is missing, damaged, of unknown suffix, or its content is not as expected.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rna, atac = (pathlib.Path(folder, name) for name in ("rna.csv", "atac.csv"))
    ...     _ = rna.write_text(",AAAC-1,AAAG-1\\nNOC2L,0,2\\n")
    ...     _ = atac.write_text(",AAAG-1,AAAC-1\\nchr1:10-20,1,0\\n")
    ...     mdata = read_matrices(rna=rna, atac=atac)
    >>> mdata["rna"].X.toarray().tolist(), mdata["atac"].X.toarray().tolist()
    ([[0], [2]], [[0], [1]])
    """
    return read(
        rna=rna,
        atac=atac,
        cells=cells,
        barcode=barcode,
        rna_features=rna_features,
        atac_features=atac_features,
        barcodes=barcodes,
        layer=layer,
        one_based=one_based,
    )
