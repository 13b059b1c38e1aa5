"""Genes and peaks that are seen in enough cells; in pieces, so that a file larger than memory will do."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sparse
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, OptionError
from scanlink.io.chunks import Chunk, collect, is_backed, iter_chunks
from scanlink.io.disk import DiskCounts, select
from scanlink.io.opening import quiet
from scanlink.io.raw_counts import Layer
from scanlink.pp.door import ANY, KEYS, enter
from scanlink.pp.modalities import check_piece, get_modality
from scanlink.pp.survey import Survey

__all__ = ["FeatureStatistics", "feature_statistics", "filter_features"]

log = logging.getLogger("scanlink")


@dataclass(frozen=True)
class FeatureStatistics:
    """What is known of each feature over all cells.

    Attributes
    ----------
    n_cells
        Number of cells.
    n_nonzero
        Cells in which the feature is not zero. Shape ``(n_features,)``.
    mean
        Mean count. Shape ``(n_features,)``.
    variance
        Variance of the count, divided by ``n_cells - 1``; NaN for a single cell. Shape ``(n_features,)``.
    """

    n_cells: int
    n_nonzero: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @property
    def fraction(self) -> np.ndarray:
        """Share of the cells in which the feature is not zero, 0 to 1. Shape ``(n_features,)``."""
        # A quotient, not a product: 7 of 100 is then exactly 0.07.
        return self.n_nonzero / max(self.n_cells, 1)


def feature_statistics(
    matrix: Any,
    *,
    chunk_rows: int | None = None,
    what: str = "the matrix",
    cells: pd.Index | None = None,
    features: pd.Index | None = None,
) -> FeatureStatistics:
    """Count, mean and variance of each column of a matrix of raw counts, piece by piece.

    Parameters
    ----------
    matrix
        Raw counts: scipy sparse, numpy, or an anndata sparse dataset on disk. Shape ``(n_cells, n_features)``.
    chunk_rows
        Cells read together (features, for a CSC matrix); None: chosen so that a piece has about four million entries.
        It has no influence on the result: sums of counts are exact.
    what, cells, features
        Names of the matrix, its rows and its columns, for messages.

    Returns
    -------
    FeatureStatistics

    Raises
    ------
    InputError
        If a value is negative, fractional, infinite or NaN.
    OptionError
        If ``chunk_rows`` is not positive.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> feature_statistics(sp.csr_array([[1, 0], [3, 0], [0, 2]]), chunk_rows=2).n_nonzero.tolist()
    [2, 1]
    """
    n_cells, n_features = matrix.shape
    # Sums of integers: in double precision exact up to 2^53, in whatever order they are added.
    sums = np.zeros((3, n_features))
    for chunk in iter_chunks(matrix, chunk_rows=chunk_rows):
        check_piece(chunk, what=what, cells=cells, features=features)
        sums[:, chunk.cols] += _column_sums(chunk)
    return _statistics(n_cells, sums[0].astype(np.int64), sums[1], sums[2])


def _statistics(n_cells: int, n_nonzero: np.ndarray, total: np.ndarray, squares: np.ndarray) -> FeatureStatistics:
    mean = total / max(n_cells, 1)
    variance = (squares - total * mean) / (n_cells - 1) if n_cells > 1 else np.full(n_nonzero.size, np.nan)
    return FeatureStatistics(n_cells, n_nonzero, mean, np.maximum(variance, 0))


def _column_sums(chunk: Chunk) -> np.ndarray:
    """Sum each column of a piece: entries that are not zero, their values, and the squares of these, a row each."""
    # COO of `sparse` joins duplicate entries, which files may have. Its own reductions sort by column first and take
    # ten times as long as counting by column here.
    block = sparse.COO.from_scipy_sparse(chunk.block.tocoo())
    column, values = block.coords[1], block.data.astype(float)
    every = (values != 0, values, values**2)
    return np.stack([np.bincount(column, weights=weights, minlength=block.shape[1]) for weights in every])


def filter_features(
    mdata: MuData,
    *,
    min_fraction: float = 0.05,
    modalities: Iterable[str] = ("rna", "atac"),
    chunk_rows: int | None = None,
    survey: Survey | None = None,
    into_memory: bool = True,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
) -> MuData:
    """Keep the genes and peaks that are not zero in enough of all cells.

    Data in memory are changed in place, and returned. Of backed data, whose file stays as it is, a new dataset in
    memory is returned; only what is kept is collected, piece by piece. ``mdata = filter_features(mdata)`` is right
    for both. With ``into_memory=False`` counts that :func:`scanlink.io.read` left on disk stay there, and what is
    filtered out is passed over when they are read.

    Parameters
    ----------
    mdata
        The dataset.
    min_fraction
        Smallest share of all cells, 0 to 1, in which a feature must not be zero (equal is enough).
    modalities
        Which of ``"rna"`` and ``"atac"`` are filtered.
    chunk_rows
        Cells read together; None: chosen by the number of entries.
    survey
        Sums over the counts as they are now, if there are other uses for them as well; None makes a pass over them.
    into_memory
        Whether counts on disk are collected in memory.
    layer, rna_key, atac_key
        As in :func:`scanlink.pp.qc`: where the counts are that say how often a feature is seen. Whole features are
        dropped, with all their layers.

    Returns
    -------
    mudata.MuData
        The same object, or a new one in memory if the data were backed, or were no MuData.
        ``uns["scanlink"]["filter"]`` tells how many features were kept and lost.

    Raises
    ------
    InputError
        If nothing is left of a modality, a matrix does not hold raw counts, or ``mdata`` is a view.
    MissingKeyError
        If a modality is not there.
    OptionError
        If ``min_fraction`` is not within 0 and 1.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=200, n_genes=20, n_peaks=120, n_links=8, n_interactions=2).mdata
    >>> sl.pp.filter_features(mdata, min_fraction=0.05) is mdata
    True
    >>> bool(((mdata["atac"].X > 0).sum(axis=0) >= 0.05 * 200).all())
    True
    """
    if not 0 <= min_fraction <= 1:
        raise OptionError(f"min_fraction is {min_fraction!r}, expected a share between 0 and 1, such as 0.05 for 5 %")
    names = [modalities] if isinstance(modalities, str) else list(modalities)
    if absent := [name for name in names if name not in KEYS]:
        get_modality(mdata, absent[0])
    others = [name for name in ANY if name not in names]
    entered = enter(mdata, modalities=ANY, optional=others, layer=layer, rna_key=rna_key, atac_key=atac_key)
    parts = {name: entered.data[name] for name in names}
    if isinstance(mdata, MuData) and mdata.is_view:
        raise InputError("the data are a view of another MuData, and would be filtered for nothing: call .copy() first")
    keep, n_entries, report = {}, {}, {}
    for name, adata in parts.items():
        if survey is not None:
            sums = survey[name]
            statistics = _statistics(adata.n_obs, sums.n_nonzero, sums.sums, sums.squares)
        else:
            statistics = feature_statistics(
                adata.X, chunk_rows=chunk_rows, what=name, cells=adata.obs_names, features=adata.var_names
            )
        keep[name] = statistics.fraction >= min_fraction
        kept = int(keep[name].sum())
        n_entries[name] = int(statistics.n_nonzero[keep[name]].sum())
        report[name] = {"min_fraction": float(min_fraction), "kept": kept, "lost": adata.n_vars - kept}
        if kept == 0:
            raise InputError(
                f"{name}: none of {adata.n_vars} features is non-zero in {min_fraction:.3g} of {adata.n_obs} cells; "
                f"the most frequent one is in {statistics.fraction.max(initial=0):.3g}. Lower min_fraction, or remove "
                "empty cells"
            )
        log.info("%s: kept %d of %d features, non-zero in >= %g of the cells", name, kept, adata.n_vars, min_fraction)
    if entered.data is not mdata:
        # The features are dropped from what was given, which may be called otherwise.
        if isinstance(mdata, MuData):
            keep = {entered.key(name): entered.mask(name, kept) for name, kept in keep.items()}
        else:
            mdata = entered.data
    on_disk = [adata.X for adata in mdata.mod.values() if is_backed(adata.X)]
    if on_disk and (into_memory or not all(isinstance(matrix, DiskCounts) for matrix in on_disk)):
        filtered = _collect(mdata, keep, n_entries, chunk_rows)
        log.info("the backed file stays as it is; what filter_features returns is in memory")
    else:
        filtered = mdata
        _shrink(mdata, keep)
    filtered.uns["scanlink"] = {**filtered.uns.get("scanlink", {}), "filter": report}
    return filtered


def _shrink(mdata: MuData, keep: dict[str, np.ndarray]) -> None:
    """Drop features in place."""
    columns = mdata.obs.copy()
    with quiet():
        for name, mask in keep.items():
            mdata.mod[name] = select(mdata.mod[name], features=mask)
        mdata.update()
    mdata.obs = columns


def _collect(mdata: MuData, keep: dict[str, np.ndarray], n_entries: dict[str, int], chunk_rows: int | None) -> MuData:
    """Collect the dataset in memory, with the features kept."""
    parts = {}
    for name, adata in mdata.mod.items():
        if name not in keep:
            keep[name] = np.ones(adata.n_vars, dtype=bool)
            n_entries[name] = int(feature_statistics(adata.X, chunk_rows=chunk_rows, what=name).n_nonzero.sum())
        mask = keep[name]
        parts[name] = AnnData(
            collect(adata.X, n_entries[name], features=mask, chunk_rows=chunk_rows),
            obs=adata.obs.copy(),
            var=adata.var[mask].copy(),
            uns=dict(adata.uns),
            obsm={key: value.copy() for key, value in adata.obsm.items()},
        )
    with quiet():
        filtered = MuData(parts)
    filtered.obs = mdata.obs.copy()
    filtered.uns.update(mdata.uns)
    return filtered
