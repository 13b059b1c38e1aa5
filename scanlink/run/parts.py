"""Parts: what blocks leave on disk. A part is there completely, or not at all."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scanlink.errors import RunError
from scanlink.run.blocks import Block

__all__ = ["Parts", "replace_file"]

_KEY = b"scanlink_part"


@dataclass(frozen=True)
class Parts:
    """The parts of one plan.

    Attributes
    ----------
    folder
        Where they are.
    fingerprint
        Of the plan: data, options and blocks. A part of another plan does not count.
    """

    folder: Path
    fingerprint: str

    def path(self, block: Block) -> Path:
        """File of a block's part."""
        return self.folder / f"block-{block.number:06d}.parquet"

    def write(self, block: Block, table: pa.Table) -> None:
        """Write a part under a temporary name, then give it its own."""
        label = json.dumps({"fingerprint": self.fingerprint, "block": block.number, "rows": table.num_rows})
        table = table.replace_schema_metadata({_KEY: label.encode()})
        replace_file(self.path(block), lambda temporary: pq.write_table(table, temporary))

    def is_done(self, block: Block) -> bool:
        """Whether the block's part is there, readable, complete and of this plan."""
        path = self.path(block)
        if not path.is_file():
            return False
        try:
            metadata = pq.read_metadata(path)
            label = json.loads((metadata.metadata or {})[_KEY])
        except (OSError, pa.ArrowInvalid, KeyError, ValueError):
            return False
        return (
            label["fingerprint"] == self.fingerprint
            and label["block"] == block.number
            and label["rows"] == metadata.num_rows
        )

    def read(self, blocks: Iterable[Block]) -> pa.Table:
        """All parts, in the order of ``blocks``.

        Raises
        ------
        RunError
            If a part cannot be read.
        """
        tables = []
        for block in blocks:
            try:
                tables.append(pq.read_table(self.path(block)))
            except (OSError, pa.ArrowInvalid) as error:
                raise RunError(
                    f"part {self.path(block).name} cannot be read ({error}): delete it and run again, "
                    "only that block is computed anew"
                ) from error
        return pa.concat_tables(tables).replace_schema_metadata(None)

    def sweep(self) -> None:
        """Delete what processes that were killed while writing left; for when all parts are there."""
        for left in self.folder.glob(".block-*"):
            left.unlink(missing_ok=True)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a file under a temporary name beside ``path``, then move it there.

    Raises
    ------
    RunError
        If the folder cannot be written or the disk is full; the file of that name, if any, is left as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb") as handle:
            # A full or lost disk shows here at the latest, and not after the part counts as done.
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"{path} cannot be written: {error.strerror or error}. Free some space or name another folder; "
            "what is finished stays, and the same command goes on from there"
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
