"""From a formula and a table of cells to the covariate design of one group."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import DesignError, MissingKeyError, OptionError, first_few
from scanlink.stats.design import culprit, dependent_columns

__all__ = ["GroupDesign", "Model", "parse_formula"]

Floats = NDArray[np.float64]

_FUNCTIONS = {"log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "sqrt": np.sqrt}


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
    """A parsed formula: terms for the design, and offsets."""

    formula: str  # as the user wrote it
    terms: str  # without offsets, in names that are Python identifiers
    offsets: tuple[str, ...]  # what stood inside ``offset(...)``
    columns: tuple[str, ...]  # those of the table of cells that are used
    aliases: tuple[str, ...]  # the identifier that stands for each of ``columns``

    def design(self, cells: pd.DataFrame, *, group: str = "all") -> GroupDesign:
        """Evaluate on the cells of one group, a row each, named by barcode.

        Factors have the levels that occur in these cells, the first in sorted order being the reference. Raises a
        DesignError if a covariate is missing in some cell or a term is not finite; names it, and the first cells.
        """
        table = cells.loc[:, list(self.columns)].copy()
        dropped = []
        for name in self.columns:
            column = table[name]
            if column.isna().any():
                bad = cells.index[column.isna()]
                raise DesignError(
                    f"covariate {name!r} is missing in {len(bad)} of {len(cells)} cells of group {group!r} "
                    f"({first_few(bad, most=3)}): remove those cells or fill the values in"
                )
            if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
                levels = sorted(column.astype(str).unique())
                table[name] = pd.Categorical(column.astype(str), categories=levels)
                if len(levels) == 1:
                    dropped.append(name)
            else:
                table[name] = column.astype(np.float64)
        table.columns = pd.Index(self.aliases)
        with np.errstate(all="ignore"):
            matrix, names = _evaluate(self.terms, table)
            offset = np.zeros(len(table))
            for inner in self.offsets:
                values, _ = _evaluate(_plain(inner), table)
                text = [
                    name
                    for name, short in zip(self.columns, self.aliases, strict=True)
                    if re.search(rf"\b{short}\b", inner) and not pd.api.types.is_numeric_dtype(table[short])
                ]
                if values.shape[1] != 1 or text:
                    raise DesignError(
                        f"offset({self._original(inner)}) is not one number a cell"
                        + (f": {first_few(text)} holds text" if text else "")
                    )
                offset += values[:, 0]
        names = [self._original(name) for name in names]
        for label, values in [*zip(names, matrix.T, strict=True), ("offset", offset)]:
            if not np.isfinite(values).all():
                bad = cells.index[~np.isfinite(values)]
                raise DesignError(
                    f"term {label!r} is not finite in {len(bad)} cells of group {group!r} ({first_few(bad, most=3)}), "
                    f"as the log of 0 is: check that covariate"
                )
        return GroupDesign(matrix, offset, tuple(names), tuple(dropped))

    def _original(self, name: str) -> str:
        for alias, column in zip(self.aliases, self.columns, strict=True):
            if alias != column:
                name = name.replace(alias, column)
        return name


def parse_formula(formula: str, columns: pd.Index | list[str]) -> Model:
    """Check a formula of covariates against the columns that exist in the table of cells.

    It is a right-hand side in R's notation, such as ``"log(nUMI) + percent.mito + batch"``; the intercept is implied,
    ``offset(...)`` is a known part of the log expected count, and the peak is added by the scan. Raises an OptionError
    if it cannot be read, and a MissingKeyError with the nearest name if it names a column that does not exist.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    names = [str(column) for column in columns]
    text = formula.strip()
    if text.count("~") > 1 or (("~" in text) and not text.startswith("~")):
        raise OptionError(
            f"formula {formula!r}: give the covariates only, without a response; the gene is the response"
        )
    if "|" in text:
        raise OptionError(
            f"formula {formula!r}: '|' would be a random effect or a second part; only sums of terms are known"
        )
    text, alias = _identifiers(text.removeprefix("~").strip(), names)
    column_of = {short: name for name, short in alias.items()}
    terms, offsets = _split_offsets(text, formula)
    try:
        needed: set[str] = set()
        for part in [terms, *map(_plain, offsets)]:
            needed |= {str(variable) for variable in Formula(part).required_variables}
            # What formulaic keeps to itself of poly(), bs() and the like.
            needed |= set(re.findall(r"[^\W\d]\w*", part)) & {*names, *column_of}
    except (FormulaicError, SyntaxError) as error:
        raise OptionError(f"formula {formula!r} cannot be read: {str(error).splitlines()[0]}") from error
    used = sorted(column_of.get(name, name) for name in needed if name not in _FUNCTIONS)
    for name in used:
        if name not in names:
            if re.search(rf"\b{re.escape(name)}\s*\(", formula):
                raise OptionError(
                    f"formula {formula!r} uses {name!r}, which is no function that is known; "
                    f"these are {', '.join(_FUNCTIONS)}, and offset"
                )
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise MissingKeyError(
                f"formula {formula!r} uses {name!r}, which is no column of the table of cells{hint}. "
                f"The columns are {first_few(names, most=20)}"
            )
    return Model(formula, terms, tuple(offsets), tuple(used), tuple(alias.get(name, name) for name in used))


def _evaluate(terms: str, table: pd.DataFrame) -> tuple[Floats, list[str]]:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        matrix = Formula(terms).get_model_matrix(table, context=_FUNCTIONS, na_action="ignore", output="pandas")
    except (FormulaicError, TypeError, ValueError) as error:
        raise DesignError(f"formula {terms!r} cannot be evaluated: {error}") from error
    names = [str(name) for name in matrix.columns]
    return np.ascontiguousarray(matrix.to_numpy(dtype=np.float64)), names


def _plain(inner: str) -> str:
    """Write an offset as arithmetic: without I(), + and - would join and drop terms."""
    return f"0 + I({inner})"


def _identifiers(text: str, columns: list[str]) -> tuple[str, dict[str, str]]:
    """Replace names that are not Python identifiers, such as ``percent.mito``, and say by what."""
    # Backticks alone would not do: formulaic takes what follows a dot for an attribute.
    odd = sorted((name for name in columns if name and not name.isidentifier()), key=len, reverse=True)
    alias = {
        name: re.sub(r"\W", "_", f"v{name}" if name[:1].isdigit() else name) + f"_{k}" for k, name in enumerate(odd, 1)
    }
    while set(alias.values()) & set(columns):
        alias = {name: f"{short}_" for name, short in alias.items()}
    if odd:
        # Without backticks only what can be nothing else: neither a number nor a sum.
        plain = [name for name in odd if re.fullmatch(r"(?!\d+$)[\w.]*[^\W\d][\w.]*", name)]
        quoted = "`(" + "|".join(map(re.escape, odd)) + ")`"
        bare = r"(?<![\w.`])(" + "|".join(map(re.escape, plain or ["`"])) + r")(?![\w.`(])"
        for pattern in (quoted, bare):
            text = re.sub(pattern, lambda found: alias[found.group(1)], text)
    return text, alias


def _split_offsets(text: str, formula: str) -> tuple[str, list[str]]:
    """Take ``offset(...)`` out of a sum of terms."""
    parts, depth, begin = [], 0, 0
    for position, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            break
        if sign == "+" and depth == 0:
            parts.append(text[begin:position].strip())
            begin = position + 1
    if depth != 0:
        raise OptionError(f"formula {formula!r}: the parentheses do not match")
    parts.append(text[begin:].strip())
    offsets = [part[len("offset(") : -1].strip() for part in parts if re.fullmatch(r"offset\(.+\)", part)]
    terms = [part for part in parts if part and not re.fullmatch(r"offset\(.+\)", part)]
    if any("offset(" in part for part in terms):
        raise OptionError(f"formula {formula!r}: offset(...) must be a term of its own, joined by +")
    return " + ".join(terms) or "1", offsets
