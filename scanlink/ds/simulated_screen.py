"""A simulated CRISPR screen in which effects of targets, and their interactions, are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scanlink.ds.layout import MITOCHONDRIAL, other_genes, place_genes, place_targets
from scanlink.ds.model import barcodes, stream, whole_number
from scanlink.ds.multiome_file import assemble
from scanlink.ds.screen_model import Combine, Perturbation, ScreenModel
from scanlink.errors import OptionError

if TYPE_CHECKING:
    from mudata import MuData

__all__ = ["SimulatedScreen", "simulate_screen"]

log = logging.getLogger("scanlink")

# Streams, by what they are for; those of the model and of the places have others.
_UMIS, _REST, _BATCH = 41, 42, 43
_N_OTHER = 10
# UMIs of a guide that a cell has: these, and a geometric number with this mean. Ambient guides have fewer, and there
# are this many of them for each guide.
_LEAST, _MORE, _AMBIENT = 5, 15, 0.1


@dataclass(frozen=True)
class SimulatedScreen:
    """A simulated screen, and the truth about it.

    Attributes
    ----------
    mdata
        Modalities ``rna`` and ``guide`` with counts of UMIs. ``mdata["guide"].var`` has ``target`` (or
        ``non-targeting``), ``efficiency``, and ``chrom``, ``start``, ``end`` of the target. ``mdata.obs`` has
        ``prep_batch``, ``guide_count``, ``percent.mito`` (0 to 100), ``s_score``, ``g2m_score`` and ``nUMI``.
    genes
        As :func:`scanlink.io.read_genes` gives them: ``chrom``, ``start``, ``end`` (0-based, half-open), ``strand``,
        ``gene_id``, ``gene``, ``gene_type``.
    pairs
        ``gene``, ``target``, ``kind`` (``"discovery"``) and ``beta``, the true effect of the perturbation (natural
        log): targets at the gene, of which the first two act on it.
    target_pairs
        ``gene``, ``target_1``, ``target_2``: the two that act on it.
    truth
        A row a gene: ``gene``, ``target_1``, ``target_2``, ``baseline``, ``beta_1``, ``beta_2``, ``interaction``,
        the coefficients ``s_score``, ``g2m_score``, ``percent.mito``, and ``theta``.
    """

    mdata: MuData
    genes: pd.DataFrame
    pairs: pd.DataFrame
    target_pairs: pd.DataFrame
    truth: pd.DataFrame


def simulate_screen(
    *,
    n_cells: int = 50_000,
    n_genes: int = 200,
    n_targets: int = 1_000,
    guides_per_target: int = 2,
    n_non_targeting: int = 50,
    guides_per_cell: float = 15.0,
    efficiencies: tuple[float, float] = (6.0, 3.0),
    efficiency_noise: float | None = None,
    perturbation: Perturbation = "probability",
    baseline: tuple[float, float] = (2.95, 1.55),
    effect: tuple[float, float] = (0.02, 0.16),
    interaction: float | Sequence[float] = (0.0, 1.0),
    combine: Combine = "multiplicative",
    theta: float = 1.5,
    seed: int = 0,
) -> SimulatedScreen:
    """Simulate a pooled screen with many guides a cell, as the power of GLiMMIRS was simulated.

    Parameters
    ----------
    n_cells
        Cells.
    n_genes
        Genes, each with two targets that act on it; beside these there are others which hold the remaining UMIs.
    n_targets
        Targets of guides. With fewer than two a gene, genes share them; those left over lie at the genes and do
        nothing.
    guides_per_target
        Guides of each target.
    n_non_targeting
        Guides without a target. The published simulation has none; they take their share of ``guides_per_cell``.
    guides_per_cell
        Mean of the Poisson number of different guides in a cell.
    efficiencies
        Shapes of the Beta distribution of guide efficiencies.
    efficiency_noise
        D: the efficiencies in ``var`` are drawn from Beta(D w, D (1 - w)), with the true ones w in
        ``true_efficiency``. None: they are the true ones.
    perturbation
        ``"probability"``: expression follows the probability of a perturbation, as published. ``"drawn"``: each guide
        of a cell works or does not, and expression follows that; an analysis sees the probability.
    baseline, effect
        Means and standard deviations of the intercepts (log of expected UMIs a million) and of the effects of targets.
    interaction
        Interaction of the two targets of each gene (natural log); genes take the values of a list in turn.
    combine
        ``"multiplicative"``: effects add on the log scale. ``"additive"``: changes of the expected count add; there
        is no interaction then.
    theta
        Size of the negative binomial; ``inf`` is Poisson.
    seed
        The same seed gives the same numbers.

    Returns
    -------
    SimulatedScreen
        Data and truth.

    Raises
    ------
    OptionError
        If an option is impossible, or so many genes do not fit.

    Notes
    -----
    Of Zhou et al. 2024 (Cell Genomics 4:100672) and the scripts that go with it. In cell i, gene k has a negative
    binomial count of mean ``exp(eta)`` and variance ``mean + mean^2 / theta``::

        x   = 1 - prod_g (1 - G_g eff_g)    over the guides g of a target, G_g = 1 where the cell has guide g
        eta = b0 + bA xA + bB xB + bAB xA xB + bS s_score + bG g2m_score + bM percent.mito + log(nUMI / 1e6)

    nUMI is Poisson with mean 50,000, the mitochondrial share Beta(3.3, 81.48), the S score normal (-.0013, .11), the
    G2M score skew normal (-.256, .312, 6.29); bS, bG and 100 bM are normal (-.21, 1.04), (.004, .49), (-.37, 9.04).
    Places, batches (which have no effect), UMIs of guides and the genes that hold the other UMIs were not published.

    Each gene has random streams of its own (Philox): its counts are the same whatever the number of genes, and
    :func:`scanlink.tl.power_screen` tests the same ones if it has the same options and ``n_non_targeting`` is 0.

    Examples
    --------
    >>> screen = simulate_screen(n_cells=300, n_genes=4, n_targets=10, n_non_targeting=5, guides_per_cell=3)
    >>> screen.mdata["guide"].shape, len(screen.pairs), len(screen.target_pairs)
    ((300, 25), 10, 4)
    >>> screen.truth["interaction"].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    whole_number("n_genes", n_genes, 1)
    model = ScreenModel(
        n_cells,
        n_targets,
        guides_per_target,
        n_non_targeting,
        float(guides_per_cell),
        tuple(efficiencies),
        efficiency_noise,
        perturbation,
        tuple(baseline),
        tuple(effect),
        combine,
        float(theta),
        seed,
    )
    sizes = [float(value) for value in np.atleast_1d(np.asarray(interaction, dtype=np.float64))]
    if not sizes or not np.isfinite(sizes).all():
        raise OptionError(f"interaction is {interaction!r}, expected a number or several")
    n_loci = min(n_genes, n_targets // 2)
    genes = place_genes(n_genes, n_loci, seed)
    locus = np.concatenate([np.repeat(np.arange(n_loci), 2), np.arange(n_targets - 2 * n_loci) % n_loci])
    targets = place_targets(genes, locus, seed)
    truth = _truth(model, genes["gene"].to_numpy(), targets["target"].to_numpy(), sizes)
    pairs = _pairs(truth, targets["target"].to_numpy(), locus)
    others = other_genes(_N_OTHER, n_genes + 1)
    drawn, cells = model.guides(), model.cells()
    obs = pd.DataFrame(
        {
            "prep_batch": pd.Categorical.from_codes(
                stream(seed, _BATCH).integers(2, size=n_cells),
                categories=pd.Index(["prep_batch_1", "prep_batch_2"], dtype=object),
            ),
            "guide_count": np.bincount(drawn.cells, minlength=n_cells),
            "percent.mito": cells.percent_mito,
            "s_score": cells.s_score,
            "g2m_score": cells.g2m_score,
            "nUMI": cells.total,
        },
        index=pd.Index(barcodes(seed, n_cells)),
    )
    table = pd.concat([genes, others], ignore_index=True)
    rna = _expression(model, truth["interaction"].to_numpy())
    var = table.set_index("gene")[["gene_id", "chrom", "start", "end", "strand"]]
    mdata = assemble(
        obs, {"rna": var, "guide": _guide_table(model, targets)}, {"rna": rna, "guide": _guide_umis(model)}
    )
    return SimulatedScreen(mdata, table, pairs, truth[["gene", "target_1", "target_2"]].copy(), truth)


def _truth(model: ScreenModel, genes: np.ndarray, targets: np.ndarray, sizes: list[float]) -> pd.DataFrame:
    """Draw what is planted in each gene."""
    rows = []
    for k, gene in enumerate(genes):
        drawn, size, (first, second) = model.effects(k), sizes[k % len(sizes)], model.targets_of(k)
        effects = (drawn.baseline, drawn.first, drawn.second, size, *drawn.covariates, model.theta)
        rows.append((gene, targets[first], targets[second], *effects))
    names = ["gene", "target_1", "target_2", "baseline", "beta_1", "beta_2", "interaction"]
    return pd.DataFrame(rows, columns=[*names, "s_score", "g2m_score", "percent.mito", "theta"])


def _pairs(truth: pd.DataFrame, targets: np.ndarray, locus: np.ndarray) -> pd.DataFrame:
    """Pair each gene with every target of its locus."""
    rows = []
    for k, of_gene in enumerate(truth.itertuples(index=False)):
        beta = {of_gene.target_1: of_gene.beta_1, of_gene.target_2: of_gene.beta_2}
        at = targets[locus == k % (locus.max() + 1)]
        rows += [(of_gene.gene, target, "discovery", beta.get(target, 0.0)) for target in at]
    return pd.DataFrame(rows, columns=["gene", "target", "kind", "beta"])


def _expression(model: ScreenModel, interactions: np.ndarray) -> sp.csr_matrix:
    """Draw counts of the genes, then of the others and of mitochondria, so that all UMIs are there."""
    cells = model.cells()
    columns, left = [], cells.total - cells.mito
    for k, interaction in enumerate(interactions):
        counts = model.counts(k, float(interaction))
        left = left - counts
        columns.append(sp.csc_matrix(counts.astype(np.int32)[:, None]))
    if (left < 0).any():
        log.warning(
            "in %d of %d cells the genes have more UMIs than the cell was to have: nUMI is not their sum there",
            np.count_nonzero(left < 0),
            model.n_cells,
        )
    rng = stream(model.seed, _REST)
    for total, n in ((np.maximum(left, 0), _N_OTHER), (cells.mito, len(MITOCHONDRIAL))):
        columns.append(sp.csc_matrix(rng.multinomial(total, np.full(n, 1 / n)).astype(np.int32)))
    return sp.hstack(columns, format="csr", dtype=np.int32)


def _guide_table(model: ScreenModel, targets: pd.DataFrame) -> pd.DataFrame:
    """Make a row a guide: its target, its place, and how well it works as far as is known."""
    aiming = targets.loc[np.repeat(np.arange(model.n_targets), model.guides_per_target)].reset_index(drop=True)
    aiming["guide"] = [f"{name}_g{n % model.guides_per_target + 1}" for n, name in enumerate(aiming["target"])]
    controls = pd.DataFrame(
        {"guide": [f"nt_g{n + 1}" for n in range(model.n_non_targeting)], "target": "non-targeting"}
    )
    table = pd.concat([aiming, controls], ignore_index=True) if len(controls) else aiming
    drawn, aimed = model.guides(), (table["target"] != "non-targeting").to_numpy()
    table["efficiency"] = np.where(aimed, drawn.known, np.nan)
    table["true_efficiency"] = np.where(aimed, drawn.efficiency, np.nan)
    # NaN for controls, which lie nowhere.
    table[["start", "end"]] = table[["start", "end"]].astype(float)
    columns = ["target", "efficiency", "true_efficiency", "chrom", "start", "end"]
    return table.set_index("guide")[columns].rename_axis(None)


def _guide_umis(model: ScreenModel) -> sp.csr_matrix:
    """Draw UMIs of guides: from 5 on where a cell has the guide, and a few of some that it has not."""
    drawn, n = model.guides(), model.n_guides
    rng = stream(model.seed, _UMIS)
    held = drawn.cells * n + np.repeat(np.arange(n), np.diff(drawn.starts))
    umis = _LEAST + rng.geometric(1 / (_MORE + 1), size=held.size) - 1
    n_ambient = rng.poisson(_AMBIENT * held.size)
    ambient = np.setdiff1d(rng.integers(model.n_cells * n, size=n_ambient), held)
    key = np.concatenate([held, ambient])
    values = np.concatenate([umis, rng.integers(1, _LEAST, size=ambient.size)]).astype(np.int32)
    return sp.csr_matrix((values, np.divmod(key, n)), shape=(model.n_cells, n))
