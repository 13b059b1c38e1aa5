"""Permutation p-values of perturbations, and of the interaction of two, by score statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scanlink.errors import InputError, OptionError
from scanlink.stats._permute import Plan
from scanlink.stats._types import Floats, Ints
from scanlink.stats.bootstrap import Ladder
from scanlink.stats.gene_score import GeneScore, levels, observed_statistics, statistics
from scanlink.stats.images import Permutations, Perturbed

__all__ = ["GeneScore", "PermutedTests", "interaction_permutation_p", "permutation_p"]

Stages = str | Ladder | Iterable[tuple[int, float | None]]

# Nearer to the observed statistic than this share, a permuted one is a tie: sums of the same numbers in another order.
_TIE = 1e-6


class PermutedTests(NamedTuple):
    """Tests of one gene. Each array has shape ``(n_targets,)``.

    Attributes
    ----------
    z
        Observed statistic: above 0 for more counts where perturbed, or for synergy. NaN where it is undefined.
    p
        Two-sided p-value, NaN where z is.
    n
        Permutations at which the ladder ended; 0 where z is NaN.
    """

    z: Floats
    p: Floats
    n: Ints


def permutation_p(
    gene: GeneScore, targets: Sequence[Perturbed], ladder: Stages, permutations: Permutations
) -> PermutedTests:
    """Test whether a gene depends on perturbations, given the covariates: many targets at once, by permuting cells.

    Parameters
    ----------
    gene
        Gene with its fit without perturbations.
    targets
        Single targets, from :meth:`Perturbed.of`.
    ladder
        Stages ``(permutations, go on below p)``, or a name: ``"glimmirs"`` has 100, 1,000 and 10,000. Unlike the
        bootstrap's, a stage goes on from the one before: the first 100 are part of the 1,000.
    permutations
        Permutations of the group of cells.

    Returns
    -------
    PermutedTests
        The bits do not depend on which other targets are in the call. z, p and n are NaN, NaN and 0 for a target
        without a perturbed cell, one that the covariates determine, or a gene without a count.

    Raises
    ------
    InputError
        If gene and permutations have different numbers of cells, or a target is a pair.
    OptionError
        If the ladder is unknown, or its stages do not rise.

    Warnings
    --------
    What permutation makes exact is the level where perturbation has nothing to do with the covariates, or, with
    strata, within these. Where it has, z's variance allows for it, and the level is right with many cells.

    Notes
    -----
    With ``mu`` and theta of the fit on the covariates Z, which perturbation x does not enter::

        r_i = (y_i - mu_i) / (1 + mu_i / theta),   w_i = mu_i / (1 + mu_i / theta)
        z = sum x_i r_i / sqrt(sum w_i x_i^2 - (Z'Wx)'(Z'WZ)^-1 (Z'Wx))                                         (1)

    the score test of x (Rao 1948) under variance ``mu + mu^2 / theta``. Permuted, x moves and all else stays, so that
    the same fit serves every permutation: (1) again, without approximation. At the end of a stage of n permutations::

        p_n = (1 + #{k <= n: |z_k| >= |z|}) / (1 + n)                                                           (2)

    is a valid p-value: ``P(p_n <= a) <= a`` under the null hypothesis (Phipson and Smyth 2010, Stat Appl Genet Mol
    Biol 9:39). So is that of the whole ladder, which stops at a stage where ``p_n`` is not below the threshold t, or
    at the last. Take any a, and the first stage m with ``t_m <= a``, or the last one if there is none. A stop before
    m has ``p >= t > a``. So ``p <= a`` means that m was reached, and there either the ladder stops with
    ``p = p_m <= a``, or it goes on because ``p_m < t_m <= a``. Hence ``{p <= a}`` is part of ``{p_m <= a}``, whose
    probability is at most a, and m does not depend on the data. (Of the curtailed test of Besag and Clifford 1991,
    Biometrika 78:301, this is the form with few stages; Zhou et al. 2024, Cell Genomics 4:100672, use it.) The
    Benjamini-Hochberg procedure asks no more of a single p-value. Between p-values, sharing permutations adds positive
    dependence: ``benchmarks/permutation.py`` prints the false discovery rate with it.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import resample_key
    >>> rng = np.random.default_rng(0)
    >>> cells = np.arange(60)
    >>> counts = rng.poisson(np.where(np.arange(2000) < 60, 0.8, 2.0))
    >>> gene = GeneScore.of(counts, np.ones((2000, 1)))
    >>> tests = permutation_p(gene, [Perturbed.of(cells)], "glimmirs", Permutations(resample_key(0, "K562"), 2000))
    >>> tests.z.round(2), tests.p, tests.n
    (array([-5.21]), array([9.9990001e-05]), array([10000]))
    """
    return _climb_ladder(gene, targets, ladder, permutations, 1)


def interaction_permutation_p(
    gene: GeneScore, pairs: Sequence[Perturbed], ladder: Stages, permutations: Permutations
) -> PermutedTests:
    """Test whether the effects of two perturbations multiply: many target pairs at once, by permuting cells.

    Parameters
    ----------
    gene
        Gene with its fit without perturbations.
    pairs
        Pairs of targets, from :meth:`Perturbed.pair`: a permutation moves the values of both together.
    ladder, permutations
        As in :func:`permutation_p`.

    Returns
    -------
    PermutedTests
        As in :func:`permutation_p`. z, p and n are NaN, NaN and 0 where one of the four states (neither, either one,
        both) has no cell, where the cells of a target have no count, and where main effects explain the product.

    Raises
    ------
    InputError, OptionError
        As :func:`permutation_p`, here of a target that is not a pair.

    Warnings
    --------
    Permutation takes away the main effects with the interaction, so what is exact is the level where there are none.
    Where there are, the level rests on (5) having the same distribution with and without them;
    ``benchmarks/permutation.py`` prints rejection rates for main effects of -1 and -0.7, tied to the batch.

    Notes
    -----
    With ``m`` the expected counts of the fit on the covariates and ``v_i = 1 / (1 + m_i / theta)``, main effects a and
    b and a constant c are estimated, in the data and anew in every permutation::

        mu_i = m_i exp(c + a xA_i + b xB_i),   sum v_i (y_i - mu_i) (1, xA_i, xB_i) = 0                         (3)
        g = xA xB less its projection on 1, xA, xB with weights v mu,   S = sum v_i g_i (y_i - mu_i)            (4)

    and z is the standard normal deviate of S by saddlepoint, ``w + log(u / w) / w`` as in :func:`interaction_p`,
    under variance ``mu + mu^2 / theta``                                                                       (5)

    All of it needs but the sums of ``v y``, ``v m``, ``v^2 m`` and ``v^2 m^2`` over the cells with the same (xA, xB):
    their sum is taken for a multiple of one negative binomial count with its mean and variance. Where xA and xB are 0
    or 1, (3) is a table of four with given margins and cross ratio, a quadratic equation.

    c makes up for what the main effects took from the fit on the covariates. That fit's own error is left out of (4):
    it is a small share of S while few cells are perturbed, and the same in the data and in permutations.

    The weights v are of the expected counts without perturbation, so that they are the same function of the covariates
    in every state: weights of the fitted ``mu`` would differ between states, and where the offset is not quite right
    would set shallow cells of one against deep cells of another. Without weights, power at high expression is lower.
    The score over its standard deviation would do without (5), but is skewed where few counts are expected with both
    perturbed, and less so after permutation, when the main effects are gone: it called more synergy than it should
    and little redundancy.

    A permutation in which z is undefined counts neither as below nor as beyond: (2) is then over the others, which
    keeps it valid given that z is defined.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import resample_key
    >>> rng = np.random.default_rng(0)
    >>> a, b = np.arange(2000) < 150, (np.arange(2000) >= 120) & (np.arange(2000) < 270)
    >>> gene = GeneScore.of(rng.poisson(2 * np.exp(-1.0 * a - 0.7 * b + 1.5 * (a & b))), np.ones((2000, 1)))
    >>> pair = Perturbed.pair(Perturbed.of(np.flatnonzero(a)), Perturbed.of(np.flatnonzero(b)))
    >>> tests = interaction_permutation_p(gene, [pair], "glimmirs", Permutations(resample_key(0, "K562"), 2000))
    >>> tests.z.round(2), tests.p, tests.n
    (array([7.61]), array([9.9990001e-05]), array([10000]))
    """
    return _climb_ladder(gene, pairs, ladder, permutations, 2)


def _climb_ladder(
    gene: GeneScore, targets: Sequence[Perturbed], ladder: Stages, permutations: Permutations, n_values: int
) -> PermutedTests:
    """Take the tests of one gene along a ladder; ``n_values`` is 1 for single targets, 2 for pairs."""
    stages = Ladder.of(ladder).stages
    if any(later[0] <= earlier[0] for earlier, later in pairwise(stages)):
        raise OptionError(f"ladder {stages!r}: permutations go on from those before, so their numbers must rise")
    if gene.mu.size != permutations.n_cells:
        raise InputError(f"the gene has {gene.mu.size} cells and the permutations {permutations.n_cells}")
    if any(target.values.shape[1] != n_values for target in targets):
        raise InputError(f"expected {'single targets' if n_values == 1 else 'pairs of targets'}: see Perturbed")
    runs = [permutations.runs(target) for target in targets]
    z = np.full(len(targets), np.nan)
    with_cells = [t for t, target_runs in enumerate(runs) if target_runs.cells.size]
    # Expected counts of a gene without any are what the fit stopped at.
    if with_cells and gene.counts.any():
        z[with_cells] = observed_statistics(gene, [targets[t] for t in with_cells], [runs[t] for t in with_cells])
    p, n = np.full(z.size, np.nan), np.zeros(z.size, dtype=np.int64)
    bar = np.abs(z) * (1.0 - _TIE)
    n_beyond, n_defined = np.zeros((2, z.size), dtype=np.int64)
    active, first = np.flatnonzero(~np.isnan(z)), 0
    for last, below in stages:
        if not active.size:
            break
        active_targets = [targets[int(t)] for t in active]
        needed = np.max([np.diff(runs[t].begins) for t in active], axis=0)
        plan, values = Plan.of(active_targets, [runs[t].runs for t in active], needed.size), levels(active_targets)
        while first < last:
            images = permutations.block(needed, first, last)
            permuted = statistics(gene, values, plan, images)
            n_beyond[active] += np.count_nonzero(np.abs(permuted) >= bar[active], axis=0)
            n_defined[active] += np.count_nonzero(~np.isnan(permuted), axis=0)
            first += len(permuted)
        p[active], n[active] = (1.0 + n_beyond[active]) / (1.0 + n_defined[active]), last
        if below is not None:
            active = active[p[active] < below]
    return PermutedTests(z, p, n)
