"""Modalities that become one dataset: the cells that all sides have, raw counts, and a record of what was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError
from scanlink.io.barcodes import align_cells, text_index
from scanlink.io.disk import select
from scanlink.io.obs import lift_obs
from scanlink.io.raw_counts import Layer, pick_counts

__all__ = ["SharedCells", "need_features", "share_cells"]


@dataclass(frozen=True)
class SharedCells:
    """Modalities with the same cells in one order.

    Attributes
    ----------
    parts
        Raw counts of each modality.
    kept
        The cells.
    cells
        Metadata with barcodes as texts, if there are any.
    report
        How many cells each side had and lost.
    """

    parts: dict[str, AnnData]
    kept: pd.Index
    cells: pd.DataFrame | None
    report: dict[str, Any]

    def joined(
        self,
        modalities: Mapping[str, tuple[AnnData, str]],
        *,
        obs: pd.DataFrame | None,
        renamed: pd.Series,
        source: Mapping[str, str] | None,
    ) -> MuData:
        """The dataset, with metadata under plain names, and in ``uns["scanlink"]["read"]`` what became of each side.

        Parameters
        ----------
        modalities
            As of :func:`share_cells`.
        obs
            Columns that a file holds for all modalities at once.
        renamed
            Genes that got other names.
        source
            Where each side comes from.
        """
        mdata = MuData(self.parts)
        own = {name: part.obs for name, part in self.parts.items()}
        mdata.obs = lift_obs(self.kept, cells=self.cells, both=obs, **own)
        mdata.uns["scanlink"] = {
            "read": {
                **self.report,
                **{f"n_{what}": self.parts[name].n_vars for name, (_, what) in modalities.items()},
                "n_renamed_genes": len(renamed),
                "renamed_genes": ",".join(renamed),
                "source": {name: str(path) for name, path in (source or {}).items()},
            }
        }
        return mdata


def share_cells(
    modalities: Mapping[str, tuple[AnnData, str]], cells: pd.DataFrame | None, *, layer: Layer
) -> SharedCells:
    """Take the cells that all modalities, and a table of cells, have; in the order of the first.

    Parameters
    ----------
    modalities
        Data by name, and what the features are called, such as ``(adata, "genes")``.
    cells
        Metadata, indexed by barcode.
    layer
        Layer with raw counts instead of ``X``.

    Raises
    ------
    InputError
        If a modality has no features, barcodes are not unique, no cell is shared, or counts are not raw.
    """
    sides = {name: text_index(adata.obs_names) for name, (adata, _) in modalities.items()}
    if cells is not None:
        cells = cells.set_axis(text_index(cells.index), axis=0)
        sides["cells"] = cells.index
    kept, lost = align_cells(sides)
    parts = {}
    for name, (adata, _) in modalities.items():
        order = sides[name].get_indexer(kept)
        if not np.array_equal(order, np.arange(adata.n_obs)):
            adata = select(adata, cells=order)
        parts[name] = pick_counts(adata, modality=name, layer=layer)
        parts[name].obs_names = kept
    n_cells = {**{side: len(names) for side, names in sides.items()}, "kept": len(kept)}
    return SharedCells(parts, kept, cells, {"n_cells": n_cells, "lost": lost})


def need_features(modalities: Mapping[str, tuple[AnnData, str]]) -> None:
    """Refuse modalities without features."""
    for name, (adata, what) in modalities.items():
        if adata.n_vars == 0:
            raise InputError(f"{name} has {adata.n_obs:,} cells but no {what}; raw counts of {what} were expected")
