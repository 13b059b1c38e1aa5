"""The two kinds of experiment that are read: what lies beside the genes, its names, and how it is told apart."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from anndata import AnnData

from scanlink.errors import InputError, first_few
from scanlink.io.disk import select
from scanlink.io.feature_types import TENX_TYPES, counted_types, feature_types
from scanlink.io.opening import quiet

__all__ = ["MULTIOME", "SCREEN", "Assay", "Whole", "split_features"]

log = logging.getLogger("scanlink")

# Columns of 10x that are of no use. Where its reference has a gene (interval) tells an annotation of another build.
_UNUSED = ("feature_types", "pattern", "read", "sequence")


@dataclass(frozen=True)
class Assay:
    """Genes and a second modality of the same cells."""

    second: str  # name of the second modality
    features: str  # what its features are
    matrix: str  # what messages call a matrix with both modalities
    reader: str  # the call of scanlink.io that reads it
    unused: tuple[str, ...] = _UNUSED  # columns of 10x about these features that are of no use

    @property
    def pair(self) -> str:
        """The call that reads two files of one modality each."""
        return f"{self.reader}(rna=, {self.second}=)"


MULTIOME = Assay(second="atac", features="peaks", matrix="a multiome matrix", reader="read")
SCREEN = Assay(
    second="guide",
    features="guides",
    matrix="the matrix of a CRISPR screen",
    reader="read_screen",
    unused=("feature_types", "genome", "interval", "pattern", "read"),
)


@dataclass(frozen=True)
class Whole:
    """Both modalities as files have them, before they are aligned: the cells may differ."""

    rna: AnnData
    second: AnnData
    source: dict[str, str]
    obs: pd.DataFrame | None = None  # what a file says of the cells of both at once


def split_features(path: Path, adata: AnnData, assay: Assay, *, is_10x: bool = True) -> Whole:
    """Tell genes and peaks, or genes and guides, of one matrix apart by their types.

    Columns of 10x that are of no use are dropped, unless it is a file of anndata (``is_10x=False``) with multiome data.
    """
    found = feature_types(adata.var)
    if found is None:
        raise InputError(
            f"{path}: features have no type (column feature_types), so genes and {assay.features} cannot be told "
            f"apart. Expected {assay.matrix}, or two files: {assay.pair}"
        )
    types, modalities = found
    names = ("rna", assay.second)
    genes, second = (TENX_TYPES[name] for name in names)
    for name in names:
        if not (modalities == name).any():
            raise InputError(
                f"{path}: no features of type {TENX_TYPES[name]!r}; found {counted_types(types)}. "
                f"{assay.matrix[0].upper()}{assay.matrix[1:]} with {genes!r} and {second!r} was expected; for two "
                f"files of one modality each, use {assay.pair}"
            )
    others = types[~pd.Series(modalities, index=types.index, dtype=object).isin(names).to_numpy()]
    if len(others):
        named = first_few(sorted(set(others)))
        log.warning("%s: features that are neither genes nor %s are dropped: %s", path, assay.features, named)
    with quiet():
        rna, rest = (select(adata, features=modalities == name) for name in names)
    if is_10x or assay is not MULTIOME:
        rna.var = rna.var.drop(columns=list(_UNUSED), errors="ignore")
        rest.var = rest.var.drop(columns=list(assay.unused), errors="ignore")
    return Whole(rna, rest, {"path": str(path)})
