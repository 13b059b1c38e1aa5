"""One modality of a dataset, the targets of its guides, and the check that a piece of its matrix holds raw counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.chunks import Chunk

__all__ = ["check_piece", "get_modality", "target_names"]


def get_modality(mdata: MuData, name: str) -> AnnData:
    """Take one modality of a dataset, or raise an error that names those which are there."""
    modalities = getattr(mdata, "mod", None)
    if modalities is None:
        raise InputError(
            f"expected a MuData with modalities 'rna' and {'guide' if name == 'guide' else 'atac'!r}, found "
            f"{type(mdata).__name__}: read it with scanlink.io.read{'_screen' if name == 'guide' else ''}"
        )
    if name not in modalities:
        raise MissingKeyError(
            f"no modality {name!r} in the data, found {first_few(modalities) or 'none'}: "
            "scanlink needs 'rna' (genes) and 'atac' (peaks); rename them with MuData({'rna': ..., 'atac': ...})"
        )
    return modalities[name]


def target_names(var: pd.DataFrame) -> NDArray[Any]:
    """Give the target of each guide, of the table of guides."""
    if "target" not in var:
        raise MissingKeyError(
            f"mdata['guide'].var has no column 'target', found {first_few(var.columns) or 'none'}: read the data with "
            "scanlink.io.read_screen"
        )
    return var["target"].astype(str).to_numpy(dtype=object)


def check_piece(chunk: Chunk, *, what: str, cells: pd.Index | None = None, features: pd.Index | None = None) -> None:
    """Refuse a piece of a matrix that holds anything but raw counts; ``cells`` and ``features`` name the whole's."""
    data = chunk.block.data
    if data.dtype.kind in "ub":
        return
    bad, kind = data < 0, "negative"
    if data.dtype.kind == "f" and not bad.any():
        bad, kind = ~np.isfinite(data), "NaN or infinite"
        if not bad.any():
            bad, kind = data != np.floor(data), "fractional"
    if not bad.any():
        return
    coo = chunk.block.tocoo()  # keeps the order of the stored entries
    first = int(np.argmax(bad))
    row, col = int(coo.row[first]), int(coo.col[first]) + chunk.cols.start
    row = chunk.rows.start + row if isinstance(chunk.rows, slice) else int(chunk.rows[row])
    cell = cells[row] if cells is not None else f"number {row}"
    feature = features[col] if features is not None else f"number {col}"
    raise InputError(
        f"{what} holds {kind} values: {int(bad.sum())} of {data.size} stored values looked at, the first "
        f"{data[first]:g} in cell {cell!s}, feature {feature!s}. Expected raw counts (0, 1, 2, ...): give the matrix "
        "from before normalisation, log or scaling; it is often kept in .layers['counts'] or .raw"
    )
