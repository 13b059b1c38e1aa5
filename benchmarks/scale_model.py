"""How long a run of ten million pairs takes on 10 to 1,000 cores, on paper.

    python benchmarks/scale_model.py [--pairs 10000000] [--start 60]

    seconds = plan + start + max(work / cores, blocks * driver) + last block + table

Measured on two cores (benchmarks/scan.py, a group of 3,152 cells and 198,013 tested pairs; benchmarks/driver.py;
benchmarks/planning.py): what a tested pair costs, what a block costs driver and scheduler, what plan and table take.
Assumed: cores as fast as those, all of them there after ``--start`` seconds and to the end, files read at the speed of
a local disk, blocks of 10 s cut as the driver cuts them. What is not in it: the time that jobs wait in the queue.
"""

from __future__ import annotations

import argparse

# Core seconds a tested pair, by what is asked for.
PAIR = {"robust or tail": 159.4 * 2 / 198_013, "bootstrap, ladder scent": 703.8 * 2 / 198_013}
# Seconds of driver and scheduler a block; of the table a pair; of the plan of such a run; of a block.
DRIVER, TABLE, PLAN, BLOCK = 3.3e-3, 0.71 / 198_013, 60.0, 10.0


def wall(pairs: int, pair: float, cores: int, start: float) -> tuple[float, float]:
    """Seconds from the command to the table, and the share of the cores' time that is spent on pairs."""
    work = pairs * pair
    scan = max(work / cores, work / BLOCK * DRIVER) + BLOCK
    return PLAN + start + scan + pairs * TABLE, work / cores / (start + scan)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--start", type=float, default=60.0)
    options = parser.parse_args()
    print(f"{options.pairs:,} tested pairs of 3,152 cells\n")
    print("| p-value | core hours | blocks | cores | minutes | cores at work |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, pair in PAIR.items():
        work = options.pairs * pair
        for cores in (10, 100, 300, 1000):
            seconds, share = wall(options.pairs, pair, cores, options.start)
            print(
                f"| {name} | {work / 3600:.1f} | {work / BLOCK:,.0f} | {cores:,} "
                f"| {seconds / 60:.1f} | {100 * share:.0f} % |"
            )
    print(f"\nThe driver keeps up with {BLOCK / DRIVER:,.0f} cores when blocks take {BLOCK:g} s.")


if __name__ == "__main__":
    main()
