"""Counts that are sorted on disk: the same as scipy sorts in memory, whatever the order and the memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from scanlink.store.levels import count_levels, level_columns
from scanlink.store.spool import Spool


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 7), st.sampled_from([3, 300, 70_000]))
def test_spool__gives_what_scipy_gives(seed, entries, pieces, largest):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, largest, (11, 8)) * (rng.random((11, 8)) < 0.5)
    cells, features = np.nonzero(counts)
    order = rng.permutation(cells.size)
    expected = sp.csc_array(counts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spool")
        with Spool(path, 8, 11, entries=entries) as spool:
            for part in np.array_split(order, pieces):
                spool.add(features[part], cells[part], counts[cells[part], features[part]])
            assert spool.n_entries == expected.nnz
            assert spool.largest == counts.max(initial=0)
            starts, got_cells, values = [np.zeros(1, dtype=np.int64)], [], []

            def take(*band):
                starts.append(band[0][1:] + starts[-1][-1])
                got_cells.append(band[1])
                values.append(band[2])

            spool.give(take)
        assert not path.exists()
    np.testing.assert_array_equal(np.concatenate(starts), expected.indptr)
    np.testing.assert_array_equal(np.concatenate(got_cells), expected.indices)
    np.testing.assert_array_equal(np.concatenate(values), expected.data)


def test_spool__bands_hold_no_more_than_they_may(tmp_path):
    counts = np.ones((10, 20), dtype=int)
    cells, features = np.nonzero(counts)
    with Spool(tmp_path / "spool", 20, 10, entries=30) as spool:
        spool.add(features, cells, counts.ravel())
        sizes = []
        spool.give(lambda starts, cells, values: sizes.append(values.size))
    assert sizes == [30] * 6 + [20]


def test_level_columns__takes_what_cells_may_be_grouped_by():
    table = pd.DataFrame(
        {
            "type": ["B", "T", None, "B"] * 100,
            "control": [True, False, True, True] * 100,
            "cluster": np.tile([10, 9, 10, 10], 100),
            "some": np.tile([1.0, 2.0, np.nan, 1.0], 100),
            "n": np.arange(400) % 65,
            "depth": np.tile([1.5, 2.0, 3.0, 4.0], 100),
            "cell": [f"c{k}" for k in range(400)],
            "empty": np.full(400, None),
        }
    )
    found = {column.name: column for column in level_columns(table)}
    assert {name: column.levels for name, column in found.items()} == {
        "type": ("B", "T"),
        "control": ("False", "True"),
        "cluster": ("10", "9"),
        "some": ("1", "2"),
    }
    assert found["type"].n_cells == [200, 100]
    cells = np.array([0, 1, 2, 3, 4, 6], dtype=np.int32)
    counted = count_levels(found["type"], np.array([0, 0, 4, 6]), cells)
    assert counted.tolist() == [[0, 0], [2, 1], [1, 0]]


@pytest.mark.parametrize(("n_levels", "taken"), [(256, True), (257, False)])
def test_level_columns__leaves_out_columns_of_many_levels(n_levels, taken):
    table = pd.DataFrame({"donor": [f"d{k % n_levels}" for k in range(20_000)]})
    assert bool(level_columns(table)) is taken


def test_level_columns__are_not_too_many_in_all():
    table = pd.DataFrame({f"c{k}": [f"{j % 250}" for j in range(500)] for k in range(10)})
    assert [column.name for column in level_columns(table)] == [f"c{k}" for k in range(8)]
