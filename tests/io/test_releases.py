"""What other packages do differently from release to release, seen through the helpers that say it once."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.io import mmwrite

from scanlink.io.raw_counts import pick_counts
from scanlink.io.releases import is_text, layers_of, mmread_csr
from scanlink.store.new import _digest

COUNTS = np.array([[1, 0], [2, 3]], dtype=np.int32)


def test_layers_of__are_those_with_a_name():
    data = AnnData(COUNTS.copy(), layers={"counts": COUNTS + 1, "other": COUNTS})
    assert sorted(layers_of(data)) == ["counts", "other"]
    np.testing.assert_array_equal(layers_of(data)["counts"], COUNTS + 1)
    assert layers_of(AnnData(COUNTS.copy())) == {}


def test_pick_counts__names_no_layer_that_is_x():
    logged = AnnData(np.log1p(COUNTS))
    with pytest.raises(Exception, match=r"Give the matrix before normalisation"):
        pick_counts(logged, modality="rna")
    with pytest.raises(Exception, match=r"rna has no layer 'counts'; layers found: none"):
        pick_counts(logged, modality="rna", layer="counts")


def test_mmread_csr__is_a_matrix(tmp_path):
    mmwrite(tmp_path / "x.mtx", sp.coo_matrix(COUNTS))
    read = mmread_csr(str(tmp_path / "x.mtx"))
    assert isinstance(read, sp.csr_matrix)
    np.testing.assert_array_equal(read.toarray(), COUNTS)


@pytest.mark.parametrize("dtype", [object, "string", "str"])
def test_text__is_the_same_whatever_its_dtype(dtype):
    texts = pd.Series(["B", "T", None, "T"], dtype=object).astype(dtype)
    texts[2] = None
    assert is_text(texts)
    assert not is_text(texts.astype("category"))
    assert not is_text(pd.Series([1.0]))
    plain = pd.DataFrame({"celltype": pd.Series(["B", "T", None, "T"], dtype=object)})
    assert _digest(pd.DataFrame({"celltype": texts})) == _digest(plain)
