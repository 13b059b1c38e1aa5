"""The targets of a screen: where they lie, which guides perturb each, how well, and from how many UMIs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.guides import NON_TARGETING
from scanlink.io.unknown_names import lost_names
from scanlink.store.store import Store

__all__ = ["Targets", "target_intervals", "target_places", "targets_of"]


@dataclass(frozen=True)
class Targets:
    """Guides of each target, as a list of lists."""

    names: NDArray[np.str_]
    # Where the guides of each target begin in the arrays below, and the end of the last. Shape ``(n_targets + 1,)``.
    starts: NDArray[np.int64]
    guides: NDArray[np.int32]  # positions in the store
    efficiency: NDArray[np.float64]  # probability that the guide perturbs its target
    least: NDArray[np.int64]  # UMIs from which on a cell has the guide

    def of(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
        """Give guides, efficiencies and least UMIs of a target."""
        own = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return self.guides[own], self.efficiency[own], self.least[own]

    def positions(self, names: pd.Series) -> NDArray[np.int32]:
        """Find the numbers of targets by name; refuse those that no guide has."""
        found = pd.Index(self.names).get_indexer(pd.Index(names))
        if (found < 0).any():
            raise MissingKeyError(
                f"{names[found < 0].nunique()} targets of the pairs have no guide "
                f"{lost_names(names, found < 0, pd.Index(self.names))}. There are guides of "
                f"{first_few(self.names, most=5)}: check the names, or leave those pairs out"
            )
        return found.astype(np.int32)

    def chromosomes(self, guides: pd.DataFrame) -> list[str | None]:
        """List the chromosome of each target, None where it is not known."""
        if "chrom" not in guides.columns:
            return [None] * self.names.size
        known = guides.loc[guides["chrom"].notna()].groupby("target", observed=True)["chrom"].first()
        return [str(known[name]) if name in known.index else None for name in self.names]

    def with_controls(
        self, store: Store, guides: pd.DataFrame, *, like: NDArray[np.integer]
    ) -> tuple[Targets, list[int]]:
        """Add targets that are none, with as many guides as those of the targets ``like``; give their numbers, too."""
        size = max(1, int(np.median(np.diff(self.starts)[like])))
        free = guides.index[guides["target"].astype(str) == NON_TARGETING].sort_values()
        sets = [free[first : first + size] for first in range(0, len(free) - size + 1, size)]
        if not sets:
            return self, []
        more = [(" + ".join([NON_TARGETING, *map(str, names)]), names) for names in sets]
        # What a control does not do, it does with certainty.
        added = _lists(store, guides, more, pd.Series(1.0, index=guides.index))
        n = self.names.size
        joined = Targets(
            np.concatenate([self.names, added.names]),
            np.concatenate([self.starts, self.starts[-1] + added.starts[1:]]),
            np.concatenate([self.guides, added.guides]),
            np.concatenate([self.efficiency, added.efficiency]),
            np.concatenate([self.least, added.least]),
        )
        return joined, list(range(n, n + len(sets)))


def targets_of(store: Store, guides: pd.DataFrame, *, missing: float | None) -> Targets:
    """Gather the targets of a table of guides, in order of name.

    It has a row a guide, named by the index: ``target``, ``threshold`` (UMIs), and if known ``efficiency``. Guides
    without efficiency have ``missing``, or if that is None the median of the others, 1 if there are no others.
    """
    if absent := [name for name in ("target", "threshold") if name not in guides.columns]:
        raise MissingKeyError(
            f"the table of guides has no column {first_few(absent)}; found {first_few(guides.columns) or 'none'}. "
            "scanlink.pp.assign_guides(mdata) makes thresholds"
        )
    of_target = guides.loc[guides["target"].notna() & (guides["target"].astype(str) != NON_TARGETING)]
    if of_target.empty:
        raise InputError("no guide has a target: check the column target of the table of guides")
    efficiency = pd.Series(np.nan, index=guides.index)
    if "efficiency" in guides.columns:
        efficiency = pd.to_numeric(guides["efficiency"], errors="raise").astype(float)
    known = efficiency[of_target.index].dropna()
    if (known < 0).any() or (known > 1).any():
        raise InputError(f"efficiencies of guides run from {known.min():g} to {known.max():g}, expected 0 to 1")
    if missing is None:
        missing = float(known.median()) if known.size else 1.0
    by_name = of_target.groupby(of_target["target"].astype(str), sort=True).groups
    sets = [(str(name), own) for name, own in by_name.items()]
    return _lists(store, guides, sets, efficiency.fillna(missing))


def _lists(store: Store, guides: pd.DataFrame, sets: Sequence[tuple[str, pd.Index]], efficiency: pd.Series) -> Targets:
    names = pd.Index(np.concatenate([np.asarray(own, dtype=object) for _, own in sets]))
    return Targets(
        np.array([name for name, _ in sets], dtype=np.str_),
        np.concatenate([[0], np.cumsum([len(own) for _, own in sets])]).astype(np.int64),
        store.positions("guide", names),
        efficiency[names].to_numpy(dtype=np.float64),
        guides.loc[names, "threshold"].to_numpy(dtype=np.int64),
    )


def target_intervals(guides: pd.DataFrame) -> pd.DataFrame:
    """Find ``chrom``, ``start`` and ``end`` of each target by its name; those without a place are left out."""
    placed = guides[guides[["chrom", "start", "end"]].notna().all(axis=1).to_numpy(dtype=bool)]
    by_target = placed.groupby(placed["target"].astype(str), sort=False)
    return pd.DataFrame(
        {
            "chrom": by_target["chrom"].first().astype(str),
            "start": by_target["start"].min().astype(np.int64),
            "end": by_target["end"].max().astype(np.int64),
        }
    )


def target_places(guides: pd.DataFrame) -> pd.Series:
    """Write the interval of each target as text, such as ``chr1:10-60``, by its name."""
    places = target_intervals(guides)
    return places["chrom"] + ":" + places["start"].astype(str) + "-" + places["end"].astype(str)
