"""The case bootstrap of SCENT: its p-value, and the climb of ladders of ever more replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from scanlink.ladder import Ladder
from scanlink.stats._types import Floats, Ints
from scanlink.stats.resample import WeightBlock, Weights

__all__ = ["Ladder", "basic_p", "climb", "climb_all"]

_BLOCK_BYTES = 2**25


def basic_p(estimate: float, replicates: Floats) -> float:
    """Compute the two-sided p-value of the basic bootstrap, as SCENT takes it.

    Parameters
    ----------
    estimate
        Coefficient of the unweighted fit.
    replicates
        Coefficient of each replicate. Shape ``(n_replicates,)``. NaN, where a replicate left it undefined, counts as
        ``q_r > 0``, as SCENT has it, so that many of them make the p-value depend on the sign of the estimate.

    Returns
    -------
    float
        ``2 / R`` when all of ``q_r = 2 b - b*_r`` lie on one side of 0, else ``2 min(k / R, 1 - k / R)`` with
        ``k = #{r: q_r <= 0}``. It is never below ``2 / R``, and never above 1.

    Examples
    --------
    >>> import numpy as np
    >>> basic_p(1.0, np.array([0.5, 1.5, 2.5, 1.0]))
    0.5
    """
    return _two_sided(int(_count_crossed(estimate, replicates)[0]), replicates.size)


class ResampledPair(Protocol):
    """What a ladder asks of a pair."""

    @property
    def estimate(self) -> float | Floats:
        """Return the coefficient of the unweighted fit, or several. Shape ``()`` or ``(n_coefs,)``."""
        ...

    def replicates(self, shared: Any, /) -> Floats:
        """Return coefficients of a block. Shape ``(n_replicates,)`` or ``(n_coefs, n_replicates)``."""
        ...


class ResampledGene(Protocol):
    """What a ladder asks of a gene."""

    def shared(self, block: WeightBlock, /) -> Any:
        """Compute what all pairs of the gene have in common in a block of replicates."""
        ...


def climb(
    genes: Sequence[tuple[ResampledGene, Sequence[ResampledPair]]],
    ladder: Ladder,
    weights: Weights,
    *,
    block: int | None = None,
) -> list[list[tuple[float, int]]]:
    """Compute bootstrap p-values of many pairs along a ladder, each stage in one pass over its replicates.

    Parameters
    ----------
    genes
        Genes, each with its pairs.
    ladder
        The stages. They take successive ranges of replicates, so that none uses a replicate of another.
    weights
        The replicates, which all pairs share.
    block
        Replicates at once, which bounds the memory that they take; None takes 1,024, or fewer where there are more
        than 32,768 cells. It does not change the result.

    Returns
    -------
    list of list of tuple of float and int
        For every gene and pair the p-value of the last stage entered, and its replicates.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import Covariates, GeneReplicates, Weights
    >>> rng = np.random.default_rng(0)
    >>> opened = rng.random(500) < 0.2
    >>> gene = GeneReplicates(Covariates.of(np.ones((500, 1)), np.zeros(500)), rng.poisson(1.0 + opened))
    >>> climb([(gene, [gene.pair(opened)])], Ladder.of("capstone"), Weights(1, 500))
    [[(0.0008, 2500)]]
    """
    results = climb_all(genes, ladder, weights, block=block)
    return [[(float(p[0]), int(n[0])) for p, n in pairs] for pairs in results]


def climb_all(
    genes: Sequence[tuple[ResampledGene, Sequence[ResampledPair]]],
    ladder: Ladder,
    weights: Weights,
    *,
    block: int | None = None,
) -> list[list[tuple[Floats, Ints]]]:
    """Climb as :func:`climb` does, for pairs of several coefficients each, which share their replicates.

    Parameters
    ----------
    genes, ladder, weights, block
        As in :func:`climb`.

    Returns
    -------
    list of list of tuple of numpy.ndarray
        For every gene and pair the p-value of the last stage that each coefficient entered, and its replicates. Shape
        ``(n_coefs,)``. A coefficient goes on by its own p-value, whatever those beside it do.
    """
    results = [
        [(np.full(np.size(pair.estimate), np.nan), np.zeros(np.size(pair.estimate), dtype=np.int64)) for pair in pairs]
        for _, pairs in genes
    ]
    # Which coefficients of each pair are still going.
    active = {
        (g, k): np.isfinite(np.atleast_1d(pair.estimate))
        for g, (_, pairs) in enumerate(genes)
        for k, pair in enumerate(pairs)
    }
    first = 0
    block = block or max(64, min(1024, _BLOCK_BYTES // weights.n_cells))
    for replicates, below in ladder.stages:
        crossed = {key: np.zeros(active_coefs.size, dtype=np.int64) for key, active_coefs in active.items()}
        for begin in range(0, replicates, block):
            weight_block = weights.block(first + begin, first + min(begin + block, replicates))
            shared, shared_gene = None, -1
            for g, k in active:
                if g != shared_gene:
                    shared, shared_gene = genes[g][0].shared(weight_block), g
                pair = genes[g][1][k]
                crossed[g, k] += _count_crossed(pair.estimate, pair.replicates(shared))
        first += replicates
        for (g, k), active_coefs in active.items():
            p, n = results[g][k]
            for c in np.flatnonzero(active_coefs):
                p[c], n[c] = _two_sided(int(crossed[g, k][c]), replicates), replicates
        if below is None:
            break
        active = {(g, k): active_coefs & (results[g][k][0] < below) for (g, k), active_coefs in active.items()}
        active = {key: active_coefs for key, active_coefs in active.items() if active_coefs.any()}
        if not active:
            break
    return results


def _count_crossed(estimate: float | Floats, replicates: Floats) -> Ints:
    """Count the replicates of each coefficient that lie at or beyond twice its estimate. Shape ``(n_coefs,)``."""
    estimates, rows = np.atleast_1d(estimate), np.atleast_2d(replicates)
    return np.count_nonzero(2.0 * estimates[:, None] - rows <= 0, axis=1)


def _two_sided(crossed: int, n: int) -> float:
    """Return the p-value of ``crossed`` among ``n`` replicates at or beyond twice the estimate."""
    if crossed in (0, n):
        return min(2.0 / n, 1.0)
    return 2.0 * min(crossed / n, (n - crossed) / n)
