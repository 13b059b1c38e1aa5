"""What permutation tests need of a gene: its fit as tables that running sums go over, and the statistics of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError
from scanlink.stats._checks import checked_regression, checked_theta
from scanlink.stats._permute import LANES, Plan, base_statistics, orthonormal_terms
from scanlink.stats._permute_pair import interaction_statistics
from scanlink.stats._types import Floats
from scanlink.stats.images import Images, Perturbed, Runs
from scanlink.stats.negbin import fit_negbin
from scanlink.stats.poisson import fit_poisson

__all__ = ["GeneScore", "levels", "observed_statistics", "statistics"]


@dataclass(frozen=True, eq=False)
class GeneScore:
    """What permutation tests need of a gene, whatever is perturbed.

    Attributes
    ----------
    counts
        Raw UMI counts. Shape ``(n_cells,)``.
    design
        Intercept and covariates, without perturbations. Shape ``(n_cells, n_terms)``.
    mu
        Expected counts of the fit on ``design``. Shape ``(n_cells,)``.
    theta
        Inverse dispersion; infinite for Poisson counts.
    """

    counts: Floats
    design: Floats
    mu: Floats
    theta: float

    @classmethod
    def of(
        cls,
        counts: ArrayLike,
        design: ArrayLike,
        *,
        offset: ArrayLike | None = None,
        mu: ArrayLike | None = None,
        theta: float | None = None,
    ) -> GeneScore:
        """Take a gene with its fit on the covariates.

        Parameters
        ----------
        counts, design
            As the attributes.
        offset
            Known part of the log expected count. Shape ``(n_cells,)``. Not needed beside ``mu``.
        mu
            Expected counts of the negative binomial, or Poisson, fit on ``design``. Shape ``(n_cells,)``. Fitted here
            when left out.
        theta
            Inverse dispersion of that fit; ``inf``, or NaN as :class:`NegbinFit` has it, for a Poisson fit. Estimated
            when both are left out.

        Raises
        ------
        InputError
            If shapes differ, or counts or ``mu`` are negative or not finite; if there is ``mu``, but no ``theta``.
        DesignError
            If the design has more terms than there are cells, or values that are not finite.
        OptionError
            If ``theta`` is not above 0.

        Examples
        --------
        >>> import numpy as np
        >>> gene = GeneScore.of([0, 1, 2, 1], np.ones((4, 1)), theta=np.inf)
        >>> gene.mu
        array([1., 1., 1., 1.])
        """
        y, z, o = checked_regression(counts, design, offset)
        given_theta = None if theta is None else checked_theta(np.inf if np.isnan(theta) else theta)
        if mu is None:
            if given_theta == np.inf:
                return cls(y, z, fit_poisson(y, z, offset=o, path="newton").fitted, np.inf)
            fit = fit_negbin(y, z, offset=o, theta=given_theta)
            return cls(y, z, fit.fitted, np.inf if np.isnan(fit.theta) else fit.theta)
        expected = np.ascontiguousarray(mu, dtype=np.float64)
        if expected.shape != y.shape or not np.isfinite(expected).all() or (expected < 0).any():
            raise InputError(f"mu must be {y.size} finite numbers of at least 0, one for each cell")
        if given_theta is None:
            raise InputError("mu was given without theta: pass that of the same fit, inf for Poisson")
        return cls(y, z, expected, given_theta)

    @cached_property
    def base(self) -> tuple[Floats, float]:
        """Make the table of the base test, four columns together, and the intercept's weight.

        Columns: residual r, weight w, and ``w_i b_i`` of the covariates' basis, orthonormal with weights w; of that
        the intercept is left out, which is w itself. Shape ``(n_groups, n_cells, 4)``.
        """
        shrink = 1.0 / (1.0 + self.mu / self.theta)
        weight = self.mu * shrink
        terms = np.ascontiguousarray(self.design.T)
        low, high = terms.min(axis=1), terms.max(axis=1)
        constant = np.flatnonzero((low == high) & (low != 0))[:1]
        if constant.size:
            # As rescale() has it, a row a term, which is several times faster; the constant comes first.
            varying = terms[low < high]
            varying -= varying.mean(axis=1, keepdims=True)
            varying /= varying.std(axis=1, keepdims=True)
            terms = np.concatenate([terms[constant], varying])
        aliased = orthonormal_terms(terms, weight)
        aliased[: constant.size] = True
        columns = [(self.counts - self.mu) * shrink, weight, *(weight * term for term in terms[~aliased])]
        total = float(np.sum(weight))
        return _table(columns), 1.0 / total if constant.size and total > 0 else 0.0

    @cached_property
    def pair(self) -> tuple[Floats, Floats, float]:
        """Make the table of the pair test, the sums of its columns, and the dispersion ``1 / theta``.

        Columns: ``v y``, ``v m``, ``v^2 m``, ``v^2 m^2`` with ``v_i = 1 / (1 + m_i / theta)`` and m expected counts.
        Shape ``(1, n_cells, 4)``.
        """
        shrink = 1.0 / (1.0 + self.mu / self.theta)
        squared = shrink * shrink * self.mu
        columns = [shrink * self.counts, shrink * self.mu, squared, squared * self.mu]
        return _table(columns), np.array([np.sum(column) for column in columns]), 1.0 / self.theta


def _table(columns: Sequence[Floats]) -> Floats:
    """Put columns together by four, the last filled up with zeros. Shape ``(n_groups, n_cells, 4)``."""
    out = np.zeros((-(-len(columns) // LANES), columns[0].size, LANES))
    for k, column in enumerate(columns):
        out[k // LANES, :, k % LANES] = column
    return out


def statistics(gene: GeneScore, values: Floats, plan: Plan, images: Images) -> Floats:
    """Compute the statistic of each target, or pair, in each permutation. Shape ``(n_images, n_targets)``.

    ``values`` are those of :func:`levels`. NaN where the statistic is undefined.
    """
    out = np.empty((images.cells.shape[0], plan.piece_of.size - 1))
    if values.shape[1] == 1:
        base_statistics(*gene.base, images, plan, values, out)
    else:
        interaction_statistics(*gene.pair, images, plan, values, out)
    return out


def observed_statistics(gene: GeneScore, targets: Sequence[Perturbed], runs: Sequence[Runs]) -> Floats:
    """Compute the statistic of each target with its own cells: as a permutation, each in strata of its own."""
    n_strata = runs[0].begins.size - 1
    cells = np.concatenate([target_runs.cells for target_runs in runs])
    offsets = np.cumsum([0] + [target_runs.cells.size for target_runs in runs])
    begins = np.append(
        np.concatenate([target_runs.begins[:-1] + offset for target_runs, offset in zip(runs, offsets, strict=False)]),
        offsets[-1],
    )
    shifted = [target_runs.runs + np.array([t * n_strata, 0, 0, 0]) for t, target_runs in enumerate(runs)]
    plan = Plan.of(targets, shifted, n_strata * len(runs))
    return statistics(gene, levels(targets), plan, Images(cells[None, :], begins))[0]


def levels(targets: Sequence[Perturbed]) -> Floats:
    """Join the levels of all targets, one after the other. Shape ``(n_levels, 1)`` or ``(n_levels, 2)``."""
    return np.concatenate([target.values for target in targets])
