"""Write what epistasis.R reads: cells, counts and pairs of each group, from pbmc10k through scanlink.

    python export_input.py FOLDER

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared beside the repository).
"""

from __future__ import annotations

import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

import scanlink as sl

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[5] / "shared")).resolve() / "data"
GROUPS = ["CD14-Mono", "CD4-TCM", "CD8-Naive"]


def main(folder: Path) -> None:
    source = SHARED / "pbmc10k"
    mdata = sl.io.read(
        rna=source / "rna_matrix.rds", atac=source / "atac_matrix.rds", cells=source / "metafile.rds", one_based=True
    )
    genes = sl.io.read_genes(source / "gencode_v44_gene_bodies.bed.gz")
    pairs = sl.pp.cis_pairs(mdata, genes, window=500_000)
    links = sl.tl.scan(
        mdata,
        pairs,
        groupby="celltype",
        groups=GROUPS,
        formula="log(nUMI) + percent.mito",
        p_value="robust",
        ladder="none",
        min_fraction=0.05,
        min_nonzero=5,
    )
    tested = links[links["status"] == "ok"]
    order = mdata["atac"].var.sort_values(["chrom", "start", "end"]).index
    for group in GROUPS:
        place = folder / group
        place.mkdir(parents=True, exist_ok=True)
        inside = (mdata.obs["celltype"] == group).to_numpy()
        # repr of a double is read back as the same double, to the last bit or the one before it.
        mdata.obs.loc[inside, ["nUMI", "percent.mito"]].to_csv(place / "cells.csv", index=False)
        mine = tested[tested["group"] == group]
        epairs = [
            (gene, *two)
            for gene, of_gene in mine.groupby("gene", observed=True, sort=False)
            for two in combinations(order[order.isin(of_gene["peak"])], 2)
        ]
        table = pd.DataFrame(epairs, columns=["gene", "enhancer_1", "enhancer_2"])
        table.to_csv(place / "pairs.csv", index=False)
        wanted = {
            "rna": table["gene"].unique(),
            "atac": pd.unique(table[["enhancer_1", "enhancer_2"]].to_numpy().ravel()),
        }
        for modality, names in wanted.items():
            counts = mdata[modality][inside, names].X.toarray().T
            # A line a feature; peaks as open or closed.
            values = (counts > 0 if modality == "atac" else counts).astype(int)
            np.savetxt(place / f"{modality}.txt", values, fmt="%d")
            (place / f"{modality}_names.txt").write_text("\n".join(map(str, names)) + "\n")
        print(f"{group}: {inside.sum()} cells, {len(table)} pairs of tested peaks")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
