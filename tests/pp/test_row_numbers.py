"""Data whose cells are called by row numbers, with barcodes in a column, keep their cells through pp and tl."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, concat
from mudata import MuData
from pandas.testing import assert_frame_equal

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.opening import quiet

SIMULATED = sl.ds.simulate(n_cells=120, n_genes=12, n_peaks=60, n_links=8, n_interactions=2, seed=1)
MDATA = SIMULATED.mdata
UMIS = np.asarray(MDATA["rna"].X.sum(axis=1)).ravel()
TYPES = MDATA.obs["celltype"].astype(str).to_numpy()
OPTIONS = {"groupby": "kind", "formula": "log(nUMI)", "p_value": "robust", "ladder": "none"}


def numbered(modality: str, *, has_barcodes: bool = True) -> AnnData:
    adata = AnnData(MDATA[modality].X.copy(), var=MDATA[modality].var.copy())
    adata.obs_names = [str(i) for i in range(adata.n_obs)]
    if has_barcodes:
        adata.obs["barcode"] = MDATA.obs_names.to_numpy()
    return adata


def muon(*, has_barcodes: bool = True) -> MuData:
    with quiet():
        mdata = MuData({"gex": numbered("rna", has_barcodes=has_barcodes), "atac": numbered("atac")})
    mdata.obs["kind"] = TYPES
    return mdata


def one() -> AnnData:
    with quiet():
        adata = concat([numbered("rna"), numbered("atac")], axis="var", merge="same")
    adata.var["feature_types"] = ["Gene Expression"] * MDATA["rna"].n_vars + ["Peaks"] * MDATA["atac"].n_vars
    adata.obs["kind"] = TYPES
    return adata


def pair() -> tuple[AnnData, AnnData]:
    """The second is in another order, so that its row numbers are of other cells."""
    rna, atac = numbered("rna"), numbered("atac")[::-1].copy()
    atac.obs_names = rna.obs_names
    rna.obs["kind"] = TYPES
    return rna, atac


@pytest.fixture(scope="module")
def links() -> pd.DataFrame:
    mdata = MDATA.copy()
    mdata.obs["kind"] = TYPES
    sl.pp.qc(mdata)
    return sl.tl.scan(mdata, sl.pp.cis_pairs(mdata, SIMULATED.genes), **OPTIONS)


@pytest.mark.parametrize(
    "make", [muon, lambda: muon(has_barcodes=False), one, pair], ids=["muon", "half", "one", "pair"]
)
def test_qc_and_scan__keep_the_cells_of_row_numbers(make, links) -> None:
    data = make()
    sl.pp.qc(data)
    obs = data[0].obs if isinstance(data, tuple) else data.obs
    assert obs.index[:2].tolist() == ["0", "1"]
    assert obs["nUMI"].tolist() == UMIS.tolist()
    assert obs["nCount_ATAC"].tolist() == np.asarray(MDATA["atac"].X.sum(axis=1)).ravel().tolist()
    found = sl.tl.scan(data, sl.pp.cis_pairs(data, SIMULATED.genes), **OPTIONS)
    assert (found["status"] == "ok").sum() > 20
    assert_frame_equal(found, links)


def test_qc__refuses_row_numbers_of_two_cells() -> None:
    rna, atac = pair()
    with quiet():
        data = MuData({"gex": rna, "atac": atac})
    with pytest.raises(InputError, match=r"row numbers of rna and atac are not of the same cells: 120 differ"):
        sl.pp.qc(data)
    assert "nUMI" not in data.obs


def test_screen_qc__keeps_the_cells_of_row_numbers() -> None:
    rna, guide = numbered("rna"), AnnData(np.tile([[7, 0], [0, 9], [6, 8]], (40, 1)))
    guide.var_names, guide.var["target"] = ["g1", "g2"], ["enh1", "non-targeting"]
    guide.obs_names = rna.obs_names
    with quiet():
        data = MuData({"gex": rna, "grna": guide})
    sl.pp.screen_qc(data)
    assert data.obs["nUMI"].tolist() == UMIS.tolist()
    assert data.obs["guide_UMI"].tolist() == [7, 9, 14] * 40
