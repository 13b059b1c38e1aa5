"""Permutation tests: against plain NumPy on the same permutations, and what has to hold whatever the data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from screen_cells import load_screen

from scanlink.errors import InputError, OptionError
from scanlink.stats import fit_negbin, fit_poisson, resample_key
from scanlink.stats import images as module
from scanlink.stats._permute import Plan
from scanlink.stats.gene_score import GeneScore, levels, observed_statistics, statistics
from scanlink.stats.images import Permutations, Perturbed
from scanlink.stats.permutation import interaction_permutation_p, permutation_p

EFFICIENCIES = (0.3, 0.6, 0.72)


def simulate(seed, *, n=600, terms=3, theta=1.5, mean=1.0, effect=None):
    """Counts, design and offset; the last covariate is a batch of two."""
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.normal(size=(n, terms - 2)), rng.integers(0, 2, n)])
    offset = 0.3 * rng.normal(size=n)
    mu = mean * np.exp(offset + 0.2 * design[:, 1] + 0.3 * design[:, -1] + (0.0 if effect is None else effect))
    return rng.poisson(mu * (rng.gamma(theta, 1 / theta, n) if np.isfinite(theta) else 1.0)), design, offset


def some_cells(seed, size, *, n=600, values=None):
    rng = np.random.default_rng(seed)
    cells = rng.choice(n, size, replace=False)
    return Perturbed.of(cells, None if values is None else rng.choice(values, size))


def permuted(gene, targets, permutations, last):
    """Statistics of permutations 0 to ``last - 1`` as the library has them, and the permutations."""
    runs = [permutations.runs(one) for one in targets]
    needed = np.max([np.diff(target_runs.begins) for target_runs in runs], axis=0)
    images = permutations.block(needed, 0, last)
    plan = Plan.of(targets, [target_runs.runs for target_runs in runs], needed.size)
    return runs, images, statistics(gene, levels(targets), plan, images)


def moved(perturbed, runs, images, row, n):
    """What each cell has in a permutation, in full. Shape ``(n_cells, n_values)``."""
    x = np.zeros((n, perturbed.values.shape[1]))
    for stratum, first, last, level in runs.runs:
        begin = images.begins[stratum]
        x[images.cells[row, begin + first : begin + last]] = perturbed.values[level]
    return x


def plain_base(gene, x):
    """Equation 1 as it is written."""
    z, shrink = gene.design, 1 / (1 + gene.mu / gene.theta)
    w = gene.mu * shrink
    along = z.T @ (w * x)
    return np.sum(x * (gene.counts - gene.mu) * shrink) / np.sqrt(
        np.sum(w * x * x) - along @ np.linalg.solve(z.T @ (w[:, None] * z), along)
    )


def plain_pair(gene, x):
    """Equations 3 to 5, the main effects over cells and the tilt by bisection."""
    y, m, v = gene.counts, gene.mu, 1 / (1 + gene.mu / gene.theta)
    z = np.column_stack([np.ones(y.size), x])
    coef = np.zeros(3)
    for _ in range(200):
        mu = m * np.exp(z @ coef)
        step = np.linalg.solve(z.T @ ((v * mu)[:, None] * z), z.T @ (v * (y - mu)))
        coef += step * min(1.0, 1.0 / np.abs(step).max())
    mu = m * np.exp(z @ coef)
    product = x[:, 0] * x[:, 1]
    g = product - z @ np.linalg.solve(z.T @ ((v * mu)[:, None] * z), z.T @ (v * mu * product))
    score = np.sum(v * g * (y - mu))
    _, level = np.unique(x, axis=0, return_inverse=True)
    means, variances, poissons, gs = (
        np.bincount(level.reshape(-1), column) for column in (v * mu, v * v * mu * (1 + mu / gene.theta), v * v * mu, g)
    )
    gs = gs / np.bincount(level.reshape(-1))
    # A multiple of a count: its mean and the Poisson part of its variance give the multiple, the rest the size.
    unit = poissons / means
    mean, inverse = means / unit, (variances - poissons) / means**2
    gs = gs * unit

    def cumulants(t):
        grown = np.expm1(t * gs)
        rest = 1 - mean * inverse * grown
        value = np.where(inverse > 0, -np.log(rest) / np.where(inverse > 0, inverse, 1), mean * grown) - t * gs * mean
        tilted = mean * (grown + 1) / rest
        return np.sum(value), np.sum(gs * (tilted - mean)), np.sum(gs**2 * tilted * (1 + tilted * inverse))

    _, _, variance = cumulants(0.0)
    if abs(score) < 1e-3 * np.sqrt(variance):
        return score / np.sqrt(variance)
    end = np.sign(score)
    with np.errstate(all="ignore"):
        while not np.sign(score) * cumulants(end)[1] > abs(score):
            # Beyond a pole there is nothing: go nearer, then to it from below.
            end = end * 1.3 if np.isfinite(cumulants(end)[0]) else end * 0.9
    t = brentq(lambda t: cumulants(t)[1] - score, 0.0, end, xtol=1e-14)
    value, _, second = cumulants(t)
    w = np.sign(t) * np.sqrt(2 * (t * score - value))
    return w + np.log(t * np.sqrt(second) / w) / w


@pytest.mark.parametrize("strata", [False, True], ids="strata={}".format)
@pytest.mark.parametrize("values", [None, EFFICIENCIES], ids=["binary", "efficiencies"])
@pytest.mark.parametrize(("terms", "theta", "constant"), [(3, 1.5, True), (7, np.inf, True), (9, 0.5, False)])
def test_permutation_p__statistic_is_that_of_plain_numpy(terms, theta, constant, values, strata):
    y, design, offset = simulate(1, terms=terms, theta=theta)
    if not constant:
        design = np.column_stack([1 - design[:, -1], design[:, 1:]]) if strata else design[:, 1:]
    gene = GeneScore.of(y, design, offset=offset, theta=None if np.isfinite(theta) else np.inf)
    targets = [some_cells(k, size, values=values) for k, size in enumerate((30, 1, 55))]
    permutations = Permutations(resample_key(0, "a"), 600, strata=design[:, -1].astype(int) if strata else None)
    runs, images, permuted_z = permuted(gene, targets, permutations, 25)
    for t, one in enumerate(targets):
        for row in range(25):
            x = moved(one, runs[t], images, row, 600)[:, 0]
            assert x.sum() == pytest.approx(one.values[one.level].sum())
            np.testing.assert_allclose(permuted_z[row, t], plain_base(gene, x), rtol=1e-9, atol=1e-12)
    x = np.zeros((3, 600))
    for row, one in zip(x, targets, strict=True):
        row[one.cells] = one.values[one.level, 0]
    expected = [plain_base(gene, row) for row in x]
    np.testing.assert_allclose(observed_statistics(gene, targets, runs), expected, rtol=1e-9)


@pytest.mark.parametrize("strata", [False, True], ids="strata={}".format)
@pytest.mark.parametrize("values", [None, EFFICIENCIES], ids=["binary", "efficiencies"])
@pytest.mark.parametrize("theta", [0.8, np.inf])
def test_interaction_permutation_p__statistic_is_that_of_plain_numpy(theta, values, strata):
    first, second = (some_cells(k, 120, values=values) for k in (5, 6))
    pairs = [Perturbed.pair(first, second), Perturbed.pair(second, some_cells(7, 90, values=values))]
    effect = np.zeros(600)
    effect[first.cells] -= 0.8
    y, design, offset = simulate(2, theta=theta, mean=1.5, effect=effect)
    gene = GeneScore.of(y, design, offset=offset, theta=None if np.isfinite(theta) else np.inf)
    permutations = Permutations(resample_key(1, "a"), 600, strata=design[:, -1].astype(int) if strata else None)
    runs, images, permuted_z = permuted(gene, pairs, permutations, 25)
    assert (len(pairs[0].values) == 3) == (values is None)
    for t, one in enumerate(pairs):
        for row in range(25):
            expected = plain_pair(gene, moved(one, runs[t], images, row, 600))
            np.testing.assert_allclose(permuted_z[row, t], expected, rtol=1e-5, atol=1e-5)
    x = np.zeros((600, 2))
    x[pairs[0].cells] = pairs[0].values[pairs[0].level]
    np.testing.assert_allclose(observed_statistics(gene, pairs, runs)[0], plain_pair(gene, x), rtol=1e-5)


def test_interaction_permutation_p__closed_form_is_newtons():
    """A value of 1 - 1e-12 beside 1 takes the other way to the same main effects."""
    y, design, _ = simulate(3, mean=0.4)
    gene = GeneScore.of(y, design)
    cells = np.arange(100)
    nearly = np.where(cells < 50, 1.0, 1.0 - 1e-12)
    pairs = [Perturbed.pair(Perturbed.of(cells, x), Perturbed.of(cells + 70)) for x in (None, nearly)]
    assert [len(one.values) for one in pairs] == [3, 4]
    permutations = Permutations(0, 600)
    a, b = (permuted(gene, [one], permutations, 200)[2] for one in pairs)
    closed, newton = (observed_statistics(gene, [one], [permutations.runs(one)]) for one in pairs)
    np.testing.assert_allclose(closed, newton, rtol=1e-6)
    # Levels are another order of cells: the permutations differ, their distribution does not.
    assert abs(np.nanstd(a) - np.nanstd(b)) < 0.2


def test_permutation_p__is_the_share_of_permutations_at_or_beyond():
    y, design, offset = simulate(4)
    gene = GeneScore.of(y, design, offset=offset)
    targets = [some_cells(k, 40) for k in range(8)]
    permutations = Permutations(resample_key(0, "b"), 600)
    tests = permutation_p(gene, targets, [(500, None)], permutations)
    _, _, z = permuted(gene, targets, permutations, 500)
    np.testing.assert_array_equal(tests.p, (1 + (np.abs(z) >= np.abs(tests.z)).sum(axis=0)) / 501)
    assert (tests.n == 500).all()
    assert tests.p.std() > 0.1


def test_permutation_p__ties_count():
    """Without covariates the statistic depends on a small number of counts only, so that most permutations tie."""
    y = np.zeros(200)
    y[:12] = 1
    gene = GeneScore.of(y, np.ones((200, 1)), theta=np.inf)
    target, permutations = Perturbed.of(np.arange(9, 29)), Permutations(5, 200)
    _, images, _ = permuted(gene, [target], permutations, 500)
    inside = y[images.cells[:, :20]].sum(axis=1)
    far = np.abs(inside - 12 * 20 / 200) >= 3 - 1.2 - 1e-9
    tests = permutation_p(gene, [target], [(500, None)], permutations)
    assert tests.p[0] == (1 + far.sum()) / 501
    assert far.sum() > 30


def test_permutation_p__stages_go_on_from_those_before():
    effects = np.linspace(0.0, 1.5, 12)
    targets = [Perturbed.of(np.arange(40 * k, 40 * k + 40)) for k in range(12)]
    y, design, offset = simulate(5, effect=np.repeat(np.append(effects, 0.0), [40] * 12 + [120]))
    gene, permutations = GeneScore.of(y, design, offset=offset), Permutations(resample_key(3, "b"), 600)
    stages = [100, 600, 3000]
    whole = [permutation_p(gene, targets, [(n, None)], permutations) for n in stages]
    tests = permutation_p(gene, targets, [(100, 0.1), (600, 0.02), (3000, None)], permutations)
    ended = np.where(whole[0].p >= 0.1, 0, np.where(whole[1].p >= 0.02, 1, 2))
    np.testing.assert_array_equal(tests.n, np.array(stages)[ended])
    np.testing.assert_array_equal(tests.p, np.choose(ended, [one.p for one in whole]))
    assert set(ended) == {0, 1, 2}
    assert tests.p.min() == 1 / 3001


@pytest.mark.parametrize("strata", [None, np.arange(600) % 3])
def test_permutation_p__bits_do_not_depend_on_company_blocks_or_threads(strata, monkeypatch):
    y, design, offset = simulate(6, terms=6)
    gene = GeneScore.of(y, design, offset=offset)
    key, ladder = resample_key(0, "c"), [(150, 0.9), (700, None)]
    targets = [some_cells(k, size, values=EFFICIENCIES if k % 2 else None) for k, size in enumerate((60, 9, 200, 33))]
    pairs = [Perturbed.pair(a, b) for a, b in ((targets[0], targets[2]), (targets[2], targets[3]))]
    shared = Permutations(key, 600, strata=strata)
    together = [permutation_p(gene, targets, ladder, shared), interaction_permutation_p(gene, pairs, ladder, shared)]
    monkeypatch.setattr(module, "_TOGETHER", 37)
    call = ((permutation_p, targets), (interaction_permutation_p, pairs))
    for (test, every), expected in zip(call, together, strict=True):
        for t, one in enumerate(every):
            alone = test(gene, [one], ladder, Permutations(key, 600, strata=strata, keep_bytes=0))
            for name in ("z", "p", "n"):
                np.testing.assert_array_equal(getattr(alone, name)[0], getattr(expected, name)[t])
        fresh = Permutations(key, 600, strata=strata)
        with ThreadPoolExecutor(4) as pool:
            threads = list(pool.map(lambda one, test=test, fresh=fresh: test(gene, [one], ladder, fresh), every * 3))
        for t, tests in enumerate(threads):
            assert tests.z[0] == expected.z[t % len(every)]
            assert tests.p[0] == expected.p[t % len(every)]


def test_permutation_p__is_valid_at_every_level():
    """Also in sparse counts, with ties, where the ladder stops early, and given that the pair test is defined."""
    alone, both = [], []
    n = 250
    for seed in range(500):
        rng = np.random.default_rng(seed)
        design = np.column_stack([np.ones(n), rng.normal(size=n)])
        y = rng.poisson(0.15 * rng.gamma(1.0, 1.0, n))
        if not y.any():
            continue
        gene = GeneScore.of(y, design, theta=1.0)
        first, second = (Perturbed.of(rng.choice(n, 25, replace=False)) for _ in range(2))
        permutations, ladder = Permutations(seed, n), [(19, 0.3), (99, None)]
        alone.extend(permutation_p(gene, [first, second], ladder, permutations).p)
        both.extend(interaction_permutation_p(gene, [Perturbed.pair(first, second)], ladder, permutations).p)
    for p in (np.array(alone), np.array(both)[~np.isnan(both)]):
        for level in (0.01, 0.05, 0.2, 0.5):
            assert np.mean(p <= level) < level + 3.5 * np.sqrt(level * (1 - level) / p.size)
        # It is not valid for being empty.
        assert np.mean(p <= 0.5) > 0.3
    assert 30 < np.isnan(both).sum() < 400


def test_interaction_permutation_p__keeps_its_level_beside_main_effects():
    """Of -1 and -0.7, more often in one batch; plain standardised scores call nothing but synergy there."""
    p, z = [], []
    n = 1500
    for seed in range(250):
        rng = np.random.default_rng(seed)
        batch = rng.integers(0, 2, n)
        a, b = (rng.random(n) < 0.06 + 0.1 * batch for _ in range(2))
        mu = 2.0 * np.exp(0.4 * batch - a - 0.7 * b)
        gene = GeneScore.of(rng.poisson(mu * rng.gamma(1.5, 1 / 1.5, n)), np.column_stack([np.ones(n), batch]))
        pair = Perturbed.pair(Perturbed.of(np.flatnonzero(a)), Perturbed.of(np.flatnonzero(b)))
        tests = interaction_permutation_p(gene, [pair], [(100, 0.2), (400, None)], Permutations(seed, n))
        p.append(tests.p[0])
        z.append(tests.z[0])
    called = np.array(p) <= 0.05
    # 250 sets: a standard error of .014.
    assert 0.015 < called.mean() < 0.095
    assert 0.2 < np.mean(np.array(z)[called] > 0) < 0.9


def test_permutation_p__z_is_near_that_of_walds_test():
    y, design, offset = simulate(8, n=3000, effect=np.repeat([0.25, 0.0], [400, 2600]))
    target = Perturbed.of(np.arange(400))
    gene = GeneScore.of(y, design, offset=offset)
    x = np.repeat([1.0, 0.0], [400, 2600])
    fit = fit_negbin(y, np.column_stack([x, design]), offset=offset)
    tests = permutation_p(gene, [target], "glimmirs", Permutations(0, 3000))
    assert tests.z[0] == pytest.approx(fit.coef[0] / fit.se[0], rel=0.1)
    assert tests.p[0] < 0.01


@pytest.mark.shared
def test_permutation_p__finds_the_real_screens_positive_controls_and_not_its_negative_ones(shared):
    screen = load_screen(shared)
    n = screen.depth.size
    design = np.column_stack([np.ones(n), screen.covariates])
    listed = pd.read_csv(shared / "crispri" / "sceptreIGVF_pairs_to_test.csv")
    positive = listed["gene_id"][listed["pair_type"] == "positive_control"]
    negative = [
        Perturbed.of(np.flatnonzero(column)) for column in screen.called[:, screen.targets == "non-targeting"].T
    ]
    permutations, z, p = Permutations(resample_key(0, "K562"), n), [], []
    for gene in positive:
        score = GeneScore.of(screen.counts[gene], design, offset=screen.depth)
        target = Perturbed.of(np.flatnonzero(screen.perturbed(gene, False)))
        tests = permutation_p(score, [target, *negative], [(100, 0.1), (999, None)], permutations)
        assert tests.p[0] == 0.001
        z.append(tests.z[0])
        p.extend(tests.p[1:])
    assert max(z) < -3
    assert len(p) == 250
    # A standard error of .014, were they independent.
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.11


def test_gene_score__takes_a_fit_or_makes_it():
    y, design, offset = simulate(9)
    fit = fit_negbin(y, design, offset=offset)
    by_itself, from_fit = (
        GeneScore.of(y, design, offset=offset),
        GeneScore.of(y, design, mu=fit.fitted, theta=fit.theta),
    )
    assert by_itself.theta == from_fit.theta == fit.theta
    np.testing.assert_array_equal(by_itself.mu, from_fit.mu)
    poisson = GeneScore.of(y, design, offset=offset, theta=np.nan)
    np.testing.assert_allclose(poisson.mu, fit_poisson(y, design, offset=offset).fitted, rtol=1e-6)
    assert poisson.theta == np.inf


def test_permutation_p__is_not_a_number_where_nothing_can_be_said():
    y, design, _ = simulate(10)
    permutations, none = Permutations(0, 600), Perturbed.of(np.array([], dtype=int))
    some, batch = some_cells(1, 50), Perturbed.of(np.flatnonzero(design[:, -1]))
    gene, silent = GeneScore.of(y, design), GeneScore.of(np.zeros(600), design)
    tests = permutation_p(gene, [none, some, batch], "glimmirs", permutations)
    assert np.isnan(tests.z).tolist() == np.isnan(tests.p).tolist() == [True, False, True]
    assert (tests.n > 0).tolist() == [False, True, False]
    assert np.isnan(permutation_p(silent, [some], "glimmirs", permutations).p).all()
    assert permutation_p(gene, [], "glimmirs", permutations).p.shape == (0,)
    inside, apart = Perturbed.of(some.cells[:20]), Perturbed.of(np.setdiff1d(np.arange(600), some.cells)[:30])
    quiet = Perturbed.of(np.flatnonzero(y == 0)[:200])
    assert np.isin(quiet.cells, some.cells).any()
    pairs = [Perturbed.pair(some, other) for other in (inside, apart, none, quiet)]
    assert np.isnan(interaction_permutation_p(gene, pairs, "glimmirs", permutations).p).all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda g, t, p: permutation_p(g, [t], [(100, 0.1), (100, None)], p), OptionError, "must rise"),
        (lambda g, t, p: permutation_p(g, [t], "glimmer", p), OptionError, "'glimmer'"),
        (lambda g, t, p: permutation_p(g, [t], "glimmirs", Permutations(0, 5)), InputError, "600 cells"),
        (lambda g, t, p: permutation_p(g, [Perturbed.of([600])], "glimmirs", p), InputError, "cell 600 of 600"),
        (lambda g, t, p: permutation_p(g, [Perturbed.pair(t, t)], "glimmirs", p), InputError, "single targets"),
        (lambda g, t, p: interaction_permutation_p(g, [t], "glimmirs", p), InputError, "pairs of targets"),
        (lambda g, t, p: Perturbed.pair(Perturbed.pair(t, t), t), InputError, "two single targets"),
        (lambda g, t, p: Perturbed.of([3, 3]), InputError, "each once"),
        (lambda g, t, p: Perturbed.of([3], [-1.0]), InputError, "at least 0"),
        (lambda g, t, p: Perturbed.of([3], [1.0, 1.0]), InputError, "shape"),
        (lambda g, t, p: Permutations(0, 0), InputError, "0 cells"),
        (lambda g, t, p: Permutations(0, 3, strata=np.array([0, -1, 0])), InputError, "strata"),
        (lambda g, t, p: p.block(601, 0, 1), InputError, "601 cells"),
        (lambda g, t, p: GeneScore.of(g.counts, g.design, mu=g.mu), InputError, "without theta"),
        (lambda g, t, p: GeneScore.of(g.counts, g.design, mu=g.mu[:5], theta=1.0), InputError, "mu must be"),
        (lambda g, t, p: GeneScore.of(g.counts, g.design, theta=-1.0), OptionError, "theta"),
    ],
)
def test_permutation_p__says_what_is_wrong(call, error, says):
    y, design, _ = simulate(11)
    with pytest.raises(error, match=says):
        call(GeneScore.of(y, design), some_cells(1, 20), Permutations(0, 600))
