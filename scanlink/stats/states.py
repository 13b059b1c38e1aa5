"""Contrasts between states of several enhancers, and their interaction, from one gene's counts."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats._checks import checked_regression
from scanlink.stats._types import Floats, Ints
from scanlink.stats.negbin import NegbinFit, fit_negbin
from scanlink.stats.poisson import PoissonFit, fit_poisson
from scanlink.stats.states_fit import StatesFit, SubFit

__all__ = ["fit_states"]

StatesModel = Literal["joint", "separate"]


def fit_states(
    counts: ArrayLike,
    state: ArrayLike,
    design: ArrayLike,
    *,
    n_enhancers: int = 2,
    offset: ArrayLike | None = None,
    family: str = "poisson",
    model: StatesModel = "joint",
    dosage: bool = False,
    clusters: Ints | None = None,
) -> StatesFit:
    """Regress a gene's counts on which of several enhancers are open.

    Parameters
    ----------
    counts
        Raw UMI counts of one gene. Shape ``(n_cells,)``.
    state
        Which enhancers are open in a cell, bit j for enhancer j + 1: 0 is 00, 1 is 10, 2 is 01, 3 is 11. Shape
        ``(n_cells,)``.
    design
        Intercept and covariates. Shape ``(n_cells, n_terms)``.
    n_enhancers
        k of the ``2^k`` states.
    offset
        Known part of the log expected count. Shape ``(n_cells,)``; none when left out.
    family
        ``"poisson"`` or ``"negbin"``.
    model
        ``"joint"``: one regression of all cells on indicators of all states but the first. ``"separate"``: one a
        state, on the cells of that state and of the first.
    dosage
        Code a state by its number of open enhancers, as the epistasis scripts that came before this did: the contrast
        of 11 is then halved, and so falls below the sum of the single ones where effects multiply.
    clusters
        Cluster (donor) of each cell, from 0, for robust errors. Shape ``(n_cells,)``.

    Returns
    -------
    StatesFit
        Contrasts, and methods for errors of their sums. A contrast that the covariates explain is NaN.

    Raises
    ------
    InputError
        If shapes differ, states lie outside ``0`` to ``2^k - 1``, or counts are negative or not finite.
    DesignError
        If there are fewer cells than terms.
    OptionError
        If ``family`` or ``model`` is not known.

    Notes
    -----
    Sections 2 and 3 of the epistasis notes. ``log mu = o + C gamma + sum_s b_s [state = s]``; for two enhancers the
    interaction ``b11 - b10 - b01`` is the coefficient of ``x1 x2`` in ``log mu = o + C gamma + b1 x1 + b2 x2 +
    d x1 x2``, with the same likelihood. Estimates and errors are those of R's ``glm`` (``MASS::glm.nb``), to rounding.

    Examples
    --------
    Expected counts 1, 2, 3 and 6: the effects multiply, and go beyond their sum.

    >>> import numpy as np
    >>> fit = fit_states([1, 1, 2, 2, 3, 3, 6, 6], np.repeat([0, 1, 2, 3], 2), np.ones((8, 1)))
    >>> np.exp(fit.coef).round(6), np.abs(fit.estimates[-2:]).round(6)  # contrasts; interaction and RERI
    (array([2., 3., 6.]), array([0., 2.]))
    """
    y, c, o = checked_regression(counts, design, offset)
    level = np.asarray(state)
    n_states = 2**n_enhancers
    if level.shape != y.shape or (level.size and not (level.min() >= 0 and level.max() < n_states)):
        raise InputError(
            f"state has shape {level.shape} and runs from {level.min(initial=0)} to {level.max(initial=0)}, expected "
            f"{y.size} numbers from 0 to {n_states - 1}"
        )
    if family not in ("poisson", "negbin"):
        raise OptionError(f"family {family!r} is not known; expected 'poisson' or 'negbin'")
    if model not in ("joint", "separate"):
        raise OptionError(f"model {model!r} is not known; expected 'joint' or 'separate'")
    level = level.astype(np.int64)
    if model == "joint":
        parts = [_part(y, c, o, level, tuple(range(1, n_states)), family, None)]
    else:
        parts = []
        for s in range(1, n_states):
            cells = np.flatnonzero((level == 0) | (level == s))
            parts.append(_part(y[cells], c[cells], o[cells], level[cells], (s,), family, cells))
    coef = np.concatenate([part.fit.coef[list(part.targets)] for part in parts])
    n_open = np.array([s.bit_count() for s in range(1, n_states)], dtype=np.float64)
    return StatesFit(coef, tuple(parts), level, clusters, 1.0 / n_open if dosage else np.ones(coef.size))


def _part(
    y: Floats, c: Floats, o: Floats, level: Ints, states: tuple[int, ...], family: str, cells: Ints | None
) -> SubFit:
    """Fit one regression, of the cells of some states and of the first."""
    # As R's formula has it: intercept, states, covariates. What is collinear is left out from the right.
    first = int(c.shape[1] > 0 and c.shape[0] > 0 and np.ptp(c[:, 0]) == 0)
    indicators = (level[:, None] == np.array(states)).astype(np.float64)
    design = np.ascontiguousarray(np.hstack([c[:, :first], indicators, c[:, first:]]))
    if design.shape[0] < design.shape[1]:
        raise DesignError(f"{design.shape[0]} cells for {design.shape[1]} terms: leave out terms, or the pair")
    targets = tuple(range(first, first + len(states)))
    fit: PoissonFit | NegbinFit
    theta = None
    if family == "poisson":
        fit = fit_poisson(y, design, offset=o)
    else:
        fit = fit_negbin(y, design, offset=o)
        theta = None if np.isnan(fit.theta) else fit.theta
    return SubFit(cells, y, design, o, states, targets, fit, theta)
