"""Negative controls of a screen: rows in which nothing can be found, tested beside the others."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.tables import CONTROLS, ROW_KINDS

__all__ = ["Rows", "add_controls"]

log = logging.getLogger("scanlink")

Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Rows:
    """What is tested, a row a test: arrays of shape ``(n_rows,)``."""

    gene: Integers  # position in the store
    targets: Integers  # those that are perturbed, of shape ``(n_rows, 1)``, or ``(n_rows, 2)`` for interactions
    distance: NDArray[np.float64]  # bp, NaN where unknown
    kind: Integers  # number in ``ROW_KINDS``
    shuffle: Integers  # number of the permutation of cells that the perturbations go through, 0 for none

    def joined(self) -> Rows:
        """Put the rows of a gene together, genes in the order in which they first occur."""
        _, first, number = np.unique(self.gene, return_index=True, return_inverse=True)
        order = np.lexsort((self.kind, first[number]))
        return Rows(*(values[order] for values in vars(self).values()))


def add_controls(
    asked: Rows,
    controls: Collection[str],
    *,
    n_controls: int | None,
    seed: int,
    non_targeting: Sequence[int],
    chromosome: Sequence[str | None],
) -> Rows:
    """Put controls of the kinds that are wanted behind the rows that were asked for.

    ``n_controls`` rows of each kind, or if None as many as are asked for and at least 1,000, as far as there are so
    many; ``non_targeting`` are the numbers of targets that are none, ``chromosome`` is that of each target if known.
    """
    n = asked.gene.size
    wanted = max(n, 1000) if n_controls is None else n_controls
    parts = [asked]
    for name in CONTROLS:
        if name not in controls:
            continue
        rng = np.random.default_rng([seed, ROW_KINDS.index(name)])
        if name == "non_targeting":
            part = _non_targeting(asked, non_targeting, wanted, rng)
        elif name == "shuffled":
            part = _shuffled(asked, wanted)
        else:
            part = _mismatched(asked, chromosome, wanted, rng)
        if part is None:
            why = {
                "non_targeting": "there are too few guides without a target",
                "mismatched": "no gene is far from all targets but its own",
            }[name]
            log.warning("no controls of kind %s: %s", name, why)
        else:
            parts.append(part)
    return Rows(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))


def _control(gene: Integers, targets: Integers, kind: str, shuffle: NDArray[np.integer] | None = None) -> Rows:
    n = gene.size
    return Rows(
        gene.astype(np.int32),
        targets.astype(np.int32).reshape(n, -1),
        np.full(n, np.nan),
        np.full(n, ROW_KINDS.index(kind), dtype=np.int32),
        np.zeros(n, dtype=np.int32) if shuffle is None else shuffle.astype(np.int32),
    )


def _non_targeting(asked: Rows, targets: Sequence[int], wanted: int, rng: np.random.Generator) -> Rows | None:
    """Genes that were asked for, with guides that target nothing."""
    genes, k = np.unique(asked.gene), asked.targets.shape[1]
    sets = np.array(list(combinations(targets, k)), dtype=np.int32).reshape(-1, k)
    n = sets.shape[0] * genes.size
    if n == 0:
        return None
    chosen = np.arange(n) if n <= wanted else np.sort(rng.choice(n, wanted, replace=False))
    return _control(genes[chosen // sets.shape[0]], sets[chosen % sets.shape[0]], "non_targeting")


def _shuffled(asked: Rows, wanted: int) -> Rows:
    """Pairs that were asked for, their perturbations given to other cells: once each, then again."""
    n = asked.gene.size
    row = np.arange(wanted) % n
    return _control(asked.gene[row], asked.targets[row], "shuffled", 1 + np.arange(wanted) // n)


def _mismatched(asked: Rows, chromosome: Sequence[str | None], wanted: int, rng: np.random.Generator) -> Rows | None:
    """Targets that were asked for, with genes all of whose targets lie on other chromosomes."""
    # Where it is not known the code is -1, which is the last column of `near`.
    place, known = pd.factorize(np.array(chromosome, dtype=object))
    genes, number = np.unique(asked.gene, return_inverse=True)
    near = np.zeros((genes.size, len(known) + 1), dtype=np.bool_)
    near[number[:, None], place[asked.targets]] = True
    sets = np.unique(asked.targets, axis=0)
    far = np.ones((genes.size, sets.shape[0]), dtype=np.bool_)
    for column in sets.T:
        far &= ~near[:, place[column]] & (place[column] >= 0)
    far &= ~near[:, [-1]]
    gene, which = np.nonzero(far)
    if gene.size == 0:
        return None
    chosen = np.arange(gene.size) if gene.size <= wanted else np.sort(rng.choice(gene.size, wanted, replace=False))
    return _control(genes[gene[chosen]], sets[which[chosen]], "mismatched")
