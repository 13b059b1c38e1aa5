"""Cells kept by a query: what pandas says of the same query, what is missing, and that nothing of it is ever run."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError, ScanlinkError
from scanlink.pp.kept_cells import chosen_cells
from scanlink.pp.query import parse_query

N = 90


@pytest.fixture(scope="module")
def data():
    mdata = sl.ds.simulate(n_cells=N, n_genes=8, n_peaks=60, n_links=6, n_interactions=2, seed=3).mdata
    place = np.arange(N)
    flags = pd.Series(place % 3 == 0, index=mdata.obs_names)
    mdata.obs["doublet"] = flags
    mdata.obs["doublet_text"] = pd.Categorical(flags.astype(str))
    mdata.obs["doublet_some"] = flags.astype(object).where(place >= 5, None)
    mdata.obs["score"] = np.where(place % 10 == 0, np.nan, place / 10)
    mdata.obs["leiden"] = pd.Categorical((place % 4).astype(str))
    mdata.obs["donor number"] = pd.Categorical(place % 4)
    mdata["atac"].obs["tss"] = place * 1.0
    return mdata


# Of pandas, the oracle: the same cells where nothing is missing.
SAME = (
    "nUMI > 5000",
    "nUMI > 5000 and not doublet",
    "doublet == False and celltype != 'B-Memory' or leiden == '2'",
    "(leiden == '1' or leiden == '2') and nUMI <= 9000",
    "leiden in ['1', '3'] & ~doublet",
    "leiden not in ('1', \"3\")",
    "2000 < nUMI <= 8000",
    "`donor number` >= 2",
    "5000 < nUMI",
    "score > `donor number`",
    "score < 4.5e0 and score >= .5",
)


@pytest.mark.parametrize("query", SAME)
def test_query__chooses_the_cells_that_pandas_does(data, query):
    table = data.obs.assign(**{"donor number": data.obs["donor number"].astype(int)})
    expected = data.obs_names.isin(table.query(query).index)
    assert 0 < expected.sum() < N
    np.testing.assert_array_equal(chosen_cells(data, parse_query(query)), expected)


@given(
    st.recursive(
        st.sampled_from(["nUMI > 5000", "doublet", "leiden == '1'", "score < 3", "doublet_some == True"]),
        lambda inner: st.one_of(
            inner.map(lambda part: f"not ({part})"),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        ),
        max_leaves=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_query__and_its_opposite_share_no_cell_and_leave_only_those_with_missing_values(data, query):
    chosen, opposite = (chosen_cells(data, parse_query(text)) for text in (query, f"not ({query})"))
    assert not (chosen & opposite).any()
    known = (data.obs["score"].notna() & data.obs["doublet_some"].notna()).to_numpy()
    assert (chosen | opposite)[known].all()


def test_query__understands_flags_of_every_type_names_of_scanpy_and_columns_of_a_modality(data, caplog):
    flags = data.obs["doublet"].to_numpy()
    for name in ("doublet", "doublet_text"):
        for query in (f"{name} == False", f"not {name}", f"{name} != True", f"~{name}"):
            np.testing.assert_array_equal(chosen_cells(data, parse_query(query)), ~flags)
    some = chosen_cells(data, parse_query("doublet_some == False"))
    np.testing.assert_array_equal(some, ~flags & (np.arange(N) >= 5))
    assert "doublet_some is missing in 5 of 90 cells: no comparison with it is true" in caplog.text
    both = chosen_cells(data, parse_query("pct_counts_mt < 8 and total_counts > 4000"))
    obs = data.obs
    np.testing.assert_array_equal(both, (obs["percent.mito"] < 8) & (obs["nUMI"] > 4000))
    assert "pct_counts_mt is missing: percent.mito is taken for it" in caplog.text
    np.testing.assert_array_equal(chosen_cells(data, parse_query("tss >= 50")), np.arange(N) >= 50)
    assert not chosen_cells(data, parse_query("celltype == 'B-memory'")).any()
    assert "no cell has celltype 'B-memory' (did you mean 'B-Memory'?)" in caplog.text


REFUSED = {
    "__import__('os').system('x')": 'cannot be read at "__import__|cannot be read',
    "nUMI.__class__ == 1": "which is no column of cells",
    "log(nUMI) > 3": r"log\(...\) would be a function, and a query has none",
    "@x > 1": "cannot be read at '@x > 1'",
    "nUMI + 1 > 3": "cannot be read at",
    "nUMI = 3": "'equal' is written ==",
    "nUMI > 'a'": "compares nUMI with the text 'a', but it is a number, from",
    "leiden == 0": "compares leiden with the number 0, but it is a text, such as '0', .*: write '0'",
    "celltype < 'B'": "texts have no order",
    "celltype == nUMI": "one of which holds numbers and the other texts",
    "nUMI": "names nUMI alone, which is not True or False but a number",
    "nUMI == True": "compares nUMI with True, but it is a number",
    "celltype == Bmemory": "'Bmemory', which is no column of cells.* Texts stand in quotes",
    "leidn == '1'": "did you mean 'leiden'",
    "1 == 1": "with no column",
    "(nUMI > 1": "a closing bracket was expected",
    "nUMI > 1 doublet": "'and' or 'or' was expected before it",
    "celltype in 'B'": r"after 'in' a list was expected, such as \['B', 'T'\]",
    "celltype in ['B', T]": "texts in a list stand in quotes",
    "nUMI > 1 and": "cannot be read at its end",
    "not " * 60 + "doublet": "more than 50 brackets or 'not' inside each other",
    "nUMI > 1 or " * 1000 + "doublet": "expected at most 5,000",
    "": "expected a text such as",
}


@pytest.mark.parametrize("query", REFUSED)
def test_query__that_is_none_says_what_to_write(data, query):
    with pytest.raises(ScanlinkError, match=REFUSED[query]) as found:
        chosen_cells(data, parse_query(query))
    assert isinstance(found.value, OptionError | MissingKeyError)


@given(st.text(st.sampled_from("nUMI doublet'\"()[]=<>!&|~.,`1e5andornotin@:_"), max_size=30))
@settings(max_examples=300, deadline=None)
def test_query__of_any_text_is_answered_or_refused(data, text):
    with suppress(OptionError, MissingKeyError):
        assert chosen_cells(data, parse_query(text)).shape == (N,)


def test_filter_cells__keeps_rows_of_all_that_belongs_to_cells(data):
    mdata = data.copy()
    mdata.obsm["X_umap"] = np.arange(2.0 * N).reshape(N, 2)
    keep = (~mdata.obs["doublet"] & (mdata.obs["nUMI"] > 4000)).to_numpy()
    names, counts = mdata.obs_names[keep], {name: part.X[keep].toarray() for name, part in mdata.mod.items()}
    assert sl.pp.filter_cells(mdata, "not doublet and nUMI > 4000") is mdata
    assert mdata.obs_names.tolist() == names.tolist() == mdata["atac"].obs_names.tolist()
    np.testing.assert_array_equal(mdata.obsm["X_umap"], np.arange(2.0 * N).reshape(N, 2)[keep])
    for name, matrix in counts.items():
        np.testing.assert_array_equal(mdata[name].X.toarray(), matrix)
    assert mdata.uns["scanlink"]["cells"] == {
        "query": "not doublet and nUMI > 4000",
        "kept": int(keep.sum()),
        "lost": int((~keep).sum()),
    }
    sl.io.check(mdata)
    with pytest.raises(InputError, match="is true of none of"):
        sl.pp.filter_cells(mdata, "nUMI < 0")
    with pytest.raises(InputError, match="view of another"):
        sl.pp.filter_cells(mdata[:5], "nUMI > 0")
    with pytest.raises(InputError, match="is a DataFrame, expected a MuData"):
        sl.pp.filter_cells(mdata.obs, "nUMI > 0")
