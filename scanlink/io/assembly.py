"""Modalities that become one dataset: the cells that all sides have, raw counts, and a record of what was lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, first_few
from scanlink.io.assays import Assay
from scanlink.io.barcodes import align_cells, refuse_duplicates, text_index
from scanlink.io.disk import select
from scanlink.io.obs import lift_obs
from scanlink.io.opening import quiet
from scanlink.io.raw_counts import Layer, pick_counts

__all__ = ["join", "need_features"]

log = logging.getLogger("scanlink")


def need_features(assay: Assay, rna: AnnData, second: AnnData) -> None:
    """Refuse modalities without features."""
    for name, adata, features in (("rna", rna, "genes"), (assay.second, second, assay.features)):
        if adata.n_vars == 0:
            raise InputError(
                f"{name} has {adata.n_obs:,} cells but no {features}; raw counts of {features} were expected"
            )


def join(
    assay: Assay,
    rna: AnnData,
    second: AnnData,
    cells: pd.DataFrame | None,
    *,
    describe: Callable[[AnnData], None],
    source: Mapping[str, str] | None,
    obs: pd.DataFrame | None,
    layer: Layer,
) -> MuData:
    """Join genes and a second modality: the cells that all sides have, in the order of the genes' cells.

    ``describe`` is called with the second modality, to complete its names and its table of features in place; the rest
    as of :func:`scanlink.io.assemble`. Raises InputError if barcodes are not unique, no cell is shared, counts are not
    raw, or genes cannot be told apart.
    """
    with quiet():
        pair = {"rna": rna, assay.second: second}
        sides = {name: adata.copy() if adata.is_view else adata for name, adata in pair.items()}
        barcodes = {name: text_index(adata.obs_names) for name, adata in sides.items()}
        if cells is not None:
            cells = cells.set_axis(text_index(cells.index), axis=0)
            barcodes["cells"] = cells.index
        kept, lost = align_cells(barcodes)
        parts = {}
        for name, adata in sides.items():
            order = barcodes[name].get_indexer(kept)
            if not np.array_equal(order, np.arange(adata.n_obs)):
                adata = select(adata, cells=order)
            parts[name] = pick_counts(adata, modality=name, layer=layer)
            parts[name].obs_names = kept
        renamed = _name_genes(parts["rna"])
        describe(parts[assay.second])
        mdata = MuData(parts)
        mdata.obs = lift_obs(kept, cells=cells, both=obs, **{name: part.obs for name, part in parts.items()})
    mdata.uns["scanlink"] = {
        "read": {
            "n_cells": {**{name: len(names) for name, names in barcodes.items()}, "kept": len(kept)},
            "lost": lost,
            "n_genes": parts["rna"].n_vars,
            f"n_{assay.features}": parts[assay.second].n_vars,
            "n_renamed_genes": len(renamed),
            "renamed_genes": ",".join(renamed),
            "source": {name: str(path) for name, path in (source or {}).items()},
        }
    }
    return mdata


def _name_genes(rna: AnnData) -> pd.Series:
    """Make the names of genes unique, in place, and ``gene_ids`` (as of 10x) the column ``gene_id``.

    All copies of a name that occurs more than once become ``SYMBOL_GENEID``, which is returned by their old names.
    Where there are any, the old names of all genes are kept in ``var["symbol"]``.
    """
    rna.var_names = text_index(rna.var_names)
    if "gene_ids" in rna.var and "gene_id" not in rna.var:
        rna.var = rna.var.rename(columns={"gene_ids": "gene_id"})
    if "gene_id" in rna.var:
        rna.var["gene_id"] = rna.var["gene_id"].astype(str).astype(object)
    symbols = rna.var_names
    copies = symbols.duplicated(keep=False)
    if not copies.any():
        return pd.Series(dtype=object)
    if "gene_id" not in rna.var:
        refuse_duplicates(symbols, "genes of rna (which have no column gene_ids to tell them apart)")
    names = symbols.to_numpy(dtype=object, copy=True)
    names[copies] = names[copies] + "_" + rna.var["gene_id"].to_numpy(dtype=object)[copies]
    refuse_duplicates(pd.Index(names), "genes of rna, even with their ids,")
    rna.var["symbol"] = symbols.to_numpy(dtype=object)
    rna.var_names = names
    renamed = pd.Series(names[copies], index=symbols[copies])
    log.info("%s genes share a symbol with another; renamed with their ids: %s", len(renamed), first_few(renamed))
    return renamed
