from __future__ import annotations

from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scanlink as sl
from scanlink.errors import InputError, OptionError
from scanlink.io.opening import quiet

pytest.importorskip("zarr")
# Of the program that writes: version 2 of the format is about to be no longer its default.
# What mudata and anndata say of their own writing.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning"),
    pytest.mark.filterwarnings("ignore:This setting will be removed:DeprecationWarning"),
]


def test_read__zarr_of_mudata(tmp_path: Path, distinct) -> None:
    with quiet():
        made = mudata.MuData({"gex": distinct.adata("rna"), "atac": distinct.adata("atac")})
        made.obs["donor"] = ["d1", "d2"] * 6
        made.write_zarr(tmp_path / "x.zarr")
    for given in ({"path": tmp_path / "x.zarr"}, {"rna": tmp_path / "x.zarr", "atac": tmp_path / "x.zarr"}):
        mdata = sl.io.read(**given)
        np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna)
        np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)
        assert mdata.obs_names.tolist() == distinct.cells
    assert sl.io.read(tmp_path / "x.zarr").obs["donor"].tolist() == ["d1", "d2"] * 6


def test_read__zarr_of_anndata(tmp_path: Path, distinct) -> None:
    var = pd.DataFrame({"feature_types": ["GEX"] * 5 + ["ATAC"] * 4}, index=distinct.genes + distinct.peaks)
    counts = sparse.csr_matrix(np.hstack([distinct.rna, distinct.atac]))
    with quiet():
        both = AnnData(counts * 0.5, obs=pd.DataFrame(index=distinct.cells), var=var, layers={"counts": counts})
        both.write_zarr(tmp_path / "x.zarr")
        distinct.adata("rna").write_zarr(tmp_path / "rna.zarr")
        distinct.adata("atac").write(tmp_path / "atac.h5ad")
    for mdata in (
        sl.io.read(tmp_path / "x.zarr", layer="counts"),
        sl.io.read(rna=tmp_path / "rna.zarr", atac=tmp_path / "atac.h5ad"),
    ):
        np.testing.assert_array_equal(mdata["rna"].X.toarray(), distinct.rna)
        np.testing.assert_array_equal(mdata["atac"].X.toarray(), distinct.atac)
    with pytest.raises(OptionError, match="this store has none"):
        sl.io.read(tmp_path / "x.zarr", rna_key="gex")
    with pytest.raises(OptionError, match="backed=True works with one file"):
        sl.io.read(tmp_path / "x.zarr", backed=True)


def test_read__what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(InputError, match=r"x\.zarr: .*a Zarr store of AnnData or MuData"):
        sl.io.read(tmp_path / "x.zarr")
    (tmp_path / "y.zarr").write_text("x")
    with pytest.raises(InputError, match="this is a file; a Zarr store"):
        sl.io.read(tmp_path / "y.zarr")
    with pytest.raises(InputError, match="no such file; a Zarr store"):
        sl.io.read(tmp_path / "z.zarr")
