"""Do p-values keep what they promise? Rejection rates on simulated pairs without a link, and power with one.

    python benchmarks/calibration.py [--sets 20000] [--power-sets 2000] [--seed 1]

Counts are Poisson-gamma; depth raises the gene and opens the peak, a skewed second covariate does the reverse. Prints
three Markdown tables; 100,000 sets take about half an hour on one core, and the same arguments give the same tables.
"""
# ruff: noqa: NPY002 - compiled code has its own copy of the old generator, seeded in it.

from __future__ import annotations

import argparse
import math

import numpy as np
from numba import njit

from scanlink.stats._calibrated import pair
from scanlink.stats._calibrated_null import gene_residuals, orthonormal, propensity
from scanlink.stats._newton import factor, newton, solve_factored

METHODS = ("Wald", "HC3", "bootstrap tail", "calibrated")
LEVELS = (0.05, 0.01, 0.001, 0.0001)
DEPTH_SD, GENE_SLOPES, PEAK_SLOPES = 0.4, (1.0, -0.15), (0.8, -0.2)

# Cells, mean count, share of open cells, dispersion, link of the peak to the covariates; effects with power near 1/2.
SETTINGS = (
    (300, 0.30, 0.08, 0.5, "logit", (1.0,)),
    (500, 0.15, 0.10, 0.5, "cloglog", (0.95,)),
    (1_000, 1.00, 0.30, 0.0, "logit", (0.21, -0.24)),
    (2_000, 0.35, 0.12, 0.7, "cloglog", (0.38, -0.48)),
    (2_000, 0.07, 0.06, 1.0, "logit", (0.9,)),
    (10_000, 0.20, 0.06, 1.0, "cloglog", (0.31, -0.38)),
)
# What bends the assumptions: the setting it starts from, and what is changed.
STRESS = (
    ("dispersion grows with depth (e^1.5 per unit)", 3, {"dispersion_slope": 1.5}),
    ("cloglog slope of depth 1.5, dispersion .5", 2, {"link": "cloglog", "peak_slopes": (1.5, -0.2), "closed": 0.5}),
    ("dispersion .5 in closed, 2 in open cells", 3, {"closed": 0.5, "opened": 2.0}),
)


@njit(nogil=True, error_model="numpy")
def draw_count(mu, phi):
    """A Poisson-gamma count with mean mu and variance mu + phi mu^2, by inversion."""
    chance = math.exp(-math.log1p(phi * mu) / phi) if phi > 0 else math.exp(-mu)
    left = np.random.random() - chance
    k = 0
    while left > 0 and k < 5_000:
        chance *= (phi * k + 1) * mu / ((1 + phi * mu) * (k + 1))
        left -= chance
        k += 1
    return float(k)


@njit(nogil=True, error_model="numpy")
def draw_covariates(c, depth_sd):
    for i in range(c.shape[0]):
        c[i, 0] = 1.0
        c[i, 1] = depth_sd * np.random.standard_normal()
        # Gamma with shape 2, standardised: skewed as a mitochondrial percentage is.
        c[i, 2] = (-math.log(1 - np.random.random()) - math.log(1 - np.random.random()) - 2) / math.sqrt(2.0)


@njit(nogil=True, error_model="numpy")
def wald(y, design, null, out):
    """Model-based and HC3 p-values; returns the estimate."""
    n, p = design.shape
    half, aliased, coef = np.empty((p, p)), np.zeros(p, dtype=np.bool_), np.append(null, 0.0)
    newton((y, design, np.zeros(n)), None, np.ones(n), coef, p - 1, 1e-10, 60, half, aliased)
    z = np.empty(p)
    robust = 0.0
    for i in range(n):
        eta = 0.0
        leverage = 0.0
        for k in range(p):
            eta += coef[k] * design[i, k]
            z[k] = design[i, k]
            for m in range(k):
                z[k] -= half[k, m] * z[m]
            z[k] /= half[k, k]
            leverage += z[k] * z[k]
        mu = math.exp(eta)
        robust += ((y[i] - mu) * z[p - 1] / half[p - 1, p - 1] / (1 - mu * leverage)) ** 2
    b = coef[p - 1]
    out[0] = math.erfc(abs(b) * half[p - 1, p - 1] / math.sqrt(2.0))
    out[1] = math.erfc(abs(b) / math.sqrt(2.0 * robust))
    return b


@njit(nogil=True, error_model="numpy")
def bootstrap_tail(y, design, null, b):
    """Section 5 of the association notes: the tail, at 2 b, of the efficient score's case bootstrap."""
    n, p = design.shape
    q = p - 1
    covariates, x = design[:, :q].copy(), design[:, q].copy()
    offset, hessian, aliased, coef = 2 * b * x, np.empty((q, q)), np.zeros(q, dtype=np.bool_), null.copy()
    newton((y, covariates, offset), None, np.ones(n), coef, -1, 1e-10, 60, hessian, aliased)
    mu, along = np.empty(n), np.zeros(q)
    hessian[:] = 0.0
    for i in range(n):
        eta = offset[i]
        for k in range(q):
            eta += coef[k] * covariates[i, k]
        mu[i] = math.exp(eta)
        for k in range(q):
            along[k] += mu[i] * covariates[i, k] * x[i]
            for m in range(k + 1):
                hessian[k, m] += mu[i] * covariates[i, k] * covariates[i, m]
    factor(hessian, aliased)
    solve_factored(hessian, along, aliased)
    e = np.empty(n)
    for i in range(n):
        e[i] = x[i]
        for k in range(q):
            e[i] -= covariates[i, k] * along[k]
        e[i] *= y[i] - mu[i]
    sd = math.sqrt(np.sum((e - e.mean()) ** 2))
    e /= sd
    t = -np.sum(e)
    cumulant = second = 0.0
    for _ in range(100):
        m0 = m1 = m2 = 0.0
        for i in range(n):
            w = math.exp(t * e[i])
            m0 += w
            m1 += w * e[i]
            m2 += w * e[i] * e[i]
        cumulant, second = n * math.log(m0 / n), n * (m2 / m0 - (m1 / m0) ** 2)
        step = min(max(-n * m1 / m0 / second, -1.0), 1.0)
        if abs(step) < 1e-7:
            break
        t += step
    r, u = math.sqrt(max(-2 * cumulant, 0.0)), abs(t) * math.sqrt(second)
    if r < 1e-3:
        return 1.0
    return min(1.0, math.erfc((r + math.log(u / r) / r) / math.sqrt(2.0)))


@njit(nogil=True, error_model="numpy")
def run_sets(seed, n, gene, peak, cloglog, dispersion, effect, depth_sd, out, z_out):
    """P-values of tested pairs: rows of sets, columns of METHODS; NaN rows where the pair is separated."""
    np.random.seed(seed)
    design, residual, signal, level = np.empty((n, 4)), np.empty(n), np.empty(n), np.empty(n)
    y, null, basis, base = np.empty(n), np.empty((4, n)), np.empty((n, 3)), np.empty(2)
    hessian, aliased = np.empty((3, 3)), np.zeros(3, dtype=np.bool_)
    done = 0
    while done < out.shape[0]:
        covariates = design[:, :3].copy()
        draw_covariates(covariates, depth_sd)
        opened = expressing = 0
        inside = outside = 0.0
        for i in range(n):
            eta = peak[0] + peak[1] * covariates[i, 1] + peak[2] * covariates[i, 2]
            chance = -math.expm1(-math.exp(eta)) if cloglog else 1 / (1 + math.exp(-eta))
            x = 1.0 if np.random.random() < chance else 0.0
            mu = math.exp(gene[0] + gene[1] * covariates[i, 1] + gene[2] * covariates[i, 2] + effect * x)
            phi = dispersion[1] if x else dispersion[0]
            y[i] = draw_count(mu, phi * math.exp(dispersion[2] * covariates[i, 1]))
            level[i] = x
            opened += x > 0
            expressing += y[i] > 0
            inside += x * y[i]
            outside += (1 - x) * y[i]
        if min(opened, expressing) <= max(0.05 * n, 4) or n - opened < 5:
            continue
        out[done] = np.nan
        if inside > 0 and outside > 0:
            gene_residuals(y, covariates, None, covariates.shape[1], np.zeros(n), residual, signal)
            base[1] = opened / n
            base[0] = 1 - base[1]
            propensity(level, covariates, None, covariates.shape[1], base, null)
            null[1] = 1 / (base[0] + base[1] * null[0])
            orthonormal(covariates, null[3], basis)
            unit = np.sum(signal) / np.sum(y)
            z_out[done], out[done, 3] = pair(residual, signal, unit, level, null, basis, None, base)
            design[:, :3] = covariates
            design[:, 3] = level
            coef = np.zeros(3)
            newton((y, covariates, np.zeros(n)), None, np.ones(n), coef, -1, 1e-10, 60, hessian, aliased)
            b = wald(y, design, coef, out[done])
            out[done, 2] = bootstrap_tail(y, design, coef, b)
        done += 1


def intercept(share, link, slopes):
    """The intercept that opens the peak in that share of cells."""
    c = np.empty((200_000, 3))
    rng = np.random.default_rng(0)
    c[:, 1] = DEPTH_SD * rng.standard_normal(len(c))
    c[:, 2] = (rng.gamma(2.0, size=len(c)) - 2) / math.sqrt(2)
    low, high = -15.0, 10.0
    for _ in range(50):
        middle = (low + high) / 2
        eta = middle + c[:, 1:] @ np.array(slopes)
        chance = -np.expm1(-np.exp(eta)) if link == "cloglog" else 1 / (1 + np.exp(-eta))
        low, high = (middle, high) if chance.mean() < share else (low, middle)
    return low


def simulate(
    setting,
    sets,
    seed,
    *,
    effect=0.0,
    link=None,
    peak_slopes=PEAK_SLOPES,
    closed=None,
    opened=None,
    dispersion_slope=0.0,
):
    """P-values, shape (sets, methods), and score statistics of one setting."""
    n, mean, share, phi, own_link, _ = setting
    link = link or own_link
    depth, mito = GENE_SLOPES
    start = math.log(mean) - (depth * DEPTH_SD) ** 2 / 2 + 2 * math.log(1 - mito / math.sqrt(2)) + mito * math.sqrt(2)
    closed = phi if closed is None else closed
    dispersion = np.array([closed, closed if opened is None else opened, dispersion_slope])
    p, z = np.full((sets, len(METHODS)), np.nan), np.full(sets, np.nan)
    peak = np.array([intercept(share, link, peak_slopes), *peak_slopes])
    gene = np.array([start, depth, mito])
    run_sets(seed, n, gene, peak, link == "cloglog", dispersion, effect, DEPTH_SD, p, z)
    return p, z


def name_of(setting):
    n, mean, share, phi, link, _ = setting
    return f"n={n:,}, mean {mean:g}, open {share:.0%}, dispersion {phi:g}, {link}"


def rates(label, p):
    """Rows of rejection rates among tested pairs, with their Monte-Carlo standard errors."""
    tested = p[~np.isnan(p[:, 3])]
    for column, method in enumerate(METHODS):
        cells = []
        for level in LEVELS:
            rate = np.mean(tested[:, column] <= level)
            error = math.sqrt(max(rate, level) * (1 - rate) / len(tested))
            digits = 4 if level > 0.005 else 5 if level > 0.0005 else 6
            cells.append(f"{rate:.{digits}f} ± {error:.{digits}f}")
        print(f"| {label if column == 0 else ''} | {method} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20_000, help="null sets of each setting")
    parser.add_argument("--power-sets", type=int, default=2_000, help="sets of each setting with a link")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    header = "| " + " | ".join(["setting", "p-value", *(f"at {level:g}" for level in LEVELS)]) + " |"
    rule = "| --- | --- |" + " --- |" * len(LEVELS)
    print(header, rule, sep="\n")
    critical = []
    for number, setting in enumerate(SETTINGS):
        p, _ = simulate(setting, options.sets, options.seed + number)
        rates(name_of(setting), p)
        critical.append(np.nanquantile(p, 0.001, axis=0))
    print("", header, rule, sep="\n")
    for label, number, changes in STRESS:
        p, _ = simulate(SETTINGS[number], options.sets // 5, options.seed + 100, **changes)
        rates(f"{label}; n={SETTINGS[number][0]:,}", p)
    columns = " | ".join(f"{method}: at .001 / at true size .001" for method in METHODS)
    print(
        "", f"| setting | effect | separated | {columns} |", "| --- | --- | --- |" + " --- |" * len(METHODS), sep="\n"
    )
    for number, setting in enumerate(SETTINGS):
        for effect in setting[-1]:
            p, _ = simulate(setting, options.power_sets, options.seed + 200 + number, effect=effect)
            p = np.nan_to_num(p, nan=2.0)
            pairs = zip(np.mean(p <= 0.001, axis=0), np.mean(p <= critical[number], axis=0), strict=True)
            cells = " | ".join(f"{nominal:.3f} / {equal:.3f}" for nominal, equal in pairs)
            print(f"| {name_of(setting)} | {effect:+g} | {np.mean(p[:, 3] > 1):.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
