"""Data as a store that has no counts: names and metadata are true, and how many cells a feature is in is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from scanlink.pp.components import leading_components
from scanlink.pp.groups import group_members
from scanlink.store.columns import Modality
from scanlink.store.store import Store

__all__ = ["Outline"]

# Cells that are looked at, in stretches from all over the file, because neighbours may be of one kind.
_STRETCHES, _LENGTH = 20, 50


@dataclass(frozen=True, eq=False)
class Outline(Store):
    """What checks and estimates ask of a store, from data whose counts have not been read."""

    mdata: Any
    computed: tuple[str, ...]  # columns of cells that a run computes from the counts
    components: tuple[str, ...] = ()  # and those of components of accessibility

    @property
    def checksum(self) -> str:
        """None is known yet."""
        return ""

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.mdata.n_obs)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Metadata of the cells; in columns that are computed from counts stand numbers drawn at random.

        What is said of these is not known yet: random ones are neither missing nor constant, so that nothing is. The
        components that a run will have are those of the sampled cells, in these.
        """
        table, rng = self.mdata.obs.copy(), np.random.default_rng(0)
        for name in self.computed:
            if name not in table:
                table[name] = np.exp(rng.normal(size=len(table)))
        if names := [name for name in self.components if name not in self.mdata.obs]:
            counts = self.sample("atac")
            scores, _ = leading_components(counts, np.asarray(counts.sum(axis=1)).ravel(), len(names), "atac", 0)
            table[names] = rng.normal(size=(len(table), len(names)))
            table.iloc[self.sampled, table.columns.get_indexer(names)] = scores
        return table

    @cached_property
    def cell_columns(self) -> list[str]:
        """Names of the columns of the table of cells."""
        return [str(name) for name in self.cells.columns]

    def cell_table(self, columns: list[str]) -> pd.DataFrame:
        """Give some columns of the table of cells."""
        return self.cells[columns]

    @cached_property
    def modalities(self) -> tuple[Modality, ...]:
        """Which modalities it has."""
        return tuple(self.mdata.mod)

    def _names(self, modality: Modality) -> pd.Index:
        return pd.Index(self.mdata[modality].var_names)

    def fractions(self, modality: Modality) -> NDArray[np.float64]:
        """Estimate the share of cells in which each feature is non-zero, from some cells. Shape ``(n_features,)``."""
        return self._fractions[modality]

    @cached_property
    def sampled(self) -> NDArray[np.intp]:
        """Positions of the cells that are looked at."""
        begins = np.linspace(0, max(self.n_cells - _LENGTH, 0), _STRETCHES).astype(int)
        return np.unique(begins[:, None] + np.arange(min(_LENGTH, self.n_cells)))

    @cached_property
    def _some(self) -> dict[Modality, sp.csr_array]:
        return {name: sp.csr_array(self.mdata[name].X[self.sampled]) for name in self.modalities}

    def sample(self, modality: Modality) -> sp.csr_array:
        """Give the counts of the cells that are looked at. Shape ``(n_cells, n_features)``."""
        return self._some[modality]

    @cached_property
    def _fractions(self) -> dict[Modality, NDArray[np.float64]]:
        return {name: np.asarray((part != 0).mean(axis=0)).ravel() for name, part in self._some.items()}

    def starts(self, modality: Modality) -> NDArray[np.int64]:
        """Estimate where the columns of features begin, and the end of the last. Shape ``(n_features + 1,)``."""
        n_nonzero = np.round(self.fractions(modality) * self.n_cells).astype(np.int64)
        return np.concatenate([[0], np.cumsum(n_nonzero)])

    def level_counts(self, modality: Modality, column: str) -> tuple[dict[str, int], NDArray[np.int32]] | None:
        """Estimate in how many cells of each level of a column every feature is non-zero, alike on all levels."""
        sizes = {name: int(cells.size) for name, cells in group_members(self.cells, column, None).items()}
        return sizes, np.outer(self.fractions(modality), list(sizes.values())).round().astype(np.int32)

    def column(self, modality: Modality, feature: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Read the counts of one feature: cells in which it is non-zero, and its counts there."""
        values = self.mdata[modality].X[:, [feature]]
        values = np.asarray(values.todense() if hasattr(values, "todense") else values).ravel()
        cells = np.flatnonzero(values).astype(np.int32)
        return cells, values[cells].astype(np.int32)
