"""What each pair will cost: used to cut blocks of about equal length, and never for a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scanlink.stats import Ladder
from scanlink.store.store import Modality, Store
from scanlink.tl.resampling import expected_replicates
from scanlink.tl.scan.options import ScanOptions

if TYPE_CHECKING:
    from scanlink.tl.designs import Group

__all__ = ["PairCosts", "nonzero_cells"]

# Counts of so many entries are looked at for a plan, some seconds' work; of more, the share of each group is guessed.
_FEW_ENTRIES = 100_000_000


def nonzero_cells(
    store: Store,
    modality: Modality,
    features: NDArray[np.int32],
    groupby: str | None,
    members: Mapping[str, NDArray[np.int32]],
) -> NDArray[np.int32]:
    """Count the cells of each group in which a feature is non-zero. Shape ``(n_groups, n_features_of_store)``.

    Groups that are levels of a column that was counted when the store was made are looked up. Otherwise the columns
    of ``features`` are read, or if they are large, each group gets its share of the non-zero cells; then, too, the
    same store and groups give the same numbers.
    """
    sizes = np.array([cells.size for cells in members.values()], dtype=np.int64)
    known = store.level_counts(modality, groupby) if groupby is not None else None
    if known is not None and all(known[0].get(name) == cells.size for name, cells in members.items()):
        place = list(known[0])
        return known[1].T[[place.index(name) for name in members]]
    n_nonzero = np.diff(store.starts(modality))
    wanted = np.unique(features)
    if len(members) == 1 and sizes[0] == store.n_cells:
        return n_nonzero.astype(np.int32)[None]
    if n_nonzero[wanted].sum() > _FEW_ENTRIES:
        return (sizes[:, None] * n_nonzero // max(store.n_cells, 1)).astype(np.int32)
    group_of_cell = np.zeros(store.n_cells, dtype=np.int64)
    for number, cells in enumerate(members.values(), start=1):
        group_of_cell[cells] = number
    out = np.zeros((len(members), n_nonzero.size), dtype=np.int32)
    for feature in wanted.tolist():
        cells, _ = store.column(modality, feature)
        out[:, feature] = np.bincount(group_of_cell[cells], minlength=len(members) + 1)[1:]
    return out


class PairCosts:
    """Estimated seconds of each pair, one array a group, made when it is asked for: never all at a time.

    ``gene`` and ``peak`` are the positions of each pair's in the store, ``expressed`` and ``opened`` the cells of each
    group in which genes, and peaks, are non-zero, of :func:`nonzero_cells`.
    """

    def __init__(
        self,
        gene: NDArray[np.int32],
        peak: NDArray[np.int32],
        *,
        expressed: NDArray[np.int32],
        opened: NDArray[np.int32],
        groups: list[Group],
        ladders: list[Ladder],
        options: ScanOptions,
    ) -> None:
        self._gene, self._peak, self._groups, self._options = gene, peak, groups, options
        self._expressed, self._opened = expressed, opened
        self._replicates = [expected_replicates(ladder) for ladder in ladders]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        of_groups = zip(self._groups, self._replicates, self._expressed, self._opened, strict=True)
        for group, replicates, expressed, opened in of_groups:
            yield self._seconds(group, replicates, expressed, opened)

    def _seconds(
        self, group: Group, replicates: float, expressed: NDArray[np.int32], opened: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Estimate by whether the pairs will be tested in a group, and with how many replicates."""
        options = self._options
        if group.status is not None:
            return np.full(self._gene.size, 2e-5)
        least = options.min_fraction * group.n_cells
        tested = (expressed > least)[self._gene] & (opened > least)[self._peak]
        p = len(group.terms) + 1
        fit = group.n_cells * (10.0 + 3.0 * p + 0.7 * p * p) * 1e-9 * 4
        replicate = 1e-6 + group.n_cells * 0.2e-9 * p
        if options.family == "negbin":
            replicate = group.n_cells * (900e-9 if options.theta == "estimated" else 30e-9)
        return np.where(tested, 1e-3 + 3.0 * fit + replicate * replicates, 2e-5)
