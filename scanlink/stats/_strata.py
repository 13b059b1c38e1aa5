"""Designs with many columns of two values, such as those of a factor of many levels, summed by strata of cells.

Cells alike in all of these columns form a stratum. What a regression sums over cells for every two terms then follows
from sums over each stratum, whose number of terms is that of the other columns. The terms stay what they are, so that
only rounding tells the results from those of the whole design. Of small designs there are no strata: None, and all
sums are over their columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scanlink.stats._compile import compiled
from scanlink.stats._types import Floats, Ints
from scanlink.stats._vector import dot, linear_predictor, weighted_products

# With fewer columns of two values, strata save nothing; with fewer cells a stratum, little.
_FEWEST_COLUMNS, _FEWEST_CELLS = 8, 8


class Strata(NamedTuple):
    """The columns of a design that are constant in each stratum."""

    # Stratum of each cell, from 0. Shape (n_cells,).
    codes: Ints
    # Shape (n_strata, r).
    values: Floats
    # The term that each of the r columns is, and then each of the other ones. Shape (n_terms,).
    term: Ints


def split_strata(design: Floats, *, apart: Sequence[int] = ()) -> tuple[Floats, Strata | None]:
    """Take a design, a row a cell, apart: its other columns, and the strata; None and all columns where they are few.

    Columns ``apart`` stay with the other ones.
    """
    n, p = design.shape
    if p < _FEWEST_COLUMNS:
        return design, None
    first, n_values = _values(design)
    n_values[list(apart)] = 3
    columns = np.flatnonzero(n_values < 3)
    if np.count_nonzero(n_values == 2) < _FEWEST_COLUMNS:
        return design, None
    codes, cell_of = _number(design, columns, first, n // _FEWEST_CELLS)
    if not cell_of.size:
        return design, None
    others = np.flatnonzero(n_values > 2)
    values = np.ascontiguousarray(design[cell_of][:, columns])
    return np.ascontiguousarray(design[:, others]), Strata(codes, values, np.concatenate([columns, others]))


def plain(strata: Strata) -> Strata:
    """Return the strata with columns of the same span that have zeros: terms whose coefficients nobody asks for.

    A column for each stratum where there are as many terms as strata, as of one factor; else 1 where a term has not its
    commonest value. Centred columns would tell rare levels from each other by small differences of large sums.
    """
    values = strata.values
    n_strata, r = values.shape
    if r == n_strata and np.linalg.matrix_rank(values) == r:
        return strata._replace(values=np.eye(r))
    constant = np.ptp(values, axis=0) == 0
    if not (constant & (values[0] != 0)).any():
        return strata
    out, n_cells = np.ones(values.shape), np.bincount(strata.codes, minlength=n_strata)
    for k in np.flatnonzero(~constant):
        high = values[:, k] == values[:, k].max()
        out[:, k] = high if 2 * n_cells[high].sum() < strata.codes.size else ~high
    return strata._replace(values=out)


def in_plain_terms(strata: Strata, coef: Floats) -> tuple[Strata, Floats]:
    """Return :func:`plain` strata, and the coefficients that have the same linear predictor with them."""
    other, out = plain(strata), coef.copy()
    columns = strata.term[: strata.values.shape[1]]
    out[columns] = np.linalg.lstsq(other.values, stratum_part(strata, coef), rcond=None)[0]
    return other, out


@compiled
def _values(design: Floats) -> tuple[Floats, Ints]:
    """Find the first value of each column, and whether it has one, two or more (3)."""
    n, p = design.shape
    first, second, n_values = design[0].copy(), design[0].copy(), np.ones(p, dtype=np.int64)
    for i in range(n):
        for k in range(p):
            value = design[i, k]
            if value != first[k] and value != second[k]:
                n_values[k] = min(n_values[k] + 1, 3)
                second[k] = value
    return first, n_values


@compiled
def _number(design: Floats, columns: Ints, first: Floats, most: int) -> tuple[Ints, Ints]:
    """Number the combinations of columns of two values as they come; return the first cell of each; none of too many.

    A table of places found by a mixture of the bits, and looked through from there.
    """
    n, r = design.shape[0], columns.size
    size = 64
    while size < 4 * most:
        size *= 2
    table = np.full(size, -1, dtype=np.int64)
    codes, cell_of = np.empty(n, dtype=np.int64), np.empty(most + 1, dtype=np.int64)
    n_strata = 0
    for i in range(n):
        mixed = np.uint64(1)
        for k in range(r):
            if design[i, columns[k]] != first[columns[k]]:
                mixed = (mixed ^ np.uint64(k + 1)) * np.uint64(0x9E3779B97F4A7C15)
        place = np.int64(mixed >> np.uint64(40)) & (size - 1)
        while True:
            code = table[place]
            if code < 0:
                if n_strata >= most:
                    return codes, np.empty(0, dtype=np.int64)
                table[place] = code = n_strata
                cell_of[code] = i
                n_strata += 1
                break
            same = True
            for k in range(r):
                if design[i, columns[k]] != design[cell_of[code], columns[k]]:
                    same = False
                    break
            if same:
                break
            place = (place + 1) & (size - 1)
        codes[i] = code
    return codes, cell_of[:n_strata].copy()


@compiled
def drawn_strata(strata: Strata | None, cells: Ints) -> Strata | None:
    """Keep some of the cells."""
    if strata is None:
        return None
    else:  # noqa: RET505  (what is not compiled has to be in a branch)
        return Strata(strata.codes[cells], strata.values, strata.term)


@compiled
def predict(rows: Floats, strata: Strata | None, offset: Floats, coef: Floats, eta: Floats) -> None:
    """Compute the linear predictor; ``rows`` has a row for each term, or for each of those that strata leave."""
    if strata is None:
        linear_predictor(rows, offset, coef, eta)
    else:
        codes, values, term = strata
        r = values.shape[1]
        linear_predictor(rows, offset + stratum_part(strata, coef)[codes], coef[term[r : r + rows.shape[0]]], eta)


@compiled
def stratum_part(strata: Strata, coef: Floats) -> Floats:
    """Compute what the columns of two values add to the linear predictor of each stratum."""
    _, values, term = strata
    level = np.zeros(values.shape[0])
    for s in range(level.size):
        for k in range(values.shape[1]):
            level[s] += coef[term[k]] * values[s, k]
    return level


@compiled
def scores(rows: Floats, strata: Strata | None, residual: Floats, out: Floats) -> None:
    """Sum residuals times each term."""
    if strata is None:
        for k in range(out.size):
            out[k] = dot(residual, rows[k])
    else:
        codes, values, term = strata
        r = values.shape[1]
        total = np.zeros(values.shape[0])
        for i in range(residual.size):
            total[codes[i]] += residual[i]
        for k in range(r):
            out[term[k]] = dot(total, values[:, k].copy())
        for k in range(rows.shape[0]):
            out[term[r + k]] = dot(residual, rows[k])


@compiled
def products(rows: Floats, strata: Strata | None, weight: Floats, scratch: Floats, out: Floats) -> None:
    """Fill the lower triangle with the sums of weight times every two terms."""
    if strata is None:
        weighted_products(rows, weight, scratch, out)
    else:
        codes, values, term = strata
        n_strata, r = values.shape
        d = rows.shape[0]
        sums = np.zeros((n_strata, 1 + d))
        for i in range(weight.size):
            s, w = codes[i], weight[i]
            sums[s, 0] += w
            for k in range(d):
                sums[s, 1 + k] += w * rows[k, i]
        from_sums(strata, sums, out)
        for k in range(d):
            for i in range(weight.size):
                scratch[i] = weight[i] * rows[k, i]
            for m in range(k + 1):
                _put(out, term[r + k], term[r + m], dot(scratch, rows[m]))


@compiled
def from_sums(strata: Strata, sums: Floats, out: Floats) -> None:
    """Fill in the products with columns of two values, from each stratum's sums of weights, alone and by other term."""
    _, values, term = strata
    n_strata, r = values.shape
    d = sums.shape[1] - 1
    # A row for each column of two values, then one for each other term, of their products with the former.
    block = np.zeros((r + d, r))
    for s in range(n_strata):
        for k in range(r):
            weighted = sums[s, 0] * values[s, k]
            for m in range(k + 1):
                block[k, m] += weighted * values[s, m]
        for k in range(d):
            for m in range(r):
                block[r + k, m] += sums[s, 1 + k] * values[s, m]
    for k in range(r + d):
        for m in range(min(k + 1, r)):
            _put(out, term[k], term[m], block[k, m])


@compiled
def _put(out: Floats, k: int, m: int, value: float) -> None:
    """Write into the lower triangle."""
    out[max(k, m), min(k, m)] = value


@compiled
def quadratic_forms(rows: Floats, strata: Strata, matrix: Floats) -> Floats:
    """Compute z'Mz of every cell's terms z, with M symmetric."""
    codes, values, term = strata
    n_strata, r = values.shape
    d, n = rows.shape
    alone, with_row = np.zeros(n_strata), np.zeros((n_strata, d))
    for s in range(n_strata):
        for k in range(r):
            along = 0.0
            for m in range(r):
                along += matrix[term[k], term[m]] * values[s, m]
            alone[s] += along * values[s, k]
            for m in range(d):
                with_row[s, m] += 2.0 * matrix[term[k], term[r + m]] * values[s, k]
    out = np.empty(n)
    for i in range(n):
        s = codes[i]
        total = alone[s]
        for k in range(d):
            along = with_row[s, k]
            for m in range(d):
                along += matrix[term[r + k], term[r + m]] * rows[m, i]
            total += along * rows[k, i]
        out[i] = total
    return out
