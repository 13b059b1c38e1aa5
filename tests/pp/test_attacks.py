"""Formulas and queries are data: none runs, reads or writes anything, each is refused in words, and soon."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from attacks import FORMULAS, QUERIES, witness

from scanlink.errors import MissingKeyError, OptionError
from scanlink.pp.formula import parse_formula
from scanlink.pp.query import named_columns, parse_query

COLUMNS = ["nUMI", "batch", "flag", "one", "my cells", "percent.mito"]
PAGES = Path(__file__).parents[2]


def short(text):
    return f"{text[:30]!r} {len(text)}"


def test_attacks__are_many():
    assert len(set(FORMULAS)) == len(FORMULAS) >= 60
    assert len(set(QUERIES)) == len(QUERIES) >= 40


def test_witness__sees_what_runs(tmp_path):
    for attempt in (
        lambda: eval("1 + 1"),
        lambda: open(tmp_path / "ran", "w").close(),
        lambda: (tmp_path / "x").mkdir(),
    ):
        with witness() as events:
            attempt()
        assert events


def refused(read, text, folder):
    """Read a text that has to be refused; give the message."""
    started = time.monotonic()
    with witness() as events, pytest.raises((OptionError, MissingKeyError)) as error:
        read(text)
    assert events == []
    assert not list(folder.iterdir())
    # Minutes and all of the memory are what it must not take; this is no measurement.
    assert time.monotonic() - started < 5
    message = str(error.value)
    assert len(message) < 12_000
    assert "\0" not in message
    assert "\x1b" not in message
    return message


@pytest.mark.parametrize("formula", FORMULAS, ids=short)
def test_formula__that_is_none_runs_nothing(formula, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse_formula("log(nUMI)", COLUMNS)  # formulaic itself is imported here
    assert refused(lambda text: parse_formula(text, COLUMNS), formula, tmp_path).startswith(("formula ", "the formula"))


@pytest.mark.parametrize("query", QUERIES, ids=short)
def test_query__that_is_none_runs_nothing(query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text):
        unknown = named_columns(parse_query(text)) - {"nUMI", "celltype", "doublet"}
        if unknown:
            raise MissingKeyError(f"query names {unknown}")

    assert refused(read, query, tmp_path).startswith(("query ", "the query"))


def formulas_of_pages():
    """Every formula that a run.yaml, a call or a table of the pages and examples writes."""
    found = set()
    for page in [*PAGES.glob("docs/*.md"), *PAGES.glob("examples/**/*.yaml"), *PAGES.glob("*.md")]:
        text = page.read_text()
        found |= set(re.findall(r"formula[=:]\s*\"([^\"]+)\"", text)) | set(
            re.findall(r"formula[=:]\s*'([^']+)'", text)
        )
    return sorted(found)


@pytest.mark.parametrize("formula", formulas_of_pages())
def test_formula__of_the_pages_still_holds(formula):
    names = set(re.findall(r"[A-Za-z_][\w.]*(?!\w*\()", re.sub(r"\w[\w.]*\(", "(", formula)))
    rng = np.random.default_rng(0)
    cells = pd.DataFrame({name: rng.integers(1, 9, 60).astype(float) for name in names})
    design = parse_formula(formula, cells.columns).design(cells)
    assert np.isfinite(design.matrix).all()
    assert design.matrix.shape[1] > 1 or design.offset.any()
