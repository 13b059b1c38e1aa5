"""Tested rows that wait for the bootstrap: together, because replicates cost little more for many than for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanlink.stats import (
    GeneReplicates,
    Ladder,
    NegbinFit,
    PoissonFit,
    RefittedPair,
    climb,
    refit_negbin,
    refit_poisson,
)
from scanlink.stats.bootstrap import ResampledPair
from scanlink.tl.cells import Cells, Fit, theta_of

__all__ = ["WAITING_BYTES", "Bootstrap", "expected_replicates"]

Floats = NDArray[np.float64]

# As much may wait to be resampled together.
WAITING_BYTES = 2**28
# Of tested rows, about this share enters each next stage of a ladder.
_GO_ON = (1.0, 0.15, 0.1, 0.05, 0.03)


def expected_replicates(ladder: Ladder) -> float:
    """Guess how many replicates a row gets on average."""
    return sum(n * _GO_ON[min(k, len(_GO_ON) - 1)] for k, (n, _) in enumerate(ladder.stages))


class Bootstrap:
    """Rows that wait for their replicates.

    ``reestimate`` has theta of a negative binomial estimated in each replicate, and not held at that of the data.
    ``pseudocount`` is added to all counts. ``end`` follows ``p_boot`` and ``n_boot`` in the names of the columns.
    """

    def __init__(
        self, cells: Cells, ladder: Ladder, *, reestimate: bool, pseudocount: float = 0.0, end: str = ""
    ) -> None:
        self._cells, self._ladder, self._end = cells, ladder, end
        self._reestimate, self._pseudocount = reestimate, pseudocount
        self._counts: Floats | None = None
        self._genes: list[tuple[GeneReplicates, list[ResampledPair]]] = []
        self._rows: list[list[dict[str, Any]]] = []
        self._bytes = 0

    def add(
        self,
        counts: Floats,
        row: dict[str, Any],
        fit: Fit,
        *,
        target: int,
        tested: Floats | None,
        design: Callable[[], Floats],
    ) -> None:
        """Let a row wait for its p-value. Rows of a gene come one after another, with the same array of counts.

        ``target`` is the index of the coefficient that is tested. ``tested`` is the only column that is not a
        covariate: replicates then share the sums of the gene if the fit is that of Poisson counts; None where every
        replicate has to be refitted. ``design`` is a function, as the designs of all that wait would fill the memory.
        """
        if counts is not self._counts:
            if self._bytes > WAITING_BYTES:
                self.climb()
            self._counts = counts
            self._genes.append((GeneReplicates(self._cells.covariates, counts), []))
            self._rows.append([])
            self._bytes += 16 * self._cells.n
        gene, pairs = self._genes[-1]
        pair: ResampledPair
        if tested is not None and isinstance(fit, PoissonFit) and not self._pseudocount:
            pair = gene.pair(tested, fit=fit, target=target)
            self._bytes += pair.nbytes
        else:
            pair = self._refitted(counts, fit, target, design)
            self._bytes += 8 * self._cells.n
        pairs.append(pair)
        self._rows[-1].append(row)

    def climb(self) -> None:
        """Climb the ladder with all that wait, and write down their p-values."""
        results = climb(self._genes, self._ladder, self._cells.weights)
        for rows, found in zip(self._rows, results, strict=True):
            for row, (p, n) in zip(rows, found, strict=True):
                row[f"p_boot{self._end}"], row[f"n_boot{self._end}"] = p, n
        self._genes, self._rows, self._counts, self._bytes = [], [], None, 0

    def _refitted(self, counts: Floats, fit: Fit, target: int, design: Callable[[], Floats]) -> RefittedPair:
        """Make a test whose replicates are regressions of their own."""
        offset, pseudocount, reestimate = self._cells.offset, self._pseudocount, self._reestimate

        def refit(weights: NDArray[np.uint16]) -> Floats:
            if not isinstance(fit, NegbinFit):
                return refit_poisson(
                    counts + pseudocount, design(), weights, target=target, offset=offset, start=fit.coef
                )
            return refit_negbin(
                counts,
                design(),
                weights,
                target=target,
                offset=offset,
                start=fit.coef,
                # Without overdispersion there is no theta, and the fit is that of Poisson counts.
                theta=theta_of(fit) or np.inf,
                reestimate=reestimate,
                pseudocount=pseudocount,
            )

        return RefittedPair(float(fit.coef[target]), refit)
