"""Correlate expression with open peaks, group by group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scanlink.io.raw_counts import Layer
from scanlink.pp.door import Multiome
from scanlink.store.store import Store
from scanlink.tl.call import call
from scanlink.tl.kendall import KENDALL

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["kendall"]


def kendall(
    mdata: Multiome | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    groupby: str | None = None,
    groups: Sequence[str] | None = None,
    depth: str = "nUMI",
    min_cells: int = 10,
    block_genes: int | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Compute Kendall's rank correlation of a gene's expression with each of its peaks, in every group of cells.

    Parameters
    ----------
    mdata
        MuData of genes and peaks, a pair ``(rna, atac)`` of AnnData, or a scan store or its folder.
    pairs
        Columns ``gene`` and ``peak``, and ``distance`` in bp if known, as :func:`scanlink.pp.cis_pairs` gives them.
    groupby
        Column of ``mdata.obs`` with the cell type; None makes all cells one group, ``all``.
    groups
        Cell types that are correlated; None takes all.
    depth
        Column of ``mdata.obs`` with each cell's total of counts: expression is ``log1p(10^4 count / depth)``.
    min_cells
        Groups with fewer cells have no correlation.
    block_genes
        Genes a task; None cuts by estimated cost. It changes no number.
    layer, rna_key, atac_key
        As in :func:`scanlink.tl.scan`.
    client
        Dask client. None computes small work in this process and more of it on a local cluster, which is closed again.
    out
        Folder for the store and the parts, one that the workers see too. A call that was stopped goes on from there;
        None uses a temporary folder.

    Returns
    -------
    pandas.DataFrame
        A row a group and pair: group, gene, peak, distance (bp), n_cells, ``tau`` (tau-b of expression and open or
        closed peak, from -1 to 1) and ``status``: ``ok``, or with tau NaN ``constant`` (gene or peak are the same in
        every cell) or ``too_few_cells``.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if the data or an option cannot be used.
    RunError
        If blocks fail on the workers, or the folder cannot be written or is in use by another call.

    Warnings
    --------
    It is a score and no test: cells with more counts have more of everything, so that tau is above 0 where nothing is
    linked.

    Notes
    -----
    As in scE2G (Sheth, Qiu et al. 2024); the formula is that of :func:`scanlink.stats.kendall.kendall_tau`.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=300, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)
    >>> pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    >>> table = sl.tl.kendall(data.mdata, pairs)
    >>> bool(table["tau"].abs().max() <= 1)
    True
    """
    return call(KENDALL, locals(), tables={"pairs": pairs})
