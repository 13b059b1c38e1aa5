"""Matrices as files have them: with names, but not yet known which side the cells are on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from anndata import AnnData

from scanlink.errors import InputError, first_few
from scanlink.io.barcodes import NUCLEOTIDES
from scanlink.io.opening import quiet
from scanlink.io.peaks import looks_like_peaks

__all__ = ["NamedMatrix", "cells_by_features", "orient"]

log = logging.getLogger("scanlink")


@dataclass(frozen=True)
class NamedMatrix:
    """A sparse matrix with the names of its rows and columns."""

    matrix: Any
    rows: pd.Index | None  # None: the file has no names
    columns: pd.Index | None
    source: str = ""  # the file, for messages
    cells: str | None = None  # "rows" or "columns", if the format says where the cells are
    features: pd.DataFrame | None = field(default=None, compare=False)  # more about them, one row each

    def names(self, side: str) -> pd.Index:
        """Give the names of ``"rows"`` or ``"columns"``; InputError if the file has none."""
        names = self.rows if side == "rows" else self.columns
        if names is None:
            raise InputError(
                f"{self.source}: the {side} of the matrix have no names; names of features and of cells were expected "
                "(dimnames in R)"
            )
        return names


def orient(rna: NamedMatrix, atac: NamedMatrix, *, barcodes: pd.Index | None, second: str) -> tuple[AnnData, AnnData]:
    """Bring two matrices to cells x features, whichever way round their files are.

    Cells are on the sides that have most names in common. Where no names are in common, the side that has the barcodes
    known from elsewhere, that does not hold peaks, or that reads like nucleotides, is taken; then features x cells, as
    in R and of 10x, and a warning is logged. ``second`` is what messages call the second matrix.
    """
    sides = {}
    common = {
        (ours, theirs): int(rna.names(ours).isin(atac.names(theirs)).sum())
        for ours in _possible(rna)
        for theirs in _possible(atac)
    }
    most = max(common.values())
    best = [pair for pair, n in common.items() if n == most]
    for place, (modality, named) in enumerate((("rna", rna), (second, atac))):
        options = {pair[place] for pair in best} if most > 0 else set(_possible(named))
        sides[modality] = options.pop() if len(options) == 1 else _guess(named, modality, barcodes)
    return cells_by_features(rna, sides["rna"]), cells_by_features(atac, sides[second])


def _possible(named: NamedMatrix) -> tuple[str, ...]:
    return (named.cells,) if named.cells else ("columns", "rows")


def _guess(named: NamedMatrix, modality: str, barcodes: pd.Index | None) -> str:
    rows, columns = named.names("rows"), named.names("columns")
    if barcodes is not None:
        n_rows, n_columns = int(rows.isin(barcodes).sum()), int(columns.isin(barcodes).sum())
        if n_rows != n_columns:
            return "rows" if n_rows > n_columns else "columns"
    rows_are_peaks, columns_are_peaks = looks_like_peaks(rows), looks_like_peaks(columns)
    if rows_are_peaks != columns_are_peaks:
        return "columns" if rows_are_peaks else "rows"
    reads_rows, reads_columns = (bool(names[:1000].str.contains(NUCLEOTIDES).mean() > 0.5) for names in (rows, columns))
    if reads_rows != reads_columns:
        return "rows" if reads_rows else "columns"
    log.warning(
        "%s: cannot tell from the names which side of the %s matrix holds the cells (rows %s, columns %s); "
        "features x cells is assumed, as in R and of 10x",
        named.source,
        modality,
        first_few(rows[:2]),
        first_few(columns[:2]),
    )
    return "columns"


def cells_by_features(named: NamedMatrix, side: str) -> AnnData:
    """Make data of a matrix whose cells are on this side: ``"rows"`` or ``"columns"``."""
    transpose = side == "columns"
    matrix = named.matrix.T if transpose else named.matrix
    # Without the name that a series may give its index: anndata takes only text there.
    cells, features = (named.names(x).rename(None) for x in (side, "rows" if transpose else "columns"))
    if matrix.shape != (len(cells), len(features)):
        raise InputError(
            f"{named.source}: the matrix is {matrix.shape[0]:,} cells x {matrix.shape[1]:,} features, but "
            f"{len(cells):,} barcodes and {len(features):,} names of features were found"
        )
    var = pd.DataFrame(index=features) if named.features is None else named.features.set_axis(features, axis=0)
    with quiet():
        return AnnData(matrix.tocsr() if hasattr(matrix, "tocsr") else matrix, obs=pd.DataFrame(index=cells), var=var)
