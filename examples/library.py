"""From files to links and enhancer pairs in Python, on simulated files. Run it: python examples/library.py"""

from __future__ import annotations

import tempfile
from pathlib import Path

import scanlink as sl


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sl.ds.simulate(n_cells=800, n_genes=30, n_peaks=120, n_links=25, n_interactions=2, seed=1).write(folder)

        mdata = sl.io.read(Path(folder) / "multiome.h5mu")
        genes = sl.io.read_genes(Path(folder) / "genes.gtf.gz")
        sl.pp.qc(mdata)
        sl.pp.filter_features(mdata, min_fraction=0.05)
        pairs = sl.pp.cis_pairs(mdata, genes, window=500_000)
        with sl.cluster.client("local", n_workers=2) as client:
            links = sl.tl.scan(
                mdata, pairs, groupby="celltype", formula="log(nUMI) + percent.mito", seed=0, client=client
            )
        print(links["status"].value_counts().to_string())
        columns = ["group", "gene", "peak", "distance", "beta", "p_robust", "p_boot", "fdr"]
        print(links[links["fdr"] < 0.1].sort_values("fdr")[columns].head(10).to_string(index=False))

        enhancers = sl.tl.enhancer_pairs(links, fdr=0.1)
        epi = sl.tl.epistasis(mdata, enhancers, groupby="celltype")
        columns = ["group", "gene", "n_11", "beta_interaction", "p_robust_interaction", "min_interaction", "status"]
        print(epi[columns].head(10).to_string(index=False))


# Worker processes import this file once more, so what starts them stands behind this line.
if __name__ == "__main__":
    main()
