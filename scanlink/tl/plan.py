"""Plans on disk: all that a task needs, written before the first one starts, and found again by the next call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import InputError, RunError, first_few
from scanlink.files import replace_file
from scanlink.run import Block, Parts
from scanlink.store.npy import save_array
from scanlink.store.store import Store
from scanlink.tl.designs import Arrays, Group, GroupDesigns

__all__ = ["PlanFiles", "write_plan"]

# What blocks.npy holds of each block; its number is its place.
_BLOCK = np.dtype([("group", "<i4"), ("first", "<i8"), ("last", "<i8"), ("cost", "<f8")])

AnyPlan = TypeVar("AnyPlan", bound="PlanFiles")


@dataclass(frozen=True)
class PlanFiles:
    """Work that has been checked and cut into blocks.

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

    def finished(self, *, set_aside: Collection[int] = ()) -> list[Block]:
        """All blocks but those that were set aside.

        Raises
        ------
        RunError
            If one of them has left no part; names the first.
        """
        there = self.parts.present()
        blocks = [block for block in self.blocks if block.number not in set_aside]
        missing = [block.number for block in blocks if block.number not in there]
        if missing:
            raise RunError(
                f"{len(missing)} of {len(blocks)} blocks are not finished (blocks {first_few(missing)}): "
                "compute them first, with the same command or the missing chunks"
            )
        return blocks

    @property
    def cost(self) -> float:
        """Estimated seconds on one core."""
        return sum(block.cost for block in self.blocks)

    def group_arrays(self, number: int) -> Arrays:
        """``cells`` (positions in the store), ``design``, ``offset``, and ``clusters`` if there are any, of a group."""
        with np.load(self.folder / f"group-{number:04d}.npz") as arrays:
            return dict(arrays)

    def open_store(self) -> Store:
        """The counts.

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


def write_plan(
    kind: type[AnyPlan],
    name: str,
    folder: Path,
    *,
    store: Store,
    groupby: str | None,
    options: dict[str, Any],
    rows: Mapping[str, NDArray[Any]],
    designs: GroupDesigns,
    blocks: list[Block],
) -> AnyPlan:
    """Write a plan below ``folder``; the same input gives the same plan, whose parts count.

    Parameters
    ----------
    kind
        Class of the plan.
    name
        Its folder is called so, with the fingerprint.
    folder
        Where that goes.
    store, groupby, options, designs, blocks
        What the plan is of.
    rows
        What is listed, each array in a file ``pairs_NAME.npy``.
    """
    cut_at = np.array([(block.group, block.first, block.last, block.cost) for block in blocks], dtype=_BLOCK)
    about: dict[str, Any] = {
        "version": _version(),
        "store": store.checksum,
        "groupby": groupby,
        "options": options,
        "n_blocks": len(blocks),
    }
    digest = hashlib.sha256()
    # From what went in, and not from the designs: their last bits may differ between processors, and slices of one
    # job array must find one plan.
    digest.update(json.dumps([about, list(designs.members)], sort_keys=True).encode())
    for array in (cut_at, *rows.values(), *designs.members.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    about["groups"] = [asdict(group) for group in designs.groups]
    fingerprint = digest.hexdigest()
    plan = kind(folder / f"{name}-{fingerprint[:12]}", store.path)
    try:
        known = plan.about["fingerprint"] == fingerprint and plan.blocks == blocks
    except (InputError, KeyError, TypeError):
        known = False
    if known:
        return plan
    # What was read of a damaged plan is forgotten.
    plan = kind(plan.folder, plan.store)
    for key, array in rows.items():
        _save(plan.folder / f"pairs_{key}.npy", array)
    _save(plan.folder / "blocks.npy", cut_at)
    for number, part in enumerate(designs.arrays):
        _save(plan.folder / f"group-{number:04d}.npz", part)
    # Last, because its presence says that the rest is complete.
    text = json.dumps({"fingerprint": fingerprint, **about}, indent=1)
    replace_file(plan.folder / "plan.json", lambda temporary: temporary.write_text(text))
    return plan


def _version() -> str:
    from scanlink import __version__

    return __version__


def _save(path: Path, content: NDArray[Any] | Arrays) -> None:
    def write(temporary: Path) -> None:
        if isinstance(content, dict):
            with open(temporary, "wb") as handle:
                np.savez(handle, allow_pickle=False, **content)
        else:
            save_array(temporary, content)

    replace_file(path, write)
