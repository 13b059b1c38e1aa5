"""What differs between the releases of other packages with which scanlink works, each fact once.

Elsewhere nothing asks for a version.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mudata
import pandas as pd
from anndata import AnnData
from scipy import sparse

__all__ = ["EXACT_NUMBERS", "is_text", "layers_of", "mmread_csr", "pulling"]

# pandas before 3.1 reads numbers with all their digits only if told so; 3.1 always does, and warns of the option.
_PANDAS = tuple(int(number) for number in pd.__version__.split(".")[:2])
EXACT_NUMBERS: dict[str, Any] = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}


@contextmanager
def pulling(pull: bool | None) -> Iterator[None]:
    """Let mudata lift columns of modalities to ``.obs`` or not, and put its own setting back at the end.

    mudata 0.3 has ``set_options``, whose None (its default) lifts and warns; 0.4 has ``settings``, where None is False.
    """
    if hasattr(mudata, "settings"):
        with mudata.settings.override(pull_on_update=bool(pull)):
            yield
        return
    # Used as a context manager, set_options logs on the root log, which would configure logging as a side effect.
    before = mudata.set_options(pull_on_update=pull).opts
    try:
        yield
    finally:
        mudata.set_options(**before)


def layers_of(adata: AnnData) -> dict[str, Any]:
    """Give the layers by name, without ``X``, which anndata 0.13 lists among them as None."""
    return {name: layer for name, layer in adata.layers.items() if name is not None}


def mmread_csr(path: str) -> sparse.csr_matrix:
    """Read a file in Matrix Market format as a CSR matrix.

    scipy 1.18 warns that arrays are to come instead of matrices, unless told which; the oldest cannot be told.
    """
    from scipy.io import mmread

    told = {"spmatrix": True} if "spmatrix" in inspect.signature(mmread).parameters else {}
    return sparse.csr_matrix(mmread(path, **told))


def is_text(values: Any) -> bool:
    """Tell whether the dtype of a column or an index is that of text: ``object``, or a string dtype as in pandas 3."""
    return values.dtype == object or isinstance(values.dtype, pd.StringDtype)
