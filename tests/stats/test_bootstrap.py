"""SCENT's p-value and ladder."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanlink.errors import OptionError
from scanlink.stats import Ladder, basic_p, climb


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        # What SCENT's interp_pval gives (edge_cases.txt of the reference results).
        ([1, 2, 3, 4], 0.5),
        ([-1, -2, -3, -4], 0.5),
        ([-1, 1, 2, 3], 0.5),
        ([0, 0, 1, 2, 3], 0.8),
        ([-2, -1, 1, 2], 1.0),
        ([np.nan, 1, 2, 3, -1], 0.4),
        ([np.nan, 1, 2, 3], 0.5),
        ([np.nan, -1, -2, -3], 0.5),
    ],
)
def test_basic_p__matches_scent_on_edge_cases(q, expected):
    assert basic_p(0.0, -np.array(q, dtype=float)) == pytest.approx(expected, abs=1e-15)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=60), st.floats(-2, 2))
def test_basic_p__lies_between_its_floor_and_one(replicates, estimate):
    p = basic_p(estimate, np.array(replicates))
    assert 2 / len(replicates) <= p <= 1


class Recorded:
    """A gene and its only pair; says which replicates were asked for."""

    n_cells = 100

    def __init__(self, values):
        self.estimate, self.values, self.asked = 1.0, values, []

    def block(self, first, last):
        self.asked.append((first, last))
        return first, last

    def shared(self, block):
        return block

    def replicates(self, shared):
        return self.values(*shared)


def test_climb__stops_at_the_first_stage_that_it_does_not_pass():
    def values(first, last):
        coefs = np.zeros(last - first)
        coefs[: 2 if first == 0 else 20] = 5.0
        return coefs

    pair = Recorded(values)
    # 100 replicates: k = 2, p = .04, on; 500: k = 20, p = .08, not below .05: end.
    assert climb([(pair, [pair])], Ladder.of("scent"), pair) == [[(pytest.approx(0.08), 500)]]
    assert pair.asked == [(0, 100), (100, 600)]


def test_climb__the_whole_ladder_uses_every_replicate_once():
    pair = Recorded(lambda first, last: np.zeros(last - first))
    assert climb([(pair, [pair])], Ladder.of("scent"), pair) == [[(2 / 50_000, 50_000)]]
    assert pair.asked[0][0] == 0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(pair.asked))
    assert pair.asked[-1][1] == Ladder.of("scent").most == 78_100


@pytest.mark.parametrize(
    "bad", ["scnt", [], [(0, None)], [(100, None), (500, None)], [(100, 0.1)], [(100, 2.0), (5, None)], 7]
)
def test_ladder__refuses_what_is_none(bad):
    with pytest.raises(OptionError):
        Ladder.of(bad)
