"""The groups of cells of a plan: who is in them, and their covariates as numbers. Whatever is wrong is found here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import DesignError, first_few
from scanlink.pp.formula import parse_formula
from scanlink.pp.groups import cluster_codes, group_members
from scanlink.run import Arrays
from scanlink.stats import Ladder, rescale
from scanlink.store.store import Store

__all__ = ["Group", "GroupDesigns", "group_designs"]

log = logging.getLogger("scanlink")

# With fewer clusters (donors) than this, what is said of their variation is rough.
FEW_CLUSTERS = 10


@dataclass(frozen=True)
class Group:
    """One group of cells as the tasks see it."""

    name: str
    n_cells: int
    terms: tuple[str, ...]
    problem: str | None
    status: str | None


@dataclass(frozen=True)
class GroupDesigns:
    """The groups of a plan."""

    groups: list[Group]
    arrays: list[Arrays]  # Of each: ``cells`` (positions in the store), ``design``, ``offset``, and maybe ``clusters``.
    members: dict[str, NDArray[np.int32]]  # Cells of each group by its name.

    def ladders(self, ladder: Any) -> list[Ladder]:
        """Give the ladder of each group."""
        return [ladder_of(ladder, part.get("clusters")) for part in self.arrays]


def group_designs(
    store: Store,
    *,
    formula: str,
    groupby: str | None,
    groups: tuple[str, ...] | None,
    cluster: str | None,
    min_cells: int,
    p_value: str = "",
    n_tested: int = 1,
    strict: bool = True,
) -> GroupDesigns:
    """Find the cells of each group, and make their designs.

    Groups are the values ``groups`` of a column ``groupby``, by default all of them in sorted order; without a column
    all cells are one group, ``all``. Those of fewer than ``min_cells`` cells are not tested, nor those with too few
    clusters for a ``p_value`` that is the bootstrap's. ``n_tested`` is the number of terms that a test
    adds to the covariates. A name or covariate that is missing raises, and so does, if
    ``strict``, that none of the groups can be tested.
    """
    model = parse_formula(formula, store.cell_columns)
    asked = dict.fromkeys([*model.columns, *(name for name in (groupby, cluster) if name is not None)])
    # A name that does not exist is answered with all that do.
    cells_table = store.cell_table(list(asked)) if set(asked) <= set(store.cell_columns) else store.cells
    members = group_members(cells_table, groupby, groups)
    clusters = cluster_codes(cells_table, cluster, members) if cluster else None
    described: list[Group] = []
    few_clusters = 0
    arrays: list[Arrays] = []
    for name, cells in members.items():
        if cells.size < min_cells:
            described.append(
                Group(name, int(cells.size), (), f"{cells.size} cells, at least {min_cells} needed", "too_few_cells")
            )
            arrays.append({"cells": cells, "design": np.empty((cells.size, 0)), "offset": np.zeros(cells.size)})
            continue
        design = model.design(cells_table.iloc[cells], group=name)
        if design.dropped:
            log.info("group %s: %s left out, all cells are on one level", name, first_few(design.dropped))
        problem, status = design.problem(), None
        if cells.size < design.matrix.shape[1] + n_tested + 1:
            problem, status = f"{cells.size} cells for {design.matrix.shape[1] + n_tested} terms", "too_few_cells"
        elif problem:
            status = "collinear"
        elif clusters is not None and clusters[len(arrays)].max() < 1:
            problem, status = f"all cells have the same {cluster!r}", "too_few_clusters"
        elif clusters is not None and p_value == "bootstrap" and not enough_clusters(clusters[len(arrays)]):
            number = int(clusters[len(arrays)].max()) + 1
            problem = f"{number} different {cluster!r}, their bootstrap needs {FEW_CLUSTERS}; p_value: robust does not"
            status = "too_few_clusters"
            few_clusters += 1
        described.append(Group(name, int(cells.size), design.names, problem, status))
        matrix = design.matrix if problem else rescale(design.matrix)
        arrays.append({"cells": cells, "design": matrix, "offset": design.offset})
    if clusters is not None:
        _report_few_clusters(described, clusters, str(cluster))
        arrays = [{**part, "clusters": codes} for part, codes in zip(arrays, clusters, strict=True)]
    _report_problems(described, strict=strict and not few_clusters)
    return GroupDesigns(described, arrays, members)


def ladder_of(ladder: Any, clusters: NDArray[np.int64] | None) -> Ladder:
    """Give the ladder that the rows of a group climb: one without stages where there are too few clusters to draw."""
    return Ladder.of(ladder if enough_clusters(clusters) else "none")


def enough_clusters(clusters: NDArray[np.int64] | None) -> bool:
    """Tell whether a bootstrap means anything: always that of cells, that of clusters where there are enough."""
    return clusters is None or int(clusters.max(initial=-1)) + 1 >= FEW_CLUSTERS


def _report_few_clusters(groups: list[Group], clusters: list[NDArray[np.int64]], column: str) -> None:
    numbers = {
        group.name: int(codes.max()) + 1 for group, codes in zip(groups, clusters, strict=True) if group.status is None
    }
    few = [f"{name} ({number})" for name, number in numbers.items() if number < FEW_CLUSTERS]
    if few:
        log.warning(
            "%d of %d groups have fewer than %d different %s: %s. Errors and p-values that rest on so few are rough, "
            "and the bootstrap is left out: read them as a ranking",
            len(few),
            len(numbers),
            FEW_CLUSTERS,
            column,
            first_few(few),
        )


def _report_problems(groups: list[Group], *, strict: bool) -> None:
    bad = [group for group in groups if group.problem]
    if strict and len(bad) == len(groups):
        reasons = "; ".join(f"group {group.name!r}: {group.problem}" for group in bad[:5])
        raise DesignError(
            f"none of the {len(groups)} groups can be tested. {reasons}. "
            "Take the term out of the formula, or choose groups with enough cells"
        )
    for group in bad:
        log.warning("group %s is not tested (%s): %s", group.name, group.status, group.problem)
