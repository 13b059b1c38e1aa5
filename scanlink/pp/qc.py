"""Covariates of the cells: depth, mitochondrial fraction, features seen."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.pp.chunks import check_counts, get_modality, iter_chunks

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

__all__ = ["qc"]

logger = logging.getLogger("scanlink")

# Column of mdata.obs, and the modality that it describes.
_COLUMNS = {"nUMI": "rna", "percent.mito": "rna", "nFeature_RNA": "rna", "nCount_ATAC": "atac", "nFeature_ATAC": "atac"}


def qc(mdata: MuData, *, mito_prefix: Iterable[str] = ("MT-", "mt-", "MT."), overwrite: bool = False) -> None:
    """Add to ``mdata.obs`` the covariates that it lacks.

    ``nUMI``: UMIs of the cell over all genes in the data. ``percent.mito``: percentage of them (0 to 100) in
    mitochondrial genes. ``nCount_ATAC``: fragments (or cuts, whatever the data count) in peaks. ``nFeature_RNA``,
    ``nFeature_ATAC``: genes and peaks that are not zero. Call it before genes are filtered, or the totals are of what
    is left.

    Parameters
    ----------
    mdata
        The dataset; may be backed, the matrices are read piece by piece.
    mito_prefix
        How the names of mitochondrial genes begin. If no gene is mitochondrial, ``percent.mito`` is not made, with a
        warning.
    overwrite
        Replace columns that exist. By default they are checked and stay: those of a provider, who has seen all genes,
        are better than those of a subset. ``percent.mito`` is taken of the ``nUMI`` that is there.

    Raises
    ------
    InputError
        If an existing column is not numeric, or has missing or negative values, or a matrix does not hold counts.
    MissingKeyError
        If a modality is not there.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=100, n_genes=10, n_peaks=60, n_links=8, n_interactions=2).mdata
    >>> qc(mdata)
    >>> sorted(mdata.obs.columns)
    ['batch', 'celltype', 'donor', 'nCount_ATAC', 'nFeature_ATAC', 'nFeature_RNA', 'nUMI', 'percent.mito']
    """
    modalities = {name: get_modality(mdata, name) for name in ("rna", "atac")}
    wanted = []
    for column, modality in _COLUMNS.items():
        if overwrite:
            wanted.append(column)
        elif column in mdata.obs:
            _check_column(mdata.obs[column], f"obs[{column!r}]")
        elif column in modalities[modality].obs:  # where mudata >= 0.4 leaves the columns of a modality
            values = modalities[modality].obs[column].reindex(mdata.obs_names)
            _check_column(values, f"mdata[{modality!r}].obs[{column!r}]")
            mdata.obs[column] = values
        else:
            wanted.append(column)

    if {"nUMI", "percent.mito", "nFeature_RNA"} & set(wanted):
        _add_rna(
            mdata, modalities["rna"], tuple([mito_prefix] if isinstance(mito_prefix, str) else mito_prefix), wanted
        )
    if {"nCount_ATAC", "nFeature_ATAC"} & set(wanted):
        total, seen, _ = _row_sums(modalities["atac"], "atac", None)
        _set(mdata, {"nCount_ATAC": total, "nFeature_ATAC": seen}, wanted)
    empty = int((mdata.obs["nUMI"] <= 0).sum())
    if empty:
        logger.warning("%d cells have no UMI: log(nUMI) is not finite for them; remove them", empty)


def _add_rna(mdata: MuData, rna: AnnData, mito_prefix: tuple[str, ...], wanted: list[str]) -> None:
    mito = np.array([str(name).startswith(mito_prefix) for name in rna.var_names], dtype=bool)
    total, seen, of_mito = _row_sums(rna, "rna", mito)
    _set(mdata, {"nUMI": total, "nFeature_RNA": seen}, wanted)
    if "percent.mito" not in wanted:
        return
    if not mito.any():
        logger.warning(
            "percent.mito is not made: none of %d genes begins with %s; give mito_prefix, or the column itself",
            rna.n_vars,
            first_few(mito_prefix),
        )
        return
    whole = mdata.obs["nUMI"].to_numpy(dtype=float)
    lower = int((whole < total).sum())
    if lower:
        # Such as a column that is logged, or counted in thousands: no percentage can be taken of it.
        logger.warning(
            "nUMI in obs is below the sum of the counts in %d of %d cells (is it logged?); percent.mito is taken "
            "of the sum",
            lower,
            mdata.n_obs,
        )
        whole = total.astype(float)
    _set(mdata, {"percent.mito": 100 * of_mito / np.maximum(whole, 1)}, wanted)


def _row_sums(adata: AnnData, what: str, marked: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each cell: the sum of its counts, how many are not zero, and the sum over the marked features."""
    n_cells = adata.n_obs
    total, seen, part = (np.zeros(n_cells, dtype=np.int64) for _ in range(3))
    for chunk in iter_chunks(adata.X):
        check_counts(chunk, what=what, cells=adata.obs_names, features=adata.var_names)
        block = chunk.block
        total[chunk.rows] += _as_integers(block.sum(axis=1))
        seen[chunk.rows] += _as_integers((block != 0).sum(axis=1))
        if marked is not None:
            part[chunk.rows] += _as_integers(block @ marked[chunk.cols].astype(np.int64))
    return total, seen, part


def _as_integers(values: Any) -> np.ndarray:
    return np.rint(np.asarray(values, dtype=float)).astype(np.int64).ravel()


def _set(mdata: MuData, columns: dict[str, np.ndarray], wanted: list[str]) -> None:
    made = [name for name in columns if name in wanted]
    for name in made:
        mdata.obs[name] = columns[name]
    if made:
        logger.info("obs has new columns: %s", first_few(made))


def _check_column(values: pd.Series, name: str) -> None:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise InputError(
            f"{name} has type {values.dtype}, expected numbers: convert it, or drop it (or overwrite=True) to have "
            "it computed"
        )
    # Comparing so that NaN is bad, too.
    bad = ~(values.to_numpy(dtype=float, na_value=np.nan) >= 0)
    if bad.any():
        raise InputError(
            f"{name} is missing or negative in {int(bad.sum())} of {len(values)} cells: "
            f"{first_few(values.index[bad])}. Expected "
            "a number of at least 0 in each: remove those cells, or drop the column (or overwrite=True) to have it "
            "computed"
        )
