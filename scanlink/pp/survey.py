"""One pass over all counts, for whatever needs a sum over cells or over features."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mudata import MuData

from scanlink.io.chunks import canonical, iter_modalities
from scanlink.pp.column_names import symbol_columns
from scanlink.pp.modalities import get_modality
from scanlink.store.make import counts_checks

__all__ = ["MITO_PREFIX", "ModalitySums", "Survey", "mitochondrial"]

# Of man, mouse, rat and fly, of names that R has made, and of references of two genomes.
MITO_PREFIX = (
    *("MT-", "mt-", "Mt-", "MT.", "mt:"),
    *("GRCh38_MT-", "GRCh38-MT-", "GRCm39_mt-", "GRCm39-mt-", "mm10_mt-", "mm10-mt-", "hg19_MT-", "hg19-MT-"),
    *("GRCh38___MT-", "GRCm39___mt-", "mm10___mt-", "hg19___MT-"),
)


@dataclass(frozen=True, eq=False)
class ModalitySums:
    """Sums over one modality, exact: first over each cell, then over each feature."""

    total: np.ndarray
    seen: np.ndarray  # features that are not zero
    mito: np.ndarray  # counts of mitochondrial genes
    n_nonzero: np.ndarray  # cells in which the feature is not zero
    sums: np.ndarray
    squares: np.ndarray  # sum of squared counts


class Survey:
    """What :func:`scanlink.pp.qc` and :func:`scanlink.pp.filter_features` need of the counts, found in one pass.

    The pass is made when a number is first asked for, and reads a file that holds both modalities once. The data must
    not be changed before that.

    Parameters
    ----------
    mdata
        The dataset, in memory or on disk.
    mito_prefix
        How the names of mitochondrial genes begin; where genes go by identifiers, those in ``rna.var["symbol"]`` or
        another column of symbols, such as ``gene_name``, ``gene_symbols``, ``feature_name``.
    modalities
        Which are read.

    Raises
    ------
    InputError
        If a value is no raw count: when the pass is made.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=100, n_genes=10, n_peaks=60, n_links=8, n_interactions=2).mdata
    >>> survey = Survey(mdata)
    >>> bool((survey["rna"].sums == mdata["rna"].X.sum(axis=0)).all())
    True
    """

    def __init__(
        self, mdata: MuData, *, mito_prefix: Iterable[str] = MITO_PREFIX, modalities: Iterable[str] = ("rna", "atac")
    ) -> None:
        self._mdata, self._modalities = mdata, tuple(modalities)
        self.mito_prefix = (mito_prefix,) if isinstance(mito_prefix, str) else tuple(mito_prefix)
        self._found: dict[str, ModalitySums] = {}

    def of(self, mdata: MuData) -> Survey:
        """Give a survey of other data, with the same options."""
        other = copy(self)
        other._mdata, other._found = mdata, {}
        return other

    def __getitem__(self, modality: str) -> ModalitySums:
        if not self._found:
            self._found = self._pass()
        return self._found[modality]

    def _pass(self) -> dict[str, ModalitySums]:
        data = {name: get_modality(self._mdata, name) for name in self._modalities}
        of_modality = {
            name: ModalitySums(
                *(np.zeros(adata.n_obs, dtype=np.int64) for _ in range(3)),
                *(np.zeros(adata.n_vars, dtype=np.int64) for _ in range(3)),
            )
            for name, adata in data.items()
        }
        mito = {name: mitochondrial(adata.var, self.mito_prefix).astype(np.int64) for name, adata in data.items()}
        checks = counts_checks(self._mdata, self._modalities)
        for name, chunk in iter_modalities({name: adata.X for name, adata in data.items()}):
            if not checks[name].look(chunk.block, chunk.rows, chunk.cols):
                continue
            block, sums = canonical(chunk), of_modality[name]
            lines, minor = np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr)), block.indices
            rows, columns = (lines, minor) if block.format == "csr" else (minor, lines)
            n_rows, n_columns = block.shape
            values = block.data.astype(np.float64)
            # In double precision sums of counts are exact up to 2^53, in whatever order.
            sums.total[chunk.rows] += _sums(rows, values, n_rows)
            sums.seen[chunk.rows] += np.bincount(rows, minlength=n_rows)
            if mito[name].any():
                sums.mito[chunk.rows] += _sums(rows, values * mito[name][chunk.cols][columns], n_rows)
            sums.n_nonzero[chunk.cols] += np.bincount(columns, minlength=n_columns)
            sums.sums[chunk.cols] += _sums(columns, values, n_columns)
            sums.squares[chunk.cols] += _sums(columns, values * values, n_columns)
        for check in checks.values():
            check.refuse()
        return of_modality


def mitochondrial(var: pd.DataFrame, prefix: tuple[str, ...]) -> np.ndarray:
    """Tell which features are mitochondrial by their names or symbols. Shape ``(n_features,)``."""
    is_mitochondrial = np.zeros(len(var), dtype=bool)
    for texts in (var.index, *(var[name] for name in symbol_columns(var))):
        is_mitochondrial |= np.fromiter((str(text).startswith(prefix) for text in texts), dtype=bool, count=len(var))
    return is_mitochondrial


def _sums(places: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(places, weights=values, minlength=n).astype(np.int64)
