"""Are the replicates of the moment solver those of full refits with the same weights?

    python benchmarks/accuracy.py [--shared FOLDER] [--every N]

Needs the reference data (by default the environment variable SCANLINK_SHARED, then ../shared). Prints a Markdown table:
real pairs, simulated ones that R fitted, and two kinds of hard ones. Takes about five minutes on one core, nearly all
for the full refits; ``--every 16`` takes each 16th pair, in one minute.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pairs import hard_pair, real_pairs

from scanlink.stats import Covariates, GeneReplicates, WeightBlock, Weights, basic_p, refit_poisson, resample_key

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference import load_simulated

Floats = NDArray[np.float64]
Pair = tuple[Covariates, Floats, Floats, WeightBlock]
SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared"))


@dataclass(frozen=True)
class Compared:
    """One pair: p-values equal at every size, replicates across the boundary, and what it cost."""

    equal: bool
    crossed: int
    worst: float
    refitted: float
    fast: float
    full: float


def compare(pair: Pair, sizes: tuple[int, ...]) -> Compared:
    """Moment solver and full refits of the same replicates."""
    covariates, counts, peak, block = pair
    started = time.process_time()
    gene = GeneReplicates(covariates, counts)
    resampled = gene.pair(peak)
    fast = resampled.replicates(gene.shared(block))
    between = time.process_time()
    design = np.insert(covariates.design, 1, peak, axis=1)
    rows = block.rows(np.arange(block.n_replicates))
    full = refit_poisson(counts, design, rows, target=1, offset=covariates.offset, start=resampled.start)
    ended = time.process_time()
    b = resampled.estimate
    equal = all(basic_p(b, fast[:size]) == basic_p(b, full[:size]) for size in sizes)
    crossed = np.count_nonzero((2 * b - fast <= 0) != (2 * b - full <= 0))
    # Without a maximum (the gene is absent from the open cells drawn) there is nothing to be near to.
    finite = np.isfinite(fast)
    worst = np.abs(fast - full)[finite].max() / np.std(full[finite])
    n = block.n_replicates
    return Compared(equal, crossed, worst, resampled.n_refitted / n, (between - started) / n, (ended - between) / n)


def real(shared: Path, every: int) -> Iterator[Pair]:
    covariates, pairs = real_pairs(shared)
    block = Weights(resample_key(0, "CD14-Mono"), covariates.offset.size).block(0, 2_500)
    return ((covariates, counts, peak, block) for counts, peak in pairs[::every])


def simulated(shared: Path, every: int) -> Iterator[Pair]:
    data = load_simulated(shared)
    covariates = Covariates.of(data.covariates, np.zeros(len(data.covariates)))
    block = Weights(resample_key(0, "Tcell"), len(data.covariates)).block(0, 500)
    rows = data.table("fit_poisson_bin_cov3.csv")[["gene", "peak"]].to_numpy()[::every]
    return ((covariates, data.counts[gene], data.opened[peak], block) for gene, peak in rows)


def hard(kind: str, every: int) -> Iterator[Pair]:
    rng = np.random.default_rng(3)
    for number in range(100):
        covariates, counts, peak = hard_pair(rng, kind)
        if number % every == 0:
            yield covariates, counts, peak, Weights(number, counts.size).block(0, 2_500)


def row(name: str, pairs: Iterable[Pair], sizes: tuple[int, ...]) -> str:
    found = [compare(pair, sizes) for pair in pairs]
    worst = np.array([pair.worst for pair in found])
    refitted = np.array([pair.refitted for pair in found])
    fast, full = (np.mean([getattr(pair, which) for pair in found]) for which in ("fast", "full"))
    return (
        f"| {name} | {len(found)} | {' / '.join(f'{size:,}' for size in sizes)} "
        f"| {sum(pair.equal for pair in found)} / {len(found)} | {sum(pair.crossed for pair in found)} "
        f"| {worst.max():.1e} | {np.median(worst):.1e} | {refitted.mean():.2%} | {refitted.max():.1%} "
        f"| {1e6 * fast:.1f} / {1e6 * full:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder that holds data/")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th pair")
    wanted = parser.parse_args()
    shared, every = wanted.shared.resolve() / "data", wanted.every
    if not (shared / "NOTE.md").is_file():
        sys.exit("the reference data are not there: set SCANLINK_SHARED to the folder that holds data/")
    # Compiled before anything is measured.
    for pair in hard("sparse", 50):
        compare(pair, (100,))
    print(
        "| data | pairs | replicates | equal p-values at all sizes | replicates on the other side of 2b "
        "| largest difference, bootstrap SDs | median over pairs | refitted, mean | at most "
        "| us a replicate, weights at hand: moments / full |"
    )
    print("| --- " * 10 + "|")
    sizes = (100, 500, 2_500)
    print(row("real, 3,152 cells", real(shared, every), sizes), flush=True)
    print(row("simulated, 1,000 cells, batch", simulated(shared, every), sizes[:2]), flush=True)
    print(row("sparse, 300 cells", hard("sparse", every), sizes), flush=True)
    print(row("six covariates, 600 or 1,500 cells", hard("six covariates", every), sizes), flush=True)


if __name__ == "__main__":
    main()
