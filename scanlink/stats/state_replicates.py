"""Bootstrap replicates of the contrasts between states: one resampling for all coefficients of an enhancer pair."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._refit import refit
from scanlink.stats._types import Bools, Floats
from scanlink.stats.moments import GeneMoments
from scanlink.stats.replicates import LOOSE, Shared, in_pieces
from scanlink.stats.resample import WeightBlock
from scanlink.stats.state_moments import StateMoments, StateSums
from scanlink.stats.states_fit import StatesFit, SubFit

__all__ = ["StateReplicates"]


class _Contrasts(NamedTuple):
    """Contrasts of a block of replicates, what they may be wrong by, and which are not known at all."""

    values: Floats
    error: Floats
    unknown: Bools


class StateReplicates:
    """The contrasts of one gene between the states of its enhancers, to be resampled.

    Parameters
    ----------
    fit
        The unweighted fit.
    moments
        The gene's expansion around its fit without states, for Poisson counts; None has every replicate refitted.

    Attributes
    ----------
    estimate
        Contrasts and interaction (natural log), then RERI, of the unweighted fit. Shape ``(n_states + 1,)``.
    n_refitted
        Replicates so far that needed a full refit of all regressions.

    Notes
    -----
    Section 4 of the association notes with several coefficients. The classes of the moment solver are the states
    within the strata of the covariates; the sums over them are taken once and serve the joint regression, and each of
    the separate ones. A replicate is refitted if any of its quantities may lie on the other side of twice its estimate,
    or is not known to a quarter of its standard error.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import Covariates, GeneReplicates, Weights, fit_states, resample_key
    >>> rng = np.random.default_rng(0)
    >>> state, depth = rng.choice(4, size=800, p=[0.6, 0.15, 0.15, 0.1]), rng.normal(size=800)
    >>> counts = rng.poisson(np.exp(-0.5 + 0.4 * depth + 0.3 * (state > 0))).astype(float)
    >>> design = np.column_stack([np.ones(800), depth])
    >>> gene = GeneReplicates(Covariates.of(design, np.zeros(800)), counts)
    >>> states = StateReplicates(fit_states(counts, state, design), gene.moments)
    >>> states.replicates(gene.shared(Weights(resample_key(0, "B"), 800).block(0, 100))).shape
    (5, 100)
    """

    def __init__(self, fit: StatesFit, moments: GeneMoments | None) -> None:
        self.fit = fit
        self.estimate = fit.estimates
        self.n_refitted = 0
        self._se = np.array(
            [
                *(fit.se_robust(row, kind="HC0") for row in fit.quantities),
                fit.se_robust(fit.reri_gradient(), kind="HC0"),
            ]
        )
        self._states: StateMoments | None = None
        usable = fit.converged and np.isfinite(fit.coef).all() and all(part.theta is None for part in fit.parts)
        if moments is not None and usable:
            self._states = StateMoments(moments, fit.state, fit.coef.size + 1)

    @property
    def nbytes(self) -> int:
        """Estimate how many bytes are kept."""
        return sum(part.design.nbytes + 2 * part.counts.nbytes for part in self.fit.parts) + (
            0 if self._states is None else self._states.nbytes
        )

    def replicates(self, shared: Shared) -> Floats:
        """Compute contrasts, interaction and RERI in every replicate of a block, from :meth:`GeneReplicates.shared`.

        Shape ``(n_states + 1, n_replicates)``. Each on the same side of twice its estimate as the full refit; NaN where
        that is undefined.
        """
        block = shared.block
        if self._states is None or shared.features is None or shared.sums is None:
            self.n_refitted += block.n_replicates
            return self.fit.of(self._refit(block, np.arange(block.n_replicates)))
        sums = self._states.sums(block.cells, shared.features, shared.sums, block.n_replicates)
        contrasts = self._solve(sums)
        out = self.fit.of(contrasts.values)
        spread = np.vstack(
            [(contrasts.error.T * self.fit.scale).T, np.einsum("s,sr->r", self.fit.scale, contrasts.error)]
        )
        with np.errstate(over="ignore", invalid="ignore"):
            # RERI is a sum of exponentials, each of which rises or falls with one contrast.
            grown = np.sum(np.exp(contrasts.values) * np.expm1(contrasts.error), axis=0)
            spread = np.vstack([spread, grown])
            near_boundary = ~(np.abs(out - 2.0 * self.estimate[:, None]) > spread)
            imprecise = ~(spread < LOOSE * self._se[:, None])
        to_refit = np.flatnonzero(contrasts.unknown | near_boundary.any(axis=0) | imprecise.any(axis=0))
        if to_refit.size:
            self.n_refitted += to_refit.size
            out[:, to_refit] = self.fit.of(self._refit(block, to_refit))
        return out

    def refits(self, block: WeightBlock) -> Floats:
        """Refit all replicates in full, for comparison. Shape ``(n_states + 1, n_replicates)``."""
        return self.fit.of(self._refit(block, np.arange(block.n_replicates)))

    def _solve(self, sums: StateSums) -> _Contrasts:
        """Solve the contrasts of a block by the moments."""
        assert self._states is not None
        n = sums.n_replicates
        values, error = np.empty((self.fit.coef.size, n)), np.empty((self.fit.coef.size, n))
        # A state without a count has no contrast: its replicates are refitted, as R has them.
        unknown = (sums.counted[:, :n] < 0.5).any(axis=0)
        for part in self.fit.parts:
            rows = [s - 1 for s in part.states]
            others = np.delete(part.fit.coef, list(part.targets))
            solved = self._states.solve(sums, part.states, self.fit.coef[rows], others, n)
            values[rows], error[rows] = solved.coef, solved.error
            unknown |= ~solved.converged
        return _Contrasts(values, error, np.asarray(unknown))

    def _refit(self, block: WeightBlock, numbers: NDArray[np.intp]) -> Floats:
        """Refit the contrasts of some replicates of a block, by their numbers in it."""
        pieces = [in_pieces(block, numbers, partial(_refit_part, part, self.fit)) for part in self.fit.parts]
        return np.ascontiguousarray(np.hstack(pieces).T)


def _refit_part(part: SubFit, fit: StatesFit, weights: NDArray[np.uint16]) -> Floats:
    """Fit the contrasts of one regression to every row of weights. Shape ``(n_replicates, n_contrasts)``."""
    if part.cells is not None:
        weights = np.ascontiguousarray(weights[:, part.cells])
    state = fit.state if part.cells is None else fit.state[part.cells]
    level = np.searchsorted(np.array((0, *part.states)), state)
    data = (part.counts, part.design, part.offset)
    alpha = 0.0 if part.theta is None else 1.0 / part.theta
    start = np.nan_to_num(part.fit.coef)
    return refit(data, weights, alpha, start, np.array(part.targets), level, len(part.states) + 1)
