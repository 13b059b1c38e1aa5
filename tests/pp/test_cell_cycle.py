"""Scores of the cell cycle, against scanpy."""

from __future__ import annotations

import logging

import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import scipy.stats
from anndata import AnnData

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.releases import pulling
from scanlink.pp.cell_cycle import G2M_GENES, S_GENES


def cycling(n_cells=600, n_other=2_000, seed=1):
    """Cells of three phases among genes of all levels of expression, and the phase of each."""
    rng = np.random.default_rng(seed)
    names = [*S_GENES, *G2M_GENES, *(f"G{k}" for k in range(n_other))]
    level = np.exp(rng.normal(-1.5, 1.3, len(names)))
    phase = rng.integers(3, size=n_cells)
    factor = np.ones((n_cells, len(names)))
    factor[np.ix_(phase == 1, np.arange(43))] = 3
    factor[np.ix_(phase == 2, np.arange(43, 97))] = 3
    depth = np.exp(rng.normal(0, 0.4, n_cells))
    counts = sp.csr_matrix(rng.poisson(depth[:, None] * factor * level))
    cells = pd.Index([f"cell{k}" for k in range(n_cells)])
    order = rng.permutation(len(names))
    rna = AnnData(counts[:, order], pd.DataFrame(index=cells), pd.DataFrame(index=np.array(names)[order]))
    with pulling(False):
        return mudata.MuData({"rna": rna}), phase


def scores(mdata):
    return mdata.obs[["s_score", "g2m_score"]].to_numpy()


def test_cell_cycle__is_as_scanpy_has_it_but_for_its_draws():
    import scanpy as sc

    mdata, phase = cycling()
    sl.pp.cell_cycle(mdata)
    rna = mdata["rna"].copy()
    rna.X = rna.X.astype(float)
    sc.pp.normalize_total(rna, target_sum=1e4)
    sc.pp.log1p(rna)
    theirs = []
    for seed in range(3):
        sc.tl.score_genes_cell_cycle(rna, s_genes=list(S_GENES), g2m_genes=list(G2M_GENES), random_state=seed)
        theirs.append(rna.obs[["S_score", "G2M_score"]].to_numpy())
    for k, name in enumerate(("s_score", "g2m_score")):
        ours, drawn = mdata.obs[name].to_numpy(), np.array(theirs)[:, :, k]
        ranks = [scipy.stats.spearmanr(ours, one).statistic for one in drawn]
        between = [scipy.stats.spearmanr(drawn[i], drawn[i - 1]).statistic for i in range(3)]
        # About as near as two of their draws are to each other. The level is another, for scanpy counts a bin once,
        # however many genes of the list are in it.
        assert min(ranks) > max(0.97, min(between) - 0.005)
    assert mdata.obs["s_score"].to_numpy()[phase == 1].mean() > mdata.obs["s_score"].to_numpy()[phase != 1].mean() + 0.1
    called = np.where(scores(mdata).max(axis=1) < 0, 0, 1 + scores(mdata).argmax(axis=1))
    assert (called == phase).mean() > 0.6


def test_cell_cycle__is_the_mean_of_the_list_less_those_of_its_bins():
    """Written out once more, gene by gene."""
    mdata, _ = cycling(n_cells=80, n_other=300)
    counts = mdata["rna"].X.toarray()
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    seen = counts.any(axis=0)
    logs, names = logs[:, seen], mdata["rna"].var_names[seen]
    rank = scipy.stats.rankdata(logs.mean(axis=0).round(9), method="min")
    bins = rank // round(seen.sum() / 24)
    own = names.isin(S_GENES)
    control = np.array([logs[:, (bins == bins[g]) & ~own].mean(axis=1) for g in np.flatnonzero(own)])
    sl.pp.cell_cycle(mdata)
    np.testing.assert_allclose(mdata.obs["s_score"], logs[:, own].mean(axis=1) - control.mean(axis=0), atol=1e-8)


def test_cell_cycle__does_not_depend_on_order_or_form(tmp_path):
    mdata, _ = cycling(n_cells=120, n_other=300)
    sl.pp.cell_cycle(mdata)
    with pulling(False):
        order = np.random.default_rng(1).permutation(120)
        shuffled = mudata.MuData({"rna": mdata["rna"][order].copy()})
        columns = mudata.MuData({"rna": mdata["rna"].copy()})
        columns["rna"].X = columns["rna"].X.tocsc()
        columns.write(tmp_path / "x.h5mu")
        opened = mudata.read_h5mu(tmp_path / "x.h5mu", backed=True)
    for other, rows in ((shuffled, order), (columns, slice(None)), (opened, slice(None))):
        sl.pp.cell_cycle(other)
        np.testing.assert_array_equal(scores(other), scores(mdata)[rows])
    opened.file.close()


def test_cell_cycle__finds_genes_by_symbol_case_and_later_name():
    mdata, _ = cycling(n_cells=80, n_other=300)
    sl.pp.cell_cycle(mdata)
    expected = scores(mdata)
    for change in (
        lambda names: names.str.capitalize(),
        lambda names: names.map(lambda name: {"MLF1IP": "CENPU", "FAM64A": "PIMREG", "HN1": "JPT1"}.get(name, name)),
    ):
        other, _ = cycling(n_cells=80, n_other=300)
        other["rna"].var_names = change(other["rna"].var_names)
        sl.pp.cell_cycle(other)
        np.testing.assert_array_equal(scores(other), expected)
    for column in ("symbol", "gene_symbols", "feature_name", "Gene_Short_Name"):
        other, _ = cycling(n_cells=80, n_other=300)
        other["rna"].var[column] = pd.Categorical(other["rna"].var_names)
        other["rna"].var_names = [f"ENSG{k:011d}" for k in range(other["rna"].n_vars)]
        sl.pp.cell_cycle(other)
        np.testing.assert_array_equal(scores(other), expected)


def test_cell_cycle__takes_the_depth_that_is_known(caplog):
    mdata, _ = cycling(n_cells=80, n_other=300)
    total = mdata["rna"].X.sum(axis=1).A1
    sl.pp.cell_cycle(mdata)
    plain = scores(mdata)
    mdata.obs["nUMI"] = 4 * total
    sl.pp.cell_cycle(mdata, overwrite=True)
    assert not np.allclose(scores(mdata), plain, atol=1e-3)
    assert not caplog.records
    mdata.obs["nUMI"] = np.log(total)
    sl.pp.cell_cycle(mdata, overwrite=True)
    np.testing.assert_array_equal(scores(mdata), plain)
    assert "nUMI in obs is missing or below the sum of the counts in 80 of 80 cells" in caplog.text


def test_cell_cycle__keeps_scores_that_are_there(caplog):
    caplog.set_level(logging.INFO, logger="scanlink")
    mdata, _ = cycling(n_cells=80, n_other=300)
    mdata.obs["s_score"] = np.arange(80) - 40.0
    sl.pp.cell_cycle(mdata)
    assert mdata.obs["s_score"].tolist() == (np.arange(80) - 40.0).tolist()
    assert "'s_score' are there already and stay" in caplog.text
    assert "g2m_score of " in caplog.text
    mdata.obs["s_score"] = [np.nan, *range(79)]
    with pytest.raises(InputError, match=r"obs\['s_score'\] is missing in 1 of 80 cells"):
        sl.pp.cell_cycle(mdata)
    sl.pp.cell_cycle(mdata, overwrite=True)
    assert mdata.obs["s_score"].abs().max() < 10


def test_cell_cycle__refuses_a_selection_of_genes(shared):
    mdata, _ = cycling(n_cells=80, n_other=300)
    few = mdata["rna"][:, ~mdata["rna"].var_names.isin(S_GENES[9:])].copy()
    with pulling(False):
        few = mudata.MuData({"rna": few})
        alone = mudata.MuData({"rna": mdata["rna"][:, mdata["rna"].var_names.isin(S_GENES)].copy()})
    with pytest.raises(
        InputError, match=r"s_score: 9 of 43 genes .* at least 10 were expected. Not there are 'MCM6', 'CDC"
    ):
        sl.pp.cell_cycle(few)
    with pytest.raises(InputError, match="g2m_score: 0 of 54 genes"):
        sl.pp.cell_cycle(alone)
    with pytest.raises(
        InputError, match=r"there are no other genes that are expressed as much as the 4[0-3] of the list"
    ):
        sl.pp.cell_cycle(alone, g2m_genes=S_GENES)
    real = sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    with pytest.raises(
        InputError, match=r"s_score: 0 of 43 genes of the list .* give the columns s_score and g2m_score"
    ):
        sl.pp.cell_cycle(real)
