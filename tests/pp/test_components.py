"""Leading components against an exact decomposition, and columns that may hold types of cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
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
