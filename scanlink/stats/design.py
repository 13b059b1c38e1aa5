"""Checks on a covariate matrix: which column cannot be told apart from the others, and a well-scaled version."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scanlink.errors import DesignError
from scanlink.stats._types import Floats

__all__ = ["culprit", "dependent_columns", "rescale"]

# Share of a column's length that the columns before it leave unexplained; R's glm uses 1e-11 on the same scale.
_TOLERANCE = 1e-9


def dependent_columns(design: Floats) -> list[int]:
    """Find the columns that are linear combinations of the columns before them.

    Parameters
    ----------
    design
        Covariates, a column a term. Shape ``(n_cells, n_terms)``.

    Returns
    -------
    list of int
        Their positions, in order; empty for a matrix of full rank.

    Raises
    ------
    DesignError
        If a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> dependent_columns(np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 1.0], [1.0, 2.0, 3.0]]))
    [1]
    """
    if not np.isfinite(design).all():
        raise DesignError("the design has values that are not finite")
    dependent: list[int] = []
    basis: list[Floats] = []
    for j in range(design.shape[1]):
        column = design[:, j].astype(np.float64)
        length = float(np.linalg.norm(column))
        # Twice, because one pass of Gram-Schmidt loses orthogonality for nearly dependent columns.
        for _ in range(2):
            for direction in basis:
                column = column - direction * (direction @ column)
        remainder = float(np.linalg.norm(column))
        if length == 0.0 or remainder <= _TOLERANCE * length or len(basis) >= design.shape[0]:
            dependent.append(j)
        else:
            basis.append(column / remainder)
    return dependent


def culprit(design: Floats, names: Sequence[str], column: int) -> str:
    """Say in words why a column is dependent.

    Parameters
    ----------
    design
        Covariates, a column a term. Shape ``(n_cells, n_terms)``.
    names
        Name of each column.
    column
        Position of a dependent column.

    Examples
    --------
    >>> import numpy as np
    >>> culprit(np.array([[1.0, 2.0], [1.0, 2.0]]), ["Intercept", "age"], 1)
    "'age' is constant (2)"
    """
    values = design[:, column]
    if np.ptp(values) == 0:
        return f"{names[column]!r} is constant ({values[0]:g})"
    earlier = design[:, :column]
    coef, *_ = np.linalg.lstsq(earlier, values, rcond=None)
    scale = np.abs(coef) * np.linalg.norm(earlier, axis=0)
    involved = [names[j] for j in range(column) if scale[j] > 1e-6 * np.linalg.norm(values)]
    return f"{names[column]!r} is a combination of {', '.join(map(repr, involved))}"


def rescale(design: Floats) -> Floats:
    """Centre and scale the columns beside an intercept, which changes no other term's coefficient.

    Parameters
    ----------
    design
        Covariates, a column a term. Shape ``(n_cells, n_terms)``. Without a constant column it is returned as it is.

    Returns
    -------
    numpy.ndarray
        Same shape and same column space.

    Examples
    --------
    >>> import numpy as np
    >>> rescale(np.array([[1.0, 10.0], [1.0, 30.0]]))
    array([[ 1., -1.],
           [ 1.,  1.]])
    """
    constant = np.ptp(design, axis=0) == 0
    if not (constant & (design[0] != 0)).any():
        return np.ascontiguousarray(design)
    scaled = design.astype(np.float64, copy=True)
    varying = ~constant
    scaled[:, varying] -= scaled[:, varying].mean(axis=0)
    scaled[:, varying] /= scaled[:, varying].std(axis=0)
    return np.ascontiguousarray(scaled)
