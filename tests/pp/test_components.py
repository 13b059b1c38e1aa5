"""Leading components against an exact decomposition, and columns that may hold types of cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scanlink as sl
from scanlink.io.releases import pulling
from scanlink.pp.groups import type_columns


def simulated(seed=0):
    return sl.ds.simulate(n_cells=300, n_genes=40, n_peaks=150, n_links=8, n_interactions=2, seed=seed).mdata


def test_components__of_expression_are_those_of_an_exact_decomposition():
    mdata = simulated()
    share = sl.pp.components(mdata, n=4, modalities="rna")["rna"]
    counts = np.asarray(mdata["rna"].X.todense(), dtype=float)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    left, values, _ = np.linalg.svd(logged - logged.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(share, (values**2 / (values**2).sum())[:4], rtol=1e-3)
    for k in range(2):
        column = mdata.obs[f"rna_{k + 1}"].to_numpy()
        assert abs(np.corrcoef(column, left[:, k])[0, 1]) > 0.99
        assert abs(column.mean()) < 1e-9
        assert abs(column.std() - 1) < 1e-9


def by_types():
    """Cells of three types, whose peaks are open five times as often as those of the others, and of uneven depth."""
    rng = np.random.default_rng(3)
    kind = rng.integers(3, size=240)
    rate = np.exp(rng.normal(-2.5, 0.3, 180))
    rates = np.where(np.arange(180) % 4 == kind[:, None], 5 * rate, rate) * np.exp(rng.normal(0, 0.5, (240, 1)))
    cells = pd.DataFrame(index=[f"c{k}" for k in range(240)])
    peaks = pd.DataFrame(index=[f"chr1:{1_000 * k}-{1_000 * k + 500}" for k in range(180)])
    return AnnData(sp.csr_matrix(rng.poisson(rates).astype(np.float32)), cells, peaks)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_components__of_accessibility_are_those_of_an_exact_decomposition_without_depth(kind):
    atac = by_types()
    is_open = (atac.X.toarray() > 0).astype(float)
    atac.X = kind(atac.X.toarray())
    depth = is_open.sum(axis=1)
    weighed = np.log1p(1e4 * (is_open / depth[:, None]) * (len(depth) / is_open.sum(axis=0)))
    left, values, _ = np.linalg.svd(weighed, full_matrices=False)
    scores = left * values
    along = np.array([abs(np.corrcoef(score, np.log(depth))[0, 1]) for score in scores.T])
    kept = np.flatnonzero(along <= 0.75)[:2]
    # The first is depth, and those that follow are types.
    assert along[0] > 0.9
    assert kept.tolist() == [1, 2]
    with pulling(False):
        mdata = MuData({"atac": atac})
    share = sl.pp.components(mdata, n=2)["atac"]
    total = ((weighed - weighed.mean(axis=0)) ** 2).sum()
    np.testing.assert_allclose(share, scores[:, kept].var(axis=0) * len(depth) / total, rtol=1e-6)
    expected = scores[:, kept] - scores[:, kept].mean(axis=0)
    expected /= expected.std(axis=0)
    expected *= np.sign(expected[np.abs(expected).argmax(axis=0), [0, 1]])
    np.testing.assert_allclose(mdata.obs[["atac_1", "atac_2"]], expected, atol=1e-4)


def test_components__same_seed_same_numbers_and_counts_stay():
    one, two = simulated(), simulated()
    before = one["atac"].X.copy()
    sl.pp.components(one, n=3)
    sl.pp.components(two, n=3)
    np.testing.assert_array_equal(one.obs["atac_3"], two.obs["atac_3"])
    assert (before != one["atac"].X).nnz == 0


def test_components__refuses_what_is_there_and_what_cannot_be():
    mdata = simulated()
    sl.pp.components(mdata, n=2)
    with pytest.raises(sl.errors.InputError, match="already"):
        sl.pp.components(mdata, n=2)
    with pytest.raises(sl.errors.OptionError, match="expected 1 to"):
        sl.pp.components(mdata, n=400, overwrite=True)


def test_type_columns__by_name_first_then_texts_of_few_levels():
    cells = pd.DataFrame(
        {"barcode": [f"c{i}" for i in range(100)], "leiden": [0, 1] * 50, "depth": range(100), "kind": ["a", "b"] * 50}
    )
    assert type_columns(cells) == ["leiden", "kind"]
    cells = cells.assign(
        **{"orig.ident": ["x", "y"] * 50, "active.ident": ["x", "y"] * 50, "Cell Type": ["x", "y"] * 50}
    )
    assert type_columns(cells) == ["Cell Type", "active.ident", "leiden", "kind", "orig.ident"]
    assert type_columns(cells, by_name=True) == ["Cell Type", "active.ident", "leiden"]
