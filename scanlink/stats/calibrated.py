"""A p-value for one link that keeps what it promises far out: the conditional randomisation test, by saddlepoint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError
from scanlink.stats._calibrated import pair
from scanlink.stats._calibrated_null import gene_residuals, orthonormal, orthonormal_strata, propensity
from scanlink.stats._checks import checked_cells
from scanlink.stats._strata import Strata, plain, split_strata
from scanlink.stats._types import Floats, Ints
from scanlink.stats.design import rescale

__all__ = ["GeneNull", "PeakNull", "calibrated_p", "gene_null", "peak_null", "robust_p"]

# More levels than this are merged into the last, so that their powers stay within the range of a double.
_TOP = 50
# Cells whose accessibility the covariates leave less variance than this tell nothing, and would spoil determinants.
_DEAD = 1e-9


@dataclass(frozen=True)
class GeneNull:
    """What a test needs of a gene, whatever the peak.

    Attributes
    ----------
    residual
        Weighted residuals of the fit without a peak, equation 1 of :func:`calibrated_p`. Shape ``(n_cells,)``.
    signal
        Counts with the same weights. Shape ``(n_cells,)``.
    unit
        Mean weight of a count.
    dispersion
        Moment estimate of the excess variance, in units of the squared expected count; 0 for Poisson counts.
    usable
        Whether there is a count at all and the fit converged.
    """

    residual: Floats
    signal: Floats
    unit: float
    dispersion: float
    usable: bool


@dataclass(frozen=True)
class PeakNull:
    """What a test needs of a peak, whatever the gene.

    Attributes
    ----------
    cells
        Cells whose accessibility the covariates leave open, 0-based; None for all of them. Other arrays hold only them.
    level
        Accessibility, from 0. Shape ``(n_live,)``.
    null
        Rows: ``exp(C a)`` of equation 2 of :func:`calibrated_p`, the inverse of its denominator, and mean and variance
        of the accessibility given the covariates. Shape ``(4, n_live)``.
    basis
        The covariates, orthonormal with that variance as weights. Shape ``(n_live, n_terms)``; with ``strata``, those
        of more than two values.
    base
        ``h`` of equation 2. Shape ``(n_levels,)``.
    n_cells
        Cells of the group, live or not.
    usable
        Whether the peak varies and the fit converged.
    strata
        Stratum of each live cell, and the other covariates of the basis in each stratum, where there are many of two
        values; else None.
    """

    cells: Ints | None
    level: Floats
    null: Floats
    basis: Floats
    base: Floats
    n_cells: int
    usable: bool
    strata: Strata | None = None


def gene_null(counts: ArrayLike, covariates: ArrayLike, *, offset: ArrayLike | None = None) -> GeneNull:
    """Fit a gene without a peak, once for all of its peaks.

    Parameters
    ----------
    counts, offset
        As in :func:`fit_poisson`.
    covariates
        Design with the intercept and without a peak. Shape ``(n_cells, n_terms)``.

    Raises
    ------
    InputError
        If shapes differ, or counts are negative or not finite.
    DesignError
        If covariates or offset are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> gene_null([0, 1, 1, 2], np.ones((4, 1))).residual
    array([-1.,  0.,  0.,  1.])
    """
    y, c, o = checked_cells(counts, covariates, offset, names=("counts", "covariates"))
    residual, signal = np.zeros(y.size), np.zeros(y.size)
    if not y.any():
        return GeneNull(residual, signal, 1.0, 0.0, False)
    rest, strata = split_strata(rescale(c))
    converged, dispersion = gene_residuals(y, rest, strata, c.shape[1], o, residual, signal)
    unit = float(np.sum(signal) / np.sum(y))
    return GeneNull(residual, signal, unit, float(dispersion), bool(converged and np.isfinite(residual).all()))


def peak_null(accessibility: ArrayLike, covariates: ArrayLike, *, offset: ArrayLike | None = None) -> PeakNull:
    """Fit a peak on the covariates, once for all of its genes.

    Parameters
    ----------
    accessibility
        Whole numbers from 0: closed and open, or counts. Shape ``(n_cells,)``. Counts above 50 are taken as 50.
    covariates, offset
        Those that :func:`gene_null` got. The offset joins the covariates, because depth opens peaks also where the
        gene's share of it is taken as known.

    Raises
    ------
    InputError
        If shapes differ, or an accessibility is not a whole number of at least 0.
    DesignError
        If covariates or offset are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> peak_null([0, 0, 1, 1, 1, 1], np.column_stack([np.ones(6), [0, 0, 0, 0, 1, 1]])).cells  # 4 and 5: always open
    array([0, 1, 2, 3])
    """
    x, c, o = checked_cells(accessibility, covariates, offset, names=("accessibility", "covariates"))
    if (x != np.floor(x)).any():
        raise InputError("accessibility must be whole numbers (0 closed, 1 open, or counts): binarise it first")
    values = np.unique(x)
    level = np.searchsorted(values, x).astype(np.float64) if values.size < 3 else np.minimum(x - values[0], _TOP)
    if np.ptp(o) > 0:
        c = np.column_stack([c, o])
    c = rescale(c)
    share = np.bincount(level.astype(np.int64)) / max(level.size, 1)
    rest, strata = split_strata(c)
    strata = strata and plain(strata)
    odds, normal, _, variance = null = np.zeros((4, x.size))
    usable = values.size > 1 and bool(propensity(level, rest, strata, c.shape[1], share, null))
    # Odds run away where the covariates separate open from closed cells; those cells are left out below.
    with np.errstate(all="ignore"):
        for h in share[::-1]:
            normal[:] = normal * odds + h
        normal[:] = 1.0 / normal
    cells = np.flatnonzero(variance > _DEAD) if usable else np.zeros(0, dtype=np.int64)
    live = slice(None) if cells.size == x.size else cells
    basis, strata = _basis(rest[live], strata and strata._replace(codes=strata.codes[live]), variance[live])
    null = np.ascontiguousarray(null[:, live])
    return PeakNull(None if cells.size == x.size else cells, level[live], null, basis, share, x.size, usable, strata)


def _basis(covariates: Floats, strata: Strata | None, variance: Floats) -> tuple[Floats, Strata | None]:
    """Return an orthonormal basis of the covariates, without those that others explain."""
    if strata is None:
        # Where a level has no live cell, its column is another intercept, but for rounding; one of zeros is none.
        first = covariates[:1]
        constant = np.flatnonzero((covariates == first).all(axis=0) & first.any(axis=0))
        covariates = np.ascontiguousarray(np.delete(covariates, constant[1:], axis=1))
        basis = np.zeros(covariates.shape)
        return np.ascontiguousarray(basis[:, ~orthonormal(covariates, variance, basis)]), None
    n_columns = strata.values.shape[1]
    in_order = strata._replace(term=np.arange(strata.term.size))
    values, rows, aliased = orthonormal_strata(np.ascontiguousarray(covariates.T), in_order, variance)
    values, rows = values[:, ~aliased[:n_columns]], rows[~aliased[n_columns:]]
    # Then come the other terms, and the one that is tested.
    term = np.arange(values.shape[1] + rows.shape[0] + 1)
    return np.ascontiguousarray(rows.T), Strata(strata.codes, np.ascontiguousarray(values), term)


def robust_p(gene: GeneNull, peak: PeakNull) -> float:
    """Compute the two-sided p-value of one pair; see :func:`calibrated_p`.

    Parameters
    ----------
    gene, peak
        Null fits, from :func:`gene_null` and :func:`peak_null`, with the same cells, covariates and offset.

    Returns
    -------
    float
        Between 0 and 1, and not below 1 / C(n, open cells). NaN where it is undefined: a gene without a count, a peak
        that does not vary or that the covariates determine, counts that they explain, a fit that did not converge.

    Raises
    ------
    InputError
        If gene and peak were prepared from different numbers of cells.

    Examples
    --------
    >>> import numpy as np
    >>> constant = np.ones((8, 1))
    >>> robust_p(gene_null([0, 1, 0, 1, 0, 0, 1, 0], constant), peak_null(np.zeros(8), constant))
    nan
    """
    if gene.residual.size != peak.n_cells:
        raise InputError(f"the gene has {gene.residual.size} cells and the peak {peak.n_cells}: prepare both alike")
    if not (gene.usable and peak.usable):
        return float("nan")
    live = slice(None) if peak.cells is None else peak.cells
    residual, signal = gene.residual[live], gene.signal[live]
    _, p = pair(residual, signal, gene.unit, peak.level, peak.null, peak.basis, peak.strata, peak.base)
    n, k = peak.level.size, int(np.count_nonzero(peak.level))
    # Of so many ways to choose the open cells one was seen: a smooth tail must not go on below.
    smallest_p = math.exp(math.lgamma(k + 1) + math.lgamma(n - k + 1) - math.lgamma(n + 1))
    return max(float(p), smallest_p)


def calibrated_p(counts: ArrayLike, design: ArrayLike, *, target: int, offset: ArrayLike | None = None) -> float:
    """Test "the gene does not depend on the peak, given the covariates", without resampling and without a seed.

    Parameters
    ----------
    counts, design, offset
        As in :func:`fit_poisson`.
    target
        Column of ``design`` that holds the peak, whole numbers from 0.

    Returns
    -------
    float
        Two-sided. NaN as in :func:`robust_p`.

    Raises
    ------
    InputError
        If shapes differ, counts are negative or not finite, or the peak's values are not whole numbers of at least 0.
    DesignError
        If the design or the offset is not finite.

    Warnings
    --------
    The null hypothesis is that gene and peak are independent given the covariates. A peak that changes only the
    variance of the counts breaks it too. Cells are taken as independent: cells of few donors are not. Rejections are
    nominal over many pairs; in one small table without a continuous covariate they come in steps around that.

    Notes
    -----
    The counts stay as they are, however dispersed; the peak is what is random: a conditional randomisation test
    (Candes, Fan, Janson and Lv 2018, J R Stat Soc B 80:551; for single cells Barry et al. 2021, Genome Biol 22:344;
    by saddlepoint Niu, Ray Choudhury and Katsevich 2024, arXiv 2407.08911). With ``mu`` the gene's null fit::

        r_i = (y_i - mu_i) / (1 + phi mu_i),  phi = max(0, sum((y_i - mu_i)^2 - y_i) / sum mu_i^2)             (1)
        P(x_i = k) = h_k exp(k C_i a) / sum_l h_l exp(l C_i a)                                                 (2)
        S = sum r_i (x_i - E x_i),  given  sum x_i C_i                                                         (3)

    For an open or closed peak (2) is logistic regression; with more levels ``h`` is free, which includes Poisson and
    negative binomial counts. Conditioning on ``sum x_i C_i`` removes ``a``, so that its estimation costs no
    calibration. The tail of S is the double saddlepoint (Skovgaard 1987, J Appl Prob 24:875), with
    ``K(t, l) = sum log E exp((t r_i + C_i l)(x_i - E x_i))`` and ``(t, l)`` where its gradient is ``(s, 0)``::

        R = sign(t) sqrt(2 (t s - K)),  U = t sqrt(det K''(t, l) / det K''_ll(0, 0))
        P(S >= s) = 1 - Phi(R + log(U / R) / R)                                                                (4)

    Two-sided, with P the smaller of both tails, F the least that the other one can be while the gene has a count in
    open and in closed cells (without, the pair is separated and not tested), and T the probability of being tested::

        p = 2 P  where P >= F,  else P / T                                                                     (5)

    In sparse pairs nothing on the side of fewer counts is ever that surprising; doubling would halve the size.

    If the covariates' effect on either the gene or the peak is right, S has mean 0 under the null hypothesis.
    ``benchmarks/calibration.py`` prints its rejection rates and power.

    Examples
    --------
    Without covariates it is a smooth form of Fisher's exact test, whose upper tail here is 0.0032, or 0.0004 beyond:

    >>> import numpy as np
    >>> open_ = np.repeat([0, 1], [80, 20])
    >>> gene = np.concatenate([np.repeat([0, 1], [72, 8]), np.repeat([0, 1], [12, 8])])
    >>> round(calibrated_p(gene, np.column_stack([np.ones(100), open_]), target=1), 4)
    0.0014
    """
    z = np.asarray(design, dtype=np.float64)
    if z.ndim != 2 or not -z.shape[1] <= target < z.shape[1]:
        raise InputError(f"the design has shape {z.shape}, expected (n_cells, n_terms) with a column {target}")
    covariates = np.delete(z, target, axis=1)
    gene = gene_null(counts, covariates, offset=offset)
    return robust_p(gene, peak_null(z[:, target], covariates, offset=offset))
