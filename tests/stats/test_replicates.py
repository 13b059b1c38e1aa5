"""The moment solver: the same p-values as full refits with the same weights, whatever the design."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import hard_pair, real_pairs
from reference import load_simulated

from scanlink.errors import DesignError, InputError
from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Ladder,
    WeightBlock,
    Weights,
    basic_p,
    climb,
    refit_poisson,
    resample_key,
    rescale,
)


def compare(covariates, counts, peak, block, *, target=1):
    """The pair, its replicates by moments and by full refits, and the largest difference in bootstrap SDs."""
    gene = GeneReplicates(covariates, counts)
    pair = gene.pair(peak, target=target)
    fast = pair.replicates(gene.shared(block))
    design = np.insert(covariates.design, target, peak, axis=1)
    rows = block.rows(np.arange(block.n_replicates))
    full = refit_poisson(counts, design, rows, target=target, offset=covariates.offset, start=pair.start)
    finite = np.isfinite(fast)
    # -inf stands for what the refit leaves at some large negative value, or undefined.
    assert (np.isnan(full[~finite]) | (full[~finite] < -8)).all()
    worst = np.abs(fast - full)[finite].max() / np.std(full[finite]) if finite.any() else 0.0
    return pair, fast, full, worst


def same_p(pair, fast, full, sizes=(100, 500, 2500)):
    return all(
        basic_p(pair.estimate, fast[:size]) == basic_p(pair.estimate, full[:size])
        for size in sizes
        if size <= fast.size
    )


@pytest.mark.slow
@pytest.mark.shared
def test_replicates__same_p_values_as_refits_on_the_256_real_pairs(shared):
    covariates, pairs = real_pairs(shared)
    weights = Weights(resample_key(0, "CD14-Mono"), covariates.offset.size)
    refitted = 0
    for number, (counts, peak) in enumerate(pairs):
        size = 2500 if number % 16 == 0 else 500
        pair, fast, full, worst = compare(covariates, counts, peak, weights.block(0, size))
        assert same_p(pair, fast, full)
        assert worst < 0.05
        refitted += pair.n_refitted / size / len(pairs)
    assert len(pairs) == 256
    # Were all refitted, the comparison would say nothing.
    assert refitted < 0.02


@pytest.mark.slow
@pytest.mark.shared
def test_replicates__same_p_values_as_refits_on_the_574_simulated_pairs(shared):
    data = load_simulated(shared)
    table = data.table("fit_poisson_bin_cov3.csv")
    assert len(table) == 574
    covariates = Covariates.of(data.covariates, np.zeros(1000))
    block = Weights(resample_key(0, "Tcell"), 1000).block(0, 200)
    share = []
    for row in table.itertuples():
        pair, fast, full, worst = compare(covariates, data.counts[row.gene], data.opened[row.peak], block)
        assert same_p(pair, fast, full, (100, 200))
        assert worst < 0.1
        share.append(pair.n_refitted / 200)
    assert np.median(share) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sparse", "six covariates"])
def test_replicates__same_p_values_as_refits_on_hard_pairs(kind):
    rng = np.random.default_rng(3)
    refitted = 0.0
    for number in range(100):
        covariates, counts, peak = hard_pair(rng, kind)
        block = Weights(number, counts.size).block(0, 500)
        pair, fast, full, worst = compare(covariates, counts, peak, block)
        assert same_p(pair, fast, full)
        assert worst < 0.1
        refitted += pair.n_refitted / 500 / 100
    assert refitted < 0.6


def made(seed=0, n=900, *, levels=2, covariates=2, categories=0, offset=False, intercept=True):
    rng = np.random.default_rng(seed)
    continuous = rng.normal(size=(n, covariates))
    columns = [np.ones(n)] if intercept else []
    columns += list(continuous.T)
    category = rng.integers(0, max(categories, 1), n)
    columns += [(category == k).astype(float) for k in range(1, categories)]
    offsets = 0.3 * rng.normal(size=n) if offset else np.zeros(n)
    peak = rng.binomial(levels - 1, 0.25, n).astype(float)
    slopes = 0.4 / np.sqrt(max(covariates, 1)) * rng.normal(size=covariates)
    eta = offsets + continuous @ slopes + 0.3 * peak + 0.2 * category
    counts = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, n)).astype(float)
    design = np.column_stack(columns) if columns else np.empty((n, 0))
    return Covariates.of(rescale(design) if intercept else design, offsets), counts, peak


DESIGNS = {
    "intercept only": {"covariates": 0},
    "one covariate": {"covariates": 1},
    "four": {"covariates": 4},
    "eight": {"covariates": 8},
    "nine, more than are expanded": {"covariates": 9},
    "batches": {"categories": 4},
    "batches alone": {"categories": 4, "covariates": 0},
    "offset": {"offset": True},
    "no intercept": {"intercept": False},
    "counts of accessibility": {"levels": 5},
    "counts, batches, offset": {"levels": 4, "categories": 3, "offset": True},
}


@pytest.mark.parametrize("name", DESIGNS)
def test_replicates__any_design(name):
    options = DESIGNS[name]
    covariates, counts, peak = made(**options)
    target = int(options.get("intercept", True))
    block = Weights(1, counts.size).block(0, 300)
    pair, fast, full, worst = compare(covariates, counts, peak, block, target=target)
    assert same_p(pair, fast, full, (100, 300))
    assert worst < 0.1
    assert (pair.n_refitted < 150) == (name != "nine, more than are expanded")


@pytest.mark.parametrize("name", ["four", "batches", "counts, batches, offset"])
def test_replicates__no_error_is_above_what_is_claimed(name):
    covariates, counts, peak = made(n=500, **DESIGNS[name])
    gene = GeneReplicates(covariates, counts)
    pair = gene.pair(peak)
    block = Weights(2, counts.size).block(0, 400)
    shared = gene.shared(block)
    coef, error, solved, _ = pair.moments.replicates(block.cells, shared.features, shared.sums, 400)
    design = np.insert(covariates.design, 1, peak, axis=1)
    full = refit_poisson(
        counts, design, block.rows(np.arange(400)), target=1, offset=covariates.offset, start=pair.start
    )
    assert solved.mean() > 0.9
    assert (np.abs(coef[0] - full) <= error[0])[solved].all()


@settings(max_examples=20)
@given(st.lists(st.integers(1, 399), max_size=4, unique=True))
def test_replicates__same_bits_in_any_blocks(cuts):
    covariates, counts, peak = made(n=400, categories=2)
    gene, weights = GeneReplicates(covariates, counts), Weights(5, 400)
    edges = [0, *sorted(cuts), 400]
    pieces = [gene.pair(peak).replicates(gene.shared(weights.block(a, b))) for a, b in itertools.pairwise(edges)]
    whole = gene.pair(peak).replicates(gene.shared(weights.block(0, 400)))
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


def test_replicates__clusters_of_cells_are_drawn_together():
    covariates, counts, peak = made(n=600)
    donor = np.arange(600) % 12
    clustered = Covariates.of(covariates.design, covariates.offset, clusters=donor)
    block = Weights(4, 600, clusters=donor).block(0, 300)
    drawn = block.rows(np.arange(300)).reshape(300, 50, 12)
    assert (drawn == drawn[:, :1]).all()
    assert drawn.max() > 1
    pair, fast, full, worst = compare(clustered, counts, peak, block)
    assert same_p(pair, fast, full, (100, 300))
    assert worst < 0.1
    assert pair.n_refitted < 100


def test_replicates__a_gene_absent_from_the_open_cells_drawn():
    rng = np.random.default_rng(0)
    peak = (np.arange(200) < 30).astype(float)
    counts = rng.poisson(1.0, 200).astype(float)
    counts[:30] = 0.0
    counts[:2] = 1.0
    covariates = Covariates.of(np.ones((200, 1)), np.zeros(200))
    pair, fast, full, _ = compare(covariates, counts, peak, Weights(0, 200).block(0, 500))
    assert 0.05 < np.mean(fast == -np.inf) < 0.3
    assert same_p(pair, fast, full)


def test_climb__the_same_whichever_pairs_climb_together_and_in_blocks_of_any_size():
    covariates, counts, peak = made(n=500)
    other = np.roll(counts, 7)
    genes = [GeneReplicates(covariates, y) for y in (counts, other)]
    weights, ladder = Weights(0, 500), Ladder.of([(100, 0.9), (300, 0.5), (1000, None)])
    peaks = [peak, np.roll(peak, 3), np.roll(peak, 11)]
    together = climb([(gene, [gene.pair(x) for x in peaks]) for gene in genes], ladder, weights)
    for g, gene in enumerate(genes):
        for k, x in enumerate(peaks):
            assert climb([(gene, [gene.pair(x)])], ladder, weights, block=77) == [[together[g][k]]]
    assert {n for gene in together for _, n in gene} > {1000}


def test_weight_block__refuses_what_does_not_fit():
    with pytest.raises(InputError, match="drawn 300 times"):
        WeightBlock.of(np.array([[300, 0, 1]]))


def test_covariates__refuses_a_design_that_is_not_of_full_rank():
    x = np.random.default_rng(0).normal(size=100)
    with pytest.raises(DesignError, match="not of full rank"):
        Covariates.of(np.column_stack([np.ones(100), x, 2 * x]), np.zeros(100))
