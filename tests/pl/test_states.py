"""Expression by state: circles are means of cells, squares are those of the joint model."""

from __future__ import annotations

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pl.tables import sizes

import scanlink as sl
from scanlink.errors import DesignError, InputError, MissingKeyError, OptionError
from scanlink.io.releases import pulling
from scanlink.pl import states

E1, E2 = "chr1:100-200", "chr1:500-700"


def multiome(counts, state, depth, **columns):
    """One gene and two peaks."""
    names = [f"c{k}" for k in range(len(counts))]
    obs = pd.DataFrame({"nUMI": depth, **columns}, index=names)
    rna = ad.AnnData(sp.csr_matrix(np.array(counts)[:, None].astype(np.int32)), obs=obs[[]].copy())
    rna.var_names = ["G"]
    state = np.array(state)
    atac = ad.AnnData(sp.csr_matrix(np.column_stack([state & 1, state >> 1]).astype(np.int32)), obs=obs[[]].copy())
    atac.var_names = [E1, E2]
    with pulling(False):
        mdata = md.MuData({"rna": rna, "atac": atac})
    mdata.obs = obs
    return mdata


def drawn(ax, marker):
    """Points of a marker, from left to right."""
    points = [line.get_xydata() for line in ax.lines if line.get_marker() == marker and line.get_linestyle() == "None"]
    return np.concatenate(points) if points else np.empty((0, 2))


@pytest.fixture
def simulated():
    return sl.ds.simulate(n_cells=1_500, n_genes=20, n_peaks=80, n_links=20, n_interactions=6, seed=4)


def test_states__circles_are_means_and_labels_count_cells():
    mdata = multiome([1, 3, 2, 0, 0, 5], [0, 0, 1, 1, 2, 3], [1_000, 1_000, 2_000, 1_000, 500, 4_000])
    ax = states(mdata, "G", E1, E2, formula="offset(log(nUMI))")
    np.testing.assert_allclose(drawn(ax, "o")[:, 1], [20, 5, 0, 12.5])
    labels = [label.get_text().split("\n") for label in ax.get_xticklabels()]
    assert labels[0] == ["00  both closed", "2 cells", "100 % non-zero"]
    assert labels[1] == ["10  only 1 open", "2 cells", "50 % non-zero"]
    assert labels[2] == ["01  only 2 open", "1 cell", "0 % non-zero"]
    assert ax.get_title() == "G\nnot fitted: no count in state 01"
    assert len(drawn(ax, "s")) == 0


def test_states__squares_are_the_joint_model():
    """Without covariates the model's means are counts over depth, and their errors those of sums."""
    rng = np.random.default_rng(1)
    state, depth = rng.choice(4, 4_000, p=[0.4, 0.3, 0.2, 0.1]), rng.integers(2_000, 9_000, 4_000)
    counts = rng.poisson(depth * np.array([2e-4, 3e-4, 4e-4, 9e-4])[state])
    ax = states(multiome(counts, state, depth), "G", E1, E2, formula="offset(log(nUMI))")
    mean = np.array([counts[state == s].sum() / depth[state == s].sum() for s in range(4)]) * 1e4
    np.testing.assert_allclose(drawn(ax, "s")[:, 1], mean, rtol=1e-6)
    np.testing.assert_allclose(drawn(ax, "D")[:, 1], [mean[1] * mean[2] / mean[0]], rtol=1e-6)
    # Bars of the squares: mean exp(+-1.96 / sqrt(count)) for Poisson counts.
    _, bars = (c for c in ax.collections if len(c.get_segments()) == 4)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    half = 1.96 / np.sqrt([counts[state == s].sum() for s in range(4)])
    np.testing.assert_allclose(np.log(ends[:, 1] / mean), half, rtol=0.1)
    np.testing.assert_allclose(np.log(ends[:, 1] / mean), -np.log(ends[:, 0] / mean), rtol=1e-6)
    assert (ends[:, 0] < mean).all()


@pytest.mark.parametrize("family", ["poisson", "negbin"])
def test_states__interaction_is_that_of_the_table(simulated, family):
    truth = simulated.interactions.iloc[:4]
    pairs = truth[["gene", "enhancer_1", "enhancer_2"]].assign(group="CD14-Mono")
    epi = sl.tl.epistasis(
        simulated.mdata, pairs, groupby="celltype", p_value="robust", ladder="none", family=family, min_cells=2
    )
    epi = epi[epi["status"] == "ok"]
    assert len(epi)
    for row in epi.itertuples():
        ax = states(
            simulated.mdata,
            row.gene,
            row.enhancer_1,
            row.enhancer_2,
            groupby="celltype",
            group="CD14-Mono",
            family=family,
        )
        numbers = (row.beta_interaction, row.ci_low_interaction, row.ci_high_interaction)
        text = "interaction {:+.2f} (95 % interval {:+.2f} to {:+.2f})".format(*numbers).replace("-", "−")
        assert ax.get_title() == f"{row.gene}, CD14-Mono\n{text}"
        squares = drawn(ax, "s")[:, 1]
        contrasts = np.array([row.beta_10, row.beta_01, row.beta_11])
        np.testing.assert_allclose(np.log(squares[1:] / squares[0]), contrasts, atol=1e-6)


def test_states__depth_is_the_sum_of_counts_where_obs_has_none(simulated):
    mdata, pair = simulated.mdata, simulated.interactions.iloc[0]
    arguments = (pair["gene"], pair["enhancer_1"], pair["enhancer_2"])
    with_column = states(mdata, *arguments, formula="1")
    mdata.obs = mdata.obs.drop(columns="nUMI")
    depth = np.asarray(mdata["rna"].X.sum(axis=1)).ravel()
    mdata.obs["other"] = depth
    without = states(mdata, *arguments, formula="1")
    ratio = drawn(without, "o")[:, 1] / drawn(with_column, "o")[:, 1]
    assert ((ratio > 0.5) & (ratio < 2)).all()


def test_states__three_cells_and_an_empty_state():
    ax = states(multiome([1, 0, 2], [0, 1, 3], [900, 1_000, 1_100]), "G", E1, E2, formula="1")
    assert len(drawn(ax, "o")) == 3
    assert ax.get_xticklabels()[2].get_text() == "01  only 2 open\n0 cells"
    assert "mean of the cells" in [text.get_text() for text in ax.get_legend().get_texts()]
    full = states(multiome([1, 1, 2, 1], [0, 1, 2, 3], [900] * 4), "G", E1, E2, formula="nUMI")
    assert full.get_title() == "G\nnot fitted: 4 cells for 5 terms"
    assert sizes(full)["png"]


def test_states__half_a_million_cells_are_a_small_picture():
    rng = np.random.default_rng(0)
    n = 500_000
    state, depth = rng.choice(4, n, p=[0.7, 0.15, 0.12, 0.03]), rng.integers(1_000, 9_000, n)
    counts = rng.poisson(depth * 2e-4 * np.exp(np.array([0, 0.3, 0.4, 0.7])[state]))
    ax = states(multiome(counts, state, depth), "G", E1, E2, formula="offset(log(nUMI))")
    squares = drawn(ax, "s")[:, 1]
    np.testing.assert_allclose(np.log(squares[1:] / squares[0]), [0.3, 0.4, 0.7], atol=0.03)
    n_bytes = sizes(ax)
    assert n_bytes["png"] < 80_000
    assert n_bytes["svg"] < 120_000


def test_states__marks_differ_in_shape(simulated):
    pair = simulated.interactions.iloc[0]
    ax = states(simulated.mdata, pair["gene"], pair["enhancer_1"], pair["enhancer_2"])
    assert [len(drawn(ax, marker)) for marker in "osD"] == [4, 4, 1]
    assert len(ax.get_legend().get_texts()) == 3


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (("H", E1, E2), {}, MissingKeyError, "no gene 'H' in rna; its names are such as 'G'"),
        (("G", E1, "chr9:1-2"), {}, MissingKeyError, "no peak 'chr9:1-2' in atac"),
        (("G", E1, E1), {}, InputError, "both enhancers are 'chr1:100-200'"),
        (("G", E1, E2), {"groupby": "type"}, OptionError, "groupby was given without group"),
        (("G", E1, E2), {"groupby": "type", "group": "B"}, MissingKeyError, "no cell has type 'B'"),
        (("G", E1, E2), {"family": "gamma"}, OptionError, "family 'gamma' is not known"),
        (("G", E1, E2), {"formula": "age"}, MissingKeyError, "formula 'age' uses 'age'"),
        (("G", E1, E2), {"formula": "nUMI + I(2 * nUMI)"}, DesignError, "the covariates of group 'all' cannot be used"),
    ],
)
def test_states__says_what_is_wrong(names, options, error, message):
    mdata = multiome(np.arange(40) % 3 + 1, np.arange(40) % 4, 1_000 + np.arange(40), type="T")
    with pytest.raises(error, match=message):
        states(mdata, *names, **options)


def test_states__refuses_what_is_no_count_or_no_cell():
    mdata = multiome([1, 2, 3, 4], [0, 1, 2, 3], [0, 10, 10, 10])
    with pytest.raises(InputError, match="1 of 4 cells have no UMI"):
        states(mdata, "G", E1, E2)
    mdata = multiome([1, 2, 3, 4], [0, 1, 2, 3], [10] * 4)
    mdata["rna"].X = mdata["rna"].X.astype(float) / 2
    with pytest.raises(InputError, match=r"rna: expected raw integer counts, .* the first G = 0\.5 in cell c0"):
        states(mdata, "G", E1, E2)
    with pytest.raises(InputError, match="expected a MuData"):
        states(mdata["rna"], "G", E1, E2)
