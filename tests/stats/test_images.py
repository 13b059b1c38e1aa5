"""Permutations of cells: uniform, and the same wherever they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from scanlink.stats import Permutations, Perturbed, case_weights, resample_key


def test_permutations__images_are_uniform_and_each_cell_once():
    permutations = Permutations(resample_key(0, "d"), 11)
    cells = np.concatenate([permutations.block(11, first, first + 512).cells for first in range(0, 5120, 512)])
    assert (np.sort(cells, axis=1) == np.arange(11)).all()
    for position in range(11):
        counts = np.bincount(cells[:, position], minlength=11)
        # Chi-squared with 10 degrees of freedom: beyond 35 once in ten thousand.
        assert np.sum((counts - 5120 / 11) ** 2) / (5120 / 11) < 35
    pairs = np.bincount(cells[:, 0] * 11 + cells[:, 1], minlength=121).reshape(11, 11)
    off = pairs[~np.eye(11, dtype=bool)]
    assert np.sum((off - 5120 / 110) ** 2) / (5120 / 110) < 170
    assert not np.diag(pairs).any()


def test_permutations__depend_on_key_number_and_stratum_alone():
    key = resample_key(0, "e")
    strata = np.array([0, 1, 1, 2] * 50)
    whole = Permutations(key, 200, strata=strata).block(np.array([50, 100, 50]), 3, 4)
    short = Permutations(key, 200, strata=strata).block(np.array([5, 2, 0]), 3, 400)
    assert (whole.cells[0, :5] == short.cells[0, :5]).all()
    assert (whole.cells[0, 50:52] == short.cells[0, short.begins[1] : short.begins[1] + 2]).all()
    for s in range(3):
        assert (strata[whole.cells[:, whole.begins[s] : whole.begins[s + 1]]] == s).all()
    other = Permutations(resample_key(1, "e"), 200, strata=strata).block(np.array([50, 100, 50]), 3, 4)
    assert (whole.cells != other.cells).mean() > 0.9
    large = Permutations(key, 70_000).block(500, 0, 50).cells
    assert large.dtype == np.uint32
    assert large.max() > 65_535


def test_perturbed__pair_has_the_values_of_both():
    rng = np.random.default_rng(0)
    x = np.where(rng.random((2, 300)) < 0.3, rng.choice([0.25, 0.5, 1.0], (2, 300)), 0.0)
    both = Perturbed.pair(*(Perturbed.of(np.flatnonzero(one), one[one > 0]) for one in x))
    by_cell = np.zeros((300, 2))
    by_cell[both.cells] = both.values[both.level]
    np.testing.assert_array_equal(by_cell, x.T)
    assert len(both.values) == len(np.unique(x.T, axis=0)) - 1 >= 12
    # By level, and by number within.
    assert (np.diff(both.level * 300 + both.cells) > 0).all()


def test_perturbed__does_not_depend_on_the_order_of_cells():
    cells, values = np.array([9, 2, 5, 7]), np.array([0.5, 1.0, 0.0, 0.5])
    one, other = Perturbed.of(cells, values), Perturbed.of(cells[::-1], values[::-1])
    assert one.cells.tolist() == other.cells.tolist() == [7, 9, 2]
    assert one.values.tolist() == [[0.5], [1.0]]


def test_permutations__have_nothing_in_common_with_bootstrap_weights():
    """The first cells of permutations, and those that bootstrap replicates of the same key and number draw."""
    key, n = resample_key(0, "f"), 500
    first = Permutations(key, n).block(1, 0, 512).cells[:200, 0]
    drawn = case_weights(key, 0, 200, n)[np.arange(200), first]
    assert drawn.mean() == pytest.approx(1.0, abs=0.25)
