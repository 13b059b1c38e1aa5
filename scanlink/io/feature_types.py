"""Matrices with features of several types side by side, as 10x has them."""

from __future__ import annotations

import logging
from pathlib import Path

from anndata import AnnData

from scanlink.errors import InputError, first_few
from scanlink.io.assays import Assay, Whole
from scanlink.io.disk import select
from scanlink.io.opening import quiet

__all__ = ["split_features"]

log = logging.getLogger("scanlink")

_GENES = "Gene Expression"
# Columns of 10x about genes; the interval is of the reference that was used there, not the one that the user will give.
_UNUSED = ("feature_types", "interval", "pattern", "read", "sequence")


def split_features(path: Path, adata: AnnData, assay: Assay, *, lean: bool = True) -> Whole:
    """Tell genes and peaks, or genes and guides, of one matrix apart by ``var["feature_types"]``.

    ``lean`` drops the columns of 10x that are of no use.
    """
    second = assay.feature_type
    if "feature_types" not in adata.var:
        raise InputError(
            f"{path}: features have no type (column feature_types), so genes and {assay.features} cannot be told "
            f"apart. Expected {assay.matrix}, or two files: {assay.pair}"
        )
    types = adata.var["feature_types"].astype(str)
    counted = ", ".join(f"{count:,} {name!r}" for name, count in types.value_counts().items())
    for wanted in (_GENES, second):
        if not (types == wanted).any():
            raise InputError(
                f"{path}: no features of type {wanted!r}; found {counted}. {assay.matrix[0].upper()}{assay.matrix[1:]} "
                f"with {_GENES!r} and {second!r} was expected; for two files of one modality each, use {assay.pair}"
            )
    others = set(types) - {_GENES, second}
    if others:
        named = first_few(sorted(others))
        log.warning("%s: features that are neither genes nor %s are dropped: %s", path, assay.features, named)
    with quiet():
        rna, rest = (select(adata, features=(types == name).to_numpy()) for name in (_GENES, second))
    if lean:
        rna.var = rna.var.drop(columns=list(_UNUSED), errors="ignore")
        rest.var = rest.var.drop(columns=list(assay.unused), errors="ignore")
    return Whole.of_file(path, rna, rest)
