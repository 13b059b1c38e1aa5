"""Does the test of an interaction keep what it promises? Rejection rates without one, power with one, and the coding.

    python benchmarks/epistasis.py [--sets 10000] [--settings 1 2 3] [--power-sets 1000] [--seed 1]
    python benchmarks/epistasis.py --figure        # only the coding: docs/epistasis_coding.png and its table

A set is a gene and two enhancers in 1,500 cells, 150 with only the first open and 150 with only the second; single
effects .5 and .3. Prints Markdown tables. All of it takes about 20 minutes on one core, and the same arguments give the
same tables. ``--sets 0`` and ``--power-sets 0`` leave tables out.
"""

from __future__ import annotations

import argparse
import os

# One core, whatever the machine has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import time

import numpy as np
from epistasis_coding import coding
from epistasis_sets import (
    BOOTSTRAP,
    EFFECTS,
    METHODS,
    N_CELLS,
    N_SINGLE,
    NEGBIN,
    ROBUST,
    SEEN,
    TAIL,
    Setting,
    cook_ratios,
    simulate,
)

LEVELS = (0.05, 0.01, 0.001)
MEANS, IN_11 = (0.1, 0.5, 2.0), (10, 30, 100, 500)
PLANTED = (-1.0, -0.5, 0.0, 0.5, 1.0)
# The sets with the two p-values that cost most: as a share of all.
NEGBIN_SHARE, BOOTSTRAP_SHARE = 0.2, 0.1
# Of which it is looked at what min_interaction promises.
PROMISED = (TAIL, ROBUST)

_USUAL = {f"negative binomial, mean {m:g}, n_11 {n}": Setting(m, n) for m in MEANS for n in IN_11}
SETTINGS = {
    **_USUAL,
    **{f"Poisson, mean 0.5, n_11 {n}": Setting(0.5, n, "none") for n in (10, 100)},
    **{f"log-normal, mean 2, n_11 {n}": Setting(2.0, n, "log-normal") for n in IN_11},
    **{f"depth opens both, mean 0.5, n_11 {n}": Setting(0.5, n, opens=1.5) for n in (30, 100)},
    "and log-normal, growing with depth, mean 0.5, n_11 100": Setting(0.5, 100, "log-normal", slope=1.5, opens=1.5),
    "gene follows depth^.7, mean 0.5, n_11 100": Setting(0.5, 100, follows=0.7),
    "gene follows depth^.7, mean 2, n_11 100": Setting(2.0, 100, follows=0.7),
    "and depth opens both, mean 2, n_11 100": Setting(2.0, 100, opens=1.5, follows=0.7),
    **{
        f"dispersion .5, 1, 1, 2 by state, mean 0.5, n_11 {n}": Setting(0.5, n, dispersion=(0.5, 1.0, 1.0, 2.0))
        for n in (30, 100)
    },
}


def percent(rate: float, digits: int) -> str:
    return f"{100 * rate:.{digits}f}"


def triple(rates: list[float]) -> str:
    return " / ".join(percent(rate, digits) for rate, digits in zip(rates, (1, 2, 2), strict=True))


def calibration(numbers: list[int], sets: int, seed: int) -> None:
    """Rejection rates of the settings with these numbers, from 1."""
    names, missing = list(SETTINGS), dict.fromkeys(METHODS, 0)
    shares = {NEGBIN: NEGBIN_SHARE, BOOTSTRAP: BOOTSTRAP_SHARE}
    own = [round(shares.get(column, 1.0) * sets) for column in range(len(METHODS))]
    print(f"| setting | separated | {' | '.join(METHODS)} |\n| --- | --- |{' --- |' * len(METHODS)}")
    errors = [triple([np.sqrt(v * (1 - v) / max(n, 1)) for v in LEVELS]) for n in own]
    cells = " | ".join(f"{n:,} ± {error}" for n, error in zip(own, errors, strict=True))
    print(f"| sets ± Monte-Carlo error at the level | | {cells} |", flush=True)
    for number in numbers:
        p, hc3 = simulate(
            SETTINGS[names[number - 1]], sets, (seed, number), negbin=own[NEGBIN], bootstrap=own[BOOTSTRAP]
        )
        rows = []
        for method, column, n in zip(METHODS, p.T, own, strict=True):
            tested = column[:n][~np.isnan(hc3[:n])]
            # A p-value that could not be had rejects nothing.
            missing[method] += int(np.isnan(tested).sum())
            rows.append(triple([np.mean(tested <= level) for level in LEVELS]) if tested.size else "-")
        print(f"| {number}: {names[number - 1]} | {np.isnan(hc3).mean():.1%} | {' | '.join(rows)} |", flush=True)
    print("\nCould not be had:", ", ".join(f"{method} {n}" for method, n in missing.items()))


def power(sets: int, seed: int) -> None:
    """Power in the first settings, and what is promised by the smallest interaction that would be seen."""
    columns = [column for column in range(len(METHODS)) if column != BOOTSTRAP]
    header = " | ".join(METHODS[column] for column in columns)
    print(f"\n| setting | separated | {header} |\n| --- | --- |{' --- |' * len(columns)}")
    promises = []
    for number, (name, setting) in enumerate(_USUAL.items(), start=1):
        found = [
            # More where the rate is small.
            simulate(setting, sets * (1 if e else 4), (seed, 1_000 + number, k), interaction=e, negbin=sets)
            for k, e in enumerate(PLANTED)
        ]
        apart = " / ".join(percent(np.isnan(hc3).mean(), 0) for _, hc3 in found)
        rows = []
        for column in columns:
            rates = []
            for (p, hc3), e in zip(found, PLANTED, strict=True):
                tested = ~np.isnan(hc3) & ((column != NEGBIN) | (np.arange(hc3.size) < sets))
                rates.append(percent(np.mean(p[tested, column] <= 0.05), 0 if e else 1))
            rows.append(" / ".join(rates))
        print(f"| {number}: {name} | {apart} | {' | '.join(rows)} |", flush=True)
        promises.append((f"{number}: {name}", promise(setting, found, sets, (seed, 2_000 + number))))
    names = " / ".join(METHODS[column] for column in PROMISED)
    print(
        f"\nAn interaction of the size of min_interaction, called at .05: {names}\n\n"
        "| setting | median min_interaction, none planted | planted above 0 | planted below 0 "
        "| of those planted at ±.5 and ±1, promised | of these, called |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name, cells in promises:
        print(f"| {name} | {' | '.join(cells)} |")


def promise(setting: Setting, found: list, sets: int, seed: tuple[int, ...]) -> list[str]:
    """How often an interaction of the size of min_interaction is called."""
    least = SEEN * float(np.nanmedian(found[PLANTED.index(0.0)][1]))
    cells = [f"{least:.2f}"]
    for k, sign in enumerate((1, -1)):
        p, hc3 = simulate(setting, sets, (*seed, k), interaction=sign * least)
        apart = np.isnan(hc3)
        rates = " / ".join(percent(np.mean(p[~apart, column] <= 0.05), 0) for column in PROMISED)
        cells.append(rates + (f" ({apart.mean():.0%} separated)" if apart.mean() > 0.005 else ""))
    # Of each pair that has an interaction, the promise that its own error makes.
    there = [(p[SEEN * hc3 <= abs(e)], len(p)) for (p, hc3), e in zip(found, PLANTED, strict=True) if e]
    p = np.concatenate([rows for rows, _ in there])
    cells.append(percent(len(p) / sum(n for _, n in there), 0))
    enough = len(p) >= 50
    return [*cells, " / ".join(percent(np.mean(p[:, c] <= 0.05), 0) for c in PROMISED) if enough else "-"]


def influence(sets: int, seed: int) -> None:
    """How often Cook's ratio is above 5 where nothing is wrong."""
    print("\nCook's ratio above 5, of 100 pairs without an interaction\n")
    print(f"| counts | {' | '.join(f'n_11 {n}' for n in IN_11)} |\n| --- |{' --- |' * len(IN_11)}")
    for mixing, name in (("none", "Poisson"), ("gamma", "negative binomial")):
        for k, mean in enumerate(MEANS):
            ratios = [cook_ratios(Setting(mean, n, mixing), sets, (seed, 3_000 + k, n)) for n in IN_11]
            print(f"| {name}, mean {mean:g} | {' | '.join(percent(np.mean(own > 5), 0) for own in ratios)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=10_000, help="sets of each setting without an interaction")
    parser.add_argument("--power-sets", type=int, default=1_000, help="sets of each setting and planted interaction")
    parser.add_argument("--settings", type=int, nargs="+", default=list(range(1, len(SETTINGS) + 1)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figure", action="store_true", help="only the coding: its figure and table")
    wanted = parser.parse_args()
    if wrong := [number for number in wanted.settings if not 1 <= number <= len(SETTINGS)]:
        parser.error(f"settings {wrong} are not known: there are 1 to {len(SETTINGS)}")
    if wanted.figure:
        coding(seed=wanted.seed)
        return
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load before {load:.1f}; "
        f"{N_CELLS:,} cells, {N_SINGLE} in each of 10 and 01, effects {EFFECTS[0]} and {EFFECTS[1]}\n"
    )
    began = time.perf_counter(), time.process_time()
    if wanted.sets:
        print("Rejected of 100 pairs without an interaction, at .05 / .01 / .001\n")
        calibration(wanted.settings, wanted.sets, wanted.seed)
    if wanted.power_sets:
        print(
            f"\nCalled at .05, of 100 pairs that are not separated, with an interaction of "
            f"{' / '.join(f'{e:+g}' if e else '0' for e in PLANTED)}; {wanted.power_sets:,} sets each, four times "
            "as many without an interaction (negative binomial: as many)"
        )
        power(wanted.power_sets, wanted.seed)
        influence(wanted.power_sets, wanted.seed)
    print(f"\n{time.perf_counter() - began[0]:,.0f} s, of the processor {time.process_time() - began[1]:,.0f} s")


if __name__ == "__main__":
    main()
