"""Which cells hold which guides."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from small_screens import GUIDES, counts, parts

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError


@pytest.fixture
def screen():
    return sl.io.assemble_screen(*parts(), guides=GUIDES)


@pytest.fixture(scope="module")
def gasperini(shared):
    return sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")


def test_assign_guides__sets_the_same_threshold_for_all(screen):
    sl.pp.assign_guides(screen)
    assert screen["guide"].var["threshold"].tolist() == [5] * 6
    np.testing.assert_array_equal(sl.pp.guide_calls(screen), counts()[1] >= 5)
    sl.pp.assign_guides(screen, threshold=1)
    np.testing.assert_array_equal(sl.pp.guide_calls(screen), counts()[1] >= 1)


def test_assign_guides__takes_calls_as_they_are(screen, caplog):
    screen["guide"].X.data[:] = 1
    assert sl.pp.guide_calls(screen).sum() == screen["guide"].X.nnz
    sl.pp.assign_guides(screen, threshold=1)
    assert not caplog.records
    sl.pp.assign_guides(screen)
    assert screen["guide"].var["threshold"].tolist() == [1] * 6
    assert "guide holds calls (0 and 1) and no UMI counts: the threshold is 1, not a threshold of 5 UMIs" in caplog.text
    sl.pp.assign_guides(screen, "mixture")
    assert "the threshold is 1, not a mixture" in caplog.text


def test_assign_guides__names_guides_that_no_cell_holds(screen, caplog):
    sl.pp.assign_guides(screen, threshold=8)
    held = (counts()[1] >= 8).any(axis=0)
    assert f"{(~held).sum()} of 6 guides are in no cell at their threshold" in caplog.text


@pytest.mark.parametrize("options", [{"method": "best"}, {"threshold": 0}, {"threshold": 2.5}, {"threshold": True}])
def test_assign_guides__refuses_options(screen, options):
    with pytest.raises(OptionError, match="expected"):
        sl.pp.assign_guides(screen, **options)


def test_assign_guides__refuses_data_without_guides(screen):
    screen["guide"].X.data[:] = 0
    with pytest.raises(InputError, match="guide has 5 cells and 6 guides, but no count above 0"):
        sl.pp.assign_guides(screen)
    with pytest.raises(MissingKeyError, match=r"no modality 'guide' in the data, found 'rna', 'atac'.*read_screen"):
        sl.pp.assign_guides(sl.ds.simulate(n_cells=60, n_genes=8, n_peaks=40, n_links=4, n_interactions=0).mdata)
    with pytest.raises(InputError, match="expected a MuData with modalities 'rna' and 'guide', found AnnData"):
        sl.pp.assign_guides(AnnData(np.ones((1, 1))))


def mixed(n_cells=4_000, n_guides=6, seed=1):
    """UMIs of guides that are each in one cell of twenty, and ambient in all."""
    rng = np.random.default_rng(seed)
    held = rng.random((n_cells, n_guides)) < 0.05
    signal = np.rint(np.exp(rng.normal(2.8, 0.6, held.shape))).astype(int)
    return rng.poisson(0.15, held.shape) + held * signal, held


def screen_of(umis):
    guide = AnnData(umis)
    guide.var_names, guide.var["target"] = [f"g{k}" for k in range(umis.shape[1])], "enh1"
    return sl.io.assemble_screen(AnnData(np.ones((len(umis), 1))), guide)


def test_assign_guides__mixture_finds_the_cells_that_hold_a_guide(caplog):
    caplog.set_level(logging.INFO, logger="scanlink")
    umis, held = mixed()
    mdata = screen_of(umis)
    sl.pp.assign_guides(mdata, "mixture")
    assert mdata["guide"].var["threshold"].between(2, 5).all()
    assert (sl.pp.guide_calls(mdata) == held).mean() > 0.999
    assert "thresholds by mixture, UMIs: " in caplog.text


def test_assign_guides__mixture_takes_that_of_all_guides_for_rare_ones(caplog):
    caplog.set_level(logging.INFO, logger="scanlink")
    umis, _ = mixed()
    umis[:, 0] = 0
    umis[:20, 0] = 30
    # A guide that is nothing but ambient.
    umis[:, 1] = np.random.default_rng(2).poisson(0.15, 4_000)
    mdata = screen_of(umis)
    sl.pp.assign_guides(mdata, "mixture")
    pooled = sl.stats.umi_mixture.fit_umi_mixture(umis[umis > 0]).threshold
    assert mdata["guide"].var["threshold"].tolist()[:2] == [pooled, pooled]
    assert f"2 guides take the threshold of all guides together ({pooled}): 1 with fewer than 50" in caplog.text


def test_assign_guides__mixture_falls_back_on_the_threshold_and_says_so(caplog):
    umis = np.random.default_rng(3).poisson(0.3, (500, 3))
    umis[0] += 4
    mdata = screen_of(np.minimum(umis, 3))
    sl.pp.assign_guides(mdata, "mixture", threshold=2)
    assert mdata["guide"].var["threshold"].tolist() == [2, 2, 2]
    assert (
        "do not fall into background and signal; 3 guides without a fit of their own take the threshold 2"
        in caplog.text
    )


def test_assign_guides__thresholds_of_real_counts_lie_in_their_gap(gasperini):
    umis = gasperini["guide"].X.data
    # Between ambient single UMIs and the cells that hold a guide there is next to nothing.
    assert (umis == 1).sum() > 1_000
    assert ((umis > 1) & (umis < 5)).sum() < 200
    assert (umis >= 5).sum() > 10_000
    sl.pp.assign_guides(gasperini, "mixture")
    least = gasperini["guide"].var["threshold"]
    assert least.isin([2, 3, 4, 5]).all()
    by_mixture = sl.pp.guide_calls(gasperini)
    sl.pp.assign_guides(gasperini)
    by_five = sl.pp.guide_calls(gasperini)
    assert (by_mixture | by_five).sum() == by_mixture.sum()
    assert by_mixture.sum() < 1.02 * by_five.sum()


def test_perturbation__is_that_of_the_equation(screen):
    held = counts()[1] >= 5
    np.testing.assert_allclose(
        sl.pp.perturbation(screen, "enh1"), 1 - (1 - 0.5 * held[:, 0]) * (1 - 0.8 * held[:, 1]), atol=1e-15
    )
    np.testing.assert_array_equal(sl.pp.perturbation(screen, "NOC2L"), held[:, 3].astype(float))


def test_perturbation__fills_in_missing_efficiencies(screen):
    held = counts()[1][:, 2] >= 5
    assert held.any()
    # Known are 0.5, 0.8 and 1.
    np.testing.assert_array_equal(sl.pp.perturbation(screen, "enh2"), 0.8 * held)
    np.testing.assert_array_equal(sl.pp.perturbation(screen, "enh2", missing_efficiency=0), 0 * held)
    np.testing.assert_array_equal(sl.pp.perturbation(screen, "enh2", missing_efficiency=0.25), 0.25 * held)
    screen["guide"].var["efficiency"] = np.nan
    np.testing.assert_array_equal(sl.pp.perturbation(screen, "enh2"), held.astype(float))
    del screen["guide"].var["efficiency"]
    np.testing.assert_array_equal(sl.pp.perturbation(screen, "enh2"), held.astype(float))


def test_perturbation__names_the_targets_that_are_there(screen):
    with pytest.raises(MissingKeyError, match=r"no guide has the target 'enh3'; did you mean 'enh2', 'enh1'\?"):
        sl.pp.perturbation(screen, "enh3")
    with pytest.raises(MissingKeyError, match="no guide has the target 'zzz'; there are 'NOC2L', 'enh1', 'enh2'"):
        sl.pp.perturbation(screen, "zzz")
    with pytest.raises(OptionError, match="missing_efficiency is 2, expected a number from 0 to 1"):
        sl.pp.perturbation(screen, "enh1", missing_efficiency=2)
    screen["guide"].var["threshold"] = [5, np.nan, 5, 5, 5, 5]
    with pytest.raises(InputError, match=r"missing or below 1 for 1 guides \('g2'\): set it with scanlink.pp.assign_g"):
        sl.pp.perturbation(screen, "enh1")
    del screen["guide"].var["target"]
    with pytest.raises(MissingKeyError, match="has no column 'target'"):
        sl.pp.perturbation(screen, "enh1")


def test_perturbation__agrees_with_the_calls_of_real_data(gasperini):
    sl.pp.assign_guides(gasperini)
    guides = gasperini["guide"].var
    target = guides["target"].iloc[0]
    held = sl.pp.guide_calls(gasperini)[:, (guides["target"] == target).to_numpy()].any(axis=1)
    np.testing.assert_array_equal(sl.pp.perturbation(gasperini, target), held.astype(float))
    assert held.sum() == 327
    pd.testing.assert_index_equal(gasperini.obs_names, gasperini["guide"].obs_names)
