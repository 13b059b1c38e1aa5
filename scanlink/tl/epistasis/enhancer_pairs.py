"""From links to the pairs of enhancers of a gene that may act together."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.peaks import parse_peaks
from scanlink.tl.collect import add_rates

__all__ = ["enhancer_columns", "enhancer_pairs"]

log = logging.getLogger("scanlink")

# Of a gene with so many linked peaks and more, the sets of three or four are too many to be meant.
_MOST_SETS = 1_000_000


def enhancer_pairs(
    links: pd.DataFrame,
    *,
    fdr: float = 0.1,
    order: int = 2,
    min_distance: int | None = None,
    max_distance: int | None = None,
) -> pd.DataFrame:
    """Pair the peaks that are linked to the same gene in the same group.

    Parameters
    ----------
    links
        Table of links: ours, or what :func:`scanlink.io.read_links` makes of SCENT's text. Columns ``gene`` and
        ``peak``; ``group`` if there are several; and ``fdr``, or ``p_value`` from which Benjamini and Hochberg's is
        taken within each group. Rows whose ``status`` is not ``ok`` are no links.
    fdr
        False discovery rate below which a pair of gene and peak is a link; 1 takes every tested pair.
    order
        Enhancers that are tested together: 2 for pairs, 3 or 4 for larger sets.
    min_distance, max_distance
        Bounds, included, on the distance of a pair's enhancers (bp, between midpoints): of the nearest two of a set,
        and of the furthest two. Peaks on different chromosomes are beyond any bound.

    Returns
    -------
    pandas.DataFrame
        group, gene, enhancer_1, enhancer_2 (and so on), in genomic order, and ``distance``: bp between the midpoints
        of the outermost ones, NA across chromosomes. Groups and genes are in the order of ``links``.

    Raises
    ------
    MissingKeyError
        If a column is missing.
    InputError
        If ``links`` is no table, a peak's name is no interval, or there are too many sets.
    OptionError
        If ``fdr`` is not above 0 and at most 1, ``order`` is below 2, or the bounds contradict each other.

    Notes
    -----
    Section 1 of the epistasis notes. How many cells there are in each state is looked at by
    :func:`scanlink.tl.epistasis`, which says so in the status.

    Examples
    --------
    >>> links = pd.DataFrame({"group": "T", "gene": "IL2", "peak": ["chr4-900-1100", "chr4-100-300", "chr4-5000-5200"],
    ...                       "fdr": [0.01, 0.02, 0.5]})
    >>> enhancer_pairs(links).values.tolist()
    [['T', 'IL2', 'chr4-100-300', 'chr4-900-1100', 800]]
    """
    if not isinstance(links, pd.DataFrame):
        raise InputError(f"links is a {type(links).__name__}, expected a table with columns group, gene, peak and fdr")
    if absent := [name for name in ("gene", "peak") if name not in links.columns]:
        raise MissingKeyError(f"the table links has no column {first_few(absent)}; found {first_few(links.columns)}")
    if not 0 < fdr <= 1:
        raise OptionError(f"fdr: expected a number above 0 and at most 1; found {fdr!r}")
    if order < 2:
        raise OptionError(f"order: expected at least 2 enhancers to a set; found {order!r}")
    if min_distance is not None and max_distance is not None and min_distance > max_distance:
        raise OptionError(f"min_distance {min_distance} is above max_distance {max_distance}")
    called = _called(links, fdr) if len(links) else links.reindex(columns=["group", "gene", "peak"])
    columns = enhancer_columns(order)
    place = parse_peaks(pd.unique(called["peak"]))
    place["middle"] = (place["start"] + place["end"]) // 2
    # In genomic order; peaks of the same place in the order of their names.
    ordered = place.rename_axis("peak").reset_index().sort_values(["chrom", "start", "end", "peak"], kind="stable")
    rank = pd.Series(np.arange(len(ordered)), index=ordered["peak"])
    sets = list(_sets(called, rank, order))
    if not sets:
        log.warning("no gene has %d linked peaks in one group at a false discovery rate of %g", order, fdr)
    frame = pd.DataFrame(
        {"group": [group for group, _, _ in sets], "gene": [gene for _, gene, _ in sets]}, dtype=object
    )
    members = np.array([chosen for _, _, chosen in sets], dtype=np.int64).reshape(len(sets), order)
    for k, name in enumerate(columns):
        frame[name] = ordered["peak"].to_numpy(dtype=object)[members[:, k]]
    chrom = pd.factorize(ordered["chrom"])[0][members]
    middle = ordered["middle"].to_numpy()[members]
    same = (chrom == chrom[:, :1]).all(axis=1)
    frame["distance"] = pd.array(np.where(same, np.ptp(middle, axis=1) if len(sets) else 0, 0), dtype="Int64")
    frame.loc[~same, "distance"] = pd.NA
    kept = np.ones(len(frame), dtype=bool)
    if max_distance is not None:
        kept &= same & (frame["distance"].fillna(0) <= max_distance).to_numpy(dtype=bool)
    if min_distance is not None:
        kept &= same & (np.abs(np.diff(np.sort(middle, axis=1), axis=1)).min(axis=1, initial=2**62) >= min_distance)
    return frame[kept].reset_index(drop=True)


def enhancer_columns(order: int) -> list[str]:
    """Name the columns of the enhancers of a set."""
    return [f"enhancer_{k}" for k in range(1, order + 1)]


def _called(links: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """The links: group, gene, peak, each once."""
    table = links[["gene", "peak"]].astype(str)
    group = links["group"] if "group" in links.columns else pd.Series(pd.NA, index=links.index)
    table.insert(0, "group", group.astype(object).where(group.notna(), "all").astype(str))
    if "fdr" in links.columns and links["fdr"].notna().any():
        rate = pd.to_numeric(links["fdr"], errors="coerce")
    elif "p_value" in links.columns:
        log.info("the table of links has no false discovery rate: it is taken from p_value, within each group")
        table["p_value"] = pd.to_numeric(links["p_value"], errors="coerce")
        rate = pd.Series(add_rates(table, ["group"], method="bh"), index=links.index)
    else:
        raise MissingKeyError(
            f"the table links has neither fdr nor p_value to call links by; found {first_few(links.columns, most=20)}"
        )
    called = rate < fdr if fdr < 1 else rate.notna()
    if "status" in links.columns:
        called &= links["status"].fillna("ok") == "ok"
    return table.loc[called, ["group", "gene", "peak"]].drop_duplicates()


def _sets(called: pd.DataFrame, rank: pd.Series, order: int) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Group, gene and ranks of the peaks of every set."""
    total = 0
    for (group, gene), peaks in called.groupby(["group", "gene"], sort=False)["peak"]:
        ranks = np.sort(rank.loc[peaks].to_numpy())
        for chosen in itertools.combinations(ranks.tolist(), order):
            total += 1
            if total > _MOST_SETS and order > 2:
                raise InputError(
                    f"there are more than {_MOST_SETS:,} sets of {order} enhancers: name a max_distance or a lower fdr"
                )
            yield str(group), str(gene), np.array(chosen)
