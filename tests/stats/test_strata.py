"""Designs of a factor of many levels: sums by strata of cells give what sums over all columns give."""

from __future__ import annotations

import numpy as np
import pytest

from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Weights,
    _refit,
    bootstrap_tail,
    calibrated,
    calibrated_p,
    covariates,
    fit_negbin,
    fit_poisson,
    negbin,
    poisson,
    resample_key,
    rescale,
    robust,
    saddlepoint,
    sandwich_se,
)
from scanlink.stats._strata import split_strata

N, LEVELS = 1500, 12


def data(*, sexes: bool = False):
    """Counts, design with the peak in column 1, and the level of each cell."""
    rng = np.random.default_rng(5)
    level = rng.choice(LEVELS, N, p=np.arange(1, LEVELS + 1) / (LEVELS * (LEVELS + 1) / 2))
    depth = rng.normal(0, 0.4, N)
    columns = [np.ones(N), depth, rng.gamma(2, 0.02, N), *(level == k for k in range(1, LEVELS))]
    if sexes:
        columns.append(rng.random(N) < 0.4)
    peak = rng.random(N) < 1 / (1 + np.exp(1 + 0.1 * level - depth))
    counts = rng.poisson(np.exp(-0.3 + depth + 0.05 * level + 0.3 * peak) * rng.gamma(2, 0.5, N)).astype(float)
    return counts, np.insert(rescale(np.column_stack(columns).astype(float)), 1, peak, axis=1), level


def without_strata(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_refit, calibrated, covariates, negbin, poisson, robust, saddlepoint):
        monkeypatch.setattr(module, "split_strata", lambda design, apart=(): (design, None))


def results(counts, design):
    fit, dispersed = fit_poisson(counts, design), fit_negbin(counts, design)
    tail = bootstrap_tail(counts, design, target=1, estimate=fit.coef[1], start=fit.coef)
    gene = GeneReplicates(Covariates.of(np.delete(design, 1, axis=1), np.zeros(N)), counts)
    pair, block = gene.pair(design[:, 1]), Weights(resample_key(0, "B"), N).block(0, 64)
    return {
        "coef": fit.coef,
        "se": fit.se,
        "newton": fit_poisson(counts, design, path="newton").coef,
        "se_robust": sandwich_se(counts, fit.fitted, design, fit.covariance, target=1),
        "tail": tail.log_p,
        "calibrated": calibrated_p(counts, design, target=1),
        "negbin": [*dispersed.coef, *dispersed.se, dispersed.theta],
        "refits": pair._refit(block, np.arange(12)),
        "crossed": pair.replicates(gene.shared(block)) >= 2 * pair.estimate,
    }


@pytest.mark.parametrize("sexes", [False, True])
def test_strata__change_no_number(sexes, monkeypatch):
    counts, design, _ = data(sexes=sexes)
    _, strata = split_strata(design)
    assert strata is not None
    assert np.array_equal(strata.values[strata.codes], design[:, strata.term[: strata.values.shape[1]]])
    by_strata = results(counts, design)
    without_strata(monkeypatch)
    for name, expected in results(counts, design).items():
        np.testing.assert_allclose(by_strata[name], expected, rtol=1e-8, err_msg=name)


def test_strata__of_few_columns_are_none():
    design = data()[1]
    assert split_strata(design[:, :8])[1] is None


def test_level_where_the_gene_or_the_peak_is_absent__tells_nothing():
    counts, design, level = data()
    counts[level == 2] = 0
    design[level == 3, 1] = 0
    peak = design[:, 1]
    fit = fit_poisson(counts, design)
    found = bootstrap_tail(counts, design, target=1, estimate=fit.coef[1], start=fit.coef)
    # The same where the level has no term, and no cell of it can have a count.
    rest = np.delete(design, 5, axis=1)
    offset = np.where(level == 2, -40.0, 0.0)
    other = fit_poisson(counts, rest, offset=offset, path="newton")
    expected = bootstrap_tail(counts, rest, target=1, estimate=fit.coef[1], offset=offset, start=other.coef)
    np.testing.assert_allclose(found.log_p, expected.log_p, rtol=1e-5)
    # Without the cells whose peak is always closed, and their level's column.
    kept = level != 3
    calibrated_without = calibrated_p(counts[kept], np.delete(design, 6, axis=1)[kept], target=1)
    np.testing.assert_allclose(calibrated_p(counts, design, target=1), calibrated_without, rtol=0.05)
    assert peak.any()


def test_bootstrap__is_solved_by_moments_where_levels_are_small_or_have_no_count():
    counts, design, level = data()
    counts[level == 2] = 0
    # A level of one cell.
    lone = np.flatnonzero(level == 0)
    columns = np.delete(design, 1, axis=1)
    columns = rescale(np.column_stack([columns, np.arange(N) == lone[0]]).astype(float))
    gene = GeneReplicates(Covariates.of(columns, np.zeros(N)), counts)
    pair, block = gene.pair(design[:, 1]), Weights(resample_key(0, "B"), N).block(0, 256)
    values = pair.replicates(gene.shared(block))
    assert pair.n_refitted < 26
    refitted = pair._refit(block, np.arange(256))
    assert ((values >= 2 * pair.estimate) == (refitted >= 2 * pair.estimate)).all()
    assert np.abs(values - refitted).max() < 0.25 * pair.se
