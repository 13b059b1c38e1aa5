"""Makes the pictures of docs/pictures.md, from simulated data; about a minute on one core.

python docs/pictures.py [--out docs/pictures] [--seed 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import scanlink as sl

DPI = 90


def analysed(seed: int, n_interactions: int) -> tuple[sl.ds.Simulation, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Simulated data, its gene-peak pairs, links and enhancer pairs."""
    data = sl.ds.simulate(
        n_cells=4_000, n_genes=120, n_peaks=900, n_links=240, n_interactions=n_interactions, seed=seed
    )
    pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    links = sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value="robust")
    return data, pairs, links, sl.tl.enhancer_pairs(links, fdr=0.1)


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data, pairs, links, enhancers = analysed(options.seed, 25)
    epi = sl.tl.epistasis(data.mdata, enhancers, groupby="celltype", p_value="robust")
    found = sl.tl.calibrate(
        data.mdata, pairs, groupby="celltype", strata="nUMI", n_permutations=3, p_value="robust",
        levels=(0.05, 0.01, 0.001),
    )  # fmt: skip
    best = epi.loc[epi["p_value"].idxmin()]
    gene = data.genes[data.genes["gene"] == best["gene"]].iloc[0]
    region = (gene["chrom"], int(gene["start"]) - 400_000, int(gene["end"]) + 400_000)
    three = ["CD14-Mono", "CD4-Naive", "B-Memory"]
    made = {
        "qq": sl.pl.qq(links, kinds=["wald", "robust"], group="CD14-Mono"),
        "volcano": sl.pl.volcano(links, group="CD14-Mono"),
        "volcano_pairs": sl.pl.volcano(epi),
        "states": sl.pl.states(
            data.mdata, best["gene"], best["enhancer_1"], best["enhancer_2"], groupby="celltype", group=best["group"]
        ),
        "additivity": sl.pl.additivity(epi),
        "arcs": sl.pl.arcs(links, data.genes, region, groups=three, epi=epi, peaks=data.mdata["atac"].var),
        "links_per": sl.pl.links_per(links, group="CD14-Mono"),
        "distance_decay": sl.pl.distance_decay(links),
        "heatmap": sl.pl.heatmap(links, top=20),
        "calibration": sl.pl.calibration(found),
    }
    for name, ax in made.items():
        ax.figure.savefig(options.out / f"{name}.png", dpi=DPI)
    print(f"{len(made)} pictures in {options.out}")


if __name__ == "__main__":
    main()
