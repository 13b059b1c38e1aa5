from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rdata
import xarray
from scipy import sparse

from scanlink.errors import InputError
from scanlink.io.named import NamedMatrix
from scanlink.io.rds import _sparse, read_rds

DENSE = np.array([[0, 2, 0], [1, 0, 3]])


def slots(kind: str) -> SimpleNamespace:
    """The slots that R's Matrix package stores for the matrix above."""
    matrix = {"C": sparse.csc_matrix, "R": sparse.csr_matrix, "T": sparse.coo_matrix}[kind[2]](DENSE)
    parts = {"Dim": np.array([2, 3]), "Dimnames": [np.array(["g1", "g2"]), np.array(["a", "b", "c"])]}
    if kind[2] == "T":
        parts |= {"i": matrix.row, "j": matrix.col}
    else:
        parts |= {"p": matrix.indptr, "i" if kind[2] == "C" else "j": matrix.indices}
    if kind[0] != "n":
        parts["x"] = matrix.data.astype(bool if kind[0] == "l" else float)
    return SimpleNamespace(**parts)


@pytest.mark.parametrize("kind", ["dgCMatrix", "dgRMatrix", "dgTMatrix", "lgCMatrix", "ngCMatrix"])
def test_read_rds__builds_each_class_of_matrix_from_its_slots(kind: str) -> None:
    found = _sparse(slots(kind), {"class": [kind]})
    expected = DENSE if kind[0] == "d" else (DENSE != 0)
    np.testing.assert_array_equal(found.matrix.toarray(), expected)
    assert (found.rows.tolist(), found.columns.tolist()) == (["g1", "g2"], ["a", "b", "c"])


def test_read_rds__matrix_without_names_is_refused_when_names_are_needed() -> None:
    bare = slots("dgCMatrix")
    bare.Dimnames = [None, np.array(["a", "b", "c"])]
    with pytest.raises(InputError, match="the rows of the matrix have no names"):
        _sparse(bare, {"class": ["dgCMatrix"]}).names("rows")


def test_read_rds__real_matrix_and_table(shared) -> None:
    matrix = read_rds(shared / "pbmc10k" / "atac_matrix.rds")
    assert isinstance(matrix, NamedMatrix)
    assert matrix.matrix.shape == (100, 11_457)
    assert matrix.matrix.sum() == 161_221
    assert matrix.rows[0] == "chr1-10046-10340"
    table = read_rds(shared / "pbmc10k" / "metafile.rds")
    assert isinstance(table, pd.DataFrame)
    assert table.dtypes.astype(str).to_dict() == {
        "cell": "category",
        "nUMI": "float64",
        "celltype": "category",
        "percent.mito": "float64",
    }
    assert table.index[0] == "AAACAGCCAAGGAATC-1"


def test_read_rds__dense_matrix_with_names(tmp_path, monkeypatch) -> None:
    # rdata cannot write what it reads a matrix as, so only its reading is stood in for.
    array = xarray.DataArray(
        DENSE.astype(float), dims=["dim_0", "dim_1"], coords={"dim_0": ["g1", "g2"], "dim_1": ["a", "b", "c"]}
    )
    monkeypatch.setattr(rdata, "read_rds", lambda *_, **__: array)
    (tmp_path / "x.rds").write_bytes(b"x")
    found = read_rds(tmp_path / "x.rds")
    assert isinstance(found, NamedMatrix)
    assert (found.rows.tolist(), found.columns.tolist()) == (["g1", "g2"], ["a", "b", "c"])
    np.testing.assert_array_equal(found.matrix.toarray(), DENSE)


def test_read_rds__data_frame_has_plain_types(tmp_path) -> None:
    table = pd.DataFrame(
        {"f": pd.Categorical(["x", "y"]), "n": pd.array([1, None], dtype="Int32"), "m": [1, 2], "s": ["a", "b"]}
    )
    rdata.write_rds(tmp_path / "x.rds", table.astype({"s": object}))  # it cannot write the strings of pandas 3
    found = read_rds(tmp_path / "x.rds")
    assert found.dtypes.astype(str).to_dict() == {"f": "category", "n": "float64", "m": "int64", "s": "category"}
    assert found["s"].tolist() == ["a", "b"]
    assert np.isnan(found["n"].iloc[1])


@pytest.mark.parametrize("found", [{"a": np.array([1])}, np.array([1.0, 2.0]), "hello"])
def test_read_rds__other_objects_are_refused(found: object, tmp_path) -> None:
    rdata.write_rds(tmp_path / "x.rds", found)
    with pytest.raises(InputError, match=r"dgCMatrix or a data\.frame was expected, found an object of class"):
        read_rds(tmp_path / "x.rds")
