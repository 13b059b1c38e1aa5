"""Plans of analyses of counts: rows, groups of cells and store; and the table of pairs that several are made of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from scanlink.errors import EmptyTableError, InputError, MissingKeyError, first_few
from scanlink.run import Arrays, Block, Plan, write_plan
from scanlink.store.store import Store
from scanlink.tl.designs import Group, GroupDesigns

__all__ = ["CellPlan", "checked_pairs", "write_cell_plan"]

log = logging.getLogger("scanlink")

AnyPlan = TypeVar("AnyPlan", bound="CellPlan")


@dataclass(frozen=True)
class CellPlan(Plan):
    """Rows that are tested in groups of cells, checked and cut into blocks."""

    store: Path  # Folder of the counts.

    @cached_property
    def groups(self) -> list[Group]:
        """Groups in the order of the table."""
        return [Group(**{**group, "terms": tuple(group["terms"])}) for group in self.about["groups"]]

    def group_arrays(self, number: int) -> Arrays:
        """Read ``cells`` (positions in the store), ``design``, ``offset``, and ``clusters`` if there are any."""
        with np.load(self.folder / f"group-{number:04d}.npz") as arrays:
            return dict(arrays)

    def open_store(self) -> Store:
        """Open the counts, or raise an InputError if they are not those that the plan was made for."""
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
    """Write a plan below ``folder``, with arrays ``rows`` that say what each row is of.

    The same input gives the same plan, whose parts count.
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


def checked_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Check the pairs of a user; give ``gene``, ``peak`` and ``distance`` (bp, NaN if not known), genes together.

    Raises InputError or MissingKeyError if it is no table, lacks a column, is empty, or a distance is no whole number.
    """
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs is a {type(pairs).__name__}, expected a table with columns gene and peak")
    missing = [name for name in ("gene", "peak") if name not in pairs.columns]
    if missing:
        raise MissingKeyError(
            f"the table of pairs has no column {first_few(missing)}; found {first_few(pairs.columns, most=10)}. "
            "Expected gene and peak, and distance if known"
        )
    if not len(pairs):
        raise EmptyTableError(
            "the table of pairs is empty: widen the window, or check that genes and peaks share a genome build"
        )
    table = pairs[["gene", "peak"]].astype(str)
    distance = pairs["distance"] if "distance" in pairs.columns else pd.Series(np.nan, index=pairs.index)
    table["distance"] = pd.to_numeric(distance, errors="coerce")
    values = table["distance"].astype(np.float64).where(distance.notna(), 0.0)
    wrong = ~(np.isfinite(values) & (values == np.round(values)))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} distances of the pairs are no whole number of bp "
            f"({first_few(distance[wrong])}): correct them, or leave the column out"
        )
    repeated = table.duplicated(["gene", "peak"])
    if repeated.any():
        log.warning("%d pairs were given more than once; each is tested once", int(repeated.sum()))
        table = table[~repeated]
    # Pairs of a gene stand together, genes in the order in which they first occur.
    order = np.argsort(pd.factorize(table["gene"])[0], kind="stable")
    return table.iloc[order].reset_index(drop=True)
