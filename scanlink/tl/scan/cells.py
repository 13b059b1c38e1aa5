"""The cells of one group, and every test of a pair in them but the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanlink.options import ScanOptions
from scanlink.stats import (
    GeneNull,
    Ladder,
    NegbinFit,
    PeakNull,
    bootstrap_tail,
    fit_negbin,
    fit_poisson,
    gene_null,
    peak_null,
    robust_p,
    sandwich_se,
)
from scanlink.store.store import Store
from scanlink.tl.cells import Cells, Fit, theta_of, two_sided
from scanlink.tl.scan.rows import Plan

__all__ = ["NUMBERS", "GeneCounts", "GroupCells", "PeakCounts"]

Floats = NDArray[np.float64]

NUMBERS = ("beta", "se", "z", "p", "se_robust", "p_robust", "p_boot", "p_tail", "theta")


@dataclass(frozen=True)
class GeneCounts:
    """Counts of one gene in a group, and its fit without a peak once that is asked for."""

    group: GroupCells
    counts: Floats

    @cached_property
    def null(self) -> GeneNull:
        """What the calibrated p-value needs of the gene."""
        return gene_null(self.counts, self.group.design, offset=self.group.offset)


@dataclass(frozen=True)
class PeakCounts:
    """Accessibility of one peak in a group, and its fit on the covariates once that is asked for."""

    group: GroupCells
    counts: Floats

    @cached_property
    def null(self) -> PeakNull:
        """What the calibrated p-value needs of the peak."""
        return peak_null(self.counts, self.group.design, offset=self.group.offset)

    @property
    def nbytes(self) -> int:
        """About how much memory is kept, the fit included."""
        return self.counts.nbytes * (6 + self.group.design.shape[1])


class GroupCells(Cells):
    """The cells of a group, ready to test pairs on."""

    def __init__(self, store: Store, plan: Plan, number: int) -> None:
        self.options: ScanOptions = plan.options
        super().__init__(store, plan, number, seed=self.options.seed, device=self.options.device)
        self.ladder = Ladder.of(self.options.ladder)
        # As R's formula has it: intercept, peak, covariates. What is collinear is left out from the right.
        self.target = int(self.design.shape[1] > 0 and np.ptp(self.design[:, 0]) == 0)

    def gene(self, feature: int) -> GeneCounts:
        """Counts of a gene."""
        return GeneCounts(self, self.values("rna", feature))

    def peak(self, feature: int) -> PeakCounts:
        """Accessibility of a peak: 0 and 1 unless counts are wanted."""
        return PeakCounts(self, self.values("atac", feature, binary=self.options.binarize))

    def design_with(self, peak: PeakCounts) -> Floats:
        """The design with the peak where R's formula has it."""
        return np.insert(self.design, self.target, peak.counts, axis=1)

    def test(self, gene: GeneCounts, peak: PeakCounts) -> tuple[dict[str, Any], Fit | None]:
        """All columns of one pair but those of the bootstrap, and the fit if there is one."""
        result: dict[str, Any] = dict.fromkeys(NUMBERS, np.nan)
        result |= {"n_boot": 0, "frac_gene": np.nan, "frac_peak": np.nan, "theta_converged": None}
        if self.n:
            result["frac_gene"] = np.count_nonzero(gene.counts) / self.n
            result["frac_peak"] = np.count_nonzero(peak.counts) / self.n
        result["status"] = self._untestable(gene.counts, peak.counts, result["frac_gene"], result["frac_peak"])
        if result["status"] is not None:
            return result, None
        design = self.design_with(peak)
        fit = self._fit(gene.counts, design)
        theta = theta_of(fit)
        if np.isnan(fit.coef).any():
            result["status"] = "collinear"
            return result, None
        beta, se = float(fit.coef[self.target]), float(fit.se[self.target])
        if not (fit.converged and np.isfinite(beta) and np.isfinite(se)):
            result["status"] = "not_converged"
            return result, None
        result |= {"beta": beta, "se": se, "z": beta / se, "p": two_sided(beta / se), "status": "ok"}
        if isinstance(fit, NegbinFit):
            result |= {"theta": fit.theta, "theta_converged": fit.theta_converged}
        result["se_robust"] = sandwich_se(
            gene.counts,
            fit.fitted,
            design,
            fit.covariance,
            target=self.target,
            kind=self.options.robust,
            theta=theta,
            clusters=self.clusters,
        )
        result["p_robust"] = self._robust_p(gene, peak, beta, result["se_robust"])
        result["p_tail"] = bootstrap_tail(
            gene.counts,
            design,
            target=self.target,
            estimate=beta,
            offset=self.offset,
            start=fit.coef,
            theta=theta,
            clusters=self.clusters,
        ).p
        return result, fit

    def _fit(self, counts: Floats, design: Floats) -> Fit:
        if self.options.family == "poisson":
            return fit_poisson(counts, design, offset=self.offset)
        return fit_negbin(counts, design, offset=self.offset)

    def _robust_p(self, gene: GeneCounts, peak: PeakCounts, beta: float, se_robust: float) -> float:
        return robust_p(gene.null, peak.null) if self.clusters is None else self.robust_wald(beta, se_robust)

    def _untestable(self, counts: Floats, peak: Floats, frac_gene: float, frac_peak: float) -> str | None:
        if self.about.status in ("too_few_cells", "too_few_clusters"):
            return self.about.status
        opened = peak > 0
        least, n_open = self.options.min_nonzero, int(np.count_nonzero(opened))
        if not frac_gene > self.options.min_fraction or np.count_nonzero(counts) < least:
            return "gene_rare"
        if not frac_peak > self.options.min_fraction or n_open < least:
            return "peak_rare"
        if self.about.status is not None or np.ptp(peak) == 0:
            return self.about.status or "collinear"
        if self.n - n_open < least and self.options.binarize:
            return "peak_rare"
        if counts[opened].sum() == 0 or (counts[~opened].sum() == 0 and not opened.all()):
            return "separated"
        return None
