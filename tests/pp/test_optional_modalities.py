"""Calls that need genes only take data whose second modality is anything: guides without targets, peaks, or both."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError
from scanlink.io.opening import quiet
from scanlink.pp.cell_cycle import G2M_GENES, S_GENES

NAMES = [*S_GENES, *G2M_GENES, *(f"g{k}" for k in range(300))]
CELLS = [f"AACCGGTTACGTACG{k:03d}-1" for k in range(80)]


def cut(adata: AnnData, cells: int) -> AnnData:
    return adata[:cells][::-1].copy()


def genes() -> AnnData:
    rng = np.random.default_rng(4)
    mean = np.tile(rng.gamma(1.0, 1.0, len(NAMES)) + 0.2, (80, 1))
    mean[:30, :43] *= 3
    return AnnData(sp.csr_matrix(rng.poisson(mean).astype(np.float32)), obs=index(CELLS), var=index(NAMES))


def guides() -> AnnData:
    """As of CellBender or a plain file of 10x: nothing says what the guides are aimed at."""
    counts = np.random.default_rng(5).poisson(1.0, (80, 3)).astype(np.float32)
    return AnnData(sp.csr_matrix(counts), obs=index(CELLS), var=index(["g1", "g2", "g3"]))


def peaks(**columns: object) -> AnnData:
    counts = np.random.default_rng(6).poisson(0.3, (80, 40)).astype(np.float32)
    names = [f"chr1:{1_000 * k}-{1_000 * k + 500}" for k in range(40)]
    return AnnData(sp.csr_matrix(counts), obs=index(CELLS), var=index(names).assign(**columns))


def index(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(names, dtype=object))


def joined(**parts: AnnData) -> MuData:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MuData(parts)


# What lies beside the genes, and of how many cells.
BESIDE = {
    "guides": (lambda: joined(gex=genes(), grna=guides()), 80),
    "guides, under our names": (lambda: joined(rna=genes(), guide=guides()), 80),
    "guides of fewer cells": (lambda: joined(rna=genes(), guide=cut(guides(), 60)), 60),
    "guides, a pair": (lambda: (genes(), guides()), 80),
    "peaks without places": (lambda: joined(gex=genes(), peaks=cut(unplaced(), 60)), 60),
    "peaks and guides": (lambda: joined(gex=genes(), peaks=cut(peaks(), 70), grna=guides()), 70),
    "peaks and guides of fewer cells": (lambda: joined(rna=genes(), atac=peaks(), guide=cut(guides(), 60)), 60),
    "nothing": (lambda: joined(gex=genes()), 80),
}


def unplaced() -> AnnData:
    adata = peaks()
    adata.var_names = [f"p{k}" for k in range(adata.n_vars)]
    return adata


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("label", BESIDE)
def test_calls_on_genes__need_nothing_of_what_lies_beside_them(label):
    make, n_cells = BESIDE[label]
    # The right values are those of the genes alone, of the cells that have both.
    alone = joined(rna=genes()[:n_cells].copy())
    sl.pp.highly_variable_genes(alone, n_top=20)
    sl.pp.cell_cycle(alone)
    data = make()
    sl.pp.highly_variable_genes(data, n_top=20)
    sl.pp.cell_cycle(data)
    rna = data[0] if isinstance(data, tuple) else data[next(iter(data.mod))]
    np.testing.assert_array_equal(rna.var["highly_variable"], alone["rna"].var["highly_variable"])
    obs = rna.obs if isinstance(data, tuple) else data.obs
    np.testing.assert_array_equal(obs.loc[CELLS[:n_cells], "s_score"], alone.obs["s_score"])
    assert obs["s_score"].notna().sum() == n_cells


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("label", BESIDE)
def test_filter_features__of_genes_needs_nothing_of_what_lies_beside_them(label):
    make, n_cells = BESIDE[label]
    data = make()
    filtered = sl.pp.filter_features(data, modalities="rna", min_fraction=0.4)
    kept = (genes()[:n_cells].X > 0).sum(axis=0).A1 / n_cells >= 0.4
    first, *others = filtered.mod.values()
    assert list(first.var_names) == list(genes().var_names[kept])
    # What lies beside stays whole, and is what it was.
    for other in others:
        assert other.n_vars in (3, 40)
    if isinstance(data, tuple):
        np.testing.assert_array_equal(filtered[list(filtered.mod)[1]].X.toarray(), data[1].X.toarray())


@pytest.mark.parametrize("name", ["target_gene", "target", "Target.Name"])
def test_filter_features__a_pair_with_peaks_stays_one(name):
    pair = genes(), peaks(**{name: "NOC2L"})
    made = sl.pp.filter_features(pair, min_fraction=0.2)
    expected = sl.pp.filter_features(sl.io.assemble(genes(), peaks()), min_fraction=0.2)
    assert list(made.mod) == ["rna", "atac"]
    for modality in ("rna", "atac"):
        assert list(made[modality].var_names) == list(expected[modality].var_names)
    assert 0 < made["atac"].n_vars < 40
    # Where either would do, the names tell peaks from guides.
    for names in ("rna", "atac"):
        assert list(sl.pp.filter_features(pair, modalities=names, min_fraction=0.2).mod) == ["rna", "atac"]
    assert list(sl.pp.components(pair, n=2)) == ["atac"]


def test_filter_features__a_pair_with_guides_stays_one():
    guide = guides()
    guide.var["target"] = ["NOC2L", "enh1", "non-targeting"]
    made = sl.pp.filter_features((genes(), guide), modalities="rna", min_fraction=0.2)
    assert list(made.mod) == ["rna", "guide"]


def test_targets__are_still_wanted_where_guides_are():
    for data in (joined(gex=genes(), grna=guides()), (genes(), guides())):
        with pytest.raises(MissingKeyError, match=r"guide.var has no column of targets"):
            sl.pp.screen_qc(data)
    with pytest.raises(InputError, match="rna looks swapped with atac"):
        sl.pp.highly_variable_genes((peaks(), genes()))
