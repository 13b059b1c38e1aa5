"""Cells of the real screen of ``data/crispri`` as arrays: for test_negbin_screen.py and its export_input.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray

__all__ = ["ScreenCells", "load_screen"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScreenCells:
    """9,704 cells of Gasperini et al. 2019, 112 genes and 55 guides."""

    counts: pd.DataFrame  # cells x genes
    called: Floats  # cells x guides, 1 where a guide has 5 UMIs
    targets: NDArray[np.str_]  # of each guide
    batch: Floats  # 1 for prep_batch_2
    depth: Floats  # log of a cell's UMIs, all genes of the file

    @property
    def efficiencies(self) -> Floats:
        """Made-up efficiencies of guides, 0.35 to 0.94: the data have none."""
        return (35 + (17 * np.arange(self.targets.size)) % 60) / 100

    @property
    def covariates(self) -> Floats:
        """Batch, and the log of the number of guides."""
        return np.column_stack([self.batch, np.log(self.called.sum(axis=1))])

    def perturbed(self, target: str, by_efficiency: bool) -> Floats:
        """``1 - prod (1 - G eff)`` over the guides of a target."""
        mine = self.targets == target
        return 1 - np.prod(1 - self.called[:, mine] * (self.efficiencies[mine] if by_efficiency else 1.0), axis=1)


def load_screen(shared: Path) -> ScreenCells:
    with h5py.File(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu") as file:
        genes, guides = (file["mod"][name] for name in ("gene", "guide"))
        return ScreenCells(
            pd.DataFrame(read_elem(genes["X"]).toarray().astype(int), columns=read_elem(genes["var/name"])),
            (read_elem(guides["X"]).toarray() >= 5).astype(float),
            np.asarray(read_elem(guides["var/intended_target_name"])).astype(str),
            (np.asarray(read_elem(file["obs/prep_batch"])) == "prep_batch_2").astype(float),
            np.log(genes["obs/total_gene_umis"][:]),
        )
