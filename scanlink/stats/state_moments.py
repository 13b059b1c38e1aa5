"""The moment solver for several states of a gene's enhancers: sums are taken once, and serve every regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._moment_newton import solve
from scanlink.stats._moments import LANES, class_moments, remainder_norms, sum_counts
from scanlink.stats._types import Bools, Floats, Ints, Singles
from scanlink.stats.moments import GeneMoments, telling

__all__ = ["Solved", "StateMoments", "StateSums"]


@dataclass(frozen=True)
class StateSums:
    """Weighted sums of a block of replicates over each class of cells (a stratum's cells of one state)."""

    # Fluctuations of the moments, then of the counts: (n_classes, n_summed + 1, padded).
    fluctuations: Singles
    # Those of counts times covariates: (n_classes, q, padded).
    slopes: Singles
    # Weighted counts of each state: (n_states, padded).
    counted: Floats
    n_replicates: int


@dataclass(frozen=True)
class Solved:
    """Contrasts of a regression in every replicate, what they may be wrong by, and whether Newton's method arrived."""

    coef: Floats
    error: Floats
    converged: Bools


class StateMoments:
    """One gene, around whose fit without states the contrasts are expanded, and the states of its cells."""

    def __init__(self, gene: GeneMoments, state: Ints, n_states: int) -> None:
        covariates = gene.covariates
        z, monomials = covariates.continuous, covariates.monomials
        q = z.shape[1]
        self.gene, self.n_states = gene, n_states
        self.cells: list[Ints | None] = []
        self.expressed: list[Ints] = []
        stratum_of: list[int] = []
        state_of: list[int] = []
        moments, norms, size, counted, slopes = [], [], [], [], []
        for s, members in enumerate(gene.cells):
            present, sizes = np.unique(state[members], return_counts=True)
            largest = int(present[np.argmax(sizes)])
            for k in present.tolist():
                cells = members[state[members] == k]
                moment, norm = np.empty(monomials.parent.size), np.empty((2, q + 1, q))
                class_moments(z, gene.mu, cells, monomials.parent, monomials.axis, moment)
                remainder_norms(z, gene.mu, cells, covariates.cluster_of(cells), *monomials.left_out, norm)
                # The largest class is what the others leave of the stratum.
                self.cells.append(None if k == largest else cells)
                expressed = cells[gene.counts[cells] > 0]
                self.expressed.append(expressed)
                stratum_of.append(s)
                state_of.append(k)
                moments.append(moment)
                norms.append(norm)
                size.append(cells.size)
                counted.append(gene.counts[cells].sum())
                slopes.append(np.einsum("i,ij->j", gene.counts[expressed], z[expressed]))
        self.stratum_of, self.state_of = np.array(stratum_of), np.array(state_of)
        self.moments, self.norms = np.array(moments), np.array(norms)
        self.size = np.array(size)
        self.counted = np.array(counted)
        self.slopes = np.array(slopes).reshape(len(counted), q)

    @property
    def nbytes(self) -> int:
        """Estimate how many bytes are kept."""
        return sum(cells.nbytes for cells in (*self.cells, *self.expressed) if cells is not None)

    def sums(self, weights: NDArray[np.uint8], features: Singles, shared: Singles, n_replicates: int) -> StateSums:
        """Sum over the classes with the weights of a block, given as to :meth:`PairMoments.replicates`."""
        covariates = self.gene.covariates
        n_summed, q = covariates.monomials.n_summed, self.slopes.shape[1]
        padded, n_classes = weights.shape[0] * LANES, len(self.cells)
        fluctuations = np.empty((n_classes, n_summed + 1, padded), dtype=np.float32)
        slopes = np.empty((n_classes, q, padded), dtype=np.float32)
        for c, cells in enumerate(self.cells):
            if cells is not None:
                covariates.sums(weights, cells, features, fluctuations[c])
                covariates.sums(weights, self.expressed[c], self.gene.slopes, slopes[c])
        for c, cells in enumerate(self.cells):
            if cells is None:
                s = self.stratum_of[c]
                fluctuations[c], slopes[c] = shared[s, : n_summed + 1], shared[s, n_summed + 1 :]
                for other in np.flatnonzero(self.stratum_of == s):
                    if other != c:
                        fluctuations[c] -= fluctuations[other]
                        slopes[c] -= slopes[other]
        counted = np.zeros((self.n_states, padded))
        for c, k in enumerate(self.state_of):
            counted[k] += self.counted[c] + fluctuations[c, n_summed]
        return StateSums(fluctuations, slopes, counted, n_replicates)

    def solve(
        self, sums: StateSums, states: tuple[int, ...], coef: Floats, covariate_coef: Floats, n_replicates: int
    ) -> Solved:
        """Solve contrasts of some states against state 0, regressed on the cells of these and of state 0.

        ``coef`` and ``covariate_coef`` are the unweighted fit's contrasts and coefficients of the covariates.
        """
        covariates, monomials = self.gene.covariates, self.gene.covariates.monomials
        used = np.flatnonzero(np.isin(self.state_of, (0, *states)))
        # Strata, by the classes of these cells in each.
        belongs = self.stratum_of[used] == np.arange(len(self.gene.cells))[:, None]
        told = telling(covariates, belongs @ self.size[used], belongs @ self.counted[used])
        used = used[belongs[told].any(axis=0)]
        terms = told if covariates.own_terms else np.arange(self.gene.stratum_design.shape[1])
        strata, r = self.gene.stratum_design[:, terms], terms.size
        indicators = (self.state_of[used, None] == np.array(states)).astype(np.float64)
        design = np.hstack([strata[self.stratum_of[used]], indicators])
        targets = np.arange(r, r + len(states), dtype=np.int64)
        of_strata, of_slopes = self.gene.shift(covariate_coef)
        start = np.concatenate([of_strata[terms], coef, of_slopes])
        fluctuations, slopes = sums.fluctuations[used], sums.slopes[used]
        padded, n_summed = fluctuations.shape[2], monomials.n_summed
        data, counted = np.empty((start.size, padded)), np.empty((used.size, padded))
        sum_counts(
            fluctuations[:, n_summed],
            slopes,
            self.counted[used],
            self.slopes[used].sum(axis=0),
            design,
            np.arange(used.size),
            data,
            counted,
        )
        expansion = (self.moments[used], monomials, self.norms[used], covariates.furthest)
        return Solved(*solve(data, fluctuations, design, start, expansion, targets, n_replicates))
