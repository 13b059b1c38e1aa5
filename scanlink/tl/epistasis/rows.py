"""The plan of an epistasis analysis: enhancer pairs of some groups, checked and cut into blocks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.peaks import parse_peaks
from scanlink.options import EpistasisOptions
from scanlink.run import Block, cut
from scanlink.stats import Ladder
from scanlink.store.store import Store
from scanlink.tl.designs import Group, group_designs
from scanlink.tl.epistasis.enhancer_pairs import enhancer_columns
from scanlink.tl.plan import PlanFiles, write_plan

__all__ = ["EpistasisPlan", "make_epistasis_plan"]

# Of tested pairs, about this share enters the second stage of a ladder with one of its coefficients.
_GO_ON = 0.6


class EpistasisPlan(PlanFiles):
    """Enhancer pairs that have been checked and cut into blocks."""

    @property
    def options(self) -> EpistasisOptions:
        """How pairs are tested."""
        return EpistasisOptions(**self.about["options"])

    @cached_property
    def n_enhancers(self) -> int:
        """How many enhancers are tested together."""
        return int(self.enhancers.shape[1])

    @cached_property
    def gene(self) -> NDArray[np.int32]:
        """Position of each row's gene in the store. Shape ``(n_rows,)``."""
        return np.load(self.folder / "pairs_gene.npy")

    @cached_property
    def enhancers(self) -> NDArray[np.int32]:
        """Positions of each row's peaks in the store. Shape ``(n_rows, k)``."""
        return np.load(self.folder / "pairs_enhancers.npy")

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """Between the midpoints of the outermost enhancers, bp; NaN across chromosomes. Shape ``(n_rows,)``."""
        return np.load(self.folder / "pairs_distance.npy")


def make_epistasis_plan(
    store: Store,
    pairs: pd.DataFrame,
    folder: Path,
    *,
    options: EpistasisOptions,
    groupby: str | None = None,
    strict: bool = True,
) -> EpistasisPlan:
    """Check everything and write the plan below ``folder``; the same input gives the same plan.

    Parameters
    ----------
    store
        Counts and cells.
    pairs
        Columns ``group``, ``gene``, ``enhancer_1``, ``enhancer_2`` and so on, as
        :func:`scanlink.tl.enhancer_pairs` gives them.
    folder
        The plan gets a folder of its own in it, named by its fingerprint.
    options
        How pairs are tested.
    groupby
        Column of the table of cells; None makes all cells one group, ``all``.
    strict
        Whether it is an error if none of the groups can be tested.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Whatever would make tasks fail is found here: unknown names, missing covariates, no usable group.
    """
    table, columns = _checked(pairs, groupby)
    gene = store.positions("rna", table["gene"])
    enhancers = np.column_stack([store.positions("atac", table[name]) for name in columns]).astype(np.int32)
    names = list(dict.fromkeys(table["group"]))
    designs = group_designs(
        store,
        formula=options.formula,
        groupby=groupby,
        groups=None if groupby is None else tuple(names),
        cluster=options.cluster,
        min_cells=options.min_cells * 2 ** len(columns),
        n_tested=2 ** len(columns) - 1,
        strict=strict,
    )
    blocks: list[Block] = []
    group = pd.Categorical(table["group"], categories=names).codes
    seconds = [_seconds(own, len(columns), options) for own in designs.groups]
    whole = sum(seconds[number] for number in group)
    for number in range(len(names)):
        rows = np.flatnonzero(group == number)
        cost = np.full(rows.size, seconds[number])
        target = min(10.0, max(0.2, whole / 100))
        for block in cut(gene[rows], [cost], target=target, owners_per_block=options.block_genes):
            first, last = int(rows[0]) + block.first, int(rows[0]) + block.last
            blocks.append(Block(len(blocks), number, first, last, block.cost))
    return write_plan(
        EpistasisPlan,
        "epistasis",
        folder,
        store=store,
        groupby=groupby,
        options=options.model_dump(mode="json"),
        designs=designs,
        rows={"gene": gene, "enhancers": enhancers, "distance": _distance(table, columns)},
        blocks=blocks,
    )


def _checked(pairs: pd.DataFrame, groupby: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Pairs with groups and genes together, and the names of their enhancers' columns."""
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs is a {type(pairs).__name__}, expected a table as scanlink.tl.enhancer_pairs gives it")
    order = 0
    while f"enhancer_{order + 1}" in pairs.columns:
        order += 1
    needed = ["gene", *enhancer_columns(max(order, 2)), *(["group"] if groupby is not None else [])]
    if absent := [name for name in needed if name not in pairs.columns]:
        raise MissingKeyError(
            f"the table of enhancer pairs has no column {first_few(absent)}; found {first_few(pairs.columns, most=10)}"
            ". Expected group, gene, enhancer_1 and enhancer_2"
        )
    if order > 4:
        raise InputError(f"{order} enhancers have {2**order} states, expected at most 4 enhancers to a set")
    if not len(pairs):
        raise InputError(
            "the table of enhancer pairs is empty: no gene has two linked peaks; a higher fdr in enhancer_pairs finds "
            "more"
        )
    columns = enhancer_columns(order)
    table = pairs[["gene", *columns]].astype(str)
    table.insert(0, "group", pairs["group"].astype(str) if groupby is not None else "all")
    same = np.zeros(len(table), dtype=bool)
    for k, name in enumerate(columns):
        for other in columns[:k]:
            same |= (table[name] == table[other]).to_numpy()
    if same.any():
        raise InputError(
            f"{int(same.sum())} pairs have an enhancer twice ({first_few(table.loc[same, columns[0]])}): two different "
            "peaks are needed"
        )
    repeated = table.duplicated()
    if repeated.any():
        genes = first_few(table.loc[repeated, "gene"].unique())
        raise InputError(f"{int(repeated.sum())} enhancer pairs are given twice (of {genes}): drop them")
    # Groups, and the genes in them, stand together, in the order in which they first occur.
    keys = [table.groupby(["group", "gene"], sort=False).ngroup().to_numpy(), pd.factorize(table["group"])[0]]
    return table.iloc[np.lexsort(keys)].reset_index(drop=True), columns


def _distance(table: pd.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    place = parse_peaks(pd.unique(table[columns].to_numpy().ravel()))
    middle = ((place["start"] + place["end"]) // 2).astype(np.float64)
    at = np.column_stack([middle.loc[table[name]].to_numpy() for name in columns])
    numbers = pd.factorize(place["chrom"])[0]
    chrom = np.column_stack([numbers[place.index.get_indexer(pd.Index(table[name]))] for name in columns])
    return np.where((chrom == chrom[:, :1]).all(axis=1), np.ptp(at, axis=1), np.nan)


def _seconds(group: Group, n_enhancers: int, options: EpistasisOptions) -> float:
    """Estimated time of one pair."""
    if group.status is not None:
        return 1e-4
    n_states, p = 2**n_enhancers, len(group.terms) + 2**n_enhancers - 1
    fit = group.n_cells * (10.0 + 3.0 * p + 0.7 * p * p) * 4e-9
    replicate = 5e-6 + group.n_cells * 1e-9 * p if options.family == "poisson" else group.n_cells * 50e-9
    replicates = 0.0
    if options.p_value == "bootstrap":
        stages = Ladder.of(options.ladder).stages
        replicates = sum(n * _GO_ON**k for k, (n, _) in enumerate(stages))
    return 3e-3 + 3.0 * n_states * fit + replicate * replicates
