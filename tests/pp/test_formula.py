"""Formulas: what is evaluated is what R would evaluate, and names may be odd."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from formulaic.transforms import TRANSFORMS, contrasts, patsy_compat

from scanlink.errors import DesignError, MissingKeyError, OptionError
from scanlink.pp.formula import parse_formula
from scanlink.pp.formula_syntax import _KEYWORDS

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


def test_parse_formula__columns_have_stand_ins():
    model = parse_formula("percent.mito + offset(log(nUMI))", ["nUMI", "percent.mito"])
    assert (model.syntax.terms, model.syntax.offsets) == ("column_1_", ["log(column_2_)"])
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


ODD = CELLS.assign(
    Intercept=[0.3, 0.1, 0.5, 0.2, 0.9], I=CELLS["nUMI"], C=MITO, exp=[0, 1, 0, 1, 1], scale=MITO, True_=MITO
).rename(columns={"True_": "True"})


@pytest.mark.parametrize("name", ["Intercept", "I", "C", "exp", "scale", "True"])
def test_design__a_column_named_like_a_function_is_that_column(name):
    found = parse_formula(f"log(nUMI) + {name}", ODD.columns).design(ODD)
    assert found.names == ("Intercept", "log(nUMI)", name)
    np.testing.assert_array_equal(found.matrix, np.column_stack([np.ones(5), DEPTH, ODD[name]]))


def test_design__functions_stay_beside_columns_of_their_names():
    found = parse_formula("exp(exp) + I(I ** 2) + C(C > 2) + offset(scale - I)", ODD.columns).design(ODD)
    assert found.names == ("Intercept", "exp(exp)", "I(I ** 2)", "C(C > 2.0)[T.True]")
    expected = [np.ones(5), np.exp(ODD["exp"]), ODD["I"] ** 2, ODD["C"] > 2]
    np.testing.assert_allclose(found.matrix, np.column_stack(expected).astype(float))
    np.testing.assert_allclose(found.offset, ODD["scale"] - ODD["I"])


def test_design__a_level_is_not_taken_for_a_column():
    cells = CELLS.assign(batch=["column_1_", "a", "b", "column_1_", "a"])
    assert parse_formula("batch", cells.columns).design(cells).names[0] == "Intercept"


def test_design__a_name_with_a_dash_is_a_column_and_says_so(caplog):
    cells = CELLS.assign(**{"age-group": ["x", "y", "x", "y", "y"], "age": MITO, "group": MITO})
    assert parse_formula("age-group", cells.columns).design(cells).names == ("Intercept", "age-group[T.y]")
    assert "'age-group' is taken for the column" in caplog.text
    model = parse_formula("age * group - age:group", cells.columns)
    assert model.design(cells).names == ("Intercept", "age", "group")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("factor(batch)", r"write C\(batch\)"),
        ("as.factor(batch)", r"write C\(batch\)"),
        ("ns(nUMI, 3)", r"write cr\("),
        ("nUMI^2", r"write I\(age \*\* 2\)"),
        ("log(nUMI)**2", r"write I\(age \*\* 2\)"),
        ("I(nUMI^2)", r"written with \*\*"),
        ("log(nUMI, 2)", "log2"),
        ("nUMI - batch", "takes away 'batch', which is no term"),
        ("nUMI +", "a term was expected after '\\+'"),
        (".", "name those that are meant"),
        ("np.log(nUMI)", "'np.log', which is no function that is known"),
        ("bs(nUMI, df=1000000)", "a number up to 100"),
        ("bs(nUMI, df=9 ** 9)", "a number up to 100"),
        ("I(nUMI ** 99)", "a number up to 9"),
    ],
)
def test_parse_formula__says_what_to_write(formula, message):
    with pytest.raises(OptionError, match=message):
        parse_formula(formula, CELLS.columns)


def test_parse_formula__a_missing_name_with_dots_is_named_whole():
    with pytest.raises(MissingKeyError, match=r"uses 'percent\.mito', which is no column"):
        parse_formula("log(nUMI) + percent.mito", ["nUMI", "percent"])


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').mkdir('ran')",
        "{__import__('os').mkdir('ran')}",
        "I(nUMI.__class__.__init__.__globals__['os'].mkdir('ran'))",
        "[__import__('os').mkdir('ran') for x in (1,)]",
        "`__import__('os').mkdir('ran')`",
        "I((lambda: __import__('os').mkdir('ran'))())",
        "C(batch, contr.treatment(base=__import__('os').mkdir('ran')))",
        "C(batch, 'a' if __import__('os').mkdir('ran') else 'b')",
        "bs(nUMI, df=eval('4'))",
        "log(nUMI) + f'{1}'",
        "exec('x')",
    ],
)
def test_parse_formula__runs_nothing(formula, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((OptionError, MissingKeyError)):
        parse_formula(formula, CELLS.columns)
    assert not list(tmp_path.iterdir())


def test_design__powers_of_powers_end():
    with pytest.raises(DesignError, match="out of range"):
        parse_formula("I(" + "(" * 60 + "9" + "**9)" * 60 + ")", CELLS.columns).design(CELLS)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (patsy_compat.Treatment, "reference"),
        (contrasts.HelmertContrasts, "reverse scale"),
        (contrasts.DiffContrasts, "backward"),
        (contrasts.PolyContrasts, "scores"),
        (contrasts.C, "contrasts levels spans_intercept"),
        (TRANSFORMS["scale"], "center scale ddof"),
        (TRANSFORMS["poly"], "degree raw"),
        (TRANSFORMS["bs"], "df knots degree include_intercept lower_bound upper_bound extrapolation"),
        (TRANSFORMS["cr"], "df knots lower_bound upper_bound constraints extrapolation"),
    ],
)
def test_formula__arguments_of_functions_are_called_as_formulaic_calls_them(function, arguments):
    there = set(inspect.signature(getattr(function, "__wrapped__", function)).parameters)
    assert set(arguments.split()) <= there & set(_KEYWORDS)


def test_design__reference_of_a_factor_is_the_one_that_is_named():
    for formula in ("C(batch, Treatment('b'))", "C(batch, Treatment(reference='b'))"):
        np.testing.assert_array_equal(design(formula).matrix[:, 1], CELLS["batch"] == "a")


def test_design__columns_called_like_a_stand_in_keep_their_names():
    cells = CELLS.assign(column_2_=CELLS["nUMI"] ** 2)
    found = parse_formula("column_2_ + nUMI", cells.columns).design(cells)
    assert list(found.names) == ["Intercept", "column_2_", "nUMI"]
    np.testing.assert_array_equal(found.matrix[:, 2], CELLS["nUMI"])


def test_design__products_of_names_of_cells_are_refused_before_they_fill_the_memory():
    n = 3_000
    names = [f"x{i}" for i in range(n)]
    cells = pd.DataFrame({"a": names, "b": names[::-1], "number": np.arange(n), "two": ["u", "v"] * (n // 2)})
    for formula in ("a:b", "a*b", "C(number):a", "two + a:b"):
        with pytest.raises(DesignError, match=r"has some 9,000,000 columns, .* and there are 3,000 cells"):
            parse_formula(formula, cells.columns).design(cells)
    assert parse_formula("two:number + C(two)", cells.columns).design(cells).matrix.shape == (n, 4)
