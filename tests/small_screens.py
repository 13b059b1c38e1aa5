"""Small CRISPR screens for tests of io and pp."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scanlink.io.opening import quiet

GUIDES = pd.DataFrame(
    {
        "guide": ["g1", "g2", "g3", "g4", "nt1", "nt2"],
        "target": ["enh1", "enh1", "enh2", "NOC2L", "non-targeting", "non-targeting"],
        "efficiency": [0.5, 0.8, np.nan, 1.0, np.nan, np.nan],
        "chrom": ["chr1", "chr1", "chr1", "chr1", None, None],
        "start": [50_000, 50_200, 90_000, 999, -9, -9],
        "end": [50_100, 50_300, 90_100, 1_020, -9, -9],
    }
)
GENES = pd.DataFrame(
    {
        "chrom": "chr1",
        "start": [1_000, 80_000, 2_000_000],
        "end": [9_000, 95_000, 2_010_000],
        "strand": ["+", "-", "+"],
        "gene": ["NOC2L", "HES4", "TBCE"],
        "gene_id": ["ENSG01", "ENSG02", "ENSG03"],
    }
)
CELLS = [f"{bases}-1" for bases in ("AAACCCGGGTTT", "AAACCCGGGTTA", "AAACCCGGGTTC", "AAACCCGGGTTG", "AAACCCGGGTCC")]


def counts(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """UMIs of three genes and six guides in five cells; every guide is somewhere."""
    rng = np.random.default_rng(seed)
    guide = rng.poisson(0.5, (5, 6))
    guide[[0, 1, 2, 3, 4, 0], range(6)] += 7
    return rng.poisson(2.0, (5, 3)) + 1, guide


def parts(*, genes: list[str] | None = None, var: pd.DataFrame | None = None) -> tuple[AnnData, AnnData]:
    """The two modalities as a user has them, the table of guides apart."""
    rna, guide = counts()
    with quiet():
        return (
            AnnData(
                sparse.csr_matrix(rna), pd.DataFrame(index=CELLS), pd.DataFrame(index=genes or list(GENES["gene"]))
            ),
            AnnData(
                sparse.csr_matrix(guide),
                pd.DataFrame(index=CELLS),
                pd.DataFrame(index=list(GUIDES["guide"])) if var is None else var,
            ),
        )
