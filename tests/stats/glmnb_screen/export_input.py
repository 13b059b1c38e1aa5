"""Write what glmnb.R reads: cells, counts, guides, and which targets are tested on which genes.

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

sys.path.insert(0, str(Path(__file__).parents[1]))

from screen_cells import ScreenCells, load_screen

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[4] / "shared")).resolve() / "data"
BASE, PAIRS = 50, 20


def base_pairs() -> pd.DataFrame:
    """The positive controls of the list of pairs, and every second or third of its discovery pairs."""
    listed = pd.read_csv(SHARED / "crispri" / "sceptreIGVF_pairs_to_test.csv")
    positive, discovery = (listed[listed["pair_type"] == kind] for kind in ("positive_control", "discovery"))
    rows = np.linspace(0, len(discovery) - 1, BASE - len(positive)).round().astype(int)
    table = pd.concat([positive, discovery.iloc[rows]])
    return table.rename(columns={"gene_id": "gene", "intended_target_name": "target"})[["gene", "target"]]


def target_pairs(cells: ScreenCells) -> pd.DataFrame:
    """The pairs of targets with most doubly perturbed cells, each on the gene at another place in the order of counts.

    Genes have counts in at least two of those cells.
    """
    names = [name for name in pd.unique(cells.targets) if name != "non-targeting"]
    perturbed = {name: cells.perturbed(name, False) > 0 for name in names}
    pairs = sorted(combinations(names, 2), key=lambda two: -(perturbed[two[0]] & perturbed[two[1]]).sum())
    chosen = []
    for i, (one, two) in enumerate(pairs[:PAIRS]):
        counted = (cells.counts[perturbed[one] & perturbed[two]] > 0).sum()
        usable = cells.counts.loc[:, counted >= 2].sum().sort_values(kind="stable").index
        chosen.append((usable[i * (len(usable) - 1) // (PAIRS - 1)], one, two))
    return pd.DataFrame(chosen, columns=["gene", "target_1", "target_2"])


def main(folder: Path) -> None:
    cells = load_screen(SHARED)
    folder.mkdir(parents=True, exist_ok=True)
    # What R reads is text: logarithms it takes itself.
    about = pd.DataFrame({"batch": cells.batch, "umis": np.exp(cells.depth).round()}).astype(int)
    about.to_csv(folder / "cells.csv", index=False)
    cells.counts.to_csv(folder / "counts.csv", index=False)
    np.savetxt(folder / "guides.txt", cells.called, fmt="%d")
    guides = pd.DataFrame({"target": cells.targets, "efficiency": cells.efficiencies})
    guides.to_csv(folder / "guides.csv", index=False)
    for name, table in {"base": base_pairs(), "pair": target_pairs(cells)}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        print(f"{name}: {len(table)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
