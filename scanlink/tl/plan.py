"""The plan of a scan: every check is made here, before the first task, and everything that a task needs is on disk."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink import __version__
from scanlink.errors import DesignError, InputError, first_few
from scanlink.io.files import save_array
from scanlink.io.npy import ArrayFile
from scanlink.io.store import Store
from scanlink.options import ScanOptions
from scanlink.run import Block, Parts, cut, replace_file
from scanlink.stats import rescale
from scanlink.tl._costs import PairCosts, nonzero_cells
from scanlink.tl._labels import checked_pairs, cluster_codes, group_members
from scanlink.tl.formula import parse_formula

__all__ = ["Plan", "make_plan"]

log = logging.getLogger("scanlink")

Arrays = dict[str, NDArray[Any]]

# What blocks.npy holds of each block; its number is its place.
_BLOCK = np.dtype([("group", "<i4"), ("first", "<i8"), ("last", "<i8"), ("cost", "<f8")])

# With fewer clusters (donors) than this, what is said of their variation is rough.
_FEW_CLUSTERS = 10


@dataclass(frozen=True)
class Group:
    """One group of cells as the tasks see it."""

    name: str
    n_cells: int
    terms: tuple[str, ...]
    problem: str | None
    status: str | None


@dataclass(frozen=True)
class Plan:
    """A scan that has been checked and cut into blocks.

    Attributes
    ----------
    folder
        Holds the plan, and the parts that its blocks leave.
    store
        The counts.
    """

    folder: Path
    store: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """Contents of plan.json."""
        path = self.folder / "plan.json"
        try:
            return json.loads(path.read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(
                f"{self.folder} holds no plan of a scan ({error}): delete it; the scan makes it anew"
            ) from error

    @property
    def options(self) -> ScanOptions:
        """How pairs are tested."""
        return ScanOptions(**self.about["options"])

    @cached_property
    def groups(self) -> list[Group]:
        """Groups in the order of the table."""
        return [Group(**{**group, "terms": tuple(group["terms"])}) for group in self.about["groups"]]

    @cached_property
    def blocks(self) -> list[Block]:
        """All blocks; no worker asks for them."""
        try:
            table = np.load(self.folder / "blocks.npy")
            if table.dtype != _BLOCK or table.size != self.about["n_blocks"]:
                raise ValueError("blocks.npy is not that of the plan")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{self.folder} holds no whole plan of a scan ({error}): delete it; the scan makes it anew"
            ) from error
        return [Block(number, *row) for number, row in enumerate(table.tolist())]

    @property
    def parts(self) -> Parts:
        """What the blocks leave."""
        return Parts(self.folder, self.about["fingerprint"])

    @property
    def cost(self) -> float:
        """Estimated seconds on one core."""
        return sum(block.cost for block in self.blocks)

    @cached_property
    def pairs(self) -> Arrays:
        """Positions of ``gene`` and ``peak`` in the store, and ``distance``, a row a pair."""
        return {name: np.load(self.folder / f"pairs_{name}.npy") for name in ("gene", "peak", "distance")}

    def pairs_of(self, block: Block) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Positions of gene and peak of a block's pairs, all that is read of them. Shape ``(last - first,)`` each."""
        gene, peak = (
            ArrayFile(self.folder / f"pairs_{name}.npy").read(block.first, block.last) for name in ("gene", "peak")
        )
        return gene, peak

    def group_arrays(self, number: int) -> Arrays:
        """``cells`` (positions in the store), ``design``, ``offset``, and ``clusters`` if there are any, of a group."""
        with np.load(self.folder / f"group-{number:04d}.npz") as arrays:
            return dict(arrays)


def make_plan(
    store: Store,
    pairs: pd.DataFrame,
    folder: Path,
    *,
    options: ScanOptions,
    groupby: str | None = None,
    groups: tuple[str, ...] | None = None,
) -> Plan:
    """Check everything and write the plan below ``folder``; the same input gives the same plan.

    Parameters
    ----------
    store
        Counts and cells.
    pairs
        Columns ``gene`` and ``peak``; ``distance`` if known.
    folder
        The plan gets a folder of its own in it, named by its fingerprint.
    options
        How pairs are tested.
    groupby
        Column of the table of cells; None makes all cells one group, ``all``.
    groups
        Which of its values; None takes all, in sorted order.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Whatever would make tasks fail is found here: unknown names, missing covariates, no usable group.
    """
    table = checked_pairs(pairs)
    gene, peak = store.positions("rna", table["gene"]), store.positions("atac", table["peak"])
    distance = table["distance"].to_numpy(dtype=np.float64)
    model = parse_formula(options.formula, store.cell_columns)
    asked = dict.fromkeys([*model.columns, *(name for name in (groupby, options.cluster) if name is not None)])
    # A name that does not exist is answered with all that do.
    cells_table = store.cell_table(list(asked)) if set(asked) <= set(store.cell_columns) else store.cells
    members = group_members(cells_table, groupby, groups)
    clusters = cluster_codes(cells_table, options.cluster, members) if options.cluster else None
    described: list[Group] = []
    arrays: list[Arrays] = []
    for name, cells in members.items():
        least = options.min_cells
        if cells.size < least:
            described.append(
                Group(name, int(cells.size), (), f"{cells.size} cells, at least {least} needed", "too_few_cells")
            )
            arrays.append({"cells": cells, "design": np.empty((cells.size, 0)), "offset": np.zeros(cells.size)})
            continue
        design = model.design(cells_table.iloc[cells], group=name)
        if design.dropped:
            log.info("group %s: %s left out, all cells are on one level", name, first_few(design.dropped))
        problem, status = design.problem(), None
        if cells.size < design.matrix.shape[1] + 2:
            problem, status = f"{cells.size} cells for {design.matrix.shape[1] + 1} terms", "too_few_cells"
        elif problem:
            status = "collinear"
        elif clusters is not None and clusters[len(arrays)].max() < 1:
            problem, status = f"all cells have the same {options.cluster!r}", "too_few_clusters"
        described.append(Group(name, int(cells.size), design.names, problem, status))
        matrix = design.matrix if problem else rescale(design.matrix)
        arrays.append({"cells": cells, "design": matrix, "offset": design.offset})
    if clusters is not None:
        _report_few_clusters(described, clusters, str(options.cluster))
        arrays = [{**part, "clusters": codes} for part, codes in zip(arrays, clusters, strict=True)]
    _report_problems(described)
    costs = PairCosts(
        gene, peak, groups=described, options=options,
        expressed=nonzero_cells(store, "rna", gene, groupby, members),
        opened=nonzero_cells(store, "atac", peak, groupby, members),
    )  # fmt: skip
    blocks = cut(gene, costs, owners_per_block=options.block_genes)
    cut_at = np.array([(block.group, block.first, block.last, block.cost) for block in blocks], dtype=_BLOCK)
    digest = hashlib.sha256()
    about: dict[str, Any] = {
        "version": __version__,
        "store": store.checksum,
        "groupby": groupby,
        "options": options.model_dump(mode="json"),
        "n_blocks": len(blocks),
    }
    # From what went in, and not from the designs: their last bits may differ between processors, and slices of one
    # job array must find one plan.
    digest.update(json.dumps([about, list(members)], sort_keys=True).encode())
    for array in (cut_at, gene, peak, distance, *members.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    about["groups"] = [asdict(group) for group in described]
    fingerprint = digest.hexdigest()
    plan = Plan(folder / f"scan-{fingerprint[:12]}", store.path)
    try:
        known = plan.about["fingerprint"] == fingerprint and plan.blocks == blocks
    except (InputError, KeyError, TypeError):
        known = False
    if not known:
        for name, array in (("gene", gene), ("peak", peak), ("distance", distance)):
            _save(plan.folder / f"pairs_{name}.npy", array)
        _save(plan.folder / "blocks.npy", cut_at)
        for number, part in enumerate(arrays):
            _save(plan.folder / f"group-{number:04d}.npz", part)
        # Last, because its presence says that the rest is complete.
        text = json.dumps({"fingerprint": fingerprint, **about}, indent=1)
        replace_file(plan.folder / "plan.json", lambda temporary: temporary.write_text(text))
    return plan


def _save(path: Path, content: NDArray[Any] | Arrays) -> None:
    def write(temporary: Path) -> None:
        if isinstance(content, dict):
            with open(temporary, "wb") as handle:
                np.savez(handle, allow_pickle=False, **content)
        else:
            save_array(temporary, content)

    replace_file(path, write)


def _report_few_clusters(groups: list[Group], clusters: list[NDArray[np.int64]], column: str) -> None:
    numbers = {
        group.name: int(codes.max()) + 1 for group, codes in zip(groups, clusters, strict=True) if group.status is None
    }
    few = [f"{name} ({number})" for name, number in numbers.items() if number < _FEW_CLUSTERS]
    if few:
        log.warning(
            "%d of %d groups have fewer than %d different %s: %s. Errors and p-values that rest on so few are rough, "
            "and the bootstrap's are too small: read them as a ranking",
            len(few), len(numbers), _FEW_CLUSTERS, column, first_few(few),
        )  # fmt: skip


def _report_problems(groups: list[Group]) -> None:
    bad = [group for group in groups if group.problem]
    if len(bad) == len(groups):
        reasons = "; ".join(f"group {group.name!r}: {group.problem}" for group in bad[:5])
        raise DesignError(
            f"none of the {len(groups)} groups can be tested. {reasons}. "
            "Take the term out of the formula, or choose groups with enough cells"
        )
    for group in bad:
        log.warning("group %s is not tested (%s): %s", group.name, group.status, group.problem)
