"""The one way in: every reader ends here, and what leaves here keeps the contract of scanlink's data.

Modalities ``rna`` and ``atac`` with the same cells in the same order, raw counts as CSR of ``int32``, unique names,
coordinates of peaks in ``atac.var``, metadata under plain names in ``.obs``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.assays import MULTIOME, Whole
from scanlink.io.assembly import check_matrices, join, need_features, need_modalities
from scanlink.io.barcodes import refuse_duplicates, text_index
from scanlink.io.feature_types import own_features
from scanlink.io.peaks import looks_like_peaks, peak_table
from scanlink.io.raw_counts import Layer

__all__ = ["assemble", "assemble_whole", "check", "refuse_swapped"]

log = logging.getLogger("scanlink")


def assemble(
    rna: AnnData,
    atac: AnnData,
    cells: pd.DataFrame | None = None,
    *,
    source: Mapping[str, str] | None = None,
    obs: pd.DataFrame | None = None,
    layer: Layer = None,
    one_based: bool = False,
) -> MuData:
    """Join two modalities and a table of cells into the MuData that the rest of scanlink works on.

    Parameters
    ----------
    rna, atac
        Raw counts. Shapes ``(n_cells_rna, n_genes)`` and ``(n_cells_atac, n_peaks)``; the cells may differ. Features of
        another type, where ``.var["feature_types"]`` says so (antibodies, say), are dropped, and a warning is logged.
    cells
        Metadata of cells with barcodes as index; cells that are not in it are dropped.
    source
        Where each part came from, for the report.
    obs
        Columns that a file holds for both modalities at once; unlike ``cells`` it drops no cell.
    layer
        Layer with raw counts instead of ``X``; see :func:`scanlink.io.read`.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.

    Returns
    -------
    MuData of the cells that all sides share, in the order of ``rna``; ``uns["scanlink"]["read"]`` reports the rest.

    Raises
    ------
    InputError
        If counts are not raw, names are not unique, no cell is shared, peaks have no coordinates, or modalities look
        swapped.

    Examples
    --------
    >>> import numpy as np
    >>> rna, atac = AnnData(np.array([[1], [2]])), AnnData(np.array([[0], [1]]))
    >>> rna.var_names, atac.var_names = ["NOC2L"], ["chr1:10-20"]
    >>> mdata = assemble(rna, atac)
    >>> mdata.shape, mdata["atac"].var.iloc[0].to_dict()
    ((2, 2), {'chrom': 'chr1', 'start': 10, 'end': 20})
    """
    rna, atac = own_features(rna, "rna"), own_features(atac, "atac")
    need_features(MULTIOME, rna, atac)
    refuse_swapped(rna.var, atac.var)
    locate = partial(_locate_peaks, one_based=one_based)
    mdata = join(MULTIOME, rna, atac, cells, describe=locate, source=source, obs=obs, layer=layer)
    sizes = (mdata.n_obs, mdata["rna"].n_vars, mdata["atac"].n_vars)
    log.info("read %s cells x %s genes and %s peaks", *(f"{n:,}" for n in sizes))
    return mdata


def assemble_whole(whole: Whole, cells: pd.DataFrame | None, *, layer: Layer = None, one_based: bool = False) -> MuData:
    """Join both modalities of what a reader opened; see :func:`assemble`."""
    return assemble(
        whole.rna, whole.second, cells, source=whole.source, obs=whole.obs, layer=layer, one_based=one_based
    )


def check(mdata: MuData) -> None:
    """Check that a MuData, perhaps made by hand, is what the readers of scanlink would have made.

    Parameters
    ----------
    mdata
        The data. Counts of a file opened with ``backed=True`` are not looked at.

    Raises
    ------
    MissingKeyError
        If a modality, or a column of coordinates, is missing.
    InputError
        If cells differ or are in different order, names are not unique, counts are not raw integers, coordinates are
        not valid, or modalities look swapped.

    Examples
    --------
    >>> import mudata
    >>> check(mudata.MuData({}))
    Traceback (most recent call last):
    scanlink.errors.MissingKeyError: the MuData has no modality 'rna'; found: none. ...
    """
    remedy = "Pass both modalities through scanlink.io.assemble(rna, atac)"
    need_modalities(mdata, ("rna", "atac"), remedy)
    atac = mdata.mod["atac"]
    refuse_swapped(mdata.mod["rna"].var, atac.var)
    check_matrices(mdata, {"rna": "genes", "atac": "peaks"}, remedy=remedy)
    missing = [name for name in ("chrom", "start", "end") if name not in atac.var]
    if missing:
        raise MissingKeyError(f"atac.var has no column {first_few(missing)}; coordinates were expected. {remedy}")
    for side in ("start", "end"):
        if atac.var[side].dtype.kind not in "iu":
            raise InputError(f"atac.var[{side!r}] is {atac.var[side].dtype}; whole bp (int64) were expected. {remedy}")
    peak_table(atac.var[["chrom", "start", "end"]])


def refuse_swapped(rna: pd.DataFrame, atac: pd.DataFrame) -> None:
    """Refuse modalities that are, by the names of their features, not what they are called."""
    genes_are_peaks, peaks_are_peaks = looks_like_peaks(rna.index), looks_like_peaks(atac.index)
    shown = f"features of rna are such as {first_few(rna.index[:2])}, of atac such as {first_few(atac.index[:2])}"
    if genes_are_peaks and not peaks_are_peaks:
        raise InputError(
            f"rna looks swapped with atac: {shown}. Genes were expected in rna and peaks in atac; exchange the two"
        )
    if genes_are_peaks:
        raise InputError(f"rna looks swapped, or the peaks were given twice: {shown}. Genes were expected in rna")
    if not peaks_are_peaks and len(atac) and not {"start", "end", "interval"} & {str(c).lower() for c in atac}:
        raise InputError(
            f"atac looks swapped, or the genes were given twice: {shown}. Peaks were expected in atac, with names like "
            "chr1:10-20, chr1-10-20 or chr1_10_20, or with columns chrom, start, end in the table of peaks (.var)"
        )


def _locate_peaks(atac: AnnData, *, one_based: bool) -> None:
    atac.var_names = text_index(atac.var_names)
    refuse_duplicates(atac.var_names, "peaks of atac")
    located = peak_table(atac.var, one_based=one_based)
    # 10x repeats the name of the peak as its id and interval; once the coordinates are known these only cost memory.
    rest = atac.var.drop(columns=["chrom", "start", "end", "gene_ids", "interval"], errors="ignore")
    atac.var = pd.concat([located.set_axis(atac.var_names, axis=0), rest], axis=1)
