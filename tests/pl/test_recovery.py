"""The picture says what the tables say."""

from __future__ import annotations

import pandas as pd
import pytest

from scanlink.errors import MissingKeyError
from scanlink.pl import recovery


@pytest.fixture
def tables():
    links = pd.DataFrame(
        {
            "group": ["T", "T", "T", "B"],
            "gene": ["g", "g", "h", "g"],
            "peak": ["a", "b", "a", "a"],
            "beta": [0.5, 0.1, 0.0, 0.4],
            "p_value": [1e-4, 0.02, 0.5, 0.3],
            "fdr": [1e-3, 0.05, 0.6, 0.4],
            "status": "ok",
        }
    )
    return links, pd.DataFrame({"group": [""], "gene": ["g"], "peak": ["a"], "beta": [0.6]})


def test_recovery__counts_what_was_called(tables):
    left, right = recovery(*tables).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["called (1)", "missed (1)"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == [
        "planted: 1 of 2 called",
        "beside a planted link: 1 of 1 called",
        "no link planted: 0 of 1 called",
    ]


def test_recovery__names_the_missing_column(tables):
    with pytest.raises(MissingKeyError, match="the table truth has no column 'beta'"):
        recovery(tables[0], tables[1].drop(columns="beta"))
