"""The cells of one group, and every test of an enhancer pair in them but the bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import DesignError
from scanlink.stats import StatesFit, calibrated_p, fit_states, interaction_p, smallest_effect
from scanlink.store.store import Store
from scanlink.tl.cells import Cells, two_sided
from scanlink.tl.epistasis.rows import EpistasisPlan
from scanlink.tl.epistasis.table import EPISTASIS_TABLE, quantity_names, state_columns
from scanlink.tl.estimates import Regression, p_values

__all__ = ["StatesCells"]

Floats = NDArray[np.float64]


class StatesCells(Cells):
    """The cells of a group, ready to test enhancer pairs on."""

    def __init__(self, store: Store, plan: EpistasisPlan, number: int) -> None:
        self.options, self.n_enhancers = plan.options, plan.n_enhancers
        super().__init__(store, plan, number, seed=self.options.seed, device=self.options.device)
        self._blank = EPISTASIS_TABLE.blank(self.options)

    def test(self, counts: Floats, state: NDArray[np.int64]) -> tuple[dict[str, Any], StatesFit | None]:
        """Compute all columns of one pair but those of the bootstrap, and its fit if there is one.

        The gene has ``counts``, and each cell is in a ``state``. Shape ``(n_cells,)`` each.
        """
        names, n_states = quantity_names(self.n_enhancers), 2**self.n_enhancers
        cells, umis = state_columns(self.n_enhancers)
        n = np.bincount(state, minlength=n_states)
        umi = np.bincount(state, counts, minlength=n_states).astype(np.float64)
        result = self._blank | dict(zip(cells, n.tolist(), strict=True)) | dict(zip(umis, umi.tolist(), strict=True))
        result["status"] = self._untestable(n, umi)
        if result["status"] is not None:
            return result, None
        options = self.options
        try:
            fit = fit_states(
                counts,
                state,
                self.design,
                n_enhancers=self.n_enhancers,
                offset=self.offset,
                family=options.family,
                model=options.model,
                dosage=options.coding == "dosage",
                clusters=self.clusters,
            )
        except DesignError:
            # Fewer cells in two states than terms.
            result["status"] = "too_few_cells"
            return result, None
        estimates = fit.estimates
        if np.isnan(fit.coef).any():
            result["status"] = "collinear"
            return result, None
        ses = [fit.se(row) for row in fit.quantities]
        if not (fit.converged and np.isfinite(estimates).all() and np.isfinite(ses).all()):
            result["status"] = "not_converged"
            return result, None
        robust = [fit.se_robust(row, kind=options.robust) for row in fit.quantities]
        for k, name in enumerate(names):
            beta, p_robust = float(estimates[k]), self._robust_p(fit, counts, k, robust[k])
            low, high = self._interval(beta, ses[k], robust[k])
            values = {"beta": beta, "ci_low": low, "ci_high": high}
            values |= p_values(beta, ses[k], robust[k], p_robust, self._regression(fit, k))
            result |= {f"{column}_{name}": value for column, value in values.items()}
        gradient, reri = fit.reri_gradient(), float(estimates[-1])
        se, se_robust = fit.se(gradient), fit.se_robust(gradient, kind=options.robust)
        low, high = self._interval(reri, se, se_robust)
        result |= {
            "reri": reri,
            "se_reri": se,
            "p_reri": two_sided(reri / se),
            "se_robust_reri": se_robust,
            "p_robust_reri": self.robust_wald(reri, se_robust),
            "ci_low_reri": low,
            "ci_high_reri": high,
            "min_interaction": float(smallest_effect(robust[-1])),
            "cook_ratio": fit.cook_ratio(),
            "status": "ok",
        }
        last = fit.parts[-1]
        if options.family == "negbin":
            result |= {"theta": last.fit.theta, "theta_converged": last.fit.theta_converged}  # type: ignore[union-attr]
        return result, fit

    def _robust_p(self, fit: StatesFit, counts: Floats, quantity: int, se_robust: float) -> float:
        """P-value that keeps its level where few cells are in a state; with clusters, of the robust error."""
        options = self.options
        if self.clusters is not None or (options.coding == "dosage" and quantity == fit.coef.size):
            return self.robust_wald(float(fit.estimates[quantity]), se_robust)
        if quantity == fit.coef.size:
            return interaction_p(counts, fit.state, self.design, n_enhancers=self.n_enhancers, offset=self.offset)
        # A state against the first is a peak that is open or closed, and these are all the cells.
        cells = np.flatnonzero((fit.state == 0) | (fit.state == quantity + 1))
        design = np.column_stack([fit.state[cells] > 0, self.design[cells]])
        return calibrated_p(counts[cells], design, target=0, offset=self.offset[cells])

    def _regression(self, fit: StatesFit, quantity: int) -> Regression | None:
        """Write the regression so that a quantity is one of its coefficients; None where it is of several fits."""
        if len(fit.parts) > 1 and quantity == fit.coef.size:
            return None
        part = fit.parts[quantity if len(fit.parts) > 1 else 0]
        weights = np.ones(1) if len(fit.parts) > 1 else fit.quantities[quantity]
        # The quantity takes the place of the last contrast that it has; the others stay.
        place = int(np.flatnonzero(weights)[-1])
        columns = part.design[:, list(part.targets)]
        columns = columns - np.outer(columns[:, place] / weights[place], weights)
        design, coef = part.design.copy(), part.fit.coef.copy()
        design[:, list(part.targets)] = columns
        design[:, part.targets[place]] = part.design[:, part.targets[place]] / weights[place]
        coef[part.targets[place]] = float(np.sum(weights * part.fit.coef[list(part.targets)]))
        clusters = self.clusters if self.clusters is None or part.cells is None else self.clusters[part.cells]
        return Regression(
            part.counts, design, part.targets[place], coef, part.offset, theta=part.theta, clusters=clusters
        )

    def _interval(self, estimate: float, se: float, se_robust: float) -> tuple[float, float]:
        return self.interval(estimate, se if self.options.p_value == "wald" else se_robust)

    def _untestable(self, n: NDArray[np.int64], umi: Floats) -> str | None:
        if self.group.status is not None:
            return self.group.status
        if n.min() < self.options.min_cells:
            return "too_few_11"
        return "separated" if umi.min() == 0 else None
