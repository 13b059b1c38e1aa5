"""What every dataset has to be, whatever its modalities: made of two of them, or checked where a user made it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.assays import Assay
from scanlink.io.barcodes import align_cells, refuse_duplicates, text_index
from scanlink.io.cell_names import cell_names, names_now, renamed
from scanlink.io.disk import DiskCounts, select
from scanlink.io.feature_types import counted_types, foreign, own_features
from scanlink.io.obs import lift_obs
from scanlink.io.opening import quiet
from scanlink.io.raw_counts import Layer, check_counts, pick_counts
from scanlink.io.sparse_structure import check_adata

__all__ = ["check_matrices", "join", "need_features", "need_modalities", "shared_cells"]

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
        for name, adata in pair.items():
            if adata.is_view:
                check_adata(adata, name)
        sides = {name: adata.copy() if adata.is_view else adata for name, adata in pair.items()}
        shared = shared_cells(sides, cells=cells, obs=obs)
        # What is raw has features, and types, of its own.
        parts = {
            name: own_features(pick_counts(part, modality=name, layer=layer), name)
            for name, part in shared.parts.items()
        }
        renamed_genes = _name_genes(parts["rna"])
        describe(parts[assay.second])
        mdata = shared.joined(parts)
    mdata.uns["scanlink"] = {
        "read": {
            "n_cells": {**shared.n_cells, "kept": mdata.n_obs},
            "lost": shared.lost,
            "n_genes": parts["rna"].n_vars,
            f"n_{assay.features}": parts[assay.second].n_vars,
            "n_renamed_genes": len(renamed_genes),
            "renamed_genes": ",".join(renamed_genes),
            "source": {name: str(path) for name, path in (source or {}).items()},
        }
    }
    return mdata


@dataclass(frozen=True)
class SharedCells:
    """Modalities in the cells that all of them have, in the order of the first."""

    parts: dict[str, AnnData]  # The very object that was given, where it has these cells in this order.
    kept: pd.Index
    n_cells: dict[str, int]  # of each side that was given
    lost: dict[str, int]  # of these, those that another side has not
    cells: pd.DataFrame | None
    obs: pd.DataFrame | None

    def joined(self, parts: Mapping[str, AnnData]) -> MuData:
        """Make a MuData of modalities with these cells, which get their names, and of what is known of the cells."""
        for part in parts.values():
            part.obs_names = self.kept
        mdata = MuData(dict(parts))
        tables = {name: part.obs for name, part in mdata.mod.items()}
        mdata.obs = lift_obs(self.kept, cells=self.cells, both=self.obs, modalities=tables)
        return mdata


def shared_cells(
    sides: Mapping[str, AnnData], *, cells: pd.DataFrame | None = None, obs: pd.DataFrame | None = None
) -> SharedCells:
    """Find the cells that all modalities, and if there is one the table of ``cells``, have, under one name each.

    ``obs`` is what is known of the cells of all modalities under the names that these have. Raises what
    :func:`scanlink.io.cell_names.cell_names` and :func:`scanlink.io.barcodes.align_cells` raise.
    """
    tables = {name: adata.obs for name, adata in sides.items()}
    names = cell_names(tables if cells is None else {**tables, "cells": cells}, say=True)
    kept, lost = align_cells(names)
    parts = {}
    for name, adata in sides.items():
        order = names[name].get_indexer(kept)
        parts[name] = adata if np.array_equal(order, np.arange(adata.n_obs)) else select(adata, cells=order)
    return SharedCells(
        parts,
        kept,
        {name: len(own) for name, own in names.items()},
        lost,
        None if cells is None else cells.set_axis(names["cells"], axis=0),
        None if obs is None else renamed(obs, names_now(obs.index, tables, names)),
    )


def _name_genes(rna: AnnData) -> pd.Series:
    """Make the names of genes unique, in place, and ``gene_ids`` (as of 10x) the column ``gene_id``.

    All copies of a name that occurs more than once become ``SYMBOL_GENEID``, which is returned by their old names.
    Where there are any, the old names of all genes are kept in ``var["symbol"]``.
    """
    rna.var_names = text_index(rna.var_names)
    if "gene_ids" in rna.var and "gene_id" not in rna.var:
        rna.var = rna.var.rename(columns={"gene_ids": "gene_id"})
    if "gene_id" in rna.var:
        ids = rna.var["gene_id"].astype(object)
        # Files of earlier versions, and of others, have the text of what was missing.
        missing = ids.isna() | ids.astype(str).isin(["", "nan", "NaN", "NA", "None", "<NA>"])
        rna.var["gene_id"] = ids.astype(str).where(~missing, None).astype(object)
    symbols = rna.var_names
    copies = symbols.duplicated(keep=False)
    if not copies.any():
        return pd.Series(dtype=object)
    if "gene_id" not in rna.var:
        refuse_duplicates(symbols, "genes of rna (which have no column gene_ids to tell them apart)")
    names = symbols.to_numpy(dtype=object, copy=True)
    copies &= rna.var["gene_id"].notna().to_numpy()
    names[copies] = names[copies] + "_" + rna.var["gene_id"].to_numpy(dtype=object)[copies]
    refuse_duplicates(pd.Index(names), "genes of rna, even with their ids,")
    rna.var["symbol"] = symbols.to_numpy(dtype=object)
    rna.var_names = names
    renamed = pd.Series(names[copies], index=symbols[copies])
    log.info("%s genes share a symbol with another; renamed with their ids: %s", len(renamed), first_few(renamed))
    return renamed


def need_modalities(mdata: MuData, modalities: Iterable[str], remedy: str) -> None:
    """Refuse data that lack a modality, and say what to do."""
    for modality in modalities:
        if modality not in mdata.mod:
            present = first_few(mdata.mod) if mdata.mod else "none"
            raise MissingKeyError(f"the MuData has no modality {modality!r}; found: {present}. {remedy}")


def check_matrices(mdata: MuData, features: Mapping[str, str], *, remedy: str) -> None:
    """Check that modalities hold raw counts as sparse integers, with unique names and the same cells in one order.

    ``features`` has what the features of each modality are called, such as ``{"rna": "genes", "atac": "peaks"}``.
    Counts on disk are not looked at.
    """
    need_modalities(mdata, features, remedy)
    for modality, what in features.items():
        adata = mdata.mod[modality]
        refuse_duplicates(adata.obs_names, f"barcodes of {modality}")
        refuse_duplicates(adata.var_names, f"{what} of {modality}")
        if len(of_others := foreign(adata.var, modality)):
            raise InputError(
                f"{modality} has {len(of_others):,} features that are not {what} by their type: "
                f"{counted_types(of_others)}, such as {first_few(of_others.index[:2])}. {remedy}"
            )
        if adata.isbacked or isinstance(adata.X, DiskCounts):
            continue
        matrix: Any = adata.X
        if getattr(matrix, "format", None) != "csr":
            kind = f"sparse {matrix.format}" if hasattr(matrix, "format") else type(matrix).__name__
            raise InputError(f"{modality}: expected a sparse CSR matrix of raw integer counts, found {kind}. {remedy}")
        check_counts(matrix, cells=adata.obs_names, features=adata.var_names, label=modality)
        if matrix.dtype.kind not in "iu":
            raise InputError(f"{modality}: expected integer counts (int32), found {matrix.dtype}. {remedy}")
    first, *others = features
    cells = mdata.mod[first].obs_names
    for side, names in (*((name, mdata.mod[name].obs_names) for name in others), ("the MuData", mdata.obs_names)):
        if not names.equals(cells):
            same = len(names) == len(cells) and names.isin(cells).all()
            raise InputError(
                f"{first} and {side} have {'the same cells in a different order' if same else 'different cells'} "
                f"({len(cells):,} and {len(names):,}); the same cells in the same order were expected. {remedy}"
            )
