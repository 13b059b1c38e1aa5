"""Contrasts between states of several enhancers, and their interaction, from one gene's counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats._checks import checked_regression
from scanlink.stats.influence import cooks_distance
from scanlink.stats.negbin import NegbinFit, fit_negbin
from scanlink.stats.poisson import PoissonFit, fit_poisson
from scanlink.stats.robust import SandwichKind, sandwich_influence

__all__ = ["StatesFit", "SubFit", "fit_states", "interaction_signs", "state_names"]

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]
StatesModel = Literal["joint", "separate"]


@dataclass(frozen=True)
class SubFit:
    """One regression: all states at once, or one state against the first.

    Attributes
    ----------
    cells
        Whose counts it has, 0-based; None for all.
    counts, design, offset
        What was regressed. ``design`` has the indicators of ``states`` at the columns ``targets``.
    states
        States whose contrasts it estimates.
    targets
        Their columns.
    fit
        The regression.
    theta
        Inverse dispersion of a negative binomial fit; None of a Poisson fit, and where there is no overdispersion.
    """

    cells: Cells | None
    counts: Floats
    design: Floats
    offset: Floats
    states: tuple[int, ...]
    targets: tuple[int, ...]
    fit: PoissonFit | NegbinFit
    theta: float | None

    def combination(self, weights: Floats) -> Floats:
        """Weights of the coefficients of a sum over this regression's states. Shape ``(n_terms,)``."""
        out = np.zeros(self.design.shape[1])
        out[list(self.targets)] = weights
        return out


@dataclass(frozen=True)
class StatesFit:
    """Contrasts of each state against the one in which no enhancer is open.

    Attributes
    ----------
    coef
        Contrasts, natural logarithm: state ``s`` is at ``s - 1``. Shape ``(n_states - 1,)``.
    parts
        The regressions that they come from: one, or one a state.
    state
        State of each cell. Shape ``(n_cells,)``.
    clusters
        As given to :func:`fit_states`.
    scale
        What each contrast is multiplied by where it is reported and compared: 1, or one over the number of open
        enhancers where they are coded as a dosage. Shape ``(n_states - 1,)``.
    """

    coef: Floats
    parts: tuple[SubFit, ...]
    state: Cells
    clusters: Cells | None
    scale: Floats

    @property
    def converged(self) -> bool:
        """Whether every regression arrived."""
        return all(part.fit.converged for part in self.parts)

    @property
    def n_enhancers(self) -> int:
        """How many enhancers there are."""
        return int(np.log2(self.coef.size + 1))

    @cached_property
    def quantities(self) -> Floats:
        """What is tested, as sums of contrasts: each of them, then the interaction. Shape ``(n_states, n_states - 1)``.

        The interaction of k enhancers is the sum over their sets S of ``(-1)^(k - |S|) b_S``; of two,
        ``b11 - b10 - b01``.
        """
        return np.vstack([np.eye(self.coef.size), interaction_signs(self.n_enhancers)]) * self.scale

    def of(self, contrasts: Floats) -> Floats:
        """Contrasts as reported, interaction, and RERI, of one set of contrasts or of many.

        Parameters
        ----------
        contrasts
            Shape ``(n_states - 1,)`` or ``(n_states - 1, n_replicates)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_states + 1,)`` or ``(n_states + 1, n_replicates)``. RERI is on the additive scale, ``exp(b11) -
            exp(b10) - exp(b01) + 1`` for two enhancers, whatever the scale of the others.
        """
        signs = interaction_signs(self.n_enhancers)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (contrasts.T * self.scale).T
            interaction = np.einsum("s,s...->...", signs, scaled)
            reri = np.einsum("s,s...->...", signs, np.exp(contrasts)) + (-1.0) ** self.n_enhancers
        return np.concatenate([scaled, interaction[None], reri[None]])

    @cached_property
    def estimates(self) -> Floats:
        """Contrasts as reported, interaction (natural log) and RERI. Shape ``(n_states + 1,)``."""
        return self.of(self.coef)

    def se(self, weights: ArrayLike) -> float:
        """Model-based standard error of a sum of contrasts.

        Parameters
        ----------
        weights
            What each contrast is multiplied by in the sum. Shape ``(n_states - 1,)``.

        Notes
        -----
        Contrasts from separate regressions share the cells of the first state, and so are not independent: the
        covariance of two of them is ``a' H_a^-1 (sum v_i z_i z_i') H_b^-1 b`` over the cells of both, with ``v_i`` the
        geometric mean of the two expected counts (times that of the negative binomial shrinkages).
        """
        w = np.asarray(weights, dtype=np.float64)
        if len(self.parts) == 1:
            sum_of = self.parts[0].combination(w)
            return float(np.sqrt(np.einsum("i,ij,j->", sum_of, self.parts[0].fit.covariance, sum_of)))
        # What each cell is expected to add, scaled so that every contrast alone has the error of its own regression.
        total = np.zeros(self.state.size)
        for part, weight in zip(self.parts, w, strict=True):
            if not weight:
                continue
            assert part.cells is not None
            target = part.targets[0]
            shrink = 1.0 if part.theta is None else 1.0 / (1.0 + part.fit.fitted / part.theta)
            along = np.einsum("ij,j->i", part.design, part.fit.covariance[target]) * np.sqrt(part.fit.fitted * shrink)
            total[part.cells] += weight * along * np.sqrt(part.fit.covariance[target, target] / np.sum(along * along))
        return float(np.sqrt(np.sum(total * total)))

    def se_robust(self, weights: ArrayLike, *, kind: SandwichKind = "HC3") -> float:
        """Standard error of a sum of contrasts, robust to how counts vary: see :func:`scanlink.stats.sandwich_se`.

        Parameters
        ----------
        weights
            What each contrast is multiplied by in the sum. Shape ``(n_states - 1,)``.
        kind
            Small-sample form.
        """
        w = np.asarray(weights, dtype=np.float64)
        n_units = self.state.size if self.clusters is None else int(self.clusters.max(initial=0)) + 1
        total = np.zeros(n_units)
        for part in self.parts:
            own = w[[s - 1 for s in part.states]]
            if not own.any():
                continue
            clusters = None if self.clusters is None else self.clusters
            if clusters is not None and part.cells is not None:
                clusters = clusters[part.cells]
            found = sandwich_influence(
                part.counts, part.fit.fitted, part.design, part.fit.covariance,
                target=part.combination(own), kind=kind, theta=part.theta, clusters=clusters,
            )  # fmt: skip
            if self.clusters is not None:
                total[: found.size] += found
            elif part.cells is not None:
                total[part.cells] += found
            else:
                total += found
        return float(np.sqrt(np.sum(total * total)))

    def reri_gradient(self) -> Floats:
        """Derivatives of RERI by the contrasts, for the delta method. Shape ``(n_states - 1,)``."""
        return np.asarray(interaction_signs(self.n_enhancers) * np.exp(self.coef))

    def cook_ratio(self) -> float:
        """Largest Cook's distance among cells with every enhancer open, over their mean.

        Notes
        -----
        Of :func:`scanlink.stats.cooks_distance`. Zhou et al. 2024 (Cell Genomics 4:100672) discard interactions where
        the ratio is above 5; in counts of single cells that is most of them (docs/epistasis.md).
        """
        part = self.parts[-1]
        rows = np.flatnonzero((self.state if part.cells is None else self.state[part.cells]) == self.coef.size)
        distance = cooks_distance(
            part.counts, part.fit.fitted, part.design, part.fit.covariance, rows=rows, theta=part.theta
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(distance.max(initial=0.0) / distance.mean()) if rows.size else float("nan")


def state_names(n_enhancers: int) -> list[str]:
    """Names of the states in their order: a digit an enhancer, 1 where it is open.

    Examples
    --------
    >>> state_names(2)
    ['00', '10', '01', '11']
    """
    return ["".join(str(state >> j & 1) for j in range(n_enhancers)) for state in range(2**n_enhancers)]


def interaction_signs(n_enhancers: int) -> Floats:
    """What each contrast is multiplied by in the interaction of all enhancers. Shape ``(2^k - 1,)``.

    Examples
    --------
    >>> interaction_signs(2)
    array([-1., -1.,  1.])
    """
    return np.array([(-1.0) ** (n_enhancers - state.bit_count()) for state in range(1, 2**n_enhancers)])


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
    clusters: NDArray[np.int64] | None = None,
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
    y: Floats, c: Floats, o: Floats, level: Cells, states: tuple[int, ...], family: str, cells: Cells | None
) -> SubFit:
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
