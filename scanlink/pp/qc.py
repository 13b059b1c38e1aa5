"""Covariates of the cells: depth, mitochondrial fraction, features seen."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scanlink.errors import InputError, OptionError, first_few
from scanlink.io.raw_counts import Layer
from scanlink.pp.column_names import by_other_name
from scanlink.pp.door import SCREEN_KEYS, Multiome, Screen, enter
from scanlink.pp.guide_assignment import guide_counts
from scanlink.pp.survey import MITO_PREFIX, Survey, mitochondrial

__all__ = ["qc", "screen_qc"]

log = logging.getLogger("scanlink")

# Columns of mdata.obs, and the modality that each describes.
_OF_GENES = {"nUMI": "rna", "percent.mito": "rna", "nFeature_RNA": "rna"}
_OF_MULTIOME = {**_OF_GENES, "nCount_ATAC": "atac", "nFeature_ATAC": "atac"}
_OF_SCREEN = {**_OF_GENES, "guide_count": "guide", "guide_UMI": "guide"}


def qc(
    mdata: Multiome,
    *,
    mito_prefix: Iterable[str] = MITO_PREFIX,
    overwrite: bool = False,
    survey: Survey | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
) -> None:
    """Add to ``mdata.obs`` the covariates that it lacks.

    ``nUMI``: UMIs of the cell over all genes in the data. ``percent.mito``: percentage of them (0 to 100) in
    mitochondrial genes. ``nCount_ATAC``: fragments (or cuts, whatever the data count) in peaks. ``nFeature_RNA``,
    ``nFeature_ATAC``: genes and peaks that are not zero. Call it before genes are filtered, or the totals are of what
    is left. Where a column is missing and scanpy's or Seurat's is there (``total_counts``, ``n_genes_by_counts``,
    ``pct_counts_mt``, ``nCount_RNA``, ``percent.mt``), that is taken for it, with a warning.

    Parameters
    ----------
    mdata
        The dataset; may be backed, the matrices are read piece by piece.
    mito_prefix
        How the names of mitochondrial genes begin, or their symbols in ``rna.var["symbol"]`` or another column
        of symbols, such as ``gene_name``, ``gene_symbols``, ``feature_name``. If no gene is mitochondrial,
        ``percent.mito`` is not made, with a warning.
    overwrite
        Replace columns that exist. By default they are checked and stay: those of a provider, who has seen all genes,
        are better than those of a subset. ``percent.mito`` is taken of the ``nUMI`` that is there.
        A depth below the sum of the counts, as a logarithm is, is told.
    survey
        The sums, if there are other uses for them as well; None makes a pass over the counts.
    layer
        Layer with the raw counts instead of ``X``: a name, or a mapping from ``"rna"`` and ``"atac"`` to one each.
    rna_key, atac_key
        Names of the modalities in ``mdata``; None finds ``rna`` and ``atac``, and names such as ``gex`` and ``peaks``.

    Raises
    ------
    InputError
        If an existing column is not numeric, or has missing or negative values, or a matrix does not hold counts.
    MissingKeyError
        If a modality or the layer is not there.
    OptionError
        If ``survey`` was made with another ``mito_prefix``, or several modalities may be meant.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=100, n_genes=10, n_peaks=60, n_links=8, n_interactions=2).mdata
    >>> qc(mdata)
    >>> sorted(mdata.obs.columns)
    ['batch', 'celltype', 'donor', 'nCount_ATAC', 'nFeature_ATAC', 'nFeature_RNA', 'nUMI', 'percent.mito']
    """
    entered = enter(mdata, layer=layer, rna_key=rna_key, atac_key=atac_key)
    data = entered.data
    sums = _checked_survey(survey, data, mito_prefix)
    wanted = list(_OF_MULTIOME) if overwrite else _missing_columns(data, _OF_MULTIOME, sums)
    _add_rna(data, sums, wanted)
    if {"nCount_ATAC", "nFeature_ATAC"} & set(wanted):
        peaks = sums["atac"]
        _set_columns(data, {"nCount_ATAC": peaks.total, "nFeature_ATAC": peaks.seen}, wanted)
    _warn_of_empty_cells(data)
    entered.give_back(_OF_MULTIOME, replace=wanted)


def screen_qc(
    mdata: Screen,
    *,
    mito_prefix: Iterable[str] = MITO_PREFIX,
    overwrite: bool = False,
    survey: Survey | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    guide_key: str | None = None,
) -> None:
    """Add to ``mdata.obs`` the covariates of a screen that it lacks.

    ``nUMI``, ``nFeature_RNA``, ``percent.mito``: as :func:`scanlink.pp.qc` makes them. ``guide_count``: guides of the
    cell at or above their threshold, those of controls included. ``guide_UMI``: UMIs of all its guides. Call it before
    genes or guides are filtered, or the totals are of what is left; and after :func:`scanlink.pp.assign_guides`.

    Parameters
    ----------
    mdata
        The screen; counts of genes may be backed, they are read piece by piece. Where the guides have no threshold yet,
        it is 5 UMIs, or 1 if they are 0/1 calls.
    mito_prefix, overwrite, survey
        As in :func:`scanlink.pp.qc`; a
        ``guide_count`` or ``guide_UMI`` that stays and is not what the counts say is told; the survey is of ``rna``.
    layer
        Layer with the raw counts instead of ``X``: a name, or a mapping from ``"rna"`` and ``"guide"`` to one each.
    rna_key, guide_key
        Names of the modalities in ``mdata``; None finds ``rna`` and ``guide``, and names such as ``gex`` and ``grna``.

    Raises
    ------
    InputError, MissingKeyError, OptionError
        As in :func:`scanlink.pp.qc`.

    Examples
    --------
    >>> import numpy as np
    >>> import scanlink as sl
    >>> from anndata import AnnData
    >>> guide = AnnData(np.array([[7, 1], [6, 9]]))
    >>> guide.var_names, guide.var["target"] = ["g1", "g2"], ["enh1", "non-targeting"]
    >>> mdata = sl.io.assemble_screen(AnnData(np.array([[3, 0], [4, 2]])), guide)
    >>> mdata["rna"].var_names = ["NOC2L", "MT-ND1"]
    >>> screen_qc(mdata)
    >>> {name: mdata.obs[name].round(1).tolist() for name in ("nUMI", "percent.mito", "guide_count", "guide_UMI")}
    {'nUMI': [3, 6], 'percent.mito': [0.0, 33.3], 'guide_count': [1, 2], 'guide_UMI': [8, 15]}
    """
    entered = enter(mdata, modalities=SCREEN_KEYS, layer=layer, rna_key=rna_key, guide_key=guide_key)
    data = entered.data
    sums = _checked_survey(survey, data, mito_prefix, modalities=("rna",))
    wanted = list(_OF_SCREEN) if overwrite else _missing_columns(data, _OF_SCREEN, sums)
    _add_rna(data, sums, wanted)
    called, umis = guide_counts(data["guide"])
    columns = {"guide_count": called, "guide_UMI": umis}
    _set_columns(data, columns, wanted)
    for name, values in columns.items():
        if other := int((data.obs[name].to_numpy(dtype=float) != values).sum()):
            log.warning(
                "%s in obs is kept as it is, but by the guides in the data it is another number in %d of %d cells: "
                "made with other thresholds, or of more guides? overwrite=True computes it anew",
                name,
                other,
                data.n_obs,
            )
    _warn_of_empty_cells(data)
    entered.give_back(_OF_SCREEN, replace=wanted)
    bare = int((called == 0).sum())
    log.info(
        "%d of %d cells hold no guide, the others %.1f on average",
        bare,
        data.n_obs,
        called.sum() / max(data.n_obs - bare, 1),
    )


def _checked_survey(survey: Survey | None, mdata: MuData, mito_prefix: Iterable[str], **made: Any) -> Survey:
    """Check the survey of the caller, or make one with these options if there is none."""
    own = Survey(mdata, mito_prefix=mito_prefix, **made)
    if survey is None:
        return own
    if survey.mito_prefix != own.mito_prefix:
        raise OptionError(f"mito_prefix is {own.mito_prefix}, but the survey was made with {survey.mito_prefix}")
    return survey


def _missing_columns(mdata: MuData, columns: Mapping[str, str], sums: Survey) -> list[str]:
    """List the columns of cells that are not there yet, of those for a modality each; those there are checked.

    Those that are there under another name, and not below the ``sums``, are taken over.
    """
    wanted = []
    for column, modality in columns.items():
        if column in mdata.obs:
            _check_column(mdata.obs[column], f"obs[{column!r}]")
        elif column in mdata[modality].obs:  # where mudata >= 0.4 leaves the columns of a modality
            values = mdata[modality].obs[column].reindex(mdata.obs_names)
            _check_column(values, f"mdata[{modality!r}].obs[{column!r}]")
            mdata.obs[column] = values
        elif (values := by_other_name(mdata, column, least=partial(_least, sums, column, modality))) is not None:
            mdata.obs[column] = values
        else:
            wanted.append(column)
    return wanted


def _least(sums: Survey, column: str, modality: str) -> np.ndarray:
    of_modality = sums[modality]
    return of_modality.seen if column.startswith("nFeature") else of_modality.total


def _add_rna(mdata: MuData, survey: Survey, wanted: list[str]) -> None:
    """Add the columns of the genes' counts, as far as they are wanted; if none is, no pass is made for them."""
    if not _OF_GENES.keys() & set(wanted) and _is_whole(mdata.obs["nUMI"]):
        return
    rna, sums = mdata["rna"], survey["rna"]
    total = sums.total
    _set_columns(mdata, {"nUMI": total, "nFeature_RNA": sums.seen}, wanted)
    whole = mdata.obs["nUMI"].to_numpy(dtype=float)
    if lower := int((whole < total).sum()):
        # Such as a column that is logged, or counted in thousands: no percentage can be taken of it.
        log.warning(
            "nUMI in obs is below the sum of the counts in %d of %d cells (is it logged?); the log of it in a formula "
            "is not the log of the depth. overwrite=True computes it anew",
            lower,
            mdata.n_obs,
        )
        whole = total.astype(float)
    if "percent.mito" not in wanted:
        return
    if not mitochondrial(rna.var, survey.mito_prefix).any():
        log.warning(
            "percent.mito is not made: none of %d genes begins with %s. Give mito_prefix= (input.mito_prefix in "
            "run.yaml) or the column percent.mito itself, or leave percent.mito out of the formula; the genes are such "
            "as %s",
            rna.n_vars,
            first_few(survey.mito_prefix, most=3),
            first_few(rna.var_names, most=3),
        )
        return
    _set_columns(mdata, {"percent.mito": 100 * sums.mito / np.maximum(whole, 1)}, wanted)


def _is_whole(depth: pd.Series) -> bool:
    """Tell whether a depth is counts: a logarithm is whole in no data, and needs no pass over them to be known."""
    values = depth.to_numpy(dtype=float)
    return bool((values == np.floor(values)).all())


def _set_columns(mdata: MuData, columns: dict[str, np.ndarray], wanted: list[str]) -> None:
    """Add those of the columns that are wanted."""
    made = [name for name in columns if name in wanted]
    for name in made:
        mdata.obs[name] = columns[name]
    if made:
        log.info("obs has new columns: %s", first_few(made))


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
            f"{first_few(values.index[bad])}. Expected a number of at least 0 in each: remove those cells, or drop "
            "the column (or overwrite=True) to have it computed"
        )


def _warn_of_empty_cells(mdata: MuData) -> None:
    if empty := int((mdata.obs["nUMI"] <= 0).sum()):
        log.warning("%d cells have no UMI: log(nUMI) is not finite for them; remove them", empty)
