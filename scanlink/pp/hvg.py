"""Genes that vary more than others of the same mean."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scanlink.errors import OptionError
from scanlink.io.chunks import iter_chunks
from scanlink.io.raw_counts import Layer
from scanlink.pp.door import ANY, enter
from scanlink.pp.modalities import check_piece

__all__ = ["highly_variable_genes"]

_COLUMNS = ("highly_variable", "means", "dispersions", "dispersions_norm")

log = logging.getLogger("scanlink")


def highly_variable_genes(
    mdata: MuData,
    *,
    flavor: Literal["mvp"] = "mvp",
    n_top: int | None = None,
    min_mean: float = 0.0125,
    max_mean: float = 3.0,
    min_disp: float = 0.5,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
) -> None:
    """Mark highly variable genes by the mean-variance method (MVP).

    Counts are scaled to 10,000 a cell and log(1 + x) is taken, on a copy. Genes are put into 20 bins of their mean,
    and their dispersion (variance over mean) is standardised within the bin.

    Parameters
    ----------
    mdata
        The dataset. Raw counts stay as they are; backed RNA counts are read into memory.
    flavor
        ``"mvp"``, the only one so far: Seurat's `mean.var.plot`, which scanpy calls ``"seurat"``.
    n_top
        Number of genes to mark, those of the largest standardised dispersion; None: all within the limits that follow.
    min_mean, max_mean
        Limits of the mean, on the scale of log(1 + x).
    min_disp
        Smallest standardised dispersion.
    layer, rna_key, atac_key
        As in :func:`scanlink.pp.qc`. Where there are peaks or guides, only cells of both (or of all three) count, and
        nothing else of them: guides need no targets, peaks no places.

    Raises
    ------
    InputError
        If the matrix does not hold raw counts.
    MissingKeyError
        If there is no modality ``rna``.
    OptionError
        If ``flavor`` or ``n_top`` is impossible, or scanpy (the extra ``hvg``) is not installed.

    Notes
    -----
    Satija et al. (2015), Nat Biotechnol 33:495. Computed by :func:`scanpy.pp.highly_variable_genes`. The result is in
    ``mdata["rna"].var``: ``highly_variable``, ``means``, ``dispersions``, ``dispersions_norm``.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=200, n_genes=60, n_peaks=120, n_links=8, n_interactions=2).mdata
    >>> highly_variable_genes(mdata, n_top=20)
    >>> int(mdata["rna"].var["highly_variable"].sum())
    20
    """
    if flavor != "mvp":
        raise OptionError(f"flavor is {flavor!r}, expected 'mvp' (scanpy's 'seurat')")
    places: dict[str, Any] = {"layer": layer, "rna_key": rna_key, "atac_key": atac_key}
    entered = enter(mdata, modalities=ANY, optional=ANY[1:], counts=("rna",), **places)
    rna = entered.data["rna"]
    if n_top is not None and not 1 <= n_top <= rna.n_vars:
        raise OptionError(f"n_top is {n_top}, expected a number from 1 to the {rna.n_vars} genes of the data, or None")
    try:
        import scanpy as sc
    except ImportError as error:
        raise OptionError(
            f"highly variable genes need scanpy, which is not installed: pip install 'scanlink[hvg]' ({error})"
        ) from error
    blocks = []
    for chunk in iter_chunks(rna.X):
        check_piece(chunk, what="rna", cells=rna.obs_names, features=rna.var_names)
        blocks.append(chunk.block.astype(np.float32))
    by_column = getattr(rna.X, "format", None) == "csc"
    stacked = sp.hstack(blocks, format="csr") if by_column else sp.vstack(blocks, format="csr")
    copy = AnnData(sp.csr_matrix(stacked), obs=rna.obs[[]].copy(), var=rna.var[[]].copy())
    sc.pp.normalize_total(copy, target_sum=1e4)
    sc.pp.log1p(copy)
    sc.pp.highly_variable_genes(
        copy, flavor="seurat", n_top_genes=n_top, min_mean=min_mean, max_mean=max_mean, min_disp=min_disp
    )
    for name in _COLUMNS:
        rna.var[name] = copy.var[name].to_numpy()
    entered.give_back(rna=_COLUMNS)
    log.info("%d of %d genes are highly variable", int(copy.var["highly_variable"].sum()), rna.n_vars)
