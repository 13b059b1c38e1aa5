"""The plan of an epistasis analysis: enhancer pairs of some groups, checked and cut into blocks."""

from __future__ import annotations

import logging
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import EmptyTableError, InputError, MissingKeyError, first_few
from scanlink.io.peaks import parse_peaks
from scanlink.run import Block, cut
from scanlink.stats import Ladder
from scanlink.tl.analysis import Given
from scanlink.tl.cell_plan import CellPlan, write_cell_plan
from scanlink.tl.designs import Group, GroupDesigns, group_designs
from scanlink.tl.epistasis.enhancer_pairs import enhancer_columns, enhancer_pairs
from scanlink.tl.epistasis.options import EpistasisOptions

__all__ = ["DOSAGE", "EpistasisPlan", "check_epistasis", "enhancer_rows"]

log = logging.getLogger("scanlink")

DOSAGE = (
    "coding 'dosage' counts two open enhancers as 2, so that beta_11 is half of the log fold change: it falls below "
    "beta_10 + beta_01 wherever effects multiply. Use it to reproduce published tables, not to judge synergy"
)

# Of tested pairs, about this share enters the second stage of a ladder with one of its coefficients.
_GO_ON = 0.6


class EpistasisPlan(CellPlan):
    """Enhancer pairs that have been checked and cut into blocks."""

    @cached_property
    def options(self) -> EpistasisOptions:
        """Options of the tests; their order is that of the sets."""
        return EpistasisOptions(**self.about["options"]).model_copy(update={"order": self.n_enhancers})

    @cached_property
    def n_enhancers(self) -> int:
        """Number of enhancers that are tested together."""
        return int(self.enhancers.shape[1])

    @cached_property
    def gene(self) -> NDArray[np.int32]:
        """Position of each row's gene in the store. Shape ``(n_rows,)``."""
        return self.row_array("gene")

    @cached_property
    def enhancers(self) -> NDArray[np.int32]:
        """Positions of each row's peaks in the store. Shape ``(n_rows, k)``."""
        return self.row_array("enhancers")


def check_epistasis(given: Given, options: EpistasisOptions) -> None:
    """Raise what would make tests of enhancer pairs fail once links are there.

    That is an unknown name, a missing covariate, a peak without a place, or no group that can be tested.
    """
    log.info("enhancer pairs: looking at cells and covariates of each group")
    _designs(given, options, given.groups.only, options.order, strict=True)
    parse_peaks(pd.unique(given.counts.peaks))
    if options.coding == "dosage":
        log.warning(DOSAGE)


def enhancer_rows(given: Given, options: EpistasisOptions) -> EpistasisPlan | None:
    """Make pairs of the linked enhancers of a gene, and their plan; None where there are none.

    The table ``links`` is that of one group; a table ``enhancer_pairs`` takes its place.
    """
    if "enhancer_pairs" in given.tables:
        return _planned(given, options, given.tables["enhancer_pairs"])
    links = given.tables["links"]
    fdr = given.sections["links"].alpha if options.links_fdr is None else options.links_fdr
    called = links[links["fdr"] < fdr] if fdr < 1 else links[links["fdr"].notna()]
    pairs = pd.DataFrame({"gene": []})
    if len(called):
        pairs = enhancer_pairs(
            called, fdr=fdr, order=options.order, min_distance=options.min_distance, max_distance=options.max_distance
        )
    log.info(
        "group %s is tested: %d links, %d enhancer pairs of %d genes",
        given.group,
        len(called),
        len(pairs),
        pairs["gene"].nunique(),
    )
    return None if pairs.empty else _planned(given, options, pairs)


def _planned(given: Given, options: EpistasisOptions, pairs: pd.DataFrame) -> EpistasisPlan:
    """Check enhancer pairs and write their plan; the same input gives the same plan."""
    groupby, store = given.groups.by, given.counts
    table, columns = _checked(pairs, groupby)
    gene = store.positions("rna", table["gene"])
    enhancers = np.column_stack([store.positions("atac", table[name]) for name in columns]).astype(np.int32)
    names = list(dict.fromkeys(table["group"]))
    only = None if groupby is None else tuple(names)
    designs = _designs(given, options, only, len(columns), strict=given.strict)
    blocks: list[Block] = []
    group = pd.Categorical(table["group"], categories=names).codes
    seconds = [
        _seconds(cells, ladder, len(columns), options)
        for cells, ladder in zip(designs.groups, designs.ladders(options.ladder), strict=True)
    ]
    whole = sum(seconds[number] for number in group)
    for number in range(len(names)):
        rows = np.flatnonzero(group == number)
        cost = np.full(rows.size, seconds[number])
        target = min(10.0, max(0.2, whole / 100))
        for block in cut(gene[rows], [cost], target=target, owners_per_block=options.block_genes):
            first, last = int(rows[0]) + block.first, int(rows[0]) + block.last
            blocks.append(Block(len(blocks), number, first, last, block.cost))
    return write_cell_plan(
        EpistasisPlan,
        "epistasis",
        given.parts,
        store=store,
        groupby=groupby,
        options=options,
        designs=designs,
        rows={"gene": gene, "enhancers": enhancers, "distance": _distance(table, columns)},
        blocks=blocks,
    )


def _designs(
    given: Given, options: EpistasisOptions, only: tuple[str, ...] | None, order: int, *, strict: bool
) -> GroupDesigns:
    return group_designs(
        given.counts,
        formula=options.formula,
        groupby=given.groups.by,
        groups=only,
        cluster=options.cluster,
        min_cells=options.min_cells * 2**order,
        p_value=options.p_value,
        n_tested=2**order - 1,
        strict=strict,
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
        raise EmptyTableError(
            "the table of enhancer pairs is empty: no gene has two linked peaks; a higher fdr in enhancer_pairs finds "
            "more"
        )
    columns = enhancer_columns(order)
    table = pairs[["gene", *columns]].astype(str)
    table.insert(0, "group", pairs["group"].astype(str) if groupby is not None else "all")
    same = np.any([table[name] == table[other] for name, other in combinations(columns, 2)], axis=0)
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
    names = table[columns].to_numpy()
    place = parse_peaks(pd.unique(names.ravel()))
    rows = place.index.get_indexer(pd.Index(names.ravel())).reshape(names.shape)
    middle = ((place["start"] + place["end"]) // 2).to_numpy(dtype=np.float64)[rows]
    chrom = pd.factorize(place["chrom"])[0][rows]
    return np.where((chrom == chrom[:, :1]).all(axis=1), np.ptp(middle, axis=1), np.nan)


def _seconds(group: Group, ladder: Ladder, n_enhancers: int, options: EpistasisOptions) -> float:
    """Estimated time of one pair."""
    if group.status is not None:
        return 1e-4
    n_states, p = 2**n_enhancers, len(group.terms) + 2**n_enhancers - 1
    fit = group.n_cells * (10.0 + 3.0 * p + 0.7 * p * p) * 4e-9
    replicate = 5e-6 + group.n_cells * 1e-9 * p if options.family == "poisson" else group.n_cells * 50e-9
    replicates = sum(n * _GO_ON**k for k, (n, _) in enumerate(ladder.stages))
    return 3e-3 + 3.0 * n_states * fit + replicate * replicates
