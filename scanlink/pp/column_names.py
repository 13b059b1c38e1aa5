"""What others call the covariates of cells, which stand in for those that are missing, and the symbols of genes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

__all__ = ["OTHER_NAMES", "by_other_name", "symbol_columns"]

log = logging.getLogger("scanlink")

# Of each covariate: the modality that it describes, and its names elsewhere.
OTHER_NAMES = {
    "nUMI": ("rna", ("total_counts", "nCount_RNA", "n_counts")),
    "percent.mito": ("rna", ("pct_counts_mt", "pct_counts_mito", "percent.mt")),
    "nFeature_RNA": ("rna", ("n_genes_by_counts", "n_genes")),
    "nCount_ATAC": ("atac", ("total_counts", "total_fragment_counts", "nCount_peaks")),
    "nFeature_ATAC": ("atac", ("n_genes_by_counts", "n_features_by_counts", "n_features_per_cell", "nFeature_peaks")),
}
# Names that only one modality has, so that it does not matter where the column stands.
_OF_ONE = ("nCount_RNA", "pct_counts_mt", "pct_counts_mito", "percent.mt", "nCount_peaks", "nFeature_peaks")
# Columns of symbols, in lower case: ours, of annotations, of scanpy, CELLxGENE, Monocle and BioMart.
_SYMBOLS = (
    *("symbol", "symbols", "gene_name", "gene_names", "gene_symbol", "gene_symbols"),
    *("feature_name", "gene_short_name", "hgnc_symbol"),
)


def symbol_columns(var: pd.DataFrame) -> list[str]:
    """Name the columns that may hold the symbols of genes, where these go by identifiers.

    >>> symbol_columns(pd.DataFrame(columns=["gene_ids", "Symbol", "feature_name"]))
    ['Symbol', 'feature_name']
    """
    return [str(name) for name in var if str(name).lower() in _SYMBOLS]


def by_other_name(mdata: MuData, column: str, *, least: Callable[[], NDArray[Any]] | None = None) -> pd.Series | None:
    """Find a covariate under the name that another program gives it, and say so; None if there is none that can be it.

    It has a number for every cell: of counts and features a whole one, not below what ``least`` gives; of percentages
    0 to 100.
    """
    modality, names = OTHER_NAMES.get(column, ("", ()))
    for name in names:
        for place, values in _places(mdata, modality, name):
            problem = _problem(values, column, least)
            if problem is None:
                log.warning("%s is missing: %s of %s is taken for it", column, name, place)
                return values.astype(np.float64 if column == "percent.mito" else np.int64)
            log.warning("%s is missing, and %s of %s is not taken for it: %s", column, name, place, problem)
    return None


def _places(mdata: MuData, modality: str, name: str) -> list[tuple[str, pd.Series]]:
    """Find the column of a modality: in its own table, or in that of all cells, where another may have left it."""
    if modality not in mdata.mod:
        return []
    own, whole = mdata[modality].obs, mdata.obs
    if name in own:
        return [(f"{modality}.obs", own[name].reindex(mdata.obs_names))]
    if f"{modality}:{name}" in whole:
        return [(f"obs, as {modality}:{name},", whole[f"{modality}:{name}"])]
    others = any(name in adata.obs for other, adata in mdata.mod.items() if other != modality)
    if name in whole and (name in _OF_ONE or (modality == "rna" and not others)):
        return [("obs", whole[name])]
    return []


def _problem(values: pd.Series, column: str, least: Callable[[], NDArray[Any]] | None) -> str | None:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return f"it holds {values.dtype}, no numbers"
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    if bad := int((~(numbers >= 0)).sum()):
        return f"it is missing or negative in {bad:,} of {numbers.size:,} cells"
    if column == "percent.mito":
        return None if (numbers <= 100).all() else f"it goes up to {numbers.max():g}, beyond 100 %"
    if bad := int((numbers != np.floor(numbers)).sum()):
        return f"it is no whole number in {bad:,} of {numbers.size:,} cells"
    if least is not None and (bad := int((numbers < least()).sum())):
        return f"it is below what the counts say in {bad:,} of {numbers.size:,} cells"
    return None
