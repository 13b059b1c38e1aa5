"""A real CRISPRi screen: positive controls, rejection rates of negative controls, pairs of targets.

    python benchmarks/screen.py [--controls 4000] [--workers 2] [--figure qq.png]

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared beside the repository).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

import scanlink as sl

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "crispri"
FORMULA = "prep_batch + log(guide_count + 1) + offset(log(nUMI))"
KINDS = {"p": "Wald (GLiMMIRS)", "p_robust": "robust", "p_tail": "tail", "p_perm": "permutation", "p_boot": "bootstrap"}
LEVELS = (0.05, 0.01, 0.001)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controls", type=int, default=4000, help="rows of each kind of control")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bootstrap", type=int, default=300, help="rows of each kind that are resampled, too")
    parser.add_argument("--figure", type=Path, help="where a picture of the p-values goes")
    given = parser.parse_args()
    mdata = sl.io.read_screen(SHARED / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    sl.pp.assign_guides(mdata)
    sl.pp.screen_qc(mdata)
    pairs = sl.io.read_target_pairs(SHARED / "sceptreIGVF_pairs_to_test.csv")
    with sl.cluster.client("local", n_workers=given.workers) as client:
        started = time.monotonic()
        table = sl.tl.screen(
            mdata, pairs, formula=FORMULA, p_value="permutation", n_controls=given.controls, client=client
        )
        seconds = time.monotonic() - started
        boot = sl.tl.screen(
            mdata,
            pairs,
            formula=FORMULA,
            p_value="bootstrap",
            ladder=[(1000, None)],
            n_controls=given.bootstrap,
            client=client,
        )
        both = sl.tl.target_pairs(pairs, mdata["guide"].var)
        two = sl.tl.screen_interactions(mdata, both, formula=FORMULA, min_both=1, controls=[], client=client)
        ten = sl.tl.screen_interactions(mdata, both, formula=FORMULA, controls=[], client=client)
    _found(table, seconds)
    _rates(table, boot)
    _pairs(two, ten)
    if given.figure:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")[1]
        for ax, kind in zip(axes, ("non_targeting", "shuffled", "mismatched"), strict=True):
            sl.pl.qq(table[(table["kind"] == kind) & (table["status"] == "ok")], ax=ax)
            ax.set_title(kind.replace("_", "-"))
        plt.savefig(given.figure, dpi=150)


def _found(table: pd.DataFrame, seconds: float) -> None:
    print(f"{len(table):,} tests of {table['n_cells'].iloc[0]:,} cells in {seconds:.0f} s\n")
    print(f"{'kind':<18}{'asked':>7}{'tested':>8}  " + "".join(f"{f'FDR < {q}':>12}" for q in (0.1, 0.05, 0.01, 1e-6)))
    for kind in ("positive_control", "discovery"):
        own = table[table["kind"] == kind]
        fdr = _fdr_of(table, "p_robust").loc[own.index]
        called = "".join(f"{int((fdr < q).sum()):>12}" for q in (0.1, 0.05, 0.01, 1e-6))
        print(f"{kind:<18}{len(own):>7}{int((own['status'] == 'ok').sum()):>8}  {called}")
    hits = table[(table["kind"] == "discovery") & (_fdr_of(table, "p_robust") < 0.1)]
    print(f"discoveries that lower their gene: {int((hits['beta'] < 0).sum())} of {len(hits)}\n")


def _fdr_of(table: pd.DataFrame, column: str) -> pd.Series:
    asked = table["kind"].isin(["discovery", "positive_control"]).to_numpy()
    fdr = pd.Series(np.nan, index=table.index)
    fdr[asked] = sl.stats.adjust(table.loc[asked, column].to_numpy())
    return fdr


def _rates(table: pd.DataFrame, boot: pd.DataFrame) -> None:
    head = "".join(f"{f'< {level}':>18}" for level in LEVELS)
    print(f"{'control':<16}{'p-value':<18}{'tests':>7}{head}   (share of tests, and its Monte-Carlo error, per cent)")
    for kind in ("non_targeting", "shuffled", "mismatched"):
        for column, name in KINDS.items():
            source = boot if column == "p_boot" else table
            p = source.loc[(source["kind"] == kind) & (source["status"] == "ok"), column].dropna()
            cells = []
            for level in LEVELS:
                share = float((p < level).mean())
                cells.append(f"{100 * share:>9.2f} +- {100 * np.sqrt(level * (1 - level) / max(len(p), 1)):.2f}")
            print(f"{kind:<16}{name:<18}{len(p):>7}" + "".join(f"{cell:>18}" for cell in cells))
        print()


def _pairs(two: pd.DataFrame, ten: pd.DataFrame) -> None:
    print(f"{len(two)} pairs of targets of a gene, {int(two['n_11'].iloc[0])} cells with both perturbations")
    for name, table in (("at least 10 cells", ten), ("at least 1 cell", two)):
        counts = ", ".join(f"{number} {status}" for status, number in table["status"].value_counts().items())
        print(f"  {name}: {counts}")
    ok = two[two["status"] == "ok"]
    if len(ok):
        print(
            f"  least p_robust {ok['p_robust_interaction'].min():.3f}, least FDR {ok['fdr'].min():.2f}; smallest "
            f"interaction with 80 % power: median {ok['min_interaction'].median():.1f} (natural log)"
        )


if __name__ == "__main__":
    main()
