"""The moment solver: what is shared between the refits of a bootstrap, taken out of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._moment_newton import solve
from scanlink.stats._moments import LANES, cell_features, class_moments, remainder_norms, sum_counts
from scanlink.stats._types import Bools, Floats, Ints, Singles
from scanlink.stats.covariates import Covariates

__all__ = ["GeneMoments", "PairMoments"]


class GeneMoments:
    """One gene: its fit without any peak, ``null_coef`` (n_terms,), around which all of its pairs are expanded."""

    def __init__(self, covariates: Covariates, counts: Floats, null_coef: Floats) -> None:
        self.covariates = covariates
        self.counts = counts
        self.null = covariates.solver_terms(null_coef)
        self.mu = np.exp(np.einsum("ij,j->i", covariates.design, null_coef) + covariates.offset)
        z = covariates.continuous
        n_strata, q = covariates.stratum_design.shape[0], z.shape[1]
        monomials = covariates.monomials
        # Few cells have counts: what is a multiple of them is summed over those alone.
        self.slopes = (counts[:, None] * z).astype(np.float32)
        self.expressed = [cells[counts[cells] > 0] for cells in covariates.cells]
        self.moments = np.empty((n_strata, monomials.parent.size))
        self.norms = np.empty((n_strata, 2, q + 1, q))
        for s, cells in enumerate(covariates.cells):
            class_moments(z, self.mu, cells, monomials.parent, monomials.axis, self.moments[s])
            remainder_norms(z, self.mu, cells, covariates.cluster_of(cells), *monomials.left_out, self.norms[s])

    def features(self) -> Singles:
        """Compute what is summed: monomials times expected counts, then counts. Shape ``(n_cells, n_summed + 1)``."""
        z, monomials = self.covariates.continuous, self.covariates.monomials
        out = np.empty((self.mu.size, monomials.n_summed + 1), dtype=np.float32)
        n_summed = monomials.n_summed
        cell_features(z, self.counts, self.mu, monomials.parent[:n_summed], monomials.axis[:n_summed], out)
        return out

    def sums(self, weights: NDArray[np.uint8], features: Singles) -> Singles:
        """Sum what all pairs of the gene share of a block of replicates: fluctuations over each stratum.

        ``weights`` are the cells of a :class:`WeightBlock`, ``features`` those of :meth:`features`. Shape ``(n_strata,
        n_summed + 1 + q, padded)``; the last ``q`` are of counts times covariates.
        """
        n_features = features.shape[1]
        n_sums = n_features + self.slopes.shape[1]
        out = np.empty((len(self.covariates.cells), n_sums, weights.shape[0] * LANES), dtype=np.float32)
        for s, cells in enumerate(self.covariates.cells):
            self.covariates.sums(weights, cells, features, out[s, :n_features])
            self.covariates.sums(weights, self.expressed[s], self.slopes, out[s, n_features:])
        return out


class PairMoments:
    """One gene and one peak (or another splitting of the cells by a few levels).

    ``level`` is the row of ``level_design``, the peak's values (n_levels, n_targets), that each cell has. ``coef`` and
    ``covariate_coef`` are the fit's coefficients of the peak's columns and of the covariates.
    """

    def __init__(
        self, gene: GeneMoments, level: Ints, level_design: Floats, coef: Floats, covariate_coef: Floats
    ) -> None:
        covariates = gene.covariates
        monomials, z = covariates.monomials, covariates.continuous
        self.gene = gene
        self._told = _told(covariates, gene.counts)
        strata = covariates.stratum_design[:, self._told] if self._told is not None else covariates.stratum_design
        r, n_targets, q = strata.shape[1], level_design.shape[1], z.shape[1]
        self.targets = np.arange(r, r + n_targets, dtype=np.int64)
        shift = covariates.solver_terms(covariate_coef) - gene.null
        r_all = covariates.stratum_design.shape[1]
        of_strata = shift[:r_all] if self._told is None else shift[:r_all][self._told]
        self.start = np.concatenate([of_strata, coef, shift[r_all:]])
        self.classes: list[tuple[int, Ints | None]] = []
        self.level_design = level_design
        level_of_class: list[int] = []
        members_of: list[Ints] = []
        design, moments, norms = [], [], []
        for s, members in enumerate(covariates.cells):
            if self._told is not None and s not in self._told:
                continue
            present, size = np.unique(level[members], return_counts=True)
            largest = int(present[np.argmax(size)])
            for k in present:
                cells = members[level[members] == k]
                moment, norm = np.empty(monomials.parent.size), np.empty((2, q + 1, q))
                class_moments(z, gene.mu, cells, monomials.parent, monomials.axis, moment)
                if k == largest:
                    norm = gene.norms[s]
                else:
                    remainder_norms(z, gene.mu, cells, covariates.cluster_of(cells), *monomials.left_out, norm)
                # The largest class is what the others leave of the stratum.
                members_of.append(cells)
                level_of_class.append(int(k))
                self.classes.append((s, None if k == largest else cells))
                design.append(np.concatenate([strata[s], level_design[k]]))
                moments.append(moment)
                norms.append(norm)
        self.design, self.moments, self.norms = np.array(design), np.array(moments), np.array(norms)
        self.level_of_class = np.array(level_of_class, dtype=np.int64)
        self.counted = np.array([gene.counts[cells].sum() for cells in members_of])
        counts = gene.counts if self._told is None else gene.counts * np.isin(covariates.stratum, self._told)
        self.slopes_data = np.einsum("i,ij->j", counts, z)

    def replicates(
        self, weights: NDArray[np.uint8], features: Singles, shared: Singles, n_replicates: int
    ) -> tuple[Floats, Floats, Bools, Floats]:
        """Solve the coefficients of a block of replicates; columns beyond ``n_replicates`` are padding.

        ``features`` and ``shared`` are those of :class:`GeneMoments` for the block. Returns coefficients and what they
        may be wrong by, ``(n_targets, n_replicates)``; whether Newton's method arrived, ``(n_replicates,)``; and the
        weighted counts at each level, ``(n_levels, n_replicates)``.
        """
        covariates, monomials = self.gene.covariates, self.gene.covariates.monomials
        n_summed, padded = monomials.n_summed, weights.shape[0] * LANES
        # Of each class, its moments and its counts; the largest class is what the others leave of the stratum.
        fluctuations = np.empty((len(self.classes), n_summed + 1, padded), dtype=np.float32)
        for c, (_, cells) in enumerate(self.classes):
            if cells is not None:
                covariates.sums(weights, cells, features, fluctuations[c])
        for c, (s, cells) in enumerate(self.classes):
            if cells is None:
                fluctuations[c] = shared[s, : n_summed + 1]
                for c_other, (s_other, cells_other) in enumerate(self.classes):
                    if s_other == s and cells_other is not None:
                        fluctuations[c] -= fluctuations[c_other]
        data = np.empty((self.start.size, padded))
        counted = np.empty((self.level_design.shape[0], padded))
        sum_counts(
            fluctuations[:, n_summed],
            (shared if self._told is None else shared[self._told])[:, n_summed + 1 :],
            self.counted,
            self.slopes_data,
            self.design,
            self.level_of_class,
            data,
            counted,
        )
        expansion = (self.moments, monomials, self.norms, covariates.furthest)
        solved = solve(data, fluctuations, self.design, self.start, expansion, self.targets, n_replicates)
        return *solved, counted[:, :n_replicates]


def _told(covariates: Covariates, counts: Floats) -> Ints | None:
    """Return the strata that tell of a gene where each has a term of its own; None where they share terms.

    A stratum of one cell, or without a count, is fitted exactly whatever else is in the model. In replicates that do
    not draw it its term is not defined.
    """
    if not covariates.own_terms:
        return None
    tells = [cells.size > 1 and bool(counts[cells].any()) for cells in covariates.cells]
    return np.flatnonzero(tells)
