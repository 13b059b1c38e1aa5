"""Calls on tables without rows: the result has none either, and the columns that it always has."""

from __future__ import annotations

import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import EmptyTableError, MissingKeyError


@pytest.fixture(scope="module")
def data():
    return sl.ds.simulate(n_cells=400, n_genes=8, n_peaks=40, n_links=12, n_interactions=2, seed=1)


@pytest.fixture(scope="module")
def screen():
    return sl.tl.simulate_screen(n_cells=600, n_genes=4, n_targets=4, seed=1)


def same_columns(empty: pd.DataFrame, table: pd.DataFrame) -> None:
    assert len(table) > 0
    assert len(empty) == 0
    assert list(empty.columns) == list(table.columns)
    # What was written is read again, and joined to other tables, as one with rows.
    both = pd.concat([empty, table], ignore_index=True)
    assert len(both) == len(table)
    # A flag may be missing in rows that were not tested.
    numbers = [name for name in table if pd.api.types.is_numeric_dtype(table[name]) and table[name].dtype != bool]
    assert all(pd.api.types.is_numeric_dtype(empty[name]) for name in numbers)


@pytest.mark.filterwarnings("ignore:The behavior of DataFrame concatenation:FutureWarning")
def test_calls__of_no_pairs_give_empty_tables(data, caplog):
    mdata, pairs = data.mdata, sl.pp.cis_pairs(data.mdata, data.genes)
    for call in (sl.tl.scan, sl.tl.kendall):
        empty = call(mdata, pairs.iloc[:0], groupby="celltype")
        assert "nothing is tested: the table of pairs is empty" in caplog.text
        same_columns(empty, call(mdata, pairs.head(3), groupby="celltype"))
        caplog.clear()
    links = sl.tl.scan(mdata, pairs, groupby="celltype", p_value="robust", ladder="none")
    every = sl.tl.enhancer_pairs(links.assign(fdr=0.0).head(6), fdr=0.5)
    none = sl.tl.enhancer_pairs(links.iloc[:0])
    same_columns(none, every)
    options = {"groupby": "celltype", "p_value": "robust", "ladder": "none"}
    epi, empty = (sl.tl.epistasis(mdata, table, **options) for table in (every.head(2), none))
    same_columns(empty, epi)
    assert len(sl.tl.heterogeneity(empty)) == 0
    same_columns(sl.tl.power(links.iloc[:0]), sl.tl.power(links))


@pytest.mark.filterwarnings("ignore:The behavior of DataFrame concatenation:FutureWarning")
def test_calls__of_no_pairs_of_a_screen_give_empty_tables(screen, caplog):
    options = {"controls": ["shuffled"], "n_controls": 4}
    table = sl.tl.screen(screen.mdata, screen.pairs, **options)
    same_columns(sl.tl.screen(screen.mdata, screen.pairs.iloc[:0], **options), table)
    two = sl.tl.target_pairs(screen.pairs)
    same_columns(sl.tl.target_pairs(screen.pairs.iloc[:0]), two)
    tested, empty = (sl.tl.screen_interactions(screen.mdata, rows, controls=[]) for rows in (two, two.iloc[:0]))
    same_columns(empty, tested)
    guides = screen.mdata["guide"].var.assign(chrom="chr1", start=100, end=120)
    links = table.head(2).assign(peak="chr1:0-500")
    joint = sl.tl.screen_links(table, links, guides)
    same_columns(sl.tl.screen_links(table.iloc[:0], links, guides), joint)
    same_columns(sl.tl.screen_links(table, links.iloc[:0], guides), joint)
    assert "nothing is joined: the table links is empty" in caplog.text


def test_calls__without_the_columns_or_with_nothing_to_judge_are_refused(data):
    with pytest.raises(MissingKeyError, match="no column 'gene', 'peak'"):
        sl.tl.scan(data.mdata, pd.DataFrame())
    pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    with pytest.raises(EmptyTableError, match="the table of pairs is empty"):
        sl.tl.calibrate(data.mdata, pairs.iloc[:0])
