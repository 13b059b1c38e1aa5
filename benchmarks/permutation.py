"""Permutation tests of perturbations: what they cost beside refits, whether they agree, and whether they keep levels.

    python benchmarks/permutation.py [--only speed agreement levels fdr] [--sets 1000] [--repeats 40] [--refits 10]

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared) for the agreement, and Rscript with
the package MASS for R's row. Prints Markdown tables; all of it takes about ten minutes. Times are CPU seconds of one
thread, of two processes seconds by the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from permutation_sets import SETTINGS, false_discoveries, rejections
from scipy.stats import rankdata

import scanlink as sl
from scanlink.stats import (
    GeneScore,
    Permutations,
    Perturbed,
    fit_negbin,
    interaction_permutation_p,
    permutation_p,
    resample_key,
)

Floats = NDArray[np.float64]
Stages = str | list[tuple[int, float | None]]
SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "data"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
N_CELLS, N_REACHED, N_PERMUTATIONS, KEY = 10_000, 400, 10_000, resample_key(0, "benchmark")
LEVELS = (0.05, 0.01, 0.001)
# Genes, and targets or target pairs of each: 1,000 tests all.
SHAPES = {
    "1,000 genes, 1 target": (1000, 1, "binary"),
    "100 genes, 10 targets": (100, 10, "binary"),
    "100 genes, 10 targets with efficiencies": (100, 10, "efficiencies"),
    "50 genes, 20 target pairs": (50, 20, "pairs"),
    "50 genes, 20 target pairs with efficiencies": (50, 20, "pairs, efficiencies"),
}


def screen(what: str, n_targets: int) -> tuple[Floats, Floats, list[Perturbed]]:
    """Covariates (six beside the intercept, one the batch), offset, and targets or pairs of them."""
    rng = np.random.default_rng(1)
    design = np.column_stack([np.ones(N_CELLS), rng.normal(size=(N_CELLS, 5)), rng.integers(0, 2, N_CELLS)])
    offset = 0.4 * rng.normal(size=N_CELLS)
    chosen = [np.sort(rng.choice(N_CELLS, N_REACHED, replace=False)) for _ in range(n_targets)]
    values = [rng.choice([0.4, 0.7, 0.82], N_REACHED) if "eff" in what else None for _ in chosen]
    single = [Perturbed.of(cells, value) for cells, value in zip(chosen, values, strict=True)]
    if "pairs" not in what:
        return design, offset, single
    return design, offset, [Perturbed.pair(one, single[k - 1]) for k, one in enumerate(single)]


def counts(gene: int, design: Floats, offset: Floats) -> Floats:
    rng = np.random.default_rng([2, gene])
    mu = np.exp(rng.normal() - 0.5 + offset + 0.2 * design[:, 1] + 0.3 * design[:, -1])
    return rng.poisson(mu * rng.gamma(1.5, 1 / 1.5, N_CELLS)).astype(float)


def p_values(
    genes: Sequence[int], n_targets: int, what: str, ladder: Stages, alone: bool = False
) -> tuple[Floats, float, float, float]:
    """P-values of some genes, CPU seconds from the counts on, of these the fits' of the genes, and all by the clock.

    ``alone`` asks for one target at a time.
    """
    design, offset, targets = screen(what, n_targets)
    every = [counts(gene, design, offset) for gene in genes]
    test = interaction_permutation_p if "pairs" in what else permutation_p
    permutations = Permutations(KEY, N_CELLS, keep_bytes=0 if alone else 2**28)
    test(GeneScore.of(every[0], design, offset=offset), targets[:1], [(1, None)], Permutations(KEY, N_CELLS))
    started, clock, found, fits = time.process_time(), time.perf_counter(), [], 0.0
    for y in every:
        begun = time.process_time()
        gene = GeneScore.of(y, design, offset=offset)
        fits += time.process_time() - begun
        for some in [[one] for one in targets] if alone else [targets]:
            found.append(test(gene, some, ladder, permutations).p)
    return np.concatenate(found), time.process_time() - started, fits, time.perf_counter() - clock


def refit_seconds(refits: int, folder: Path) -> dict[str, float]:
    """CPU seconds of one full refit with a permuted target: ours, and R's."""
    design, offset, (target,) = screen("binary", 1)
    y, rng, x = counts(0, design, offset), np.random.default_rng(0), np.zeros(N_CELLS)
    x[target.cells] = 1.0
    started = time.process_time()
    for _ in range(refits):
        fit_negbin(y, np.column_stack([rng.permutation(x), design]), offset=offset)
    out = {"scanlink `fit_negbin`, refit": (time.process_time() - started) / refits}
    if shutil.which("Rscript"):
        named = {f"c{k}": design[:, k] for k in range(1, 7)}
        pd.DataFrame({"y": y, "x": x, "offset": offset, **named}).to_csv(folder / "table.csv", index=False)
        command = ["Rscript", str(Path(__file__).with_suffix(".R")), str(folder / "table.csv"), str(refits)]
        spent, version = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        out[f"R `MASS::glm.nb` {version}, refit"] = float(spent) / refits
    return out


def table_speed(refits: int) -> None:
    print(
        f"\n1,000 tests with {N_PERMUTATIONS:,} permutations each, {N_CELLS:,} cells, {N_REACHED} of them perturbed, "
        "six covariates; fits of the genes and drawing of the permutations included:\n"
    )
    print(
        "| tests | CPU seconds, one core | of these fits of genes | us a permutation and test | seconds, two processes "
        "| CPU seconds of ladder glimmirs |"
    )
    print("| --- " * 6 + "|")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for name, (n_genes, n_targets, what) in SHAPES.items():
            full = [(N_PERMUTATIONS, None)]
            p, spent, fits, _ = p_values(range(n_genes), n_targets, what, full)
            # Both are loaded and compiled before anything is measured.
            list(pool.map(p_values, [[0]] * 4, [1] * 4, [what] * 4, [full] * 4))
            halves = [range(n_genes // 2), range(n_genes // 2, n_genes)]
            found = list(pool.map(p_values, halves, [n_targets] * 2, [what] * 2, [full] * 2))
            clock = max(one[3] for one in found)
            if not np.array_equal(p, np.concatenate([one[0] for one in found])):
                sys.exit(f"{name}: two processes give other p-values than one")
            _, climbed, *_ = p_values(range(n_genes), n_targets, what, "glimmirs")
            each = 1e6 * (spent - fits) / (p.size * N_PERMUTATIONS)
            print(f"| {name} | {spent:.1f} | {fits:.1f} | {each:.2f} | {clock:.1f} | {climbed:.2f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        one = refit_seconds(refits, Path(folder))
    print(f"\nThe same by refits, extrapolated from {refits} of them:\n\n| | seconds a refit | all 10,000,000 |")
    print("| --- " * 3 + "|")
    for name, spent in one.items():
        print(f"| {name} | {spent:.3f} | {spent * 1e7 / 86_400:,.1f} days |")
    together, *_ = p_values(range(4), 10, "efficiencies", "glimmirs")
    alone, *_ = p_values(range(4), 10, "efficiencies", "glimmirs", alone=True)
    digests = [hashlib.sha256(one.tobytes()).hexdigest()[:16] for one in (together, alone)]
    print(f"\n40 tests, SHA-256 of the p-values: {digests[0]} together, {digests[1]} one by one with nothing kept.")


def table_agreement(n_pairs: int, n_permutations: int) -> None:
    """Score statistic against Wald's z of the full refit, real pairs, the same permutations."""
    data = sl.io.read_screen(SHARED / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    held, n = data["guide"].X.toarray() >= 5, data.n_obs
    # Of a file of few genes, the cells' UMIs of these.
    depth = np.log(np.asarray(data["rna"].X.sum(axis=1), dtype=float).ravel())
    batch = pd.get_dummies(data.obs["prep_batch"], drop_first=True).to_numpy(dtype=float)
    design = np.column_stack([np.ones(n), batch, np.log1p(held.sum(axis=1))])
    pairs = pd.read_csv(SHARED / "crispri" / "sceptreIGVF_pairs_to_test.csv")
    pairs = pairs.groupby("pair_type", group_keys=False)[["gene_id", "intended_target_name"]].apply(
        lambda some: some.iloc[:: max(1, 2 * len(some) // n_pairs)][: n_pairs // 2]
    )
    permutations, rows = Permutations(KEY, n), []
    for name, target in pairs.itertuples(index=False):
        y = data["rna"][:, name].X.toarray().ravel()
        cells = np.flatnonzero(held[:, (data["guide"].var["target"] == target).to_numpy()].any(axis=1))
        score = GeneScore.of(y, design, offset=depth)
        found = permutation_p(score, [Perturbed.of(cells)], [(n_permutations, None)], permutations)
        images = permutations.block(cells.size, 0, n_permutations).cells[:, : cells.size]
        z = np.empty(len(images) + 1)
        for k, reached in enumerate([cells, *images]):
            x = np.zeros(n)
            x[reached] = 1.0
            fit = fit_negbin(y, np.column_stack([x, design]), offset=depth)
            z[k] = fit.coef[0] / fit.se[0]
        wald = (1 + np.count_nonzero(np.abs(z[1:]) >= abs(z[0]) * (1 - 1e-6))) / (1 + len(images))
        rows.append((name, target, y.mean(), cells.size, found.z[0], z[0], found.p[0], wald))
    print(f"\nReal pairs, {n:,} cells, {n_permutations} permutations, the same for score statistic and full refits:\n")
    print("| gene | target | mean count | cells | z, score | z, Wald of the refit | p, score | p, refits |")
    print("| --- " * 8 + "|")
    for name, target, mean, size, score_z, z0, p, wald in rows:
        print(f"| {name} | {target} | {mean:.2f} | {size} | {score_z:.2f} | {z0:.2f} | {p:.4f} | {wald:.4f} |")
    a, b, p, q = (np.array([row[k] for row in rows]) for k in (4, 5, 6, 7))
    small = np.abs(b) < 5
    ranks = np.corrcoef(rankdata(p), rankdata(q))[0, 1]
    print(
        f"\nRank correlation of the p-values {ranks:.4f}, largest difference {np.abs(p - q).max():.4f}. Largest "
        f"difference of z {np.abs(a - b).max():.2f}, and {np.abs(a - b)[small].max():.3f} where z is below 5 "
        f"({small.sum()} pairs)."
    )


def table_levels(sets: int) -> None:
    print(f"\nRejection rates in per cent at .05 / .01 / .001, {sets:,} sets each, 2,000 permutations:\n")
    errors = " / ".join(f"{100 * np.sqrt(v * (1 - v) / sets):.2f}" for v in LEVELS)
    print(f"Standard errors at the level itself: {errors}.\n")
    print(
        "| setting | permutation | of these z > 0 at .05 | `score_p` | Wald, negative binomial |\n" + "| --- " * 5 + "|"
    )
    for name, setting in SETTINGS.items():
        found = rejections(setting, sets)
        cells = [" / ".join(f"{100 * np.nanmean(p <= level):.2f}" for level in LEVELS) for p in found[:3]]
        called = found[3][found[0] <= LEVELS[0]]
        up = f"{100 * np.mean(called > 0):.0f}" if called.size else ""
        print(f"| {name} | {cells[0]} | {up} | {cells[1]} | {cells[2]} |", flush=True)


def table_fdr(repeats: int) -> None:
    print(f"\nBenjamini and Hochberg at .1 over 1,000 tests that share their permutations, {repeats} data sets:\n")
    print("| | share of null tests | false discovery rate | standard error | discoveries | p <= .05, null |")
    print("| --- " * 6 + "|")
    for name, effects in (("no effect at all", 0.0), ("a tenth of targets with effects", 0.1)):
        shares, found, level = false_discoveries(effects, repeats)
        error = shares.std(ddof=1) / np.sqrt(repeats)
        print(f"| {name} | {1 - effects:.1f} | {shares.mean():.4f} | {error:.4f} | {found.mean():.1f} | {level:.4f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "speed": lambda wanted: table_speed(wanted.refits),
        "agreement": lambda wanted: table_agreement(20, 200),
        "levels": lambda wanted: table_levels(wanted.sets),
        "fdr": lambda wanted: table_fdr(wanted.repeats),
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="which tables")
    parser.add_argument("--sets", type=int, default=1000, help="sets of each setting of the levels")
    parser.add_argument("--repeats", type=int, default=40, help="data sets of the false discovery rate")
    parser.add_argument("--refits", type=int, default=10, help="refits that are timed")
    wanted = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in THREADS):
        # Libraries read these when they are loaded.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(THREADS, "1")})
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.")
    for name in wanted.only:
        parts[name](wanted)


if __name__ == "__main__":
    main()
