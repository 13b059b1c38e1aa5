"""A covariate design taken apart for the moment solver: strata of cells, and continuous covariates within them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scanlink.errors import DesignError
from scanlink.stats._moments import Monomials, weighted_sums
from scanlink.stats._strata import plain, split_strata
from scanlink.stats._types import Floats, Ints
from scanlink.stats.arrays import Sums

__all__ = ["Covariates"]

# By number of continuous covariates: degree of the expansion of what all replicates share, and of what is a
# replicate's own. Beyond, there would be more monomials than it costs to refit.
_DEGREES = {0: (0, 0), 1: (8, 3), 2: (6, 3), 3: (6, 3), 4: (5, 3), 5: (5, 3), 6: (4, 3), 7: (4, 3), 8: (4, 3)}
_MOST_STRATA = 24
_MOST_LEVELS = 16
# Where many columns have two values; the solver then has a term for most strata.
_MOST_STRATA_OF_MANY = 128


@dataclass(frozen=True)
class Covariates:
    """A covariate design as the moment solver sees it: strata of cells, and continuous covariates within them.

    Attributes
    ----------
    design, offset
        Intercept and covariates, and known part of the log expected count. Shapes ``(n_cells, n_terms)`` and
        ``(n_cells,)``.
    stratum
        Index of each cell's combination of the columns with few values. Shape ``(n_cells,)``.
    stratum_design
        Columns with few values, one row a stratum. Shape ``(n_strata, r)``.
    continuous
        Columns with many values, centred, uncorrelated and of variance 1. Shape ``(n_cells, q)``.
    clusters
        The cluster of each cell, from 0, where whole clusters are resampled; None where cells are. Shape
        ``(n_cells,)``.
    sums
        Function that takes weighted sums over cells, such as one of :func:`scanlink.stats.sums_on`.
    expandable
        Whether there are few enough strata and continuous covariates for the solver to be of use.
    """

    design: Floats
    offset: Floats
    stratum: Ints
    stratum_design: Floats
    continuous: Floats
    clusters: Ints | None
    sums: Sums
    expandable: bool

    @classmethod
    def of(
        cls, design: Floats, offset: Floats, *, clusters: Ints | None = None, sums: Sums = weighted_sums
    ) -> Covariates:
        """Take a design of intercept and covariates, no peak, apart; arguments are the attributes of their names.

        Raises
        ------
        DesignError
            If the design is not of full rank.
        """
        n = design.shape[0]
        stratum, stratum_design, continuous = _taken_apart(design)
        n_strata, n_continuous = stratum_design.shape[0], continuous.shape[1]
        constant = np.linalg.matrix_rank(np.column_stack([stratum_design, np.ones(n_strata)])) == (
            np.linalg.matrix_rank(stratum_design) if stratum_design.size else 0
        )
        if constant:
            continuous = continuous - continuous.mean(axis=0)
        if n_continuous:
            # An orthogonal basis, by R of the QR decomposition: a bound on the sum of the parts is then near the sum.
            try:
                root = np.linalg.cholesky(np.einsum("ij,ik->jk", continuous, continuous) / n)
            except np.linalg.LinAlgError:
                raise DesignError(
                    "the design is not of full rank: scanlink.stats.dependent_columns says which columns to leave out"
                ) from None
            # einsum sums in a fixed order, where a BLAS product depends on its number of threads.
            continuous = np.einsum("ij,kj->ik", continuous, np.linalg.inv(root))
        expandable = n_continuous in _DEGREES and n > 0
        return cls(
            design, offset, stratum, stratum_design, np.ascontiguousarray(continuous), clusters, sums, expandable
        )

    @cached_property
    def own_terms(self) -> bool:
        """Tell whether there is a term for each of many strata, and nothing else in the design of strata."""
        n_strata = self.stratum_design.shape[0]
        return n_strata > 8 and np.array_equal(self.stratum_design, np.eye(n_strata))

    @cached_property
    def cells(self) -> list[Ints]:
        """Return the cells of each stratum."""
        return [np.flatnonzero(self.stratum == s) for s in range(self.stratum_design.shape[0])]

    def cluster_of(self, cells: Ints) -> Ints:
        """Return the cluster of each of some cells; every cell is its own where cells are resampled."""
        return np.arange(cells.size) if self.clusters is None else self.clusters[cells]

    @cached_property
    def monomials(self) -> Monomials:
        """Return which powers of the continuous covariates are summed."""
        q = self.continuous.shape[1]
        return Monomials.upto(q, *_DEGREES[q])

    @cached_property
    def furthest(self) -> Floats:
        """Return the largest absolute value of each continuous covariate."""
        return np.abs(self.continuous).max(axis=0, initial=0.0)

    @cached_property
    def _classes(self) -> Floats:
        """Return the design of the cells in the solver's own terms."""
        return np.column_stack([self.stratum_design[self.stratum], self.continuous])

    @cached_property
    def _gram(self) -> Floats:
        """Return the products of the solver's terms, two by two."""
        return np.einsum("ij,ik->jk", self._classes, self._classes)

    def solver_terms(self, coef: Floats) -> Floats:
        """Turn coefficients of ``design`` into coefficients of the solver's terms."""
        eta = np.einsum("ij,j->i", self.design, coef)
        return np.linalg.solve(self._gram, np.einsum("ij,i->j", self._classes, eta))


def _taken_apart(design: Floats) -> tuple[Ints, Floats, Floats]:
    """Return the stratum of each cell, the columns with few values in each stratum, and those with many."""
    n, n_terms = design.shape
    rest, strata = split_strata(design)
    if strata is not None and strata.values.shape[0] <= _MOST_STRATA_OF_MANY:
        return strata.codes, plain(strata).values, rest
    n_values = np.array([np.unique(design[:, j]).size for j in range(n_terms)], dtype=np.int64)
    stratum = np.zeros(n, dtype=np.int64)
    discrete: list[int] = []
    for j in np.argsort(n_values, kind="stable"):
        if n_values[j] > _MOST_LEVELS:
            break
        finer = np.unique(
            np.column_stack([stratum, np.unique(design[:, j], return_inverse=True)[1]]), axis=0, return_inverse=True
        )[1].reshape(-1)
        if finer.max(initial=0) < _MOST_STRATA:
            stratum, discrete = finer, [*discrete, int(j)]
    discrete_columns = sorted(discrete)
    continuous_columns = [j for j in range(n_terms) if j not in discrete]
    first = np.array([int(np.argmax(stratum == s)) for s in range(int(stratum.max(initial=0)) + 1)])
    stratum_design = np.ascontiguousarray(design[first][:, discrete_columns])
    continuous = design[:, continuous_columns]
    return stratum, stratum_design, continuous
