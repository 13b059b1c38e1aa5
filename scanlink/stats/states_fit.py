"""Fitted contrasts between states of several enhancers: estimates, and the errors of their sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from scanlink.stats._types import Floats, Ints
from scanlink.stats.negbin import NegbinFit
from scanlink.stats.poisson import PoissonFit
from scanlink.stats.robust import SandwichKind, cooks_distance, sandwich_influence

__all__ = ["StatesFit", "SubFit", "interaction_signs", "state_names"]


def state_names(n_enhancers: int) -> list[str]:
    """Name the states in their order: a digit an enhancer, 1 where it is open.

    Examples
    --------
    >>> state_names(2)
    ['00', '10', '01', '11']
    """
    return ["".join(str(state >> j & 1) for j in range(n_enhancers)) for state in range(2**n_enhancers)]


def interaction_signs(n_enhancers: int) -> Floats:
    """Return the factor of each contrast in the interaction of all enhancers. Shape ``(2^k - 1,)``.

    Examples
    --------
    >>> interaction_signs(2)
    array([-1., -1.,  1.])
    """
    return np.array([(-1.0) ** (n_enhancers - state.bit_count()) for state in range(1, 2**n_enhancers)])


@dataclass(frozen=True)
class SubFit:
    """One regression: all states at once, or one state against the first.

    Attributes
    ----------
    cells
        Cells that are regressed, 0-based; None for all.
    counts, design, offset
        What was regressed, a row a cell. ``design`` has the indicators of ``states`` at the columns ``targets``.
    states
        States whose contrasts it estimates.
    targets
        Columns of ``design`` with the indicators of ``states``.
    fit
        The fitted regression.
    theta
        Inverse dispersion of a negative binomial fit; None of a Poisson fit, and where there is no overdispersion.
    """

    cells: Ints | None
    counts: Floats
    design: Floats
    offset: Floats
    states: tuple[int, ...]
    targets: tuple[int, ...]
    fit: PoissonFit | NegbinFit
    theta: float | None

    def combination(self, weights: Floats) -> Floats:
        """Weigh the coefficients for a sum over this regression's states. Shape ``(n_terms,)``."""
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
        Cluster (donor) of each cell, from 0; None where cells are independent. Shape ``(n_cells,)``.
    scale
        What each contrast is multiplied by where it is reported and compared: 1, or one over the number of open
        enhancers where they are coded as a dosage. Shape ``(n_states - 1,)``.
    """

    coef: Floats
    parts: tuple[SubFit, ...]
    state: Ints
    clusters: Ints | None
    scale: Floats

    @property
    def converged(self) -> bool:
        """Tell whether every regression arrived."""
        return all(part.fit.converged for part in self.parts)

    @property
    def n_enhancers(self) -> int:
        """Count the enhancers."""
        return int(np.log2(self.coef.size + 1))

    @cached_property
    def quantities(self) -> Floats:
        """Return what is tested, as sums of contrasts. Shape ``(n_states, n_states - 1)``.

        Each of them, then the interaction. The interaction of k enhancers is the sum over their sets S of ``(-1)^(k -
        |S|) b_S``; of two, ``b11 - b10 - b01``.
        """
        return np.vstack([np.eye(self.coef.size), interaction_signs(self.n_enhancers)]) * self.scale

    def of(self, contrasts: Floats) -> Floats:
        """Compute contrasts as reported, interaction, and RERI, of one set of contrasts or of many.

        ``contrasts``, natural logarithm, are against the first state. Shape ``(n_states - 1,)`` or ``(n_states - 1,
        n_replicates)``, and of the result ``n_states + 1`` in place of ``n_states - 1``. RERI is on the additive scale,
        ``exp(b11) - exp(b10) - exp(b01) + 1`` for two enhancers, whatever the scale of the others.
        """
        signs = interaction_signs(self.n_enhancers)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (contrasts.T * self.scale).T
            interaction = np.einsum("s,s...->...", signs, scaled)
            reri = np.einsum("s,s...->...", signs, np.exp(contrasts)) + (-1.0) ** self.n_enhancers
        return np.concatenate([scaled, interaction[None], reri[None]])

    @cached_property
    def estimates(self) -> Floats:
        """Return contrasts as reported, interaction (natural log) and RERI. Shape ``(n_states + 1,)``."""
        return self.of(self.coef)

    def se(self, weights: ArrayLike) -> float:
        """Compute the model-based standard error of a sum of contrasts, times their ``weights`` (n_states - 1,).

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
        """Compute the error that :meth:`se` does, robust to how counts vary; ``kind`` as in :func:`sandwich_se`."""
        w = np.asarray(weights, dtype=np.float64)
        n_units = self.state.size if self.clusters is None else int(self.clusters.max(initial=0)) + 1
        total = np.zeros(n_units)
        for part in self.parts:
            part_weights = w[[s - 1 for s in part.states]]
            if not part_weights.any():
                continue
            clusters = self.clusters
            if clusters is not None and part.cells is not None:
                clusters = clusters[part.cells]
            influence = sandwich_influence(
                part.counts,
                part.fit.fitted,
                part.design,
                part.fit.covariance,
                target=part.combination(part_weights),
                kind=kind,
                theta=part.theta,
                clusters=clusters,
            )
            if self.clusters is not None:
                total[: influence.size] += influence
            elif part.cells is not None:
                total[part.cells] += influence
            else:
                total += influence
        return float(np.sqrt(np.sum(total * total)))

    def reri_gradient(self) -> Floats:
        """Return derivatives of RERI by the contrasts, for the delta method. Shape ``(n_states - 1,)``."""
        return np.asarray(interaction_signs(self.n_enhancers) * np.exp(self.coef))

    def cook_ratio(self) -> float:
        """Compare the largest :func:`cooks_distance` among cells with every enhancer open with their mean.

        Zhou et al. 2024 (Cell Genomics 4:100672) discard interactions where
        the ratio is above 5; in counts of single cells that is most of them (docs/epistasis.md).
        """
        part = self.parts[-1]
        rows = np.flatnonzero((self.state if part.cells is None else self.state[part.cells]) == self.coef.size)
        distance = cooks_distance(
            part.counts, part.fit.fitted, part.design, part.fit.covariance, rows=rows, theta=part.theta
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(distance.max(initial=0.0) / distance.mean()) if rows.size else float("nan")
