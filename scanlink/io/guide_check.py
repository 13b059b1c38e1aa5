"""Tables of guides that a user made, checked."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.guides import GUIDE_COLUMNS, NON_TARGETING, guide_table

__all__ = ["check_guides"]


def check_guides(var: pd.DataFrame, *, label: str = "guide.var") -> None:
    """Check that a table of guides, perhaps made by hand, is as :func:`scanlink.io.guides.guide_table` makes it.

    ``target`` has to be there; what is there of the other columns is checked, too, and ``threshold`` (least UMIs that
    count as present). Guides of one target have the same coordinates.
    """
    if "target" not in var:
        raise MissingKeyError(
            f"{label} has no column 'target', found {first_few(var.columns, most=8) or 'none'}: pass the data through "
            "scanlink.io.assemble_screen(rna, guide, guides=table)"
        )
    expected = guide_table(var[[name for name in GUIDE_COLUMNS if name in var]], label=label)
    targets = var["target"].astype(str)
    if (renamed := (targets != expected["target"]).to_numpy()).any():
        raise InputError(
            f"{label}: {first_few(targets[renamed].unique())} looks like a label of controls; expected "
            f"{NON_TARGETING!r}. Rename it in the column target"
        )
    for name in ("start", "end"):
        if name in var:
            numbers = pd.to_numeric(var[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
            different = (numbers != expected[name].to_numpy()) & ~np.isnan(expected[name].to_numpy())
            if different.any():
                raise InputError(
                    f"{label}: guides of one target have different coordinates "
                    f"({first_few(targets[different].unique())}); expected start and end of the target, the same for "
                    "each. Pass the data through scanlink.io.assemble_screen(rna, guide)"
                )
    if "threshold" in var:
        least = pd.to_numeric(var["threshold"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        bad = ~((least >= 1) & (least == np.floor(least)))
        if bad.any():
            raise InputError(
                f"{label}: the threshold of {int(bad.sum())} guides is no whole number of at least 1 "
                f"({first_few(var.index[bad])}): set it with scanlink.pp.assign_guides"
            )
