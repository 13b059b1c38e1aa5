"""Plans of analyses of counts: rows, the groups of cells in which each is tested, and the store of the counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from scanlink.errors import InputError
from scanlink.run import Arrays, Block, Plan, write_plan
from scanlink.store.store import Store
from scanlink.tl.designs import Group, GroupDesigns

__all__ = ["CellPlan", "write_cell_plan"]

AnyPlan = TypeVar("AnyPlan", bound="CellPlan")


@dataclass(frozen=True)
class CellPlan(Plan):
    """Rows that are tested in groups of cells, checked and cut into blocks.

    Attributes
    ----------
    store
        Folder of the counts.
    """

    store: Path

    @cached_property
    def groups(self) -> list[Group]:
        """Groups in the order of the table."""
        return [Group(**{**group, "terms": tuple(group["terms"])}) for group in self.about["groups"]]

    def group_arrays(self, number: int) -> Arrays:
        """Read the arrays of a group.

        Parameters
        ----------
        number
            Index of the group in the plan.

        Returns
        -------
        dict
            ``cells`` (positions in the store), ``design``, ``offset``, and ``clusters`` if there are any.
        """
        with np.load(self.folder / f"group-{number:04d}.npz") as arrays:
            return dict(arrays)

    def open_store(self) -> Store:
        """Open the counts.

        Raises
        ------
        InputError
            If they are not those that the plan was made for.
        """
        store = Store.open(self.store)
        if store.checksum != self.about["store"]:
            raise InputError(
                f"the store {self.store} is not the one that the scan was planned on: it was replaced meanwhile. "
                "Start the scan again, with a folder of its own for each data set"
            )
        return store


def write_cell_plan(
    kind: type[AnyPlan],
    name: str,
    folder: Path,
    *,
    store: Store,
    groupby: str | None,
    options: BaseModel,
    rows: Mapping[str, NDArray[Any]],
    designs: GroupDesigns,
    blocks: list[Block],
) -> AnyPlan:
    """Write a plan below a folder; the same input gives the same plan, whose parts count.

    Parameters
    ----------
    kind
        Class of the plan.
    name
        Name of the analysis.
    folder
        Folder of all plans.
    store
        Counts that are tested.
    groupby
        Column of the groups; None where all cells are one group.
    options
        Options of the analysis.
    rows
        Arrays that say what each row is of.
    designs
        Cells and covariates of the groups.
    blocks
        All blocks.
    """
    return write_plan(
        kind,
        name,
        folder,
        about={"store": store.checksum, "groupby": groupby, "options": options.model_dump(mode="json")},
        groups=[asdict(group) for group in designs.groups],
        digested=designs.members,
        rows=rows,
        blocks=blocks,
        group_arrays=designs.arrays,
        store=store.path,
    )
