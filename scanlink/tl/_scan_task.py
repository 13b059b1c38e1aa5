"""What a worker does with a block of a scan: test its pairs, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr

from scanlink.errors import InputError
from scanlink.io.store import Modality, Store
from scanlink.options import ScanOptions
from scanlink.run import Block
from scanlink.stats import (
    Covariates,
    GeneReplicates,
    Ladder,
    PairReplicates,
    PoissonFit,
    Weights,
    climb,
    fit_poisson,
    resample_key,
    sandwich_se,
)
from scanlink.tl.plan import Plan

__all__ = ["RESULT_SCHEMA", "ScanContext", "scan_block"]

Floats = NDArray[np.float64]

# What a group keeps of peaks between pairs, and of weights between blocks.
_CACHE_BYTES = 2**26
_WEIGHTS_BYTES = 2**27
# As much may wait to be resampled together.
_WAITING_BYTES = 2**28

_NUMBERS = ("beta", "se", "z", "p", "se_robust", "p_robust", "p_boot", "p_tail")

RESULT_SCHEMA = pa.schema(
    [
        ("group", pa.int32()),
        ("row", pa.int64()),
        ("frac_gene", pa.float64()),
        ("frac_peak", pa.float64()),
        *((name, pa.float64()) for name in _NUMBERS),
        ("n_boot", pa.int64()),
        ("status", pa.string()),
    ]
)


@dataclass(frozen=True)
class ScanContext:
    """Where the data and the plan are; all that travels to a worker besides the block."""

    store: str
    plan: str


def scan_block(context: ScanContext, block: Block) -> pa.Table:
    """Test the pairs of one block.

    Parameters
    ----------
    context
        Data and plan.
    block
        Rows of the plan's pairs, in one group.

    Returns
    -------
    pyarrow.Table
        A row a pair, columns of ``RESULT_SCHEMA``.
    """
    plan, group = _opened(context)[0], _group(context, block.group)
    rows: list[dict[str, Any]] = []
    peaks: dict[int, Floats] = {}
    waiting = _Waiting(group)
    gene_before, counts = -1, np.empty(0)
    for row in range(block.first, block.last):
        gene, peak = int(plan.pairs["gene"][row]), int(plan.pairs["peak"][row])
        if gene != gene_before:
            gene_before, counts = gene, group.dense("rna", gene)
            waiting.next_gene(counts)
        if peak not in peaks:
            if len(peaks) * group.n * 8 > _CACHE_BYTES:
                peaks.clear()
            peaks[peak] = group.dense("atac", peak)
        result, fit = group.test(counts, peaks[peak])
        rows.append({"group": block.group, "row": row, **result})
        if fit is not None and group.options.p_value == "bootstrap":
            waiting.add(peaks[peak], fit, rows[-1])
    waiting.resample()
    return pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)


class _Waiting:
    """Tested pairs that are to be resampled: together, because replicates cost little more for many than for one."""

    def __init__(self, group: _Group) -> None:
        self.group = group
        self.counts = np.empty(0)
        self.gene: GeneReplicates | None = None
        self.genes: list[tuple[GeneReplicates, list[PairReplicates]]] = []
        self.rows: list[list[dict[str, Any]]] = []
        self.bytes = 0

    def next_gene(self, counts: Floats) -> None:
        """Go on to another gene; what waits is resampled when it takes too much memory."""
        if self.bytes > _WAITING_BYTES:
            self.resample()
        self.counts, self.gene = counts, None

    def add(self, peak: Floats, fit: PoissonFit, row: dict[str, Any]) -> None:
        """Let a pair of the gene wait; ``row`` gets its p-value."""
        if self.gene is None:
            self.gene = GeneReplicates(self.group.covariates, self.counts)
            self.genes.append((self.gene, []))
            self.rows.append([])
            self.bytes += 16 * self.group.n
        pair = self.gene.pair(peak, fit=fit, target=self.group.target)
        self.genes[-1][1].append(pair)
        self.rows[-1].append(row)
        self.bytes += pair.nbytes

    def resample(self) -> None:
        """Climb the ladder with all that wait."""
        for rows, found in zip(self.rows, climb(self.genes, self.group.ladder, self.group.weights), strict=True):
            for row, (p, n) in zip(rows, found, strict=True):
                row["p_boot"], row["n_boot"] = p, n
        self.genes, self.rows, self.gene, self.bytes = [], [], None, 0


class _Group:
    """The cells of a group, ready to test pairs on."""

    def __init__(self, store: Store, plan: Plan, number: int) -> None:
        arrays, self.about = plan.group_arrays(number), plan.groups[number]
        self.options: ScanOptions = plan.options
        self.ladder = Ladder.of(self.options.ladder)
        self.store = store
        self.n = arrays["cells"].size
        self.place = np.full(len(store.cells), -1, dtype=np.int64)
        self.place[arrays["cells"]] = np.arange(self.n)
        self.design, self.offset = arrays["design"], arrays["offset"]
        # As R's formula has it: intercept, peak, covariates. What is collinear is left out from the right.
        self.target = int(self.design.shape[1] > 0 and np.ptp(self.design[:, 0]) == 0)
        self.covariates = Covariates.of(self.design, self.offset)
        self.weights = Weights(resample_key(self.options.seed, self.about.name), self.n, keep_bytes=_WEIGHTS_BYTES)

    def dense(self, modality: Modality, feature: int) -> Floats:
        """Counts of a feature in the group's cells; peaks as 0 and 1 unless counts are wanted."""
        cells, values = self.store.column(modality, feature)
        place = self.place[cells]
        inside = place >= 0
        out = np.zeros(self.n)
        out[place[inside]] = 1.0 if modality == "atac" and self.options.binarize else values[inside]
        return out

    def test(self, counts: Floats, peak: Floats) -> tuple[dict[str, Any], PoissonFit | None]:
        """All columns of one pair but those of the bootstrap, and the fit if there is one."""
        result: dict[str, Any] = dict.fromkeys(_NUMBERS, np.nan)
        result |= {"n_boot": 0, "frac_gene": np.nan, "frac_peak": np.nan}
        if self.n:
            result["frac_gene"] = np.count_nonzero(counts) / self.n
            result["frac_peak"] = np.count_nonzero(peak) / self.n
        result["status"] = self._untestable(counts, peak, result["frac_gene"], result["frac_peak"])
        if result["status"] is not None:
            return result, None
        design = np.insert(self.design, self.target, peak, axis=1)
        fit = fit_poisson(counts, design, offset=self.offset)
        if np.isnan(fit.coef).any():
            result["status"] = "collinear"
            return result, None
        beta, se = float(fit.coef[self.target]), float(fit.se[self.target])
        if not (fit.converged and np.isfinite(beta) and np.isfinite(se)):
            result["status"] = "not_converged"
            return result, None
        robust = sandwich_se(counts, fit.fitted, design, fit.covariance, target=self.target, kind=self.options.robust)
        result |= {"beta": beta, "se": se, "z": beta / se, "p": _two_sided(beta / se), "status": "ok"}
        result |= {"se_robust": robust, "p_robust": _two_sided(beta / robust) if robust > 0 else np.nan}
        return result, fit

    def _untestable(self, counts: Floats, peak: Floats, frac_gene: float, frac_peak: float) -> str | None:
        if self.about.status == "too_few_cells":
            return "too_few_cells"
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


def _two_sided(z: float) -> float:
    return float(2.0 * ndtr(-abs(z)))


# By plan and not by path: another plan may find other counts under the same path.
@lru_cache(maxsize=4)
def _opened(context: ScanContext) -> tuple[Plan, Store]:
    plan, store = Plan(Path(context.plan), Path(context.store)), Store.open(context.store)
    if store.checksum != plan.about["store"]:
        raise InputError(
            f"the store {context.store} is not the one that the scan was planned on: it was replaced meanwhile. "
            "Start the scan again, with a folder of its own for each data set"
        )
    return plan, store


@lru_cache(maxsize=2)
def _group(context: ScanContext, number: int) -> _Group:
    plan, store = _opened(context)
    return _Group(store, plan, number)
