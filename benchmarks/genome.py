"""A group of real size: 3,152 cells, the genes and peaks of a whole genome at their real places, simulated counts."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse
from mudata import MuData

import scanlink as sl
from scanlink.io.peaks import parse_peaks

__all__ = ["write_group"]

# Of the real group (CD14 monocytes of pbmc10k) over the features that are non-zero in 5 % of all cells: mean and SD
# over genes of log mean count, over peaks of the logit of the share of open cells; over cells of log nUMI.
GENE, PEAK, DEPTH = (-1.6, 0.95), (-1.65, 1.25), (8.5, 0.38)
DISPERSION, MITO = 0.4, (8.0, 0.0144)
LINKED = 0.015


def write_group(
    path: Path, names: Path, bodies: Path, *, n_cells: int = 3152, seed: int = 0, every: int = 1
) -> pd.DataFrame:
    """Write a .h5mu with counts of all genes and peaks in ``names``; returns the planted links.

    Counts are Poisson-gamma; depth raises both genes and peaks; 1.5 % of the pairs within 500 kb are links, with
    effects of 0.2 to 1 on the log scale, three of four positive. ``every`` takes each n-th gene only.
    """
    rng = np.random.default_rng(seed)
    genes = sl.io.read_genes(bodies)
    wanted = pd.read_csv(names / "gene_names.csv")["x"].to_list()[::every]
    peaks = pd.read_csv(names / "peak_names.csv")["x"].to_list()
    depth = rng.normal(*DEPTH, n_cells)
    mito = rng.gamma(MITO[0], MITO[1], n_cells)
    scaled = (depth - depth.mean()) / depth.std()
    columns = []
    for _ in peaks:
        logit = rng.normal(*PEAK) + 0.35 * scaled + rng.normal(0, 0.3) * scaled
        columns.append(np.flatnonzero(rng.random(n_cells) < 1 / (1 + np.exp(-logit))))
    atac = _matrix(columns, [np.ones(c.size) for c in columns], n_cells)
    obs = pd.DataFrame({"nUMI": np.exp(depth), "percent.mito": mito}, index=[f"cell{i:06d}" for i in range(n_cells)])
    empty = scipy.sparse.csr_matrix((n_cells, len(wanted)))
    frame = _together(empty, wanted, atac, peaks, obs)
    pairs = sl.pp.cis_pairs(frame, genes)
    links = pairs[rng.random(len(pairs)) < LINKED].copy()
    links["beta"] = rng.uniform(0.2, 1.0, len(links)) * np.where(rng.random(len(links)) < 0.75, 1, -1)
    place = {name: k for k, name in enumerate(peaks)}
    effects = {
        gene: [(place[p], b) for p, b in zip(t["peak"], t["beta"], strict=True)] for gene, t in links.groupby("gene")
    }
    rows, values = [], []
    for gene in wanted:
        eta = (
            rng.normal(*GENE)
            + rng.normal(0.9, 0.3) * (depth - depth.mean())
            + rng.normal(0, 2.0) * (mito - mito.mean())
        )
        for peak, beta in effects.get(gene, []):
            eta[columns[peak]] += beta
        counts = rng.poisson(np.exp(eta) * rng.gamma(1 / DISPERSION, DISPERSION, n_cells))
        rows.append(np.flatnonzero(counts))
        values.append(counts[rows[-1]].astype(float))
    _together(_matrix(rows, values, n_cells), wanted, atac, peaks, obs).write_h5mu(path)
    return links


def _matrix(rows: list, values: list, n_cells: int) -> scipy.sparse.csr_matrix:
    starts = np.concatenate([[0], np.cumsum([r.size for r in rows])])
    matrix = scipy.sparse.csc_matrix(
        (np.concatenate(values).astype(np.float32), np.concatenate(rows), starts), shape=(n_cells, len(rows))
    )
    return matrix.tocsr()


def _together(
    rna: scipy.sparse.csr_matrix, genes: list[str], atac: scipy.sparse.csr_matrix, peaks: list[str], obs: pd.DataFrame
) -> MuData:
    places = parse_peaks(peaks).set_axis(peaks)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="mudata")
        mdata = MuData(
            {
                "rna": ad.AnnData(rna, obs=obs[[]].copy(), var=pd.DataFrame(index=genes)),
                "atac": ad.AnnData(atac, obs=obs[[]].copy(), var=places),
            }
        )
    mdata.obs = obs
    return mdata
