"""Can a CRISPR screen see that two enhancers interact? The published power simulation, beside ours.

    python benchmarks/screen_power.py [--pairs 200] [--without 500] [--links 100] [--workers 1] [--seed 0]

50,000 cells, 1,000 targets with 2 guides each, as in Zhou et al. 2024 (Cell Genomics 4:100672): see
scanlink.tl.power_screen. Prints Markdown tables: power and false positives beside the published ones; what the
smallest detectable interaction promises; the same power where expression follows which guides work, or efficiencies
are known badly; and how often AIC tells effects that multiply from effects that add. All of it takes about half an
hour on one core, and the same arguments give the same tables, whatever the number of workers. ``--pairs 0`` and
``--links 0`` leave tables out.

Of the published power, that with 15 guides a cell is printed in a notebook of the paper's repository
(notebooks/simulations/plot_power_curves_example.ipynb: 291 of 500 pairs, those with more than 10 cells), the rest is
read off a plot. Their counts come from the model that is fitted, with the true efficiencies, and without a pseudocount.
"""

from __future__ import annotations

import argparse
import os

# One core a worker, whatever the machine has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import time

import numpy as np
import pandas as pd
from scipy.stats import norm

from scanlink.ds.screen_model import ScreenModel
from scanlink.stats import compare_links
from scanlink.tl.interactions.power import run_pairs

GUIDES = (15.0, 20.0, 30.0, 50.0)
PLANTED = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
# Power, and of how many pairs; about 500 where they do not say.
PUBLISHED = {
    (15, 0.5): (0.079, 291),
    (15, 1.0): (0.285, 291),
    (15, 2.0): (0.711, 291),
    (20, 1.0): (0.37, 500),
    (30, 1.0): (0.57, 500),
    (50, 1.0): (0.83, 500),
}
FALSE_POSITIVES = ".03-.05"
OTHERWISE = {
    "as published": {},
    "each guide works or not": {"perturbation": "drawn"},
    "efficiencies known with noise, D = 10": {"efficiency_noise": 10.0},
    "efficiencies known with noise, D = 1": {"efficiency_noise": 1.0},
    "both (D = 10)": {"perturbation": "drawn", "efficiency_noise": 10.0},
}
# Guides a cell and targets: few to many cells with both.
BOTH = ((15.0, 1_000), (50.0, 1_000), (50.0, 500), (50.0, 250))
EFFECTS = (-0.6, -0.3, 0.5, 1.0)
_PER_TASK = 25


def model_of(guides_per_cell: float, seed: int, **changes) -> ScreenModel:
    return ScreenModel(
        **{
            "n_cells": 50_000,
            "n_targets": 1_000,
            "guides_per_target": 2,
            "n_non_targeting": 0,
            "guides_per_cell": guides_per_cell,
            "efficiencies": (6.0, 3.0),
            "efficiency_noise": None,
            "perturbation": "probability",
            "baseline": (2.95, 1.55),
            "effect": (0.02, 0.16),
            "combine": "multiplicative",
            "theta": 1.5,
            "seed": seed,
            **changes,
        }
    )


def share(called: pd.Series) -> tuple[float, float]:
    rate = float(called.mean())
    return rate, float(np.sqrt(rate * (1 - rate) / len(called)))


def shown(called: pd.Series) -> str:
    rate, error = share(called)
    return f"{rate:.3f} ± {error:.3f}"


def beside(rows: pd.DataFrame) -> None:
    """Power and false positives beside the published ones."""
    print("\nCalled at .05, ± Monte-Carlo standard error\n")
    print("| guides a cell | interaction | cells with both | pairs | published | Wald | apart, in errors | robust |")
    print("|" + " --- |" * 8)
    for (mean, size), own in rows.groupby(["guides_per_cell", "interaction"], sort=False):
        known = PUBLISHED.get((mean, size))
        rate, error = share(own["p_wald"] <= 0.05)
        apart = "-"
        if known is not None:
            apart = f"{(rate - known[0]) / np.hypot(error, np.sqrt(known[0] * (1 - known[0]) / known[1])):+.1f}"
        published = FALSE_POSITIVES if size == 0 else "-" if known is None else f"{known[0]:g}"
        print(
            f"| {mean:g} | {size:+g} | {own['n_both'].mean():.1f} | {len(own)} | {published} "
            f"| {rate:.3f} ± {error:.3f} | {apart} | {shown(own['p_robust'] <= 0.05)} |"
        )
    for name in ("wald", "robust"):
        none = rows[rows["interaction"] == 0]
        levels = " / ".join(f"{np.mean(none[f'p_{name}'] <= level):.4f}" for level in (0.05, 0.01, 0.001))
        print(f"\n{name}, no interaction, {len(none)} pairs, at .05 / .01 / .001: {levels}", end="")
    print(f"\n\nWithout a p-value: Wald {rows['p_wald'].isna().sum()}, robust {rows['p_robust'].isna().sum()}")


def promise(rows: pd.DataFrame) -> None:
    """What the smallest detectable interaction of each pair says of its power, and what came true."""
    print("\nOf planted interactions: power that each pair's own error promises, and share called\n")
    print("| guides a cell | smallest detectable, median | planted | promised | Wald | robust |")
    print("| --- | --- | --- | --- | --- | --- |")
    factor = norm.isf(0.025) + norm.ppf(0.8)
    for (mean, size), own in rows[rows["interaction"] != 0].groupby(["guides_per_cell", "interaction"], sort=False):
        z = abs(size) / (own["min_interaction"] / factor)
        promised = np.mean(norm.sf(1.96 - z) + norm.sf(1.96 + z))
        print(
            f"| {mean:g} | {own['min_interaction'].median():.2f} | {size:+g} | {promised:.3f} "
            f"| {shown(own['p_wald'] <= 0.05)} | {shown(own['p_robust'] <= 0.05)} |"
        )


def otherwise(pairs: int, seed: int, client) -> None:
    """Power where expression follows which guides work, or the analysis knows badly how well they do."""
    print("\nOther simulations: called at .05\n")
    print("| simulation | guides a cell | interaction | Wald | robust | median estimate |\n|" + " --- |" * 6)
    for name, changes in OTHERWISE.items():
        models = [model_of(mean, seed, **changes) for mean in (GUIDES[0], GUIDES[-1])]
        rows = run_pairs(models, (-1.0, 0.0, 1.0), n_pairs=pairs, min_both=11, client=client)
        for (mean, size), own in rows.groupby(["guides_per_cell", "interaction"], sort=False):
            print(
                f"| {name} | {mean:g} | {size:+g} | {shown(own['p_wald'] <= 0.05)} | {shown(own['p_robust'] <= 0.05)} "
                f"| {own['beta'].median():+.2f} |",
                flush=True,
            )


def links_of(model: ScreenModel, genes: tuple[int, ...]) -> list[tuple[int, float]]:
    """Cells with both, and AIC where effects add less AIC where they multiply."""
    cells, found = model.cells(), []
    design = np.column_stack([np.ones(model.n_cells), cells.covariates])
    for gene in genes:
        pair = compare_links(model.counts(gene, 0.0), *model.known(gene), design, offset=cells.offset)
        found.append((pair.n_both, pair.difference))
    return found


def links(pairs: int, seed: int, client) -> None:
    """How often AIC says how effects combine."""
    print(
        "\nHow often AIC is right about how the effects of two targets combine, both of the same size, and how often "
        f"by more than 2 (right / wrong); {pairs} pairs each\n"
    )
    print(
        "| cells with both | effect of each | where effects multiply | where they add | multiply by > 2 | add by > 2 |"
    )
    print("|" + " --- |" * 6)
    for mean, n_targets in BOTH:
        for effect in EFFECTS:
            cells, right, clear = [], [], []
            for combine, sign in (("multiplicative", 1), ("additive", -1)):
                model = model_of(mean, seed, n_targets=n_targets, effect=(effect, 0.0), combine=combine)
                possible = [k for k in range(n_targets // 2) if model.n_both(k) >= 11][:pairs]
                tasks = [tuple(possible[k : k + _PER_TASK]) for k in range(0, len(possible), _PER_TASK)]
                if client is None:
                    parts = [links_of(model, own) for own in tasks]
                else:
                    parts = client.gather([client.submit(links_of, model, own, pure=False) for own in tasks])
                found = np.array([row for part in parts for row in part])
                cells.append(found[:, 0].mean())
                right.append(shown(pd.Series(sign * found[:, 1] > 0)))
                clear.append(f"{np.mean(sign * found[:, 1] > 2):.2f} / {np.mean(sign * found[:, 1] < -2):.2f}")
            print(f"| {np.mean(cells):.0f} | {effect:+g} | {' | '.join(right)} | {' | '.join(clear)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of each setting")
    parser.add_argument("--without", type=int, default=500, help="pairs without an interaction, 500 as published")
    parser.add_argument("--links", type=int, default=100, help="pairs of each setting of effects that multiply or add")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    client = None
    if wanted.workers > 1:
        from distributed import Client

        client = Client(n_workers=wanted.workers, threads_per_worker=1, dashboard_address=None)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {wanted.workers} workers, Python {platform.python_version()}, "
        f"load before {os.getloadavg()[0]:.1f}"
    )
    began = time.perf_counter()
    if wanted.pairs:
        models = [model_of(mean, wanted.seed) for mean in GUIDES]
        planted = run_pairs(models, PLANTED, n_pairs=wanted.pairs, min_both=11, client=client)
        none = run_pairs(models, (0.0,), n_pairs=wanted.without, min_both=11, client=client)
        rows = pd.concat([planted, none]).sort_values(["guides_per_cell", "interaction"], kind="stable")
        beside(rows)
        promise(rows)
        print(f"\n{len(rows):,} tests of 50,000 cells: {time.perf_counter() - began:,.0f} s", flush=True)
        otherwise(max(wanted.pairs // 2, 1), wanted.seed, client)
    if wanted.links:
        links(wanted.links, wanted.seed, client)
    print(f"\n{time.perf_counter() - began:,.0f} s")
    if client is not None:
        client.close()


if __name__ == "__main__":
    main()
