"""What the coding of two open enhancers does to pairs whose effects multiply: figure and table of docs/epistasis.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import scanlink as sl

PICTURE = Path(__file__).parents[1] / "docs" / "epistasis_coding.png"
FITS = {
    "separate, 0/2 (dosage)": {"model": "separate", "coding": "dosage"},
    "separate, 0/1": {"model": "separate"},
    "joint, 0/1": {"model": "joint"},
}


def coding(*, seed: int, n_cells: int = 4_000, n_genes: int = 300, picture: Path = PICTURE) -> dict[str, pd.DataFrame]:
    """Simulate links without interactions, fit their pairs with each coding, print a table and draw the picture."""
    simulation = sl.ds.simulate(
        n_cells=n_cells,
        n_genes=n_genes,
        n_peaks=6 * n_genes,
        celltypes={"all": 1.0},
        n_links=3 * n_genes,
        n_interactions=0,
        effect=(0.1, 0.6),
        seed=seed,
    )
    planted = sl.tl.enhancer_pairs(simulation.links.assign(group="all", fdr=0.0))
    links = sl.tl.scan(simulation.mdata, simulation.links[["gene", "peak"]], ladder="none", min_fraction=0.0)
    found = sl.tl.enhancer_pairs(links)[["gene", "enhancer_1", "enhancer_2"]]
    print(
        f"{n_cells:,} cells, {len(simulation.links):,} links of {simulation.links['gene'].nunique()} genes, none of "
        f"which interact; {len(planted):,} pairs, of which {len(found):,} of links found at a rate of .1\n"
    )
    print("| model, coding | pairs | below the line | where single effects sum above 0 | below 0 | median difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    tables = {}
    for name, options in FITS.items():
        table = sl.tl.epistasis(simulation.mdata, planted, ladder="none", **options)
        tables[name] = table[table["status"] == "ok"]
        row(name, tables[name])
        row(f"{name}, links found", tables[name].merge(found))
    joint = tables["joint, 0/1"]
    called = [f"{kind} {np.mean(joint[f'{kind}_interaction'] <= 0.05):.3f}" for kind in ("p", "p_tail", "p_robust")]
    print(f"\nShare of p <= .05 in the joint model, none true: {', '.join(called)}")
    draw(tables, picture)
    print(f"{picture.name} written")
    return tables


def row(name: str, table: pd.DataFrame) -> None:
    total = table["beta_10"] + table["beta_01"]
    difference = table["beta_11"] - total
    below = difference < 0
    print(
        f"| {name} | {len(table):,} | {below.mean():.1%} | {below[total > 0].mean():.1%} "
        f"| {below[total < 0].mean():.1%} | {difference.median():+.3f} |"
    )


def draw(tables: dict[str, pd.DataFrame], picture: Path) -> None:
    """The two codings side by side."""
    figure = Figure(figsize=(12.4, 5.0), layout="constrained")
    shown = {"As published: 11 coded as 2": "separate, 0/2 (dosage)", "Coded 0 or 1": "joint, 0/1"}
    pairs = []
    for part, (title, name) in zip(figure.subfigures(1, 2, wspace=0.04), shown.items(), strict=True):
        part.suptitle(title, fontweight="bold")
        pairs.append(part.subplots(1, 2, width_ratios=(3.6, 1)))
        # Nothing is marked: what is shown is where all pairs lie.
        sl.pl.additivity(tables[name].drop(columns=["fdr", "group"]), ax=pairs[-1])
    # The same scales left and right.
    for own in zip(*pairs, strict=True):
        low, high = min(ax.get_ylim()[0] for ax in own), max(ax.get_ylim()[1] for ax in own)
        for ax in own:
            ax.set_ylim(low, high)
    for scatter, _ in pairs:
        scatter.set_xlim(scatter.get_ylim())
        # The line that it has ends where its own points do.
        scatter.axline((0, 0), slope=1, color="black", linewidth=0.9)
    figure.savefig(picture, dpi=110)
