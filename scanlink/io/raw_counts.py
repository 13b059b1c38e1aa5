"""Raw counts: sparse, whole, not negative; or a message that says what they are instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.disk import DiskCounts
from scanlink.io.releases import layers_of
from scanlink.io.sparse_structure import check_structure

__all__ = ["CountsCheck", "Layer", "check_counts", "chosen_counts", "pick_counts", "to_counts", "where_counts_may_be"]

Layer = str | Mapping[str, str] | None
_LARGEST = np.iinfo(np.int32).max
_PIECE = 1 << 24  # values looked at in one go, so that the temporaries of a check stay small beside the matrix


def check_counts(matrix: Any, *, cells: pd.Index, features: pd.Index, label: str, hint: str = "") -> None:
    """Check that a matrix of cells x features holds raw counts, sparse or dense.

    ``label`` is what the message calls the matrix, ``hint`` what to do. Raises InputError if a value is fractional,
    negative, not finite or beyond 32 bits; names the first three and counts them all.
    """
    check = CountsCheck(cells=cells, features=features, label=label, hint=hint)
    check_structure(matrix, label)
    if not sparse.issparse(matrix):
        check.refuse_type(np.asarray(matrix).dtype)
    stored: Any = matrix if sparse.issparse(matrix) else sparse.csr_matrix(_dense(matrix))
    check.look(stored if stored.format in ("csr", "csc") else stored.tocsr())
    check.refuse()


class CountsCheck:
    """Checks a matrix in pieces: all are looked at, so that the message can count; see :func:`check_counts`."""

    def __init__(self, *, cells: pd.Index, features: pd.Index, label: str, hint: str = "") -> None:
        self._cells, self._features, self._label, self._hint = cells, features, label, hint
        self._n_bad = dict.fromkeys(("not finite", "negative", "fractional", "above 2,147,483,647"), 0)
        self._n = 0
        self._named: list[str] = []

    def look(self, stored: Any, rows: Any = slice(None), columns: Any = slice(None)) -> bool:
        """Look at a piece, CSR or CSC, at some rows and columns of the whole; tell whether nothing bad came so far."""
        data = stored.data
        self.refuse_type(data.dtype)
        self._n += data.size
        for first in range(0, data.size, _PIECE):
            piece = data[first : first + _PIECE]
            finite = np.isfinite(piece)
            faults = {
                "not finite": ~finite,
                "negative": finite & (piece < 0),
                "fractional": finite & (piece >= 0) & (piece != np.floor(piece))
                if piece.dtype.kind == "f"
                else ~finite,
                "above 2,147,483,647": finite & (piece > _LARGEST),
            }
            for fault, bad in faults.items():
                self._n_bad[fault] += int(np.count_nonzero(bad))
                for place in (first + np.flatnonzero(bad)[: 3 - len(self._named)]).tolist():
                    self._named.append(self._name(stored, place, rows, columns))
        return not self._named

    def refuse_type(self, dtype: np.dtype[Any]) -> None:
        """Raise if values of this type are no counts; of peaks, true and false are open and closed."""
        if dtype.kind == "b" and self._label.partition(".")[0] == "rna":
            raise InputError(
                f"{self._label}: expected raw integer counts, found only true and false, which do not say how many "
                f"reads of a gene there are{'. ' + self._hint if self._hint else ''}"
            )
        if dtype.kind not in "biuf":
            raise InputError(f"{self._label}: expected raw integer counts, found values of type {dtype}")

    def refuse(self) -> None:
        """Raise if anything bad was found."""
        if not self._named:
            return
        faults = ", ".join(f"{count:,} {fault}" for fault, count in self._n_bad.items() if count)
        raise InputError(
            f"{self._label}: expected raw integer counts, found {faults} of {self._n:,} non-zero values, "
            f"the first {'; '.join(self._named)}{'. ' + self._hint if self._hint else ''}"
        )

    def _name(self, stored: Any, place: int, rows: Any, columns: Any) -> str:
        major = int(np.searchsorted(stored.indptr, place, side="right")) - 1
        minor = int(stored.indices[place])
        row, column = (major, minor) if stored.format == "csr" else (minor, major)
        return f"{self._features[columns][column]} = {stored.data[place]} in cell {self._cells[rows][row]}"


def _dense(matrix: Any) -> Any:
    """Give an array whose numbers scipy has; it has none of 16 bits."""
    values = np.asarray(matrix)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def to_counts(matrix: Any) -> sparse.csr_matrix:
    """Copy a checked matrix to CSR with ``int32`` values, sorted indices and no stored zeros."""
    stored: Any = matrix if sparse.issparse(matrix) else _dense(matrix)
    counts = sparse.csr_matrix(stored, dtype=np.int32, copy=True)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def pick_counts(adata: AnnData, *, modality: str, layer: Layer = None) -> AnnData:
    """Take the raw counts of one modality, from ``X`` or from the layer that was asked for.

    ``layer`` is a name, ``"raw"`` for ``.raw``, or a mapping from modality to either; None is ``X``. Nothing is
    switched silently: where ``X`` is not raw counts and a layer might be, the message says so. The result is a new
    object with checked ``int32`` counts as CSR in ``X``, and copies of ``obs`` and ``var``; counts on disk stay there,
    and are checked when they are read. Raises MissingKeyError if the layer does not exist, InputError if the values are
    not raw counts.
    """
    matrix, var, label, hint = chosen_counts(adata, modality=modality, layer=layer)
    if isinstance(matrix, DiskCounts):
        return AnnData(matrix.named(label, hint), obs=adata.obs.copy(), var=var.copy())
    check_counts(matrix, cells=adata.obs_names, features=var.index, label=label, hint=hint)
    return AnnData(to_counts(matrix), obs=adata.obs.copy(), var=var.copy())


def chosen_counts(adata: AnnData, *, modality: str, layer: Layer) -> tuple[Any, pd.DataFrame, str, str]:
    """Find the matrix of :func:`pick_counts`, its features, what messages call it, and where counts may be instead."""
    name = layer.get(modality) if isinstance(layer, Mapping) else layer
    matrix, var, label = adata.X, adata.var, modality
    if name is not None:
        label = f"{modality}.layers[{name!r}]"
        layers = layers_of(adata)
        if name in layers:
            matrix = layers[name]
        elif name == "raw" and adata.raw is not None:
            matrix, var, label = adata.raw.X, adata.raw.var, f"{modality}.raw"
        else:
            has = first_few(layers) if layers else "none"
            raise MissingKeyError(
                f"{modality} has no layer {name!r}; layers found: {has}. For one modality only, "
                "pass a mapping such as layer={'rna': 'counts'}"
            )
    if matrix is None:
        raise InputError(f"{modality}: there is no matrix in X. {where_counts_may_be(adata)}".rstrip())
    return matrix, var, label, where_counts_may_be(adata, but=name)


def where_counts_may_be(adata: AnnData, *, but: str | None = None) -> str:
    """Say where the raw counts may be, if they are not in the layer or, for None, X."""
    others = [name for name in layers_of(adata) if name != but]
    if "counts" in others:
        return "The file has a layer 'counts': pass layer='counts' if it holds the raw counts"
    if adata.raw is not None and but != "raw":
        return "The file has .raw: pass layer='raw' if it holds the raw counts"
    if others:
        return f"The file has layers {first_few(others)}: pass layer= if one of them holds the raw counts"
    return "Give the matrix before normalisation"
