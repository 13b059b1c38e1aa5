"""Plans on disk: what all blocks of an analysis need, written before the first one starts and found again later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from scanlink import __version__
from scanlink.errors import InputError, RunError, first_few
from scanlink.files import OF_CELLS, replace_file, save_array
from scanlink.run.blocks import Block
from scanlink.run.parts import Parts

__all__ = ["Arrays", "Plan", "write_plan"]

Arrays = Mapping[str, NDArray[Any]]

# What blocks.npy holds of each block; its number is its place.
_BLOCK = np.dtype([("group", "<i4"), ("first", "<i8"), ("last", "<i8"), ("cost", "<f8")])

AnyPlan = TypeVar("AnyPlan", bound="Plan")


@dataclass(frozen=True)
class Plan:
    """Rows that have been checked and cut into blocks; its folder holds the parts that the blocks leave as well."""

    folder: Path

    def portable(self) -> Self:
        """Give the same plan as it travels to a worker: with whole paths, and nothing that was read of it."""
        paths = {field.name: getattr(self, field.name).resolve() for field in fields(self)}
        return type(self)(**paths)

    @cached_property
    def about(self) -> dict[str, Any]:
        """Contents of plan.json."""
        try:
            return json.loads((self.folder / "plan.json").read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(
                f"{self.folder} holds no plan of a scan ({error}): delete it; the scan makes it anew"
            ) from error

    @property
    def fingerprint(self) -> str:
        """Digest of everything that the parts depend on."""
        return str(self.about["fingerprint"])

    @property
    def group_names(self) -> list[str]:
        """Names of the groups that the blocks count, in the order of the table."""
        return [str(group["name"]) for group in self.about["groups"]]

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
        """Files that the blocks leave."""
        return Parts(self.folder, self.fingerprint)

    @property
    def cost(self) -> float:
        """Estimated seconds on one core."""
        return sum(block.cost for block in self.blocks)

    def finished(self, *, set_aside: Collection[int] = ()) -> list[Block]:
        """List all blocks but those that were set aside; raises RunError if one of these has left no part."""
        present = self.parts.present()
        blocks = [block for block in self.blocks if block.number not in set_aside]
        missing = [block.number for block in blocks if block.number not in present]
        if missing:
            raise RunError(
                f"{len(missing)} of {len(blocks)} blocks are not finished (blocks {first_few(missing)}): "
                "compute them first, with the same command or the missing chunks"
            )
        return blocks

    def row_array(self, name: str) -> NDArray[Any]:
        """Read an array that says what each row is of. Shape ``(n_rows, ...)``."""
        array: NDArray[Any] = np.load(self.row_file(name))
        return array

    def row_file(self, name: str) -> Path:
        """Name the file of :meth:`row_array`."""
        return self.folder / f"pairs_{name}.npy"


def write_plan(
    kind: type[AnyPlan],
    name: str,
    folder: Path,
    *,
    about: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    digested: Arrays,
    rows: Arrays,
    blocks: list[Block],
    group_arrays: Collection[Arrays] = (),
    **more: Any,
) -> AnyPlan:
    """Write a plan of the class ``kind``; the same input gives the same plan, whose parts count.

    Its folder is called after ``name``, that of the analysis, and the fingerprint, and lies in ``folder``. ``about`` is
    what else the parts depend on, such as options; it can be written as JSON. ``groups`` tells of each group, in the
    order of the table, its ``name`` at least; it is not digested. Arrays in ``digested`` enter the fingerprint and are
    not written, such as the cells of each group. Those in ``rows`` say what each row is of, and have a file each. Those
    in ``group_arrays`` are what a block needs of its group, in the order of the groups. ``more`` are further fields of
    the class, all of them paths.
    """
    cut_at = np.array([(block.group, block.first, block.last, block.cost) for block in blocks], dtype=_BLOCK)
    content = {"version": __version__, **about, "n_blocks": len(blocks)}
    digest = hashlib.sha256()
    # From what went in, and not from designs made of it: their last bits may differ between processors, and slices of
    # one job array must find one plan.
    digest.update(json.dumps([content, list(digested)], sort_keys=True).encode())
    for array in (cut_at, *rows.values(), *digested.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    fingerprint = digest.hexdigest()
    plan = kind(folder / f"{name}-{fingerprint[:12]}", **more)
    with suppress(InputError, KeyError, TypeError):
        if plan.fingerprint == fingerprint and plan.blocks == blocks:
            return plan
    for key, array in rows.items():
        _save(plan.row_file(key), array)
    _save(plan.folder / "blocks.npy", cut_at)
    for number, arrays in enumerate(group_arrays):
        _save(plan.folder / f"group-{number:04d}.npz", arrays)
    # Last, because its presence says that the rest is complete.
    text = json.dumps({"fingerprint": fingerprint, **content, "groups": list(groups)}, indent=1)
    replace_file(plan.folder / "plan.json", lambda temporary: temporary.write_text(text))
    # What was read of a damaged plan is forgotten.
    return kind(plan.folder, **more)


def _save(path: Path, content: NDArray[Any] | Arrays) -> None:
    def write(temporary: Path) -> None:
        if isinstance(content, np.ndarray):
            save_array(temporary, content)
            return
        with open(temporary, "wb") as handle:
            np.savez(handle, allow_pickle=False, **content)

    # The arrays of a group have a line for each cell.
    replace_file(path, write, mode=None if isinstance(content, np.ndarray) else OF_CELLS)
