"""Seurat and Signac objects in .rds files: raw counts of an assay, and the metadata of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.feature_types import modality_name
from scanlink.io.named import NamedMatrix

__all__ = ["Seurat"]


@dataclass(frozen=True)
class Seurat:
    """What an object of Seurat 3 and later holds; matrices of version 5 (layers) are not read."""

    source: str
    assays: Mapping[str, Any]
    cells: pd.DataFrame

    @classmethod
    def of(cls, content: Any, source: str) -> Seurat:
        """Take the assays and the metadata out of what rdata makes of the object."""
        slots = vars(content)
        return cls(source, {str(name): assay for name, assay in dict(slots["assays"]).items()}, slots["meta.data"])

    def matrix(self, modality: str, keys: Mapping[str, str | None] | None = None) -> NamedMatrix:
        """Take the raw counts of one modality, features x cells, from the assay of that name or the likeliest.

        MissingKeyError if there is no such assay, OptionError if several may be meant, InputError if its counts cannot
        be reached; the message has the lines of R that save them.
        """
        name = self._name(modality, keys or {})
        if name not in self.assays:
            raise MissingKeyError(
                f"{self.source}: no assay {name!r} for {modality}; assays found: {first_few(self.assays) or 'none'}. "
                f"Pass {modality}_key= with one of them"
            )
        slots = vars(self.assays[name])
        counts = slots.get("counts")
        if isinstance(counts, NamedMatrix) and min(counts.matrix.shape):
            return NamedMatrix(counts.matrix, counts.rows, counts.columns, source=self.source, cells="columns")
        if "layers" in slots:
            found = f"is of Seurat 5, whose layers ({first_few(map(str, slots['layers'])) or 'none'}) are not read here"
            line = f"as(LayerData(JoinLayers(object[['{name}']]), layer = 'counts'), 'dgCMatrix')"
        else:
            found = "has no sparse matrix of raw counts (slot counts)"
            line = f"as(object[['{name}']]@counts, 'dgCMatrix')"
        raise InputError(
            f"{self.source}: assay {name!r} {found}; an Assay with counts as dgCMatrix was expected. In R, "
            f"saveRDS({line}, '{modality}.rds'); saveRDS(object[[]], 'cells.rds'). Then read "
            f"{modality}='{modality}.rds' and cells='cells.rds'"
        )

    def _name(self, modality: str, keys: Mapping[str, str | None]) -> str:
        """Name the assay by its key, or that is called like the modality, or for peaks the one that Signac made."""
        by_class = [
            name
            for name, assay in self.assays.items()
            if modality == "atac" and "ChromatinAssay" in map(str, getattr(assay, "class", ()))
        ]
        return modality_name(modality, self.assays, keys, file=self.source, what="assays", likely=by_class)
