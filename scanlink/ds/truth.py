"""What is planted in simulated data: links, and interactions of enhancer pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanlink.errors import OptionError

__all__ = ["Truth", "plant"]

# Most links of one gene; more would make its enhancers hard to tell apart.
_MOST_PER_GENE = 4


@dataclass(frozen=True)
class Truth:
    """Planted effects, on the natural logarithm of the expected count.

    ``links`` have ``group`` (a cell type, or ``""`` for all), ``gene``, ``peak``, ``beta``: effect of the peak being
    open. ``interactions`` have ``group``, ``gene``, ``enhancer_1``, ``enhancer_2``, ``beta_1``, ``beta_2``,
    ``interaction``: what is added when both are open. Both enhancers are in ``links`` as well.
    """

    links: pd.DataFrame
    interactions: pd.DataFrame


def plant(
    rng: np.random.Generator,
    *,
    genes: pd.DataFrame,
    peaks: pd.DataFrame,
    celltypes: list[str],
    n_links: int,
    n_interactions: int,
    effect: tuple[float, float],
    interaction_effect: tuple[float, float],
    window: int = 500_000,
) -> Truth:
    """Choose true links among the gene-peak pairs of each block, and interactions among the links.

    Genes and peaks are those of :func:`scanlink.ds.layout.lay_out`. Half of the links act in one of the cell types
    alone. Links of the interactions, each in a gene of its own, are among ``n_links``. Effects are the smallest and
    largest absolute ones (natural log); three quarters of the links, and half of the interactions, are positive.
    ``window`` is the furthest peak from a gene body, in bp.
    """
    if n_links < 2 * n_interactions:
        raise OptionError(
            f"n_links={n_links} is too small: each of n_interactions={n_interactions} needs two links of its own"
        )
    per_gene, interacting = _links_per_gene(rng, n_genes=len(genes), n_links=n_links, n_interactions=n_interactions)
    rows: list[tuple[str, int, int]] = []
    starts = np.searchsorted(peaks["block"], np.arange(peaks["block"].max() + 2))
    centre = ((peaks["start"] + peaks["end"]) // 2).to_numpy()
    left, right = genes["start"].to_numpy(), genes["end"].to_numpy()
    tss = np.where(genes["strand"] == "-", right - 1, left)
    block = genes["block"].to_numpy()
    for gene in np.flatnonzero(per_gene):
        near = np.arange(starts[block[gene]], starts[block[gene] + 1])
        near = near[(centre[near] >= left[gene] - window) & (centre[near] < right[gene] + window)]
        if len(near) < per_gene[gene]:
            raise OptionError(
                f"n_peaks={len(peaks)} are too few for n_links={n_links}: a gene has {len(near)} peaks near it"
            )
        # Real links thin out with the distance.
        odds = 1 / (np.abs(centre[near] - tss[gene]) + 20_000.0)
        chosen = np.sort(rng.choice(near, size=per_gene[gene], replace=False, p=odds / odds.sum()))
        alone = rng.random(per_gene[gene]) < 0.5
        groups = np.where(alone, rng.choice(celltypes, size=per_gene[gene]), "")
        if interacting[gene]:  # both act in the same cells
            groups[1] = groups[0]
        rows += [(str(group), int(gene), int(peak)) for group, peak in zip(groups, chosen, strict=True)]
    links = pd.DataFrame(rows, columns=["group", "gene", "peak"])
    links["beta"] = _sizes(rng, effect, len(links), positive=0.75)
    # The first two links of an interacting gene are its pair.
    rank = links.groupby("gene").cumcount()
    first = links[interacting[links["gene"]] & (rank == 0)]
    second = links[interacting[links["gene"]] & (rank == 1)]
    names, marks = genes["gene"].to_numpy(), peaks.index.to_numpy()
    interactions = pd.DataFrame(
        {
            "group": first["group"].to_numpy(dtype=object),
            "gene": names[first["gene"]],
            "enhancer_1": marks[first["peak"]],
            "enhancer_2": marks[second["peak"]],
            "beta_1": first["beta"].to_numpy(),
            "beta_2": second["beta"].to_numpy(),
            "interaction": _sizes(rng, interaction_effect, len(first), positive=0.5),
        }
    )
    links["gene"], links["peak"] = names[links["gene"]], marks[links["peak"]]
    return Truth(links, interactions)


def _sizes(rng: np.random.Generator, between: tuple[float, float], n: int, *, positive: float) -> np.ndarray:
    return rng.uniform(*between, size=n) * np.where(rng.random(n) < positive, 1.0, -1.0)


def _links_per_gene(
    rng: np.random.Generator, *, n_genes: int, n_links: int, n_interactions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw how many links each gene has, and whether its first two interact. If possible a quarter has none."""
    if n_interactions > n_genes:
        raise OptionError(f"n_interactions={n_interactions}, expected at most n_genes={n_genes}: one for each gene")
    order = rng.permutation(n_genes)
    interacting = np.zeros(n_genes, dtype=bool)
    interacting[order[:n_interactions]] = True
    count = np.where(interacting, 2, 0)
    left = n_links - 2 * n_interactions
    for pool in (order[: max(n_interactions, 3 * n_genes // 4)], order):
        slots = np.repeat(pool, _MOST_PER_GENE - count[pool])
        chosen = rng.choice(slots, size=min(left, len(slots)), replace=False)
        np.add.at(count, chosen, 1)
        left -= len(chosen)
    if left:
        raise OptionError(f"n_links={n_links}, expected at most {_MOST_PER_GENE} for each of n_genes={n_genes}")
    return count, interacting
