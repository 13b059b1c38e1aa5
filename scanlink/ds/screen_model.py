"""The model behind a simulated screen: its cells, their guides, and how the counts of one gene are drawn.

For gene k, of which targets A and B are perturbed with probabilities xA and xB in cell i:

    x      = 1 - prod_g (1 - G_g eff_g)          over the guides g of the target, G_g = 1 where the cell has guide g
    y_ik   ~ negative binomial, mean exp(eta_ik), variance mean + mean^2 / theta
    eta_ik = b0 + bA xA + bB xB + bAB xA xB + bS s_score + bG g2m_score + bM percent.mito + log(nUMI / 1e6)

The numbers (distributions of cells and coefficients) are those of the published power simulation of GLiMMIRS. Every
gene, and everything that is drawn once for all cells, has a random stream of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scanlink.ds.model import stream, whole_number
from scanlink.errors import OptionError

__all__ = ["Cells", "Combine", "Effects", "Guides", "Perturbation", "ScreenModel"]

Floats = NDArray[np.float64]
Perturbation = Literal["probability", "drawn"]
Combine = Literal["multiplicative", "additive"]

# Streams, by what they are for.
_TOTAL, _MITO, _CYCLE, _GUIDES, _EFFICIENCY, _NOISE, _GENE, _COUNTS = range(20, 28)
# Mean UMIs of a cell, and the Beta distribution of its mitochondrial share.
_UMI, _MITO_SHAPE = 50_000, (3.3, 81.48)
# Mean and standard deviation of the S score; location, scale and shape of the skew normal G2M score.
_S_SCORE, _G2M_SCORE = (-1.296e-3, 0.11), (-0.2556359, 0.3124325, 6.2932919)
# Mean and standard deviation of the coefficients of S score, G2M score and mitochondrial percentage.
_COVARIATES = np.array([[-0.21, 1.04], [0.004, 0.49], [-0.0037, 0.0904]])


@dataclass(frozen=True)
class Cells:
    """Covariates of the cells. Each of shape ``(n_cells,)``; ``percent_mito`` runs from 0 to 100."""

    total: NDArray[np.int64]
    mito: NDArray[np.int64]
    s_score: Floats
    g2m_score: Floats

    @property
    def percent_mito(self) -> Floats:
        """Percentage of the UMIs in mitochondrial genes."""
        return 100.0 * self.mito / self.total

    @property
    def covariates(self) -> Floats:
        """What the published model has besides the perturbations. Shape ``(n_cells, 3)``."""
        return np.column_stack([self.s_score, self.g2m_score, self.percent_mito])

    @property
    def offset(self) -> Floats:
        """Log of millions of UMIs. Shape ``(n_cells,)``."""
        return np.asarray(np.log(self.total / 1e6))


@dataclass(frozen=True)
class Guides:
    """Which cells have each guide, as a list of lists."""

    cells: NDArray[np.int64]  # (n_entries,) positions; guide g has ``cells[starts[g] : starts[g + 1]]``
    starts: NDArray[np.int64]  # (n_guides + 1,)
    works: NDArray[np.bool_]  # (n_entries,) whether the guide perturbs its target in that cell, where that is drawn
    efficiency: Floats  # (n_guides,) with what probability it does
    known: Floats  # (n_guides,) what an analysis is told of that probability

    def probability(self, guides: range, n_cells: int, *, efficiency: Floats) -> Floats:
        """Compute the probability that at least one of the guides works. Shape ``(n_cells,)``."""
        missed = np.ones(n_cells)
        for guide in guides:
            missed[self.cells[self.starts[guide] : self.starts[guide + 1]]] *= 1.0 - efficiency[guide]
        return 1.0 - missed

    def worked(self, guides: range, n_cells: int) -> Floats:
        """Mark cells in which at least one of the guides works with 1. Shape ``(n_cells,)``."""
        perturbed = np.zeros(n_cells)
        entries = slice(self.starts[guides.start], self.starts[guides.stop])
        perturbed[self.cells[entries][self.works[entries]]] = 1.0
        return perturbed

    def present(self, guides: range, n_cells: int) -> NDArray[np.bool_]:
        """Tell in which cells at least one of the guides is. Shape ``(n_cells,)``."""
        present = np.zeros(n_cells, dtype=np.bool_)
        present[self.cells[self.starts[guides.start] : self.starts[guides.stop]]] = True
        return present


@dataclass(frozen=True)
class Effects:
    """Coefficients of one gene, natural log: ``covariates`` are of S score, G2M score and mitochondrial percentage."""

    baseline: float
    first: float
    second: float
    covariates: Floats


@dataclass(frozen=True)
class ScreenModel:
    """What is simulated: see :func:`scanlink.ds.simulate_screen` for the meaning of each."""

    n_cells: int
    n_targets: int
    guides_per_target: int
    n_non_targeting: int
    guides_per_cell: float
    efficiencies: tuple[float, ...]
    efficiency_noise: float | None
    perturbation: Perturbation
    baseline: tuple[float, ...]
    effect: tuple[float, ...]
    combine: Combine
    theta: float
    seed: int

    def __post_init__(self) -> None:
        for name, least in (("n_cells", 1), ("n_targets", 2), ("guides_per_target", 1), ("n_non_targeting", 0)):
            whole_number(name, getattr(self, name), least)
        whole_number("seed", self.seed, 0)
        for name in ("guides_per_cell", "theta"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} is {getattr(self, name)!r}, expected a number above 0")
        if self.efficiency_noise is not None and not self.efficiency_noise > 0:
            raise OptionError(f"efficiency_noise is {self.efficiency_noise!r}, expected a number above 0, or None")
        if len(self.efficiencies) != 2 or not min(self.efficiencies) > 0:
            raise OptionError(f"efficiencies is {self.efficiencies!r}, expected two shapes above 0, such as (6, 3)")
        for name in ("baseline", "effect"):
            pair = getattr(self, name)
            if len(pair) != 2 or not (np.isfinite(pair).all() and pair[1] >= 0):
                raise OptionError(f"{name} is {pair!r}, expected a mean and a standard deviation")
        for name, choices in (("perturbation", ("probability", "drawn")), ("combine", ("multiplicative", "additive"))):
            if getattr(self, name) not in choices:
                raise OptionError(f"{name} is {getattr(self, name)!r}, expected {' or '.join(map(repr, choices))}")

    @property
    def n_guides(self) -> int:
        """Guides, those without a target last."""
        return self.n_targets * self.guides_per_target + self.n_non_targeting

    def guides_of(self, target: int) -> range:
        """Number the guides of a target."""
        return range(target * self.guides_per_target, (target + 1) * self.guides_per_target)

    def targets_of(self, gene: int) -> tuple[int, int]:
        """Choose the two targets that act on a gene; more genes than pairs of targets share them."""
        place = gene % (self.n_targets // 2)
        return 2 * place, 2 * place + 1

    def cells(self) -> Cells:
        """Draw the covariates of all cells."""
        return _cells(self.seed, self.n_cells)

    def guides(self) -> Guides:
        """Draw which cell has which guides."""
        return _guides(self)

    def effects(self, gene: int) -> Effects:
        """Draw the coefficients of a gene."""
        deviate = stream(self.seed, _GENE, gene).normal(size=6)
        baseline = self.baseline[0] + self.baseline[1] * deviate[0]
        first, second = self.effect[0] + self.effect[1] * deviate[1:3]
        covariates = _COVARIATES[:, 0] + _COVARIATES[:, 1] * deviate[3:]
        return Effects(float(baseline), float(first), float(second), covariates)

    def known(self, gene: int) -> tuple[Floats, Floats]:
        """Compute the perturbation of a gene's two targets as an analysis sees it. Each of shape ``(n_cells,)``."""
        drawn = self.guides()
        first, second = (
            drawn.probability(self.guides_of(target), self.n_cells, efficiency=drawn.known)
            for target in self.targets_of(gene)
        )
        return first, second

    def n_both(self, gene: int) -> int:
        """Count the cells that have a guide of each of the two targets of a gene."""
        drawn = self.guides()
        first, second = (drawn.present(self.guides_of(target), self.n_cells) for target in self.targets_of(gene))
        return int(np.count_nonzero(first & second))

    def counts(self, gene: int, interaction: float) -> NDArray[np.int64]:
        """Draw the counts of a gene whose targets interact. Shape ``(n_cells,)``."""
        mean = self.expected(gene, interaction)
        rng = stream(self.seed, _COUNTS, gene, *_bits(self.guides_per_cell), *_bits(interaction))
        if np.isfinite(self.theta):
            mean = mean * (rng.standard_gamma(self.theta, size=self.n_cells) / self.theta)
        return rng.poisson(mean)

    def expected(self, gene: int, interaction: float) -> Floats:
        """Compute the expected counts of a gene in each cell. Shape ``(n_cells,)``."""
        cells, drawn, of_gene = self.cells(), self.guides(), self.effects(gene)
        first, second = (
            drawn.worked(self.guides_of(target), self.n_cells)
            if self.perturbation == "drawn"
            else drawn.probability(self.guides_of(target), self.n_cells, efficiency=drawn.efficiency)
            for target in self.targets_of(gene)
        )
        eta = of_gene.baseline + cells.offset + np.einsum("ij,j->i", cells.covariates, of_gene.covariates)
        if self.combine == "multiplicative":
            return np.exp(eta + of_gene.first * first + of_gene.second * second + interaction * first * second)
        if interaction:
            raise OptionError("effects that add have no interaction here: give interaction=0 with combine='additive'")
        factor = 1.0 + np.expm1(of_gene.first) * first + np.expm1(of_gene.second) * second
        if not factor.min() > 0:
            raise OptionError(
                f"effects of {of_gene.first:.2f} and {of_gene.second:.2f} add to less than nothing in some cells: give "
                "a smaller effect"
            )
        return np.asarray(np.exp(eta) * factor)


def _bits(value: float) -> tuple[int, int]:
    """Turn a number into a part of the key of a random stream. Minus zero is zero."""
    low, high = np.array([value + 0.0], dtype=np.float64).view(np.uint32)
    return int(low), int(high)


@lru_cache(maxsize=2)
def _cells(seed: int, n_cells: int) -> Cells:
    total = np.maximum(stream(seed, _TOTAL).poisson(_UMI, size=n_cells), 1)
    rng = stream(seed, _MITO)
    mito = rng.binomial(total, rng.beta(*_MITO_SHAPE, size=n_cells))
    deviate = stream(seed, _CYCLE).normal(size=(3, n_cells))
    place, scale, shape = _G2M_SCORE
    skewed = (shape * np.abs(deviate[1]) + deviate[2]) / np.sqrt(1.0 + shape * shape)
    return Cells(total, mito, _S_SCORE[0] + _S_SCORE[1] * deviate[0], place + scale * skewed)


@lru_cache(maxsize=2)
def _guides(model: ScreenModel) -> Guides:
    """Draw Poisson numbers of guides in each cell, all sets of that many guides alike."""
    n = model.n_guides
    efficiency = np.clip(
        stream(model.seed, _EFFICIENCY).beta(model.efficiencies[0], model.efficiencies[1], size=n), 1e-6, 1.0 - 1e-6
    )
    believed = efficiency
    if model.efficiency_noise is not None:
        trust = model.efficiency_noise
        believed = stream(model.seed, _NOISE).beta(trust * efficiency, trust * (1.0 - efficiency))
    rng = stream(model.seed, _GUIDES, *_bits(model.guides_per_cell))
    many = np.minimum(rng.poisson(model.guides_per_cell, size=model.n_cells), n)
    # Cells with more guides first, so that each step has to do with the first cells only.
    order = np.argsort(-many, kind="stable")
    remaining = many[order]
    chosen = np.full((model.n_cells, int(many.max())), -1, dtype=np.int64)
    for step in range(chosen.shape[1]):
        rows = int(np.searchsorted(-remaining, -step, side="left"))
        # Floyd's sample without replacement: one of the first guides, or, where it is taken, the last of them.
        last = n - remaining[:rows] + step
        guide = np.floor(rng.random(rows) * (last + 1)).astype(np.int64)
        taken = (chosen[:rows, :step] == guide[:, None]).any(axis=1)
        chosen[:rows, step] = np.where(taken, last, guide)
    row, column = np.nonzero(chosen >= 0)
    key = np.sort(chosen[row, column] * model.n_cells + order[row])
    guide, cell = np.divmod(key, model.n_cells)
    starts = np.searchsorted(guide, np.arange(n + 1))
    return Guides(cell, starts, rng.random(cell.size) < efficiency[guide], efficiency, believed)
