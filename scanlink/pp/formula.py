"""From a formula and a table of cells to the covariate design of one group."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import DesignError, OptionError, first_few
from scanlink.pp.formula_syntax import Syntax, read_syntax
from scanlink.stats.design import culprit, dependent_columns

__all__ = ["GroupDesign", "Model", "parse_formula"]

Floats = NDArray[np.float64]

_FUNCTIONS = {"log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "sqrt": np.sqrt}

_MOST_VALUES = 2**28  # of one term: 2 GiB


@dataclass(frozen=True)
class GroupDesign:
    """Covariates of the cells of one group."""

    matrix: Floats  # shape ``(n_cells, n_terms)``
    offset: Floats  # natural-log scale, 0 where the formula has none; shape ``(n_cells,)``
    names: tuple[str, ...]  # of the columns of ``matrix``
    dropped: tuple[str, ...]  # factors left out because all of the cells are on one level

    def problem(self) -> str | None:
        """Say what keeps the design from being used; None if its columns are independent."""
        culprits = [culprit(self.matrix, self.names, column) for column in dependent_columns(self.matrix)]
        return "; ".join(culprits) or None


@dataclass(frozen=True)
class Model:
    """A formula that was read: it makes the design of any cells that have its columns."""

    syntax: Syntax

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table of cells that are used, in sorted order."""
        return tuple(sorted(self.syntax.columns.values()))

    def design(self, cells: pd.DataFrame, *, group: str = "all") -> GroupDesign:
        """Evaluate on the cells of one group, a row each, named by barcode.

        Factors have the levels that occur in these cells, the first in sorted order being the reference. Raises a
        DesignError if a covariate is missing in some cell or a term is not finite; names it, and the first cells.
        """
        stand_ins, dropped = {column: name for name, column in self.syntax.columns.items()}, []
        table = cells.loc[:, list(stand_ins)].set_axis(list(stand_ins.values()), axis=1)
        for name in self.columns:
            column = cells[name]
            if column.isna().any():
                bad = cells.index[column.isna()]
                raise DesignError(
                    f"covariate {name!r} is missing in {len(bad)} of {len(cells)} cells of group {group!r} "
                    f"({first_few(bad, most=3)}): remove those cells or fill the values in"
                )
            if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
                levels = sorted(column.astype(str).unique())
                table[stand_ins[name]] = pd.Categorical(column.astype(str), categories=levels)
                if len(levels) == 1:
                    dropped.append(name)
            else:
                table[stand_ins[name]] = column.astype(np.float64)
        with np.errstate(all="ignore"):
            matrix, names = _evaluate(self.syntax.terms, table, self.syntax.original)
            offset = sum((self._offset(inner, table) for inner in self.syntax.offsets), np.zeros(len(table)))
        for label, values in [*zip(names, matrix.T, strict=True), ("offset", offset)]:
            if not np.isfinite(values).all():
                bad = cells.index[~np.isfinite(values)]
                raise DesignError(
                    f"term {label!r} is not finite in {len(bad)} cells of group {group!r} ({first_few(bad, most=3)}), "
                    f"as the log of 0 is: check that covariate"
                )
        return GroupDesign(matrix, offset, tuple(names), tuple(dropped))

    def _offset(self, inner: str, table: pd.DataFrame) -> Floats:
        original = self.syntax.original
        values, _ = _evaluate(_plain(inner), table, original)
        text = [name for name in map(str, table) if name in inner and not pd.api.types.is_numeric_dtype(table[name])]
        if values.shape[1] != 1 or text:
            raise DesignError(
                f"offset({original(inner)}) is not one number a cell"
                + (f": {original(first_few(text))} holds text" if text else "")
            )
        return values[:, 0]


def parse_formula(formula: str, columns: pd.Index | list[str]) -> Model:
    """Check a formula of covariates against the columns that exist; nothing of it is evaluated.

    It is the right-hand side in R's notation, such as ``"log(nUMI) + percent.mito + batch"``: the intercept is implied,
    ``offset(...)`` is a known part of the log expected count, and the peak is added by the scan. Raises an OptionError
    if it cannot be read, and a MissingKeyError, with the nearest name, if it names a column that does not exist.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    syntax = read_syntax(formula, [str(column) for column in columns])
    try:
        kept, *_ = [Formula(part) for part in (" + ".join(syntax.plus) or "1", *map(_plain, syntax.offsets))]
        for term in syntax.minus:
            if term not in ("0", "1") and not {*Formula(f"0 + {term}")} & {*kept}:
                raise OptionError(
                    f"formula {formula!r} takes away {syntax.original(term)!r}, which is no term of it; a difference "
                    "of columns is written I(a - b), and a column whose name has a dash in backticks"
                )
    except (FormulaicError, SyntaxError, RecursionError) as error:
        reason = syntax.original(str(error).splitlines()[0])
        raise OptionError(f"formula {formula!r} cannot be read: {reason}") from error
    return Model(syntax)


def _evaluate(terms: str, table: pd.DataFrame, original: Callable[[str], str]) -> tuple[Floats, list[str]]:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        formula = Formula(terms)
        _refuse_wide(formula, table, original)
        matrix = formula.get_model_matrix(table, context=_FUNCTIONS, na_action="ignore", output="pandas")
    except (
        FormulaicError,
        SyntaxError,
        RecursionError,
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
    ) as error:
        raise DesignError(f"formula {original(terms)!r} cannot be evaluated: {original(str(error))}") from error
    names = [original(str(name)) for name in matrix.columns]
    return np.ascontiguousarray(matrix.to_numpy(dtype=np.float64)), names


def _refuse_wide(formula: Any, table: pd.DataFrame, original: Callable[[str], str]) -> None:
    """Refuse products of factors that have more columns than there are cells, and more than memory is for."""
    for term in formula:
        width = math.prod(_n_levels(factor.expr, table) for factor in term.factors)
        if width > len(table) and width * len(table) > _MOST_VALUES:
            raise DesignError(
                f"term {original(str(term))!r} has some {width:,} columns, one for each combination of levels, and "
                f"there are {len(table):,} cells; fewer columns were expected. Is one of its factors a name of cells?"
            )


def _n_levels(factor: str, table: pd.DataFrame) -> int:
    """Count the levels that the text of a factor has; numbers are one column."""
    columns = [table[name] for name in map(str, table) if re.search(rf"\b{name}\b", factor)]
    is_factor = factor.startswith("C(")
    return max((column.nunique() for column in columns if is_factor or column.dtype == "category"), default=1)


def _plain(inner: str) -> str:
    """Write an offset as arithmetic: without I(), + and - would join and drop terms."""
    return f"0 + I({inner})"
