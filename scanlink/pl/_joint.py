"""Rows of the joint table of a screen and links that count, for its picture and its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scanlink.errors import MissingKeyError, OptionError, first_few
from scanlink.tables import ASKED

__all__ = ["counted_pairs"]

_NEEDED = (
    *("group", "group_screen", "gene_screen", "target", "kind", "beta_link", "p_link", "fdr_link", "status_link"),
    *("beta_screen", "p_screen", "fdr_screen", "status_screen"),
)


def counted_pairs(table: pd.DataFrame, *, kinds: Sequence[str]) -> pd.DataFrame:
    """Select rows tested on both sides, one a target-gene pair and groups: that of the smallest p-value of the link.

    Parameters
    ----------
    table
        Joint table of :func:`scanlink.tl.screen_links`.
    kinds
        Kinds of rows of the screen that count.

    Raises
    ------
    MissingKeyError, OptionError
        If a column is missing, or a kind is not known.
    """
    if absent := [name for name in _NEEDED if name not in table.columns]:
        raise MissingKeyError(
            f"the table has no column {first_few(absent)}; expected one of scanlink.tl.screen_links, all of it"
        )
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    if unknown := [name for name in wanted if name not in ASKED]:
        raise OptionError(f"kinds: {first_few(unknown)} not known; expected {' or '.join(ASKED)}")
    usable = table["kind"].isin(wanted)
    for end in ("link", "screen"):
        usable &= (table[f"status_{end}"] == "ok") & np.isfinite(table[f"beta_{end}"].astype(float))
    rows = table[usable]
    # Larger effects first among equal p-values.
    order = np.lexsort([-rows["beta_link"].abs().to_numpy(dtype=float), rows["p_link"].to_numpy(dtype=float)])
    return rows.iloc[order].drop_duplicates(["group", "group_screen", "gene_screen", "target"])
