"""Formulas: what is evaluated is what R would evaluate, and names may be odd."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanlink.errors import DesignError, MissingKeyError, OptionError
from scanlink.pp.formula import parse_formula

CELLS = pd.DataFrame(
    {
        "nUMI": [10.0, 20.0, 30.0, 40.0, 70.0],
        "percent.mito": [1.0, 4.0, 2.0, 8.0, 3.0],
        "batch": ["b", "a", "b", "a", "c"],
        "flag": [True, False, True, True, False],
        "2": [5.0, 5.0, 5.0, 5.0, 5.0],
        "my cells": [1.0, 2.0, 3.0, 5.0, 8.0],
        "one": ["x"] * 5,
    },
    index=list("vwxyz"),
)
DEPTH = np.log(CELLS["nUMI"].to_numpy())
MITO = CELLS["percent.mito"].to_numpy()


def design(formula):
    return parse_formula(formula, CELLS.columns).design(CELLS)


@pytest.mark.parametrize(
    ("formula", "names", "last"),
    [
        ("log(nUMI) + percent.mito", ["Intercept", "log(nUMI)", "percent.mito"], MITO),
        ("~ log(percent.mito)", ["Intercept", "log(percent.mito)"], np.log(MITO)),
        ("`my cells`", ["Intercept", "my cells"], CELLS["my cells"]),
        ("log(nUMI):percent.mito", ["Intercept", "log(nUMI):percent.mito"], DEPTH * MITO),
        ("I(nUMI + percent.mito)", ["Intercept", "I(nUMI + percent.mito)"], CELLS["nUMI"] + MITO),
        ("I(nUMI ** 2)", ["Intercept", "I(nUMI ** 2)"], CELLS["nUMI"] ** 2),
        ("batch", ["Intercept", "batch[T.b]", "batch[T.c]"], [0, 0, 0, 0, 1]),
        ("flag", ["Intercept", "flag[T.True]"], [1, 0, 1, 1, 0]),
        ("1", ["Intercept"], np.ones(5)),
    ],
)
def test_design__columns(formula, names, last):
    found = design(formula)
    assert list(found.names) == names
    np.testing.assert_allclose(found.matrix[:, -1], last, rtol=1e-14)
    assert (found.offset == 0).all()


@pytest.mark.parametrize(
    ("inner", "values"),
    [
        ("log(nUMI)", DEPTH),
        ("log(nUMI) - log(percent.mito)", DEPTH - np.log(MITO)),
        ("log(nUMI) - 1", DEPTH - 1),
        ("log(nUMI / 1e4)", DEPTH - np.log(1e4)),
        ("2 * log(nUMI)", 2 * DEPTH),
        ("-percent.mito", -MITO),
    ],
)
def test_design__offset_is_arithmetic(inner, values):
    np.testing.assert_allclose(design(f"percent.mito + offset({inner})").offset, values, rtol=1e-13)


def test_design__offsets_add_up():
    np.testing.assert_allclose(design("offset(nUMI) + offset(percent.mito)").offset, CELLS["nUMI"] + MITO)


def test_parse_formula__makes_identifiers_of_names():
    model = parse_formula("percent.mito + offset(log(nUMI))", ["nUMI", "percent.mito"])
    assert (model.terms, model.offsets) == ("percent_mito_1", ("log(nUMI)",))
    assert model.columns == ("nUMI", "percent.mito")


@pytest.mark.parametrize("formula", ["poly(nUMI, 2)", "bs(nUMI, df=4)", "scale(nUMI)"])
def test_design__stateful_transforms_find_their_column(formula):
    assert np.isfinite(design(formula).matrix).all()


def test_design__levels_that_are_absent_are_dropped_and_a_single_one_is_named():
    model = parse_formula("batch + one", CELLS.columns)
    found = model.design(CELLS.assign(batch=CELLS["batch"].astype("category")).iloc[:4])
    assert found.names == ("Intercept", "batch[T.b]")
    assert found.dropped == ("one",)
    assert found.problem() is None


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y ~ nUMI", OptionError, "without a response"),
        ("log(nUMI", OptionError, "parentheses do not match"),
        ("nUMI batch", OptionError, "cannot be read"),
        ("batch | nUMI", OptionError, "random effect"),
        ("offset(nUMI):batch", OptionError, "a term of its own"),
        ("nUM", MissingKeyError, r"did you mean 'nUMI'\?"),
        ("offset(batch)", DesignError, r"offset\(batch\) .*not one number a cell|cannot be evaluated"),
        ("offset(one)", DesignError, "'one' holds text"),
        ("log(nUMI - 10)", DesignError, "not finite in 1 cells"),
    ],
)
def test_design__says_what_is_wrong(formula, error, message):
    with pytest.raises(error, match=message):
        design(formula)
