"""What cells are called: barcodes, also where a table kept them in a column and has row numbers as its index."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

from scanlink.errors import InputError, first_few
from scanlink.io.assays import Whole
from scanlink.io.barcodes import text_index

__all__ = ["are_row_numbers", "cell_names", "name_cells"]

log = logging.getLogger("scanlink")

_NUCLEOTIDES = r"[ACGT]{8,}"
_NAMES = ("barcode", "barcodes", "cell_id", "cellid", "cell_barcode", "cell_name", "gex_barcode")


def are_row_numbers(names: pd.Index) -> bool:
    """Tell whether names of cells only count them, from 0 or from 1."""
    numbers = text_index(names).to_numpy()
    return len(numbers) > 1 and any(
        numbers[0] == str(first) and np.array_equal(numbers, np.arange(first, first + len(numbers)).astype(str))
        for first in (0, 1)
    )


def cell_names(adata: AnnData, modality: str) -> pd.Index:
    """Give the names of cells, or where those are row numbers, the column of ``obs`` that holds barcodes.

    Without such a column they stay what they are; InputError if several differ.
    """
    names = text_index(adata.obs_names)
    if not are_row_numbers(names):
        return names
    columns = {str(name): text_index(adata.obs[name]) for name in adata.obs if _holds_barcodes(adata.obs[name], name)}
    if not columns:
        return names
    (chosen, barcodes), *others = columns.items()
    different = [name for name, values in others if not values.equals(barcodes)]
    if different:
        raise InputError(
            f"{modality}: cells are called by row numbers ({first_few(names[:2])}), and several columns of obs may "
            f"hold barcodes: {first_few([chosen, *different])}. Set the right one as obs_names"
        )
    log.warning("%s: cells are called by row numbers; their barcodes are taken from obs[%r]", modality, chosen)
    return barcodes


def _holds_barcodes(column: pd.Series, name: object) -> bool:
    """Tell whether a column has a text of its own for each cell, and a name or letters that barcodes have."""
    if pd.api.types.is_numeric_dtype(column.dtype) or column.isna().any() or not column.is_unique:
        return False
    called = str(name).lower() in _NAMES
    return called or bool(column.astype(str).str.contains(_NUCLEOTIDES).mean() > 0.9)


def name_cells(whole: Whole) -> Whole:
    """Call the cells of what a reader opened by their barcodes, in place; see :func:`cell_names`."""
    obs = whole.obs
    for modality, adata in (("rna", whole.rna), ("the second modality", whole.second)):
        old, new = text_index(adata.obs_names), cell_names(adata, modality)
        if old.equals(new):
            continue
        if obs is not None and text_index(obs.index).equals(old):
            obs = obs.set_axis(new, axis=0)
        adata.obs_names = new
    return replace(whole, obs=obs)
