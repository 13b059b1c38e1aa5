"""The cells of one group, and every test of a pair in them but the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanlink.stats import GeneNull, NegbinFit, PeakNull, fit_negbin, fit_poisson, gene_null, peak_null, robust_p
from scanlink.store.store import Store
from scanlink.tl.cells import Cells, Fit
from scanlink.tl.estimates import coefficient_columns
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.rows import ScanPlan
from scanlink.tl.scan.table import LINKS

__all__ = ["GeneCounts", "GroupCells", "PeakCounts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GeneCounts:
    """Counts of one gene in a group, and its fit without a peak once that is asked for."""

    group: GroupCells
    number: int
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

    def __init__(self, store: Store, plan: ScanPlan, number: int) -> None:
        self.options: ScanOptions = plan.options
        super().__init__(store, plan, number, seed=self.options.seed, device=self.options.device)
        self._blank = LINKS.blank(self.options)
        # As R's formula has it: intercept, peak, covariates. What is collinear is left out from the right.
        self.target = int(self.design.shape[1] > 0 and np.ptp(self.design[:, 0]) == 0)

    def gene(self, feature: int) -> GeneCounts:
        """Counts of a gene."""
        return GeneCounts(self, feature, self.values("rna", feature))

    def peak(self, feature: int) -> PeakCounts:
        """Accessibility of a peak: 0 and 1 unless counts are wanted."""
        return PeakCounts(self, self.values("atac", feature, binary=self.options.binarize))

    def design_with(self, peak: PeakCounts) -> Floats:
        """The design with the peak where R's formula has it."""
        return np.insert(self.design, self.target, peak.counts, axis=1)

    def test(self, gene: GeneCounts, peak: PeakCounts) -> tuple[dict[str, Any], Fit | None]:
        """Compute all columns of one pair but those of the bootstrap, and its fit if there is one."""
        result = dict(self._blank)
        if self.n:
            result["frac_gene"] = np.count_nonzero(gene.counts) / self.n
            result["frac_peak"] = np.count_nonzero(peak.counts) / self.n
        result["status"] = self._untestable(gene.counts, peak.counts, result["frac_gene"], result["frac_peak"])
        if result["status"] is not None:
            return result, None
        design = self.design_with(peak)
        fit_counts = fit_poisson if self.options.family == "poisson" else fit_negbin
        fit: Fit = fit_counts(gene.counts, design, offset=self.offset)
        if np.isnan(fit.coef).any():
            result["status"] = "collinear"
            return result, None
        beta, se = float(fit.coef[self.target]), float(fit.se[self.target])
        if not (fit.converged and np.isfinite(beta) and np.isfinite(se)):
            result["status"] = "not_converged"
            return result, None
        result |= coefficient_columns(
            self,
            gene.counts,
            design,
            fit,
            self.target,
            robust=self.options.robust,
            p_robust=lambda: robust_p(gene.null, peak.null),
        )
        low, high = self.interval(beta, result["se_robust"])
        result |= {"z": beta / se, "ci_low": low, "ci_high": high, "status": "ok"}
        if isinstance(fit, NegbinFit):
            result |= {"theta": fit.theta, "theta_converged": fit.theta_converged}
        return result, fit

    def _untestable(self, counts: Floats, peak: Floats, frac_gene: float, frac_peak: float) -> str | None:
        if self.group.status in ("too_few_cells", "too_few_clusters"):
            return self.group.status
        opened = peak > 0
        least, n_open = self.options.min_nonzero, int(np.count_nonzero(opened))
        if not frac_gene > self.options.min_fraction or np.count_nonzero(counts) < least:
            return "gene_rare"
        if not frac_peak > self.options.min_fraction or n_open < least:
            return "peak_rare"
        if self.group.status is not None or np.ptp(peak) == 0:
            return self.group.status or "collinear"
        if self.n - n_open < least and self.options.binarize:
            return "peak_rare"
        if counts[opened].sum() == 0 or (counts[~opened].sum() == 0 and not opened.all()):
            return "separated"
        return None
