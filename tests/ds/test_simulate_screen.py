"""A simulated screen: what is drawn has the distributions that are said, and the truth is found again."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy import stats

from scanlink.ds.screen_model import ScreenModel
from scanlink.ds.simulated_screen import simulate_screen
from scanlink.errors import OptionError
from scanlink.io.screen_data import check_screen
from scanlink.stats import fit_negbin

SMALL = {"n_cells": 2_000, "n_genes": 5, "n_targets": 14, "n_non_targeting": 6, "guides_per_cell": 4.0}


def model_of(**changes):
    return ScreenModel(
        **{
            "n_cells": 20_000,
            "n_targets": 20,
            "guides_per_target": 2,
            "n_non_targeting": 0,
            "guides_per_cell": 6.0,
            "efficiencies": (6.0, 3.0),
            "efficiency_noise": None,
            "perturbation": "probability",
            "baseline": (2.95, 1.55),
            "effect": (0.02, 0.16),
            "combine": "multiplicative",
            "theta": 1.5,
            "seed": 4,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def screen():
    return simulate_screen(**SMALL, seed=3)


def test_simulate_screen__keeps_the_contract(screen):
    check_screen(screen.mdata)
    rna, guide, obs = screen.mdata["rna"], screen.mdata["guide"], screen.mdata.obs
    assert set(obs) == {"prep_batch", "guide_count", "percent.mito", "s_score", "g2m_score", "nUMI"}
    assert not obs.isna().any(axis=None)
    assert rna.X.dtype == guide.X.dtype == np.int32
    assert rna.X.data.min() > 0
    assert guide.X.data.min() > 0
    np.testing.assert_array_equal(np.asarray(rna.X.sum(axis=1)).ravel(), obs["nUMI"])
    mito = np.asarray(rna[:, rna.var_names.str.startswith("MT-")].X.sum(axis=1)).ravel()
    np.testing.assert_allclose(100 * mito / obs["nUMI"], obs["percent.mito"])
    # A cell has a guide from 5 UMIs on; there are some with fewer.
    assert (guide.X.data < 5).any()
    np.testing.assert_array_equal(np.asarray((guide.X >= 5).sum(axis=1)).ravel(), obs["guide_count"])
    controls = guide.var["target"] == "non-targeting"
    assert controls.sum() == 6
    assert guide.var.loc[controls, ["efficiency", "chrom", "start", "end"]].isna().all(axis=None)
    assert not guide.var.loc[~controls].isna().any(axis=None)
    assert (guide.var.loc[~controls].groupby("target", observed=True).size() == 2).all()
    assert list(screen.genes["gene"]) == list(rna.var_names)


def test_simulate_screen__targets_lie_at_their_genes_only(screen):
    genes = screen.genes.set_index("gene")
    places = screen.mdata["guide"].var.dropna(subset="chrom").drop_duplicates("target").set_index("target")
    assert len(screen.pairs) == len(places) == 14
    assert set(screen.pairs["kind"]) == {"discovery"}
    for pair in screen.pairs.itertuples():
        gene, target = genes.loc[pair.gene], places.loc[pair.target]
        assert gene["chrom"] == target["chrom"]
        gap = max(gene["start"] - target["end"], target["start"] - gene["end"])
        assert 0 < gap < 101_000
    beta = screen.pairs.set_index(["gene", "target"])["beta"]
    for row in screen.truth.itertuples():
        assert beta[row.gene, row.target_1] == row.beta_1
        assert beta[row.gene, row.target_2] == row.beta_2
    assert (beta == 0).sum() == 14 - 10
    assert screen.truth[["gene", "target_1", "target_2"]].equals(screen.target_pairs)


def test_simulate_screen__guides_of_a_cell_are_poisson_and_all_alike():
    drawn = model_of(n_targets=500, guides_per_cell=15.0).guides()
    many = np.bincount(drawn.cells, minlength=20_000)
    edges = np.arange(6, 26)
    seen = np.bincount(np.searchsorted(edges, many), minlength=21)
    odds = np.diff(np.concatenate([[0], stats.poisson.cdf(edges, 15.0), [1]]))
    assert stats.chisquare(seen, odds * 20_000).pvalue > 1e-3
    assert stats.chisquare(np.diff(drawn.starts)).pvalue > 1e-3
    assert np.mean(drawn.efficiency) == pytest.approx(2 / 3, abs=4 * np.sqrt(2 / 90 / 1000))
    assert np.mean(drawn.works) == pytest.approx(2 / 3, abs=0.02)


def test_simulate_screen__every_set_of_guides_is_as_likely():
    drawn = model_of(n_targets=2, guides_per_cell=2.0, n_non_targeting=1).guides()
    has = np.zeros((20_000, 5), dtype=int)
    has[drawn.cells, np.repeat(np.arange(5), np.diff(drawn.starts))] = 1
    for size in (2, 3):
        of_size = has[has.sum(axis=1) == size] @ (1 << np.arange(5))
        _, times = np.unique(of_size, return_counts=True)
        assert times.size == 10
        assert stats.chisquare(times).pvalue > 1e-3


def test_simulate_screen__perturbation_follows_from_the_data(screen):
    guide, model = screen.mdata["guide"], model_of(**_without_genes(SMALL), seed=3)
    for k, pair in enumerate(screen.target_pairs.itertuples()):
        for target, found in zip((pair.target_1, pair.target_2), model.known(k), strict=True):
            own = np.flatnonzero(guide.var["target"] == target)
            has = guide.X[:, own].toarray() >= 5
            by_hand = 1 - np.prod(1 - has * guide.var["efficiency"].to_numpy()[own], axis=1)
            np.testing.assert_allclose(found, by_hand)


def test_simulate_screen__genes_share_targets_where_these_are_few():
    shared = simulate_screen(**{**SMALL, "n_targets": 5}, seed=3)
    assert shared.target_pairs["target_1"].tolist() == [f"enhancer{k}" for k in (1, 3, 1, 3, 1)]
    assert shared.truth["beta_1"].nunique() == 5
    # The fifth target is at the first locus, that of three genes, and does nothing.
    assert len(shared.pairs) == 3 * 3 + 2 * 2
    assert (shared.pairs["beta"] == 0).sum() == 3
    genes = shared.genes.set_index("gene")
    assert len({(chrom, start) for chrom, start in genes.loc[shared.truth["gene"], ["chrom", "start"]].values}) == 5
    places = shared.mdata["guide"].var.dropna(subset="chrom").drop_duplicates("target").set_index("target")
    for pair in shared.pairs.itertuples():
        gene, target = genes.loc[pair.gene], places.loc[pair.target]
        assert gene["chrom"] == target["chrom"]
        assert abs(gene["start"] - target["start"]) < 1_000_000


@pytest.mark.parametrize("theta", [1.5, np.inf], ids="theta={}".format)
def test_simulate_screen__counts_have_the_mean_and_the_variance(theta):
    model = model_of(theta=theta, perturbation="drawn")
    for gene, interaction in enumerate((0.0, 1.0, -1.0, 2.0)):
        mu, counts = model.expected(gene, interaction), model.counts(gene, interaction)
        variance = mu + mu * mu / theta
        assert abs(np.sum(counts - mu)) < 4 * np.sqrt(np.sum(variance))
        # Squares of residuals: 1 on average, and with a spread that they show themselves.
        squares = (counts - mu) ** 2 / variance
        assert np.mean(squares) == pytest.approx(1, abs=4 * np.std(squares) / np.sqrt(counts.size))
        assert model.cells().total.mean() == pytest.approx(50_000, abs=10)


def test_simulate_screen__expected_counts_are_the_formula():
    model = model_of(effect=(0.1, 0.5))
    cells, of_gene, (first, second) = model.cells(), model.effects(3), model.known(3)
    eta = of_gene.baseline + of_gene.first * first + of_gene.second * second - 0.7 * first * second
    eta += cells.covariates @ of_gene.covariates + np.log(cells.total / 1e6)
    np.testing.assert_allclose(model.expected(3, -0.7), np.exp(eta))


def test_simulate_screen__genes_vary_independently():
    model = model_of(baseline=(5.0, 0.0))
    left = [model.counts(gene, 0.5) / model.expected(gene, 0.5) - 1 for gene in (0, 1)]
    left.append(model.counts(0, 0.6) / model.expected(0, 0.6) - 1)
    apart = np.corrcoef(left) - np.eye(3)
    assert np.abs(apart).max() < 4 / np.sqrt(model.n_cells)


def test_simulate_screen__truth_is_found_again():
    screen = simulate_screen(
        n_cells=8_000, n_genes=30, n_targets=60, n_non_targeting=0, guides_per_cell=20, interaction=(-0.5, 0.0, 1.0)
    )
    obs, guide, genes = screen.mdata.obs, screen.mdata["guide"], screen.mdata["rna"].to_df()
    x = {}
    for target, var in guide.var.groupby("target", observed=True):
        x[target] = 1 - np.prod(1 - (guide[:, var.index].X.toarray() >= 5) * var["efficiency"].to_numpy(), axis=1)
    z = []
    for row in screen.truth.itertuples(index=False):
        a, b = x[row.target_1], x[row.target_2]
        design = np.column_stack([np.ones(len(obs)), a, b, a * b, obs[["s_score", "g2m_score", "percent.mito"]]])
        fit = fit_negbin(genes[row.gene].to_numpy(), design, offset=np.log(obs["nUMI"] / 1e6))
        true = [row.baseline, row.beta_1, row.beta_2, row.interaction, *row[7:10]]
        z.append((fit.coef - true) / fit.se)
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(30)
    assert np.mean(z**2) == pytest.approx(1, abs=4 * np.sqrt(2 / z.size))


def test_simulate_screen__a_gene_does_not_depend_on_the_others(screen):
    more = simulate_screen(**{**SMALL, "n_genes": 7}, seed=3)
    again = simulate_screen(**SMALL, seed=3)
    other = simulate_screen(**SMALL, seed=4)
    first = screen.mdata["rna"][:, :5].X
    assert abs(more.mdata["rna"][:, :5].X - first).nnz == 0
    assert abs(more.mdata["guide"].X - screen.mdata["guide"].X).nnz == 0
    assert more.truth.iloc[:5].equals(screen.truth)
    assert more.genes.iloc[:5].equals(screen.genes.iloc[:5])
    assert abs(again.mdata["rna"].X - screen.mdata["rna"].X).nnz == 0
    assert again.mdata.obs.equals(screen.mdata.obs)
    assert again.mdata["guide"].var.equals(screen.mdata["guide"].var)
    assert abs(other.mdata["rna"][:, :5].X - first).nnz > 0


def test_simulate_screen__effects_of_drawn_perturbations_are_whole():
    model = model_of(perturbation="drawn", effect=(-1.0, 0.0))
    cells, of_gene = model.cells(), model.effects(2)
    base = np.exp(of_gene.baseline + cells.offset + cells.covariates @ of_gene.covariates)
    ratio = np.log(model.expected(2, 0.5) / base)
    both = np.isclose(ratio, -1.5)
    assert set(np.round(ratio, 6)) == {0.0, -1.0, -1.5}
    # Both work with the probability that the analysis sees.
    first, second = model.known(2)
    assert both.sum() == pytest.approx((first * second).sum(), abs=4 * np.sqrt(both.sum()))


def test_simulate_screen__additive_effects_add():
    model = model_of(combine="additive", effect=(-0.6, 0.0))
    log_scale = model_of(effect=(-0.6, 0.0))
    first, second = model.known(1)
    ratio = model.expected(1, 0.0) / log_scale.expected(1, 0.0) * np.exp(-0.6 * (first + second))
    np.testing.assert_allclose(ratio, 1 + np.expm1(-0.6) * (first + second))


def test_simulate_screen__noise_of_efficiencies_has_the_spread_that_is_said():
    drawn = model_of(n_targets=2_000, efficiency_noise=10.0, n_cells=10).guides()
    squares = (drawn.known - drawn.efficiency) ** 2 / (drawn.efficiency * (1 - drawn.efficiency) / 11)
    assert np.mean(squares) == pytest.approx(1, abs=4 * np.std(squares) / np.sqrt(squares.size))
    var = simulate_screen(**SMALL, efficiency_noise=10.0).mdata["guide"].var
    assert (var["efficiency"] != var["true_efficiency"]).any()


def test_simulate_screen__says_where_genes_do_not_fit_into_cells(caplog):
    with caplog.at_level(logging.WARNING, "scanlink"):
        simulate_screen(**SMALL, baseline=(14.0, 0.0))
    assert "the genes have more UMIs than the cell was to have" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_targets": 1}, "n_targets is 1"),
        ({"n_genes": 2_000, "n_targets": 4_000}, "n_genes is 2000, expected at most"),
        ({"n_cells": 0}, "n_cells is 0"),
        ({"n_genes": True}, "n_genes is True"),
        ({"theta": 0}, "theta is 0.0, expected a number above 0"),
        ({"guides_per_cell": -1}, "guides_per_cell is -1.0"),
        ({"efficiencies": (6,)}, "expected two shapes above 0"),
        ({"efficiency_noise": 0}, "efficiency_noise is 0"),
        ({"effect": (0, -1)}, "expected a mean and a standard deviation"),
        ({"perturbation": "always"}, "expected 'probability' or 'drawn'"),
        ({"combine": "both"}, "expected 'multiplicative' or 'additive'"),
        ({"combine": "additive"}, "effects that add have no interaction here"),
        ({"combine": "additive", "interaction": 0, "effect": (-2, 0), "perturbation": "drawn"}, "less than nothing"),
        ({"interaction": []}, "interaction is"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_simulate_screen__says_what_is_wrong(options, message):
    with pytest.raises(OptionError, match=message):
        simulate_screen(**{**SMALL, **options})


def _without_genes(options):
    return {name: value for name, value in options.items() if name != "n_genes"}
