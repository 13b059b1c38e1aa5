"""What every dataset has to be, whatever its modalities: checked where a user made it by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.barcodes import refuse_duplicates
from scanlink.io.disk import DiskCounts
from scanlink.io.raw_counts import check_counts

__all__ = ["check_matrices", "need_modalities"]


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
