"""Seurat and Signac objects in .rds files: raw counts of an assay, and the metadata of cells."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.feature_types import MODALITY_NAMES, plain_name
from scanlink.io.named import NamedMatrix

__all__ = ["Seurat"]

log = logging.getLogger("scanlink")


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

    def matrix(self, modality: str, key: str | None = None) -> NamedMatrix:
        """Take the raw counts of one modality, features x cells, from the assay of that name or the likeliest.

        MissingKeyError if there is no such assay, OptionError if several may be meant, InputError if its counts cannot
        be reached; the message has the lines of R that save them.
        """
        name = self._likely(modality) if key is None else key
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

    def _likely(self, modality: str) -> str:
        """Choose the assay that is called like the modality, or for peaks the one that Signac made."""
        by_class = modality == "atac"
        likely = [
            name
            for name, assay in self.assays.items()
            if plain_name(name) in MODALITY_NAMES[modality]
            or (by_class and "ChromatinAssay" in map(str, getattr(assay, "class", ())))
        ]
        exact = [name for name in likely if name.lower() == modality]
        if len(likely) > 1 and not exact:
            raise OptionError(
                f"{self.source}: several assays may be {modality}: {first_few(likely)}. Pass {modality}_key= with one"
            )
        chosen = (exact or likely or [modality])[0]
        if len(likely) > 1:
            log.warning("%s: of the assays %s, %r is read as %s", self.source, first_few(likely), chosen, modality)
        return chosen
