"""The counts of a screen that a call is given: a store with genes and guides, and the table of guides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.pp import assign_guides
from scanlink.pp.door import Screen
from scanlink.store.store import Store
from scanlink.tl.call import store_of

__all__ = ["counts_and_guides"]


def counts_and_guides(
    mdata: Screen | Store | str | os.PathLike[str], folder: Path, *, guides: pd.DataFrame | None, **places: Any
) -> tuple[Store, dict[str, pd.DataFrame]]:
    """Open the store of a screen, or make it in the folder; give its table of guides by name if there is no other."""
    # A MuData may have peaks, too.
    store, data = store_of(mdata, folder, modalities=("rna", "guide"), **places)
    if data is None:
        return store, {"guides": store.guide_table if guides is None else guides}
    if "threshold" not in data["guide"].var:
        assign_guides(data)
    known = data["guide"].var
    if guides is None:
        return store, {"guides": known}
    if "threshold" not in guides:
        guides = guides.assign(threshold=known["threshold"].reindex(guides.index))
    return store, {"guides": guides}
