"""Designs of a factor of many levels: sums by strata of cells give what sums over all columns give."""

from __future__ import annotations

import numpy as np
import pytest

from scanlink.stats import (
    Covariates,
    GeneReplicates,
    StateReplicates,
    Weights,
    _refit,
    bootstrap_tail,
    calibrated,
    calibrated_p,
    covariates,
    fit_negbin,
    fit_poisson,
    fit_states,
    negbin,
    poisson,
    refit_negbin,
    refit_poisson,
    resample_key,
    rescale,
    robust,
    saddlepoint,
    sandwich_se,
    state_replicates,
)
from scanlink.stats._strata import split_strata

N, LEVELS = 1500, 12


def data(*, sexes: bool = False, centred: bool = True, lone: bool = False, often: bool = False):
    """Counts, design with the peak in column 1, and the level of each cell.

    ``lone`` gives the last level one cell; ``often`` opens the peak in all cells but three.
    """
    rng = np.random.default_rng(5)
    level = rng.choice(LEVELS, N, p=np.arange(1, LEVELS + 1) / (LEVELS * (LEVELS + 1) / 2))
    depth = rng.normal(0, 0.4, N)
    if lone:
        level[level == LEVELS - 1] = 0
        level[7] = LEVELS - 1
    columns = [np.ones(N), depth, rng.gamma(2, 0.02, N), *(level == k for k in range(1, LEVELS))]
    if sexes:
        columns.append(rng.random(N) < 0.4)
    peak = rng.random(N) < 1 / (1 + np.exp(1 + 0.1 * level - depth))
    if often:
        peak = ~np.isin(np.arange(N), [11, 300, 900])
    counts = rng.poisson(np.exp(-0.3 + depth + 0.05 * level + 0.3 * peak) * rng.gamma(2, 0.5, N)).astype(float)
    # Each coefficient is finite wherever it is defined.
    counts[7] = 2 if lone else counts[7]
    counts[~peak] = 1 if often else counts[~peak]
    covariates = np.column_stack(columns).astype(float)
    return counts, np.insert(rescale(covariates) if centred else covariates, 1, peak, axis=1), level


def without_strata(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_refit, calibrated, covariates, negbin, poisson, robust, saddlepoint):
        monkeypatch.setattr(module, "split_strata", lambda design, apart=(): (design, None))


def results(counts, design):
    fit, dispersed = fit_poisson(counts, design), fit_negbin(counts, design)
    tail = bootstrap_tail(counts, design, target=1, estimate=fit.coef[1], start=fit.coef)
    others, peak = np.delete(design, 1, axis=1), design[:, 1]
    gene = GeneReplicates(Covariates.of(others, np.zeros(N)), counts)
    pair, block = gene.pair(peak), Weights(resample_key(0, "B"), N).block(0, 64)
    rows = block.rows(np.arange(12))
    opened = np.random.default_rng(6).random(N) < 0.3
    states = StateReplicates(fit_states(counts, peak.astype(int) + 2 * opened, others), gene.moments)
    # A peak of more than two levels, and one that is open in all cells but some that are not drawn.
    several = np.insert(others, 1, peak + opened, axis=1)
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
        "refits_levels": refit_poisson(counts, several, rows, target=1),
        "refits_states": states.refits(block)[:, :12],
        "refits_negbin": refit_negbin(counts, design, rows, target=1),
        "refits_theta": refit_negbin(counts, design, rows[:4], target=1, reestimate=True),
    }


@pytest.mark.parametrize("sexes", [False, True])
@pytest.mark.parametrize("kind", [{}, {"lone": True}, {"often": True}])
def test_strata__change_no_number(kind, sexes, monkeypatch):
    counts, design, _ = data(sexes=sexes, **kind)
    _, strata = split_strata(design)
    assert strata is not None
    assert np.array_equal(strata.values[strata.codes], design[:, strata.term[: strata.values.shape[1]]])
    by_strata = results(counts, design)
    without_strata(monkeypatch)
    for name, expected in results(counts, design).items():
        # R's path, to replicates without the lone level's cell, ends where the deviance changes by 1e-8 of itself.
        rtol = 2e-5 if "lone" in kind and name == "refits_negbin" else 1e-7
        np.testing.assert_allclose(by_strata[name], expected, rtol=rtol, err_msg=name)


def undrawn(closed):
    """Weights of two replicates: of all cells, and of all but those that are closed."""
    return np.vstack([np.ones(N), ~closed]).astype(np.uint16)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_peak_open_in_every_cell_drawn__has_no_coefficient(many, centred):
    counts, design, _ = data(often=True, centred=centred)
    closed = design[:, 1] == 0
    if many:
        # More than two values, of which one replicate has one.
        design[:, 1] *= 2
        design[11, 1] = 1
    for refit in (refit_poisson, refit_negbin):
        found = refit(counts, design, undrawn(closed), target=1)
        assert np.isfinite(found[0])
        assert np.isnan(found[1])


def test_peak_open_in_one_level_alone_of_the_cells_drawn__has_the_coefficient_of_r(monkeypatch):
    # The last level's column is then that of the peak, and R leaves it out.
    counts, design, level = data(centred=False)
    weights = undrawn((level == 0) != (design[:, 1] == 1))
    by_strata = refit_poisson(counts, design, weights, target=1)
    without_strata(monkeypatch)
    expected = refit_poisson(counts, design, weights, target=1)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(by_strata, expected, rtol=1e-8)


def test_states_of_which_the_first_is_not_drawn__have_no_last_contrast():
    counts, design, _ = data()
    state = np.where(np.arange(N) < 40, 0, 1 + np.arange(N) % 3)
    fit = fit_states(counts, state, np.delete(design, 1, axis=1))
    weights = undrawn(state == 0)
    (part,) = fit.parts
    found = state_replicates._refit_part(part, fit, weights)
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[1, :2]).all()
    assert np.isnan(found[1, 2])


def test_strata__of_few_columns_are_none():
    design = data()[1]
    assert split_strata(design[:, :8])[1] is None


def test_level_where_the_gene_or_the_peak_is_absent__tells_nothing():
    counts, design, level = data()
    counts[level == 2] = 0
    design[level == 3, 1] = 0
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


def test_states__are_solved_by_moments_where_a_level_has_one_cell():
    counts, design, _ = data(lone=True)
    others = np.delete(design, 1, axis=1)
    state = design[:, 1].astype(int) + 2 * (np.random.default_rng(6).random(N) < 0.3)
    gene = GeneReplicates(Covariates.of(others, np.zeros(N)), counts)
    block = Weights(resample_key(0, "B"), N).block(0, 128)
    for model in ("joint", "separate"):
        states = StateReplicates(fit_states(counts, state, others, model=model), gene.moments)
        values = states.replicates(gene.shared(block))
        assert states.n_refitted < 32, model
        refitted = states.refits(block)
        assert ((values >= 2 * states.estimate[:, None]) == (refitted >= 2 * states.estimate[:, None])).all()
        assert (np.abs(values - refitted).max(axis=1) < 0.25 * states._se).all()


def test_gene_of_which_only_levels_of_one_cell_have_counts__is_refitted():
    counts, design, _ = data(lone=True)
    counts = np.where(np.arange(N) == 7, 3.0, 0.0)
    gene = GeneReplicates(Covariates.of(np.delete(design, 1, axis=1), np.zeros(N)), counts)
    pair, block = gene.pair(design[:, 1]), Weights(resample_key(0, "B"), N).block(0, 4)
    assert pair.replicates(gene.shared(block)).shape == (4,)
