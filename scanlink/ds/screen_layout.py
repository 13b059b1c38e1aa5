"""Where the genes and targets of a simulated screen lie on the chromosomes of hg38."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.ds.layout import CHR_X, HG38, MITOCHONDRIAL
from scanlink.ds.model import stream
from scanlink.errors import OptionError

__all__ = ["other_genes", "place_genes", "place_targets"]

# bp from one locus to the next, so that its targets are more than 1 Mb away, and from gene to gene at a locus.
_SPACING, _MARGIN, _BESIDE = 2_400_000, 1_200_000, 150_000
# Least and most bp from the first gene of a locus to its targets, and their width.
_NEAR, _FAR, _WIDTH = 2_000, 100_000, 500
_COLUMNS = ["chrom", "start", "end", "strand", "gene_id", "gene", "gene_type"]
_PLACES = 40  # a stream of its own


def place_genes(n: int, n_loci: int, seed: int) -> pd.DataFrame:
    """Place genes at loci that lie far apart, first one at each, then another; the first are the same for any ``n``.

    There are at most as many loci as genes: gene k is at locus ``k % n_loci``.
    """
    slots = [
        (slot, place, chrom)
        for place, (chrom, size) in enumerate(HG38.items())
        for slot in range((size - 2 * _MARGIN) // _SPACING)
    ]
    if n_loci > len(slots):
        raise OptionError(f"n_genes is {n}, expected at most {len(slots)}: so many lie far enough from each other")
    slots.sort()
    rng = stream(seed, _PLACES)
    rows = []
    for number in range(n):
        slot, _, chrom = slots[number % n_loci]
        start = _MARGIN + slot * _SPACING + number // n_loci % 4 * _BESIDE + int(rng.integers(50_000))
        end = start + int(rng.integers(2_000, 60_000))
        rows.append((chrom, start, end, "+-"[int(rng.integers(2))], f"SIMG{number + 1:011d}", f"GENE{number + 1}"))
    return pd.DataFrame(rows, columns=_COLUMNS[:-1]).assign(gene_type="protein_coding")


def place_targets(genes: pd.DataFrame, locus: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """Place targets within 100 kb of the first gene of their locus: ``target``, ``chrom``, ``start``, ``end``."""
    rng = stream(seed, _PLACES, 1)
    distance = rng.integers(_NEAR, _FAR, size=locus.size)
    left, right = genes["start"].to_numpy()[locus], genes["end"].to_numpy()[locus]
    start = np.where(rng.random(locus.size) < 0.5, left - distance - _WIDTH, right + distance)
    return pd.DataFrame(
        {
            "target": [f"enhancer{number + 1}" for number in range(locus.size)],
            "chrom": genes["chrom"].to_numpy()[locus],
            "start": start,
            "end": start + _WIDTH,
        }
    )


def other_genes(n: int, first: int) -> pd.DataFrame:
    """Place genes on chrX, far from every target, then those of mitochondria; ids count from the number ``first``."""
    start = np.linspace(1_000_000, CHR_X - 1_000_000, n).astype(np.int64)
    nuclear = pd.DataFrame({"chrom": "chrX", "start": start, "end": start + 20_000, "strand": "+"})
    nuclear["gene"] = [f"OTHER{number + 1}" for number in range(n)]
    mito = pd.DataFrame(MITOCHONDRIAL, columns=["gene", "start", "end", "strand"]).assign(chrom="chrM")
    table = pd.concat([nuclear, mito], ignore_index=True).assign(gene_type="protein_coding")
    table["gene_id"] = [f"SIMG{first + number:011d}" for number in range(len(table))]
    return table[_COLUMNS]
