"""Bootstrap replicates of many pairs at once: by moments where that is certain, by a full refit where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.stats._types import Floats, Singles
from scanlink.stats.covariates import Covariates
from scanlink.stats.moments import GeneMoments, PairMoments
from scanlink.stats.poisson import Path, PoissonFit, fit_poisson, refit_poisson
from scanlink.stats.resample import WeightBlock

__all__ = ["LOOSE", "GeneReplicates", "PairReplicates", "RefittedPair", "Shared", "in_pieces"]

# A replicate that may be wrong by more than this share of the standard error is refitted, wherever it lies.
LOOSE = 0.25
# Estimates of separated data lie beyond, wherever the iterations stop; so which side of the boundary is certain.
_FINITE = 8.0


@dataclass(frozen=True)
class Shared:
    """What the pairs of a gene share of a block of replicates."""

    block: WeightBlock
    features: Singles | None = None
    sums: Singles | None = None


class GeneReplicates:
    """One gene whose pairs are to be resampled.

    Parameters
    ----------
    covariates
        Covariate design of the group, without the peak.
    counts
        Raw UMI counts. Shape ``(n_cells,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import Covariates, Weights, resample_key
    >>> rng = np.random.default_rng(0)
    >>> depth, opened = rng.normal(size=500), rng.random(500) < 0.2
    >>> counts = rng.poisson(np.exp(-0.5 + 0.4 * depth + 0.5 * opened)).astype(float)
    >>> covariates = Covariates.of(np.column_stack([np.ones(500), depth]), np.zeros(500))
    >>> gene = GeneReplicates(covariates, counts)
    >>> pair = gene.pair(opened)
    >>> block = Weights(resample_key(0, "B"), 500).block(0, 100)
    >>> pair.replicates(gene.shared(block)).shape
    (100,)
    """

    def __init__(self, covariates: Covariates, counts: ArrayLike) -> None:
        self.covariates = covariates
        self.counts = np.ascontiguousarray(counts, dtype=np.float64)
        self.moments: GeneMoments | None = None
        if covariates.expandable:
            # Where levels may have no count, their coefficients have no maximum; any fit serves to expand around.
            path: Path = "glm" if covariates.own_terms else "newton"
            null = fit_poisson(self.counts, covariates.design, offset=covariates.offset, path=path)
            if null.converged and np.isfinite(null.coef).all():
                moments = GeneMoments(covariates, self.counts, null.coef)
                # Where nothing tells of the gene there is nothing to solve.
                self.moments = moments if moments.cells else None

    def shared(self, block: WeightBlock) -> Shared:
        """Compute what all pairs of the gene share of a block."""
        if self.moments is None:
            return Shared(block)
        features = self.moments.features()
        return Shared(block, features, self.moments.sums(block.cells, features))

    def pair(self, peak: ArrayLike, *, fit: PoissonFit | None = None, target: int = 1) -> PairReplicates:
        """Make a pair of this gene and a peak: the accessibility of each cell, 0 and 1 or counts.

        ``fit`` is that of the design with the peak in column ``target``, from 0; None makes it. Twice its coefficient
        is the boundary of the basic bootstrap.
        """
        return PairReplicates(self, np.ascontiguousarray(peak, dtype=np.float64), fit, target)


class PairReplicates:
    """One gene and one peak to be resampled; made by :meth:`GeneReplicates.pair`.

    Attributes
    ----------
    estimate
        Coefficient of the unweighted fit.
    n_refitted
        Replicates so far that needed a full refit.
    """

    # As many levels of accessibility are told apart; a peak with more is refitted.
    most_levels = 24

    def __init__(self, gene: GeneReplicates, peak: Floats, fit: PoissonFit | None, target: int) -> None:
        self.two_levels = bool(((peak == 0) | (peak == 1)).all())
        self.gene, self.target = gene, target
        self.peak = peak.astype(np.uint8) if self.two_levels else peak
        if fit is None:
            fit = fit_poisson(gene.counts, self._design(), offset=gene.covariates.offset)
        self.start = fit.coef
        self.estimate, self.se = float(fit.coef[target]), float(fit.se[target])
        self.n_refitted = 0
        self.moments: PairMoments | None = None
        if gene.moments is None or not (fit.converged and np.isfinite(fit.coef).all()):
            return
        if self.two_levels:
            values, level = np.array([0.0, 1.0]), peak.astype(np.int64)
        else:
            values, level = np.unique(peak, return_inverse=True)
        if values.size <= self.most_levels:
            others = np.delete(fit.coef, target)
            self.moments = PairMoments(gene.moments, level, values[:, None], fit.coef[[target]], others)

    @property
    def nbytes(self) -> int:
        """Estimate how many bytes are kept."""
        size = self.peak.nbytes
        if self.moments is not None:
            size += sum(cells.nbytes for _, cells in self.moments.classes if cells is not None)
        return size

    def _design(self) -> Floats:
        """Return the design with the peak in its column."""
        return np.insert(self.gene.covariates.design, self.target, self.peak, axis=1)

    def replicates(self, shared: Shared) -> Floats:
        """Compute the peak's coefficient in every replicate of a block, from :meth:`GeneReplicates.shared`.

        Shape ``(n_replicates,)``. On the same side of twice the estimate as the full refit for every replicate, and
        within a quarter of a standard error of it, most within a hundredth; -inf where the gene is absent from the open
        cells drawn, NaN where the refit is undefined. Section 4 of the association notes: what a replicate may be wrong
        by is the terms that the expansion leaves out, times their influence on the coefficient.
        """
        block = shared.block
        if self.moments is None or shared.features is None or shared.sums is None:
            self.n_refitted += block.n_replicates
            return self._refit(block, np.arange(block.n_replicates))
        coef, error, solved, counted = self.moments.replicates(
            block.cells, shared.features, shared.sums, block.n_replicates
        )
        values, error = coef[0], error[0]
        boundary = 2.0 * self.estimate
        doubtful = ~solved | ~(np.abs(values - boundary) > error) | ~(error < LOOSE * self.se)
        if self.two_levels and boundary > -_FINITE:
            absent = counted[1] < 0.5
            values[absent] = -np.inf
            doubtful &= ~absent
        to_refit = np.flatnonzero(doubtful)
        if to_refit.size:
            self.n_refitted += to_refit.size
            values[to_refit] = self._refit(block, to_refit)
        return values

    def _refit(self, block: WeightBlock, numbers: NDArray[np.intp]) -> Floats:
        """Refit some replicates of a block, by their numbers in it."""
        design = self._design()
        return in_pieces(
            block,
            numbers,
            lambda rows: refit_poisson(
                self.gene.counts, design, rows, target=self.target, offset=self.gene.covariates.offset, start=self.start
            ),
        )


@dataclass(frozen=True)
class RefittedPair:
    """A pair whose replicates are all refitted.

    Attributes
    ----------
    estimate
        Coefficient of the unweighted fit.
    refit
        Function from weights, ``(n_replicates, n_cells)``, to the coefficient of every row.
    """

    estimate: float
    refit: Callable[[NDArray[np.uint16]], Floats]

    def replicates(self, shared: Shared) -> Floats:
        """Refit every replicate of a block. Shape ``(n_replicates,)``."""
        return in_pieces(shared.block, np.arange(shared.block.n_replicates), self.refit)


def in_pieces(
    block: WeightBlock, numbers: NDArray[np.intp], refit: Callable[[NDArray[np.uint16]], Floats], size: int = 256
) -> Floats:
    """Refit replicates, the first axis, some at a time, to bound the memory of their weights."""
    pieces = [refit(block.rows(numbers[first : first + size])) for first in range(0, numbers.size, size)]
    return np.concatenate(pieces) if pieces else np.empty(0)
