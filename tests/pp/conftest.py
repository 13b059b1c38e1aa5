"""Small datasets for the tests of pp."""

from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import scanlink as sl
from scanlink.io.releases import pulling


@pytest.fixture(scope="module", autouse=True)
def new_mudata():
    """mudata 0.3 warns of what 0.4 does, at every copy."""
    with pulling(False):
        yield


def make_mudata(rna, atac, *, genes=None, peaks=None, obs=None) -> mudata.MuData:
    """A MuData of two matrices; peaks are a table with chrom, start, end, or nothing."""
    cells = pd.Index([f"cell{i}" for i in range(rna.shape[0])])
    rna_var = genes if isinstance(genes, pd.DataFrame) else pd.DataFrame(index=genes)
    if genes is None:
        rna_var = pd.DataFrame(index=[f"g{i}" for i in range(rna.shape[1])])
    atac_var = pd.DataFrame(index=[f"p{i}" for i in range(atac.shape[1])]) if peaks is None else peaks
    with pulling(False):
        mdata = mudata.MuData(
            {
                "rna": AnnData(rna, obs=pd.DataFrame(index=cells), var=rna_var),
                "atac": AnnData(atac, obs=pd.DataFrame(index=cells), var=atac_var),
            }
        )
    for name, values in (obs or {}).items():
        mdata.obs[name] = values
    return mdata


def layout_mudata(genes: pd.DataFrame | list[str], peaks: pd.DataFrame) -> mudata.MuData:
    """A MuData of two cells without counts, for what reads names and places only."""
    return make_mudata(
        sp.csr_matrix((2, len(genes)), dtype=np.int32),
        sp.csr_matrix((2, len(peaks)), dtype=np.int32),
        genes=genes,
        peaks=peaks,
    )


@pytest.fixture
def mdata() -> mudata.MuData:
    return sl.ds.simulate(n_cells=400, n_genes=40, n_peaks=200, n_links=20, n_interactions=3, seed=3).mdata


@pytest.fixture(params=["csr", "csc"])
def backed(request, mdata, tmp_path):
    """The same data on disk, by row and by column, opened backed; and in memory."""
    whole = mdata.copy()
    for name in ("rna", "atac"):
        whole.mod[name].X = whole[name].X.asformat(request.param)
    with pulling(False):
        whole.write(tmp_path / "x.h5mu")
        opened = mudata.read_h5mu(tmp_path / "x.h5mu", backed=True)
    yield opened, mdata
    opened.file.close()
