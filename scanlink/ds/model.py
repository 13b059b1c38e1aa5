"""The model behind simulated data: its parameters, and how the counts of a block of cells are drawn.

For cell i of donor d (in batch h) and cell type c, with total UMI N_i, percent mitochondrial m_i and ATAC depth a_i:

    open_ij      with probability 1 - exp(-rate_ij),  log rate_ij = log r_j + log a_i + c_cj + d_dj + h_hj + z_i,b(j)
    y_ik         ~ Poisson(N_i s_k exp(eta_ik) G_ik),  G_ik ~ Gamma of mean 1 and variance `dispersion`
    eta_ik       = c_ck + d_dk + h_hk + g_k (m_i - 6) + sum beta open + sum interaction open open

N_i and m_i are drawn first, and genes of no interest take what is left of N_i, so that N_i is the sum of the counts
and m_i the share of the mitochondrial genes. Within a cell type, then, y_k follows exactly the model `log(nUMI) +
percent.mito`, apart from the donors, the batches and what else is linked to the gene.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scanlink.ds.truth import Truth
from scanlink.errors import OptionError

__all__ = ["Block", "Parameters", "barcodes", "draw_blocks", "make_parameters", "stream", "whole_number"]

# Cells that share a random stream. Results depend on this number and on nothing else that says how the work is cut.
BLOCK_CELLS = 128
# Rows drawn together: small enough for the cache at genome-wide size.
_ROWS = 16
_MEDIAN_UMI = 5_000
_MITO_PERCENT = 6.0
_MOST_OPEN = 0.30
# Of the UMIs of a cell, at most this part is expected in the genes of interest.
_CIS_SHARE = 0.6
# Fragments of an open peak.
_FRAGMENTS = np.array([1, 2, 4], dtype=np.int32)
_FRAGMENT_ODDS = np.array([0.60, 0.32, 0.08])


def stream(seed: int, *key: int) -> np.random.Generator:
    """Make the random stream that belongs to a key: counter-based, the same on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def whole_number(name: str, value: object, least: int) -> None:
    """Refuse an option that counts something and is no whole number."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise OptionError(f"{name} is {value!r}, expected a whole number of at least {least}")


@dataclass(frozen=True)
class Parameters:
    """All that is drawn once. Cell types, donors, batches, genes and peaks are known by their position."""

    seed: int
    n_cells: int
    proportions: np.ndarray  # (n_celltypes,)
    donor_batch: np.ndarray  # (n_donors,) batch of each donor
    donor_depth: np.ndarray  # (n_donors,) log
    log_share: np.ndarray  # (n_genes,)
    gene_celltype: np.ndarray  # (n_celltypes, n_genes) log
    gene_donor: np.ndarray  # (n_donors, n_genes) log, with its batch
    gene_mito: np.ndarray  # (n_genes,) log per percent
    background: np.ndarray  # (n_background,) shares that sum to 1
    mito: np.ndarray  # (n_mito,) shares that sum to 1
    rate: np.ndarray  # (n_celltypes, n_peaks) float32
    peak_donor: np.ndarray  # (n_donors, n_peaks) float32, factor, with its batch
    block_sizes: np.ndarray  # (n_blocks,) number of peaks
    block_sd: float
    dispersion: float
    link_peak: np.ndarray  # (n_links,)
    link_beta: np.ndarray  # (n_celltypes, n_links), 0 where the link does not act
    link_to_gene: sp.csr_array  # (n_links, n_genes)
    pair_peaks: np.ndarray  # (2, n_interactions)
    pair_effect: np.ndarray  # (n_celltypes, n_interactions)
    pair_to_gene: sp.csr_array  # (n_interactions, n_genes)


@dataclass(frozen=True)
class Block:
    """Cells of one block: ``celltype`` and ``donor`` as positions, counts as CSR int32."""

    celltype: np.ndarray
    donor: np.ndarray
    rna: sp.csr_matrix
    atac: sp.csr_matrix


def make_parameters(
    *,
    seed: int,
    n_cells: int,
    celltypes: dict[str, float],
    n_donors: int,
    n_batches: int,
    donor_sd: float,
    batch_sd: float,
    block_sd: float,
    dispersion: float,
    genes: pd.DataFrame,
    peaks: pd.DataFrame,
    truth: Truth,
) -> Parameters:
    """Draw what all cells share."""
    n_types, n_peaks = len(celltypes), len(peaks)
    cis = genes[genes["role"] == "cis"]
    n_genes = len(cis)
    gene_at = pd.Index(cis["gene"])
    links, pairs = truth.links, truth.interactions
    linked_gene = gene_at.get_indexer(pd.Index(links["gene"]))
    linked_peak = peaks.index.get_indexer(pd.Index(links["peak"]))
    pair_peaks = np.stack([peaks.index.get_indexer(pd.Index(pairs[name])) for name in ("enhancer_1", "enhancer_2")])
    donor_batch = np.arange(n_donors) % n_batches

    rng = stream(seed, 1)
    log_mean = rng.normal(np.log(0.30), 1.1, size=n_genes)
    # A link in a gene that is hardly expressed could not be found by anybody.
    log_mean[linked_gene] = rng.normal(np.log(0.8), 0.6, size=len(links))
    gene_celltype = rng.normal(0, 0.8, size=(n_types, n_genes)) * (rng.random((n_types, n_genes)) < 0.3)
    gene_celltype[:, linked_gene] = np.maximum(gene_celltype[:, linked_gene], 0)
    log_share = log_mean - np.log(_MEDIAN_UMI)
    log_share -= max(0.0, np.log(np.exp(log_share + 0.1).sum() / _CIS_SHARE))
    batch_gene = rng.normal(0, batch_sd, size=(n_batches, n_genes))
    gene_donor = rng.normal(0, donor_sd, size=(n_donors, n_genes)) + batch_gene[donor_batch]
    gene_mito = rng.normal(0, 0.02, size=n_genes)
    background = rng.dirichlet(np.full(int((genes["role"] == "background").sum()), 2.0))
    mito = rng.dirichlet(np.full(int((genes["role"] == "mito").sum()), 5.0))
    donor_depth = rng.normal(0, donor_sd, size=n_donors) + rng.normal(0, batch_sd, size=n_batches)[donor_batch]

    rng = stream(seed, 2)
    openness = np.exp(rng.uniform(np.log(0.01), np.log(_MOST_OPEN), size=n_peaks))
    openness[linked_peak] = rng.uniform(0.12, _MOST_OPEN, size=len(links))
    openness[pair_peaks.ravel()] = rng.uniform(0.20, _MOST_OPEN, size=pair_peaks.size)
    shift = rng.normal(0, 0.6, size=(n_types, n_peaks)) * (rng.random((n_types, n_peaks)) < 0.3)
    shift[:, linked_peak] = np.maximum(shift[:, linked_peak], 0)
    typed = np.minimum(openness * np.exp(shift), 0.4)
    batch_peak = rng.normal(0, batch_sd, size=(n_batches, n_peaks))
    donor_peak = rng.normal(0, donor_sd, size=(n_donors, n_peaks)) + batch_peak[donor_batch]

    def acts(groups: pd.Series) -> np.ndarray:
        return np.array([[group in ("", name) for group in groups] for name in celltypes], dtype=float)

    return Parameters(
        seed=seed,
        n_cells=n_cells,
        proportions=np.array(list(celltypes.values())) / sum(celltypes.values()),
        donor_batch=donor_batch,
        donor_depth=donor_depth,
        log_share=log_share,
        gene_celltype=gene_celltype,
        gene_donor=gene_donor,
        gene_mito=gene_mito,
        background=background,
        mito=mito,
        rate=(-np.log1p(-typed)).astype(np.float32),
        peak_donor=np.exp(donor_peak).astype(np.float32),
        block_sizes=np.bincount(peaks["block"]),
        block_sd=block_sd,
        dispersion=dispersion,
        link_peak=linked_peak,
        link_beta=acts(links["group"]) * links["beta"].to_numpy(),
        link_to_gene=_sums_to(linked_gene, n_genes),
        pair_peaks=pair_peaks,
        pair_effect=acts(pairs["group"]) * pairs["interaction"].to_numpy(),
        pair_to_gene=_sums_to(gene_at.get_indexer(pd.Index(pairs["gene"])), n_genes),
    )


def _sums_to(gene: np.ndarray, n_genes: int) -> sp.csr_array:
    return sp.csr_array((np.ones(len(gene)), (np.arange(len(gene)), gene)), shape=(len(gene), n_genes))


def draw_blocks(parameters: Parameters) -> Iterator[Block]:
    """Draw the cells, block by block."""
    for index in range(-(-parameters.n_cells // BLOCK_CELLS)):
        yield _draw_block(parameters, index)


def _draw_block(p: Parameters, index: int) -> Block:
    """Draw the cells of one block; its streams are its own, so blocks may be drawn in any order, by anybody."""
    n = min(BLOCK_CELLS, p.n_cells - index * BLOCK_CELLS)
    # Whole blocks are drawn and then cut, so that more cells leave the earlier ones as they are.
    rng = stream(p.seed, 3, index)
    celltype = rng.choice(len(p.proportions), size=BLOCK_CELLS, p=p.proportions)
    donor = rng.integers(len(p.donor_batch), size=BLOCK_CELLS)
    deviate = rng.normal(size=(3, BLOCK_CELLS))
    depth = 0.4 * deviate[0] + p.donor_depth[donor]
    # RNA and ATAC depth: correlation about 0.7; deep cells have a little less mitochondrial RNA.
    atac_depth = 0.4 * (0.7 * deviate[0] + 0.714 * deviate[1]) + p.donor_depth[donor]
    total = rng.poisson(_MEDIAN_UMI * np.exp(depth))
    mito_odds = np.log(_MITO_PERCENT / (100 - _MITO_PERCENT)) + 0.4 * deviate[2] - 0.1 * deviate[0]
    mito = rng.multinomial(rng.binomial(total, 1 / (1 + np.exp(-mito_odds))), p.mito)

    opened = _draw_open(p, stream(p.seed, 4, index), celltype, donor, atac_depth)
    rng = stream(p.seed, 5, index)
    mito_percent = 100 * mito.sum(axis=1) / np.maximum(total, 1)
    cis = _draw_genes(p, rng, celltype, donor, total, mito_percent, opened)
    left = np.maximum(total - mito.sum(axis=1) - cis.sum(axis=1), 0)
    other = rng.multinomial(left, p.background)
    rna = sp.hstack([sp.csr_matrix(part.astype(np.int32)) for part in (cis, other, mito)], format="csr", dtype=np.int32)

    atac = sp.csr_matrix(opened[:n], dtype=np.int32)
    atac.data = stream(p.seed, 6, index).choice(_FRAGMENTS, size=atac.nnz, p=_FRAGMENT_ODDS)
    return Block(celltype[:n], donor[:n], sp.csr_matrix(rna[:n]), atac)


def _draw_open(
    p: Parameters, rng: np.random.Generator, celltype: np.ndarray, donor: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Draw which peaks are open. Shape ``(BLOCK_CELLS, n_peaks)``."""
    domain = np.exp(p.block_sd * rng.normal(size=(BLOCK_CELLS, len(p.block_sizes))) - p.block_sd**2 / 2)
    domain = (domain * np.exp(depth - 0.08)[:, None]).astype(np.float32)
    opened = np.empty((BLOCK_CELLS, p.rate.shape[1]), dtype=bool)
    wait = np.empty((_ROWS, p.rate.shape[1]), dtype=np.float32)
    for start in range(0, BLOCK_CELLS, _ROWS):
        rows = slice(start, start + _ROWS)
        rate = np.repeat(domain[rows], p.block_sizes, axis=1)
        rate *= p.rate[celltype[rows]]
        rate *= p.peak_donor[donor[rows]]
        # An exponential waiting time is below the rate with probability 1 - exp(-rate).
        rng.standard_exponential(dtype=np.float32, out=wait)
        np.less(wait, rate, out=opened[rows])
    return opened


def _draw_genes(
    p: Parameters,
    rng: np.random.Generator,
    celltype: np.ndarray,
    donor: np.ndarray,
    total: np.ndarray,
    mito_percent: np.ndarray,
    opened: np.ndarray,
) -> np.ndarray:
    """Draw the counts of the genes of interest. Shape ``(BLOCK_CELLS, n_genes)``."""
    eta = p.log_share + p.gene_celltype[celltype]
    eta += p.gene_donor[donor]
    eta += (mito_percent - _MITO_PERCENT)[:, None] * p.gene_mito
    eta += (opened[:, p.link_peak] * p.link_beta[celltype]) @ p.link_to_gene
    both = opened[:, p.pair_peaks[0]] & opened[:, p.pair_peaks[1]]
    eta += (both * p.pair_effect[celltype]) @ p.pair_to_gene
    mean = np.exp(eta, out=eta)
    mean *= total[:, None]
    if p.dispersion > 0:
        mean *= rng.standard_gamma(1 / p.dispersion, size=mean.shape)
        mean *= p.dispersion
    return np.asarray(rng.poisson(mean))


def barcodes(seed: int, n_cells: int) -> np.ndarray:
    """Make cell barcodes as 10x writes them: 16 bases and ``-1``, unique."""
    # A bijection of 32-bit numbers (the finaliser of MurmurHash3): scattered, and never twice the same.
    x = np.arange(n_cells, dtype=np.uint32) ^ np.uint32(stream(seed, 7).integers(2**32))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    base = np.array(list("ACGT"))[(x[:, None] >> np.arange(0, 32, 2, dtype=np.uint32)) & np.uint32(3)]
    return np.array(["".join(row) + "-1" for row in base], dtype=object)
