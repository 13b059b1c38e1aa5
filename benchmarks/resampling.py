"""What a bootstrap replicate of one gene-peak pair costs: the moment solver, full refits, statsmodels, and R.

    python benchmarks/resampling.py [--rounds 5] [--core N] [--only TEXT]

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared), statsmodels, and Rscript with the
package boot for R's columns. Prints three Markdown tables in about five minutes. All is CPU time of one thread on one
core, R in a child process on the same core; what is compared is measured in turn, several times, and the best counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from pairs import real_pairs

from scanlink import stats
from scanlink.stats._moments import weighted_sums

Floats = NDArray[np.float64]
SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "data"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
BLOCK, KEY = 512, stats.resample_key(0, "benchmark")


@dataclass
class Case:
    """One pair: a column of ``table`` a covariate (text: a factor)."""

    label: str
    counts: Floats
    peak: Floats
    table: pd.DataFrame
    sizes: tuple[int, ...] = (2_500,)

    def __post_init__(self) -> None:
        self.n = self.counts.size
        columns = pd.get_dummies(self.table, drop_first=True, dtype=float)
        self.design = stats.rescale(np.column_stack([np.ones(self.n), columns.to_numpy(dtype=float)]))
        self.full = np.insert(self.design, 1, self.peak, axis=1)
        self.covariates = stats.Covariates.of(self.design, np.zeros(self.n))
        self.start = stats.fit_poisson(self.counts, self.full).coef

    def fast(self, replicates: int, weights: stats.Weights | None = None) -> int:
        """Everything from the data on: the fits of gene and pair, weights, sums, solutions, refits (their number)."""
        gene = stats.GeneReplicates(self.covariates, self.counts)
        pair = gene.pair(self.peak)
        weights = weights or stats.Weights(KEY, self.n, keep_bytes=0)
        for first in range(0, replicates, BLOCK):
            pair.replicates(gene.shared(weights.block(first, min(first + BLOCK, replicates))))
        return pair.n_refitted

    def refit(self, replicates: int) -> None:
        weights = stats.case_weights(KEY, 0, replicates, self.n)
        stats.refit_poisson(self.counts, self.full, weights, target=1, start=self.start)

    def statsmodels(self, rows: NDArray[np.uint16]) -> None:
        for row in rows:
            sm.GLM(self.counts, self.full, family=sm.families.Poisson(), freq_weights=row).fit()

    def write(self, path: Path) -> None:
        """The table as SCENT makes it."""
        named = {"cell": [f"AAACAGCCAAG{i:05d}-1" for i in range(self.n)], "celltype": "CD14-Mono"}
        frame = pd.DataFrame({**named, "y": self.counts.astype(int), "x": self.peak.astype(int)})
        pd.concat([frame, self.table.reset_index(drop=True)], axis=1).to_csv(path, index=False)


def simulated(n: int, n_covariates: int, rng: np.random.Generator) -> Case:
    """Mean count 0.3, 15 % of cells open, Poisson-gamma; depth raises both."""
    table = pd.DataFrame(rng.normal(size=(n, n_covariates)), columns=[f"c{j}" for j in range(n_covariates)])
    depth = table["c0"].to_numpy()
    peak = (rng.random(n) < 1 / (1 + np.exp(1.85 - 0.35 * depth))).astype(float)
    counts = rng.poisson(np.exp(-1.3 + 0.35 * depth + 0.1 * peak) * rng.gamma(2.5, 0.4, n)).astype(float)
    return Case(str(n_covariates), counts, peak, table)


def cases(rng: np.random.Generator) -> list[Case]:
    """Simulated groups, and the real pair whose open cells hold the median number of UMIs."""
    found = [simulated(n, q, rng) for n in (1_000, 10_000) for q in (2, 4, 8)]
    covariates, pairs = real_pairs(SHARED)
    n = covariates.offset.size
    counts, peak = sorted(pairs, key=lambda pair: pair[0][pair[1] > 0].sum())[len(pairs) // 2]
    real = pd.DataFrame(covariates.design[:, 1:], columns=["log_nUMI", "percent_mito"])
    for q, sizes in ((2, (100, 2_500, 25_000)), (4, (2_500,)), (8, (2_500,))):
        more = {f"c{j}": rng.normal(size=n) for j in range(2, q)}
        found.append(Case(str(q), counts, peak, real.assign(**more), sizes))
    batch = np.array(["a", "b", "c"])[rng.integers(0, 3, n)]
    found.append(Case("2 and a batch of 3 (six terms)", counts, peak, real.assign(batch=batch)))
    # The same cells and peak, with an effect that no ladder doubts.
    strong = stats.fit_poisson(counts, covariates.design).fitted * np.exp(1.2 * peak) * rng.gamma(2.5, 0.4, n)
    found.append(Case("strong", rng.poisson(strong).astype(float), peak, real, ()))
    return found


def seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def best(rounds: int, *calls: Callable[[], float]) -> list[float]:
    """The best of several rounds of each, measured in turn."""
    return [min(times) for times in zip(*[[call() for call in calls] for _ in range(rounds)], strict=True)]


def r_seconds(table: Path, replicates: int) -> tuple[float, float]:
    """R's CPU seconds per replicate: the least, and as SCENT does it."""
    command = ["Rscript", str(Path(__file__).with_suffix(".R")), str(table), str(replicates)]
    a, b = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(a), float(b)


def compare(case: Case, rounds: int, folder: Path, missing: str) -> list[list[float]]:
    """Microseconds per replicate, for each size: scanlink, refit, statsmodels, R, R as SCENT; then share refitted."""
    case.write(folder / "table.csv")
    few = 24 if case.n < 5_000 else 12
    rows = stats.case_weights(KEY, 0, few, case.n)
    calls = [lambda size=size: seconds(lambda: case.fast(size)) / size for size in case.sizes]
    calls.append(lambda: seconds(lambda: case.refit(256)) / 256)
    calls.append(lambda: seconds(lambda: case.statsmodels(rows)) / few)
    from_r: list[tuple[float, float]] = []
    if not missing:
        calls.append(lambda: from_r.append(r_seconds(folder / "table.csv", 2 * few)) or 0.0)
    times = best(rounds, *calls)
    of_r = [min(found[k] for found in from_r) if from_r else np.nan for k in (0, 1)]
    others = times[len(case.sizes) : len(case.sizes) + 2] + of_r
    return [[*(1e6 * t for t in (own, *others)), case.fast(s) / s] for own, s in zip(times, case.sizes, strict=False)]


def table_replicates(wanted: list[Case], rounds: int, folder: Path, missing: str) -> None:
    print(
        "| n | covariates | replicates | scanlink us | refit us | statsmodels us | R us | R as SCENT us "
        "| R / scanlink | SCENT / scanlink | refit / scanlink | refitted |"
    )
    print("| --- " * 12 + "|")
    for case in wanted:
        for size, row in zip(case.sizes, compare(case, rounds, folder, missing), strict=True):
            own, refit, rival, r, scent, share = row
            of_r = " | ".join(missing or f"{value:,.0f}" for value in (r, scent, r / own, scent / own))
            print(
                f"| {case.n:,} | {case.label} | {size:,} | {own:.1f} | {refit:.0f} | {rival:,.0f} | {of_r} "
                f"| {refit / own:.1f} | {share:.2%} |",
                flush=True,
            )


def table_ladder(case: Case, rounds: int, folder: Path, missing: str) -> None:
    """SCENT's whole ladder for one pair that climbs all of it."""
    ladder = stats.Ladder.of("scent")
    case.write(folder / "table.csv")

    def climbed(weights: stats.Weights) -> None:
        gene = stats.GeneReplicates(case.covariates, case.counts)
        ((found,),) = stats.climb([(gene, [gene.pair(case.peak)])], ladder, weights)
        if found != (2 / 50_000, 50_000):
            sys.exit(f"the strong pair ended at {found}, not at the last stage's floor")

    fresh, kept = stats.Weights(KEY, case.n, keep_bytes=0), stats.Weights(KEY, case.n, keep_bytes=2**30)
    climbed(kept)
    times = best(rounds, *[lambda weights=weights: seconds(lambda: climbed(weights)) for weights in (fresh, kept)])
    share = case.fast(25_600, kept) / 25_600
    from_r = [] if missing else [r_seconds(folder / "table.csv", 48) for _ in range(rounds)]
    least, scent = (min(found[k] for found in from_r) if from_r else np.nan for k in (0, 1))
    print(f"\nLadder of {ladder.most:,} replicates, one strong pair, n = {case.n:,}, {share:.2%} refitted:\n")
    print("| weights | seconds | us a replicate | R, extrapolated seconds | R as SCENT | R / scanlink |")
    print("| --- " * 6 + "|")
    for name, t in zip(("drawn", "kept from another pair"), times, strict=True):
        whole = [v * ladder.most for v in (least, scent)]
        of_r = " | ".join(missing or f"{value:,.0f}" for value in (*whole, whole[0] / t))
        print(f"| {name} | {t:.2f} | {1e6 * t / ladder.most:.2f} | {of_r} |")


def passes(case: Case, rows: NDArray[np.uint16]) -> int:
    """Newton iterations until the last of some replicates is solved, from the fit, as the moment solver stops."""
    coef, number, decrement = np.tile(case.start, (len(rows), 1)), 0, np.inf
    while decrement > 1e-10:
        mu = rows * np.exp(coef @ case.full.T)
        score = (rows * case.counts - mu) @ case.full
        information = np.einsum("rn,nj,nk->rjk", mu, case.full, case.full, optimize=True)
        step = np.linalg.solve(information, score[..., None])[..., 0]
        coef, number, decrement = coef + step, number + 1, (step * score).sum(axis=1).max()
    return number


def processor(rounds: int) -> tuple[float, float, float]:
    """Memory bandwidth of a copy (bytes read and written), and multiply-adds of large products in both precisions."""
    source = np.ones(2**27, dtype=np.uint64)
    target = source.copy()
    a, b = np.ones((2048, 2048), dtype=np.float32), np.ones((1024, 1024))
    calls = (lambda: np.copyto(target, source), lambda: a @ a, lambda: b @ b)
    copy, single, double = best(rounds, *[lambda call=call: seconds(call) for call in calls])
    return 2 * source.nbytes / copy, 2048**3 / single, 1024**3 / double


def table_parts(case: Case, rounds: int) -> None:
    """Where the microseconds go, and what memory and processor would need for the same bytes and multiply-adds."""
    gene = stats.GeneReplicates(case.covariates, case.counts)
    pair, weights = gene.pair(case.peak), stats.Weights(KEY, case.n, keep_bytes=0)
    block = weights.block(0, BLOCK)
    features = gene.moments.features()
    sums = gene.moments.sums(block.cells, features)
    shared = gene.shared(block)
    opened = [cells for _, cells in pair.moments.classes if cells is not None]
    monomials, q = case.covariates.monomials, case.covariates.continuous.shape[1]
    n, m, own = case.n, features.shape[1], monomials.n_summed + 1
    n_open, n_classes, p = sum(cells.size for cells in opened), len(pair.moments.classes), case.full.shape[1]
    out = np.empty((own, BLOCK), dtype=np.float32)
    # The same products by BLAS, on weights that are already in single precision.
    dense = block.rows(np.arange(block.n_replicates)).T - 1.0
    single, left = np.ascontiguousarray(dense, dtype=np.float32), np.ascontiguousarray(features.T)
    chosen = np.sort(np.concatenate(opened))
    single_open, left_open = single[chosen].copy(), np.ascontiguousarray(features[chosen, :own].T)
    rng = np.random.Generator(np.random.SFC64(0))
    calls = [
        lambda: weights.block(0, BLOCK),
        lambda: gene.moments.features(),
        lambda: gene.moments.sums(block.cells, features),
        lambda: [weighted_sums(block.cells, cells, features, out) for cells in opened],
        lambda: pair.moments.replicates(block.cells, features, sums, BLOCK),
        lambda: pair.replicates(shared),
        lambda: stats.GeneReplicates(case.covariates, case.counts).pair(case.peak),
        lambda: [np.bincount(rng.integers(0, n, n, dtype=np.uint32), minlength=n) for _ in range(BLOCK)],
        lambda: left @ single,
        lambda: left_open @ single_open,
    ]
    timed = best(8 * rounds, *[lambda call=call: 1e6 * seconds(call) / BLOCK for call in calls])
    drawn, made, summed, pair_summed, solved, replicates, prepared, counted, blas, blas_open = timed
    bandwidth, sgemm, dgemm = processor(rounds)
    whole = best(rounds, lambda: 1e6 * seconds(lambda: case.fast(25_600)) / 25_600)[0]
    steps, prefix = passes(case, stats.case_weights(KEY, 0, 32, n)), monomials.prefix
    # Value, slopes and curvature of each class, of what replicates share and of what is their own.
    degrees = (monomials.degree, monomials.fluctuation_degree)
    terms = sum(c * prefix[max(d - k, 0)] for d in degrees for k, c in enumerate((1, q, q * (q + 1) // 2)))
    newton = steps * (n_classes * terms + 2 * prefix[-1] + p**3 // 3)
    rows = [
        # Philox4x32-10 multiplies 20 times for four draws, and each draw once more: as many as dgemm multiplies.
        ("weights", drawn, 2 * n, 6 * n, counted, "numpy integers, bincount"),
        ("features of the gene", made, 4 * n * m / BLOCK, n * m / BLOCK, None, ""),
        ("sums of the gene", summed, n, n * m, blas, f"sgemm {m} x {n:,} x {BLOCK}"),
        ("sums of the pair", pair_summed, n_open, n_open * own, blas_open, f"sgemm {own} x {n_open:,} x {BLOCK}"),
        (
            "Newton",
            solved - pair_summed,
            4 * n_classes * own,
            newton,
            newton / dgemm * 1e6,
            f"{steps} iterations at the rate of dgemm",
        ),
        ("certainty, refits", replicates - solved, None, None, None, "first block"),
    ]
    print(f"\nWhere the microseconds go, n = {n:,}, {q} covariates, {n_open} open cells, blocks of {BLOCK}:\n")
    print("| part | us a replicate | bytes | memory us | multiply-adds | processor us | otherwise us | which is |")
    print("| --- " * 8 + "|")
    for name, t, moved, products, rival, what in rows:
        rate = dgemm if name in ("weights", "Newton") else sgemm
        limits = [(moved, bandwidth), (products, rate)]
        bounds = " | ".join(f"{x:,.0f} | {1e6 * x / limit:.3f}" if x else " | " for x, limit in limits)
        print(f"| {name} | {t:.2f} | {bounds} | {'' if rival is None else f'{rival:.2f}'} | {what} |")
    each = prepared * BLOCK / 25_600
    print(f"| all, 25,600 replicates | {whole:.2f} | | | | | | with the two fits before the first, {each:.2f} |")
    print(
        f"\nFits before the first replicate: {prepared * BLOCK:,.0f} us. Copy {bandwidth / 1e9:.1f} GB/s (read and "
        f"written); sgemm {2 * sgemm / 1e9:.0f}, dgemm {2 * dgemm / 1e9:.0f} GFLOP/s (a multiply-add is two)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="on which core")
    parser.add_argument("--only", help="of the first table, only rows whose 'n covariates' contain this text")
    wanted = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in THREADS):
        # Libraries read these when they are loaded.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(THREADS, "1")})
    if not (SHARED / "NOTE.md").is_file():
        sys.exit("the reference data are not there: set SCANLINK_SHARED to the folder that holds data/")
    os.sched_setaffinity(0, {wanted.core})
    found, missing = cases(np.random.default_rng(1)), "" if shutil.which("Rscript") else "no Rscript"
    for case in found:
        # Compiled before anything is measured.
        case.fast(100)
        case.refit(2)
    *compared, strong = found
    chosen = [case for case in compared if (wanted.only or "") in f"{case.n} {case.label}"]
    real = compared[6]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, one core. Real pair (n = {real.n:,}): gene in "
        f"{(real.counts > 0).mean():.1%} of cells, peak open in {real.peak.mean():.1%}.\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        table_replicates(chosen, wanted.rounds, Path(temporary), missing)
        table_ladder(strong, wanted.rounds, Path(temporary), missing)
    table_parts(real, wanted.rounds)


if __name__ == "__main__":
    main()
