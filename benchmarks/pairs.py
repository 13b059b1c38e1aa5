"""Gene-peak pairs that benchmarks and tests share: the real ones that R fitted, and hard ones."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import scanlink as sl
from scanlink.io.releases import EXACT_NUMBERS
from scanlink.stats import Covariates, rescale

__all__ = ["hard_pair", "real_pairs", "real_table"]

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]


def real_table(shared: Path) -> pd.DataFrame:
    """What R's SCENT gave for the 256 pairs of CD14 monocytes."""
    return pd.read_csv(shared / "pbmc10k" / "scent_R_CD14-Mono.csv", **EXACT_NUMBERS)


@lru_cache(maxsize=1)
def real_pairs(shared: Path) -> tuple[Covariates, list[Pair]]:
    """These pairs: covariates of the 3,152 cells, then counts and openness of each pair."""
    folder = shared / "pbmc10k"
    mdata = sl.io.read_matrices(
        rna=folder / "rna_matrix.rds", atac=folder / "atac_matrix.rds", cells=folder / "metafile.rds", one_based=True
    )
    cells = np.sort(mdata.obs_names[(mdata.obs["celltype"] == "CD14-Mono").to_numpy()])
    rna, atac, obs = mdata["rna"][cells], mdata["atac"][cells], mdata.obs.loc[cells]
    design = np.column_stack([np.ones(cells.size), np.log(obs["nUMI"]), obs["percent.mito"]]).astype(float)
    table = real_table(shared)
    counts = {gene: rna[:, gene].X.toarray().ravel().astype(float) for gene in table["gene"].unique()}
    opened = {peak: (atac[:, peak].X.toarray().ravel() > 0).astype(float) for peak in table["peak"].unique()}
    pairs = [(counts[row.gene], opened[row.peak]) for row in table.itertuples()]
    return Covariates.of(rescale(design), np.zeros(cells.size)), pairs


def hard_pair(rng: np.random.Generator, kind: str) -> tuple[Covariates, Floats, Floats]:
    """Covariates, counts and openness of a pair that leaves little to estimate from.

    ``"sparse"``: 300 cells, peak and gene about 5 % non-zero. ``"six covariates"``: 600 or 1,500 cells, four
    continuous covariates, two of them nearly the same, and two categorical ones.
    """
    sparse = kind == "sparse"
    n = 300 if sparse else int(rng.choice([600, 1500]))
    depth, mito = rng.normal(0, 0.4, n), rng.gamma(2, 0.02, n)
    columns = [np.ones(n), depth, mito]
    if not sparse:
        batch, sex = rng.integers(0, 3, n), rng.integers(0, 2, n)
        columns += [0.8 * depth + rng.normal(0, 0.2, n), rng.normal(size=n)]
        columns += [batch == 1, batch == 2, sex == 1]
    covariates = Covariates.of(rescale(np.column_stack(columns).astype(float)), np.zeros(n))
    while True:
        opened = (rng.random(n) < 1 / (1 + np.exp(3.0 - depth))).astype(float)
        mean = np.exp(np.log(0.055 if sparse else 0.15) + depth + 0.5 * rng.normal() * opened)
        counts = rng.poisson(mean * rng.gamma(1.5, 1 / 1.5, n)).astype(float)
        closed = opened == 0
        if min(opened.sum(), (counts > 0).sum()) >= 5 and counts[closed].sum() > 0 and counts[~closed].sum() > 0:
            return covariates, counts, opened
