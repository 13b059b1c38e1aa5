"""Makes the pictures of docs/pictures.md and its table of calls, from simulated data; some minutes on one core.

Both take their list from scanlink.pl.

python docs/pictures.py [--out docs/pictures] [--seed 3]
"""

from __future__ import annotations

import argparse
import inspect
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

import scanlink as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pl.tables import draw_example, needed

DPI = 90
PAGE = Path(__file__).with_suffix(".md")
BEGIN, END = "<!-- written by docs/pictures.py -->", "<!-- end -->"


def analysed(seed: int, n_interactions: int) -> tuple[sl.ds.Simulation, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Simulated data, its gene-peak pairs, links and enhancer pairs."""
    data = sl.ds.simulate(
        n_cells=4_000, n_genes=120, n_peaks=900, n_links=240, n_interactions=n_interactions, seed=seed
    )
    pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    links = sl.tl.scan(data.mdata, pairs, groupby="celltype")
    return data, pairs, links, sl.tl.enhancer_pairs(links, fdr=0.1)


def screened(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A simulated screen, its interactions, and both beside links that show what was planted."""
    data = sl.tl.simulate_screen(
        n_cells=4_000,
        n_genes=30,
        n_targets=90,
        guides_per_cell=12.0,
        effect=(-0.1, 0.3),
        interaction=[0, 0, 1.0],
        seed=seed,
    )
    screen = sl.tl.screen(data.mdata, data.pairs, n_controls=300)
    two = sl.tl.screen_interactions(data.mdata, data.target_pairs, n_controls=100)
    guides = data.mdata["guide"].var
    places = guides[guides["chrom"].notna()].drop_duplicates("target").set_index("target").loc[data.pairs["target"]]
    rng = np.random.default_rng(seed)
    se = rng.gamma(4, 0.025, len(places)) + 0.02
    beta = -0.6 * data.pairs["beta"].to_numpy() + rng.normal(0, se)
    links = pd.DataFrame(
        {
            "group": "K562",
            "gene": data.pairs["gene"],
            "beta": beta,
            "se": se,
            "peak": [f"{row.chrom}:{int(row.start) - 100}-{int(row.end) + 100}" for row in places.itertuples()],
            "p_value": 2 * ndtr(-np.abs(beta / se)),
        }
    )
    return screen, two, sl.tl.screen_links(screen, links, guides)


def write_table() -> None:
    """Write the table of all pictures into docs/pictures.md: call, first line of the docstring, picture."""
    rows = []
    for name in sl.pl.__all__:
        text = inspect.getdoc(getattr(sl.pl, name)).splitlines()[0].rstrip(".")
        shown = f" ([picture](pictures/{name}.png))" if (PAGE.parent / "pictures" / f"{name}.png").exists() else ""
        rows.append(f"| `sl.pl.{name}({', '.join(needed(name))})` | {text}{shown} |")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, "| call | what it does |", "| --- | --- |", *rows, END + after]))


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data, pairs, links, enhancers = analysed(options.seed, 25)
    epi = sl.tl.epistasis(data.mdata, enhancers, groupby="celltype")
    calibration = sl.tl.calibrate(
        data.mdata,
        pairs,
        groupby="celltype",
        strata="nUMI",
        n_permutations=3,
        p_value="robust",
        levels=(0.05, 0.01, 0.001),
    )
    screen, two, joint = screened(options.seed)
    best = epi.loc[epi["p_value"].idxmin()]
    gene = data.genes[data.genes["gene"] == best["gene"]].iloc[0]
    region = (gene["chrom"], int(gene["start"]) - 400_000, int(gene["end"]) + 400_000)
    three = ["CD14-Mono", "CD4-Naive", "B-Memory"]
    states = [best[name] for name in ("gene", "enhancer_1", "enhancer_2")]
    pictures = {
        "qq": sl.pl.qq(links, kinds=["wald", "robust"], group="CD14-Mono"),
        "volcano": sl.pl.volcano(links, group="CD14-Mono"),
        "volcano_pairs": sl.pl.volcano(epi),
        "states": sl.pl.states(data.mdata, *states, groupby="celltype", group=best["group"]),
        "arcs": sl.pl.arcs(links, data.genes, region, groups=three, epi=epi, peaks=data.mdata["atac"].var),
        "links_per": sl.pl.links_per(links, group="CD14-Mono"),
        "heatmap": sl.pl.heatmap(links, top=20),
        "screen_qq": sl.pl.qq(screen, kinds=["robust"], by="kind", top=8),
        "screen_volcano": sl.pl.volcano(screen),
        "screen_power": sl.pl.screen_power(two),
        "screen_additivity": sl.pl.additivity(two),
    }
    # The others as they are, of whatever has the columns.
    tables = [partial(pd.DataFrame, table) for table in (links, epi, screen, two, joint)]
    arguments = {
        "links": tables[:1],
        "epi": tables[1:2],
        "table": tables,
        "mdata": [lambda: data.mdata],
        "calibration": [lambda: calibration],
        "genes": data.genes,
        "region": region,
        "truth": data.links,
        **dict(zip(("gene", "enhancer_1", "enhancer_2"), states, strict=True)),
    }
    for name in sl.pl.__all__:
        if name not in pictures:
            pictures[name], _ = draw_example(name, arguments)
    for name, picture in pictures.items():
        picture.figure.savefig(options.out / f"{name}.png", dpi=DPI)
    write_table()
    print(f"{len(pictures)} pictures in {options.out}")


if __name__ == "__main__":
    main()
