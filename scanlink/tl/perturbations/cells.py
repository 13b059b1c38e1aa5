"""The cells of one group of a screen: counts of genes, and how likely each cell's target is perturbed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scanlink.stats import (
    GeneNull,
    NegbinFit,
    PeakNull,
    Permutations,
    Perturbed,
    fit_negbin,
    fit_poisson,
    gene_null,
    null_se,
    peak_null,
    perturbation_probability,
    resample_key,
    smallest_effect,
)
from scanlink.store.store import Store
from scanlink.tl.cells import Cells, Fit, theta_of
from scanlink.tl.perturbations.rows import PerturbationPlan

__all__ = ["Perturbation", "PerturbedCells", "PerturbedGene"]

Floats = NDArray[np.float64]

# Probabilities of perturbation are told apart in so many steps by the calibrated p-value, which takes whole numbers.
_STEPS = 50


@dataclass(frozen=True)
class PerturbedGene:
    """Counts of one gene in a group, and its fits without a perturbation once they are asked for."""

    cells: PerturbedCells
    number: int
    counts: Floats

    @cached_property
    def null(self) -> GeneNull:
        """Fit of the covariates, as the calibrated p-value takes it."""
        return gene_null(self.counts, self.cells.design, offset=self.cells.offset)

    @cached_property
    def fit(self) -> Fit:
        """Fit of the covariates, as the options have it."""
        return self.cells.fit(self.counts, self.cells.design)


@dataclass(frozen=True)
class Perturbation:
    """Probability that a target is perturbed in each cell, and its fit on the covariates once that is asked for."""

    group: PerturbedCells
    x: Floats

    @cached_property
    def null(self) -> PeakNull:
        """Fit on the covariates, as the calibrated p-value takes it."""
        whole = bool(((self.x == 0) | (self.x == 1)).all())
        levels = self.x if whole else np.round(self.x * _STEPS)
        return peak_null(levels, self.group.design, offset=self.group.offset)

    @cached_property
    def cells(self) -> Perturbed:
        """The same as a permutation test takes it."""
        cells = np.flatnonzero(self.x)
        return Perturbed.of(cells, self.x[cells])


class PerturbedCells(Cells):
    """The cells of a group, ready to test perturbations on."""

    def __init__(self, store: Store, plan: PerturbationPlan, number: int) -> None:
        self.options, self.targets = plan.options, plan.targets
        super().__init__(store, plan, number, seed=self.options.seed, device=None)
        # As R's formula has it: intercept, perturbations, covariates. What is collinear is left out from the right.
        self.first = int(self.design.shape[1] > 0 and self.n > 0 and np.ptp(self.design[:, 0]) == 0)
        self._orders: dict[int, NDArray[np.intp]] = {}

    @property
    def perturbation_bytes(self) -> int:
        """About how much memory a perturbation takes, its fit included."""
        return 8 * self.n * (6 + self.design.shape[1])

    @cached_property
    def permutations(self) -> Permutations:
        """Of the group's cells, the same for all pairs."""
        return Permutations(resample_key(self.options.seed, self.group.name), self.n)

    def gene(self, number: int) -> PerturbedGene:
        """Counts of a gene."""
        return PerturbedGene(self, number, self.values("rna", number))

    def perturbed(self, target: int, shuffle: int = 0) -> Perturbation:
        """Perturbation of a target, given to other cells by the permutation of that number; 0 leaves it."""
        guides, efficiency, least = self.targets.of(target)
        calls = [self.values("guide", int(guide)) >= bound for guide, bound in zip(guides, least, strict=True)]
        x = perturbation_probability(calls, efficiency)
        return Perturbation(self, x if not shuffle else x[self._order(shuffle)])

    def _order(self, shuffle: int) -> NDArray[np.intp]:
        if shuffle not in self._orders:
            if len(self._orders) > 64:
                self._orders.clear()
            key = resample_key(self.options.seed, f"{self.group.name}, shuffled {shuffle}")
            self._orders[shuffle] = np.random.Generator(np.random.Philox(key=key)).permutation(self.n)
        return self._orders[shuffle]

    def fit(self, counts: Floats, design: Floats, *, offset: Floats | None = None) -> Fit:
        """Regress counts on a design, as the options have it; ``offset`` is that of the group if left out."""
        known, pseudocount = self.offset if offset is None else offset, self.options.pseudocount
        if self.options.family == "poisson":
            return fit_poisson(counts + pseudocount, design, offset=known)
        return fit_negbin(counts, design, offset=known, pseudocount=pseudocount)

    def least_effect(self, fit: Fit, design: Floats, place: int, se_robust: float) -> float:
        """Smallest absolute coefficient of a column with an 80 % chance of p < .05."""
        se = se_robust
        if isinstance(fit, NegbinFit):
            # At the estimate itself the error may be without bound, where no count is left.
            with np.errstate(over="ignore"):
                expected = fit.fitted / np.exp(fit.coef[place] * design[:, place])
            se = null_se(expected, design[:, place], np.delete(design, place, axis=1), theta=theta_of(fit))
        return float(smallest_effect(se))

    def rare(self, counts: Floats) -> bool:
        """Whether a gene has too few counts to be tested."""
        n = np.count_nonzero(counts)
        return bool(n < self.options.min_nonzero or not n > self.options.min_fraction * self.n)
