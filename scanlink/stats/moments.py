"""The moment solver: what is shared between the refits of a bootstrap, taken out of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanlink.stats._moment_newton import solve
from scanlink.stats._moments import LANES, cell_features, class_moments, remainder_norms, sum_counts
from scanlink.stats._types import Bools, Floats, Ints, Singles
from scanlink.stats.covariates import Covariates

__all__ = ["GeneMoments", "PairMoments", "telling"]


class GeneMoments:
    """One gene: its fit without any peak, ``null_coef`` (n_terms,), around which all of its pairs are expanded.

    Strata are those that tell of the gene, see :func:`telling`: ``cells`` of each, and ``stratum_design`` of their own
    terms.
    """

    def __init__(self, covariates: Covariates, counts: Floats, null_coef: Floats) -> None:
        self.covariates = covariates
        self.counts = counts
        self._null = covariates.solver_terms(null_coef)
        self.mu = np.exp(np.einsum("ij,j->i", covariates.design, null_coef) + covariates.offset)
        z = covariates.continuous
        q, monomials = z.shape[1], covariates.monomials
        told = telling(
            covariates,
            np.array([cells.size for cells in covariates.cells]),
            np.array([counts[cells].sum() for cells in covariates.cells]),
        )
        self.cells = [covariates.cells[s] for s in told]
        self._terms = told if covariates.own_terms else np.arange(covariates.stratum_design.shape[1])
        self.stratum_design = covariates.stratum_design[told][:, self._terms]
        # Few cells have counts: what is a multiple of them is summed over those alone.
        self.slopes = (counts[:, None] * z).astype(np.float32)
        self.expressed = [cells[counts[cells] > 0] for cells in self.cells]
        self.slopes_data = np.einsum("i,ij->j", counts * np.isin(covariates.stratum, told), z)
        self.norms = np.empty((told.size, 2, q + 1, q))
        for s, cells in enumerate(self.cells):
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
        out = np.empty((len(self.cells), n_sums, weights.shape[0] * LANES), dtype=np.float32)
        for s, cells in enumerate(self.cells):
            self.covariates.sums(weights, cells, features, out[s, :n_features])
            self.covariates.sums(weights, self.expressed[s], self.slopes, out[s, n_features:])
        return out

    def shift(self, covariate_coef: Floats) -> tuple[Floats, Floats]:
        """Return how far coefficients of the covariates are from the null fit: of strata, and of slopes."""
        shift = self.covariates.solver_terms(covariate_coef) - self._null
        return shift[self._terms], shift[self.covariates.stratum_design.shape[1] :]


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
        r, n_targets, q = gene.stratum_design.shape[1], level_design.shape[1], z.shape[1]
        self.targets = np.arange(r, r + n_targets, dtype=np.int64)
        of_strata, slopes = gene.shift(covariate_coef)
        self.start = np.concatenate([of_strata, coef, slopes])
        self.classes: list[tuple[int, Ints | None]] = []
        self.level_design = level_design
        level_of_class: list[int] = []
        members_of: list[Ints] = []
        design, moments, norms = [], [], []
        for s, members in enumerate(gene.cells):
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
                design.append(np.concatenate([gene.stratum_design[s], level_design[k]]))
                moments.append(moment)
                norms.append(norm)
        self.design, self.moments, self.norms = np.array(design), np.array(moments), np.array(norms)
        self.level_of_class = np.array(level_of_class, dtype=np.int64)
        self.counted = np.array([gene.counts[cells].sum() for cells in members_of])

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
            shared[:, n_summed + 1 :],
            self.counted,
            self.gene.slopes_data,
            self.design,
            self.level_of_class,
            data,
            counted,
        )
        expansion = (self.moments, monomials, self.norms, covariates.furthest)
        solved = solve(data, fluctuations, self.design, self.start, expansion, self.targets, n_replicates)
        return *solved, counted[:, :n_replicates]


def telling(covariates: Covariates, n_cells: Ints, counted: Floats) -> Ints:
    """Return the strata that tell of a gene, by their cells and counts; all of them where they share terms.

    A stratum of one cell, or without a count, is fitted exactly whatever else is in the model if it has a term of its
    own. In replicates that do not draw it that term is not defined.
    """
    tells = (n_cells > 1) & (counted > 0) if covariates.own_terms else np.ones(n_cells.size, dtype=np.bool_)
    return np.flatnonzero(tells)
