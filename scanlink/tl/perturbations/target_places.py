"""Where targets lie, in words."""

from __future__ import annotations

import pandas as pd

__all__ = ["target_places"]


def target_places(guides: pd.DataFrame) -> pd.Series:
    """Write the interval of each target as text, by its name; those without one are left out.

    Parameters
    ----------
    guides
        ``target``, ``chrom``, ``start`` and ``end`` (0-based half-open, bp), a row a guide.

    Examples
    --------
    >>> guides = pd.DataFrame({"target": ["e", "e"], "chrom": "chr1", "start": [10.0, 40.0], "end": [30.0, 60.0]})
    >>> target_places(guides)["e"]
    'chr1:10-60'
    """
    placed = guides[guides[["chrom", "start", "end"]].notna().all(axis=1)]
    targets = placed.groupby(placed["target"].astype(str))
    ends = targets["start"].min().astype("int64").astype(str) + "-" + targets["end"].max().astype("int64").astype(str)
    return targets["chrom"].first().astype(str) + ":" + ends
