"""The cells of one group on a worker: their covariates, their counts of any feature, their bootstrap weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from scanlink.stats import Covariates, NegbinFit, PoissonFit, Weights, resample_key, sums_on
from scanlink.store.store import Modality, Store
from scanlink.tl.cell_plan import CellPlan

__all__ = ["Cells", "Fit", "opener", "theta_of", "two_sided"]

Floats = NDArray[np.float64]

Fit = PoissonFit | NegbinFit
AnyPlan = TypeVar("AnyPlan", bound=CellPlan)
AnyCells = TypeVar("AnyCells")

# What a group keeps of weights between blocks.
_WEIGHTS_BYTES = 2**27
# Of confidence intervals.
_LEVEL = 0.95


def two_sided(z: float) -> float:
    """P-value of a standard normal statistic."""
    return float(2.0 * ndtr(-abs(z)))


def theta_of(fit: Fit) -> float | None:
    """Inverse dispersion of a fit; None for Poisson counts, or where they vary no more than these and have none."""
    return fit.theta if isinstance(fit, NegbinFit) and not np.isnan(fit.theta) else None


class Cells:
    """The cells of a group, as every test of them needs them.

    ``number`` is the index of the group in the plan, ``seed`` that of the bootstrap, and ``device`` where its matrix
    products are computed, None for this package's own loops.
    """

    def __init__(self, store: Store, plan: CellPlan, number: int, *, seed: int, device: str | None) -> None:
        arrays, self.group = plan.group_arrays(number), plan.groups[number]
        self.store, self._device = store, device
        self.n = arrays["cells"].size
        self.place = np.full(store.n_cells, -1, dtype=np.int32)
        self.place[arrays["cells"]] = np.arange(self.n, dtype=np.int32)
        self.design, self.offset = arrays["design"], arrays["offset"]
        self.clusters: NDArray[np.int64] | None = arrays.get("clusters")
        key = resample_key(seed, self.group.name)
        self.weights = Weights(key, self.n, clusters=self.clusters, keep_bytes=_WEIGHTS_BYTES)

    @cached_property
    def covariates(self) -> Covariates:
        """The design as the moment solver sees it."""
        return Covariates.of(self.design, self.offset, clusters=self.clusters, sums=sums_on(self._device))

    def values(self, modality: Modality, feature: int, *, binary: bool = False) -> Floats:
        """Counts of a feature in each cell, or 1 where there are any. Shape ``(n_cells,)``."""
        cells, values = self.store.column(modality, feature)
        place = self.place[cells]
        inside = place >= 0
        out = np.zeros(self.n)
        out[place[inside]] = 1.0 if binary else values[inside]
        return out

    def robust_wald(self, estimate: float, se: float) -> float:
        """P-value of an estimate with a robust error, NaN without one; with few clusters, of t."""
        if not se > 0:
            return float("nan")
        if self.clusters is None:
            return two_sided(estimate / se)
        # Few clusters: their number less one says how well the error is known.
        return float(2.0 * stdtr(int(self.clusters.max()), -abs(estimate / se)))

    def interval(self, estimate: float, se: float) -> tuple[float, float]:
        """95 % confidence interval."""
        upper = 0.5 + _LEVEL / 2
        factor = ndtri(upper) if self.clusters is None else stdtrit(int(self.clusters.max()), upper)
        return estimate - float(factor) * se, estimate + float(factor) * se


def opener(cells: Callable[[Store, AnyPlan, int], AnyCells]) -> Callable[[AnyPlan, int], tuple[AnyPlan, AnyCells]]:
    """Make the function by which a kind of task finds its plan, as it arrived, and the cells of a group.

    The latest plans with their stores, and the cells of the latest groups, stay open between blocks.
    """

    # By plan and not by path of the store: another plan may find other counts under the same path.
    @lru_cache(maxsize=4)
    def opened(plan: AnyPlan) -> tuple[AnyPlan, Store]:
        return plan, plan.open_store()

    @lru_cache(maxsize=2)
    def group(plan: AnyPlan, number: int) -> AnyCells:
        kept, store = opened(plan)
        return cells(store, kept, number)

    return lambda plan, number: (opened(plan)[0], group(plan, number))
