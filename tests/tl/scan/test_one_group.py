"""A scan without groups: whether several types of cells are found in the counts, and what is said then."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import scanlink as sl
from scanlink.io.opening import quiet
from scanlink.store.make import write_store
from scanlink.tl.scan.one_group import common_variation


@pytest.fixture(scope="module")
def mixed():
    return sl.ds.simulate(n_cells=1500, n_genes=120, n_peaks=600, n_links=40, n_interactions=4, seed=3)


def copied(data):
    with quiet():
        return data.mdata.copy()


def times(mdata, folder, *columns):
    store = write_store(mdata, folder)
    design = np.column_stack([np.ones(store.n_cells), *(store.cells[list(columns)].to_numpy(float).T)])
    return common_variation(store, design)


def test_common_variation__is_that_of_types_and_not_of_one(mixed, tmp_path):
    assert times(mixed.mdata, tmp_path / "mixed") > 5
    one = sl.pp.filter_cells(copied(mixed), "celltype == 'CD14-Mono'")
    assert times(one, tmp_path / "one") < 2.5


def test_common_variation__of_independent_halves_is_about_one(mixed, tmp_path):
    mdata = copied(mixed)
    order = np.random.default_rng(1).permutation(mdata.n_obs)
    mdata["atac"].X = mdata["atac"].X[order]
    assert 0.5 < times(mdata, tmp_path / "apart") < 1.5


def test_common_variation__is_not_what_the_design_explains(mixed, tmp_path):
    mdata = copied(mixed)
    sl.pp.components(mdata, n=10)
    covariates = [f"atac_{k}" for k in range(1, 11)]
    assert times(mdata, tmp_path / "store", *covariates) < times(mdata, tmp_path / "again") / 5


def test_scan__without_groups_names_the_columns_and_what_was_seen(mixed, caplog):
    pairs = sl.pp.cis_pairs(mixed.mdata, mixed.genes).head(4)
    with caplog.at_level(logging.INFO, logger="scanlink"):
        sl.tl.scan(mixed.mdata, pairs, formula="log(nUMI)", ladder="none")
    (said,) = [record.getMessage() for record in caplog.records if "no groups" in record.getMessage()]
    assert "'celltype'" in said
    assert "so there are several" in said
    assert "scanlink.pp.components" in said


def test_scan__with_groups_says_nothing_of_it(mixed, caplog):
    pairs = sl.pp.cis_pairs(mixed.mdata, mixed.genes).head(4)
    with caplog.at_level(logging.INFO, logger="scanlink"):
        sl.tl.scan(mixed.mdata, pairs, formula="log(nUMI)", ladder="none", groupby="celltype")
    assert "no groups" not in caplog.text
