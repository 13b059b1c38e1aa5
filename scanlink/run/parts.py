"""Parts: what blocks leave on disk. A part is there completely and as it was written, or it does not count."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scanlink.errors import RunError
from scanlink.files import replace_file
from scanlink.run.blocks import Block

__all__ = ["PartError", "Parts", "content_digest"]

_KEY = b"scanlink_part"
_NAME = re.compile(r"block-(\d{6,})\.parquet")
# Reading parts waits for the file system, not for the processor.
_THREADS = 8


class PartError(RunError):
    """A part is missing or damaged; its block has to be computed."""


@dataclass(frozen=True)
class Parts:
    """The parts of one plan."""

    folder: Path
    fingerprint: str  # Of the plan: data, options and blocks. A part of another plan does not count.

    def path(self, block: Block) -> Path:
        """Return the file of a block's part."""
        return self.folder / f"block-{block.number:06d}.parquet"

    def write(self, block: Block, table: pa.Table) -> None:
        """Write a part, with the checksum of its content, under a temporary name; then give it its own."""
        table = table.replace_schema_metadata(None).combine_chunks()
        label = {"fingerprint": self.fingerprint, "block": block.number, "sha256": content_digest(table)}
        table = table.replace_schema_metadata({_KEY: json.dumps(label).encode()})
        replace_file(self.path(block), lambda temporary: pq.write_table(table, temporary))

    def fault(self, block: Block) -> str | None:
        """Say what is wrong with a part that is there: ``""`` if there is none, None if it is as it was written."""
        try:
            self._load(block)
        except FileNotFoundError:
            return ""
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            return str(error).splitlines()[0] if str(error) else type(error).__name__
        return None

    def is_done(self, block: Block) -> bool:
        """Tell whether the block's part is there, readable, unaltered and of this plan."""
        return self.fault(block) is None

    def present(self) -> set[int]:
        """List the blocks that have a file, by number, from one look at the folder; the files are not opened."""
        try:
            with os.scandir(self.folder) as entries:
                return {int(match[1]) for entry in entries if (match := _NAME.fullmatch(entry.name))}
        except FileNotFoundError:
            return set()

    def inspect(self, blocks: Iterable[Block]) -> tuple[set[int], dict[int, str]]:
        """Read every part that is there; return the blocks that are done, and what is wrong with the other parts."""
        numbers = self.present()
        with_file = [block for block in blocks if block.number in numbers]
        with ThreadPoolExecutor(_THREADS) as pool:
            faults = dict(zip((block.number for block in with_file), pool.map(self.fault, with_file), strict=True))
        done = {number for number, fault in faults.items() if fault is None}
        return done, {number: fault for number, fault in faults.items() if fault}

    def read(self, blocks: Iterable[Block]) -> pa.Table:
        """Read all parts, in the order of ``blocks``; raises PartError if one is missing or not as it was written."""

        def load(block: Block) -> pa.Table:
            try:
                return self._load(block)
            except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
                raise PartError(
                    f"part {self.path(block).name} cannot be used ({error}): run again, only that block is "
                    "computed anew"
                ) from error

        with ThreadPoolExecutor(_THREADS) as pool:
            return pa.concat_tables(pool.map(load, blocks)).replace_schema_metadata(None)

    def sweep(self) -> None:
        """Delete what processes that were killed while writing left; for when all parts are there."""
        for leftover in self.folder.glob(".block-*"):
            leftover.unlink(missing_ok=True)

    def _load(self, block: Block) -> pa.Table:
        """Read one part and check its label and its content."""
        # Opened here, because pyarrow has one exception for a file that is absent and one that is no parquet.
        with open(self.path(block), "rb") as handle:
            table = pq.read_table(pa.PythonFile(handle))
        label = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
        if label.get("fingerprint") != self.fingerprint or label.get("block") != block.number:
            raise ValueError("it is of another plan")
        table = table.replace_schema_metadata(None)
        if label["sha256"] != content_digest(table):
            raise ValueError("its content is not what was written")
        return table


def content_digest(table: pa.Table) -> str:
    """Compute SHA-256 of names, types and values of a table of numbers, booleans and texts.

    Examples
    --------
    >>> same = [content_digest(pa.table({"x": [1.0, None]})) for _ in range(2)]
    >>> same[0] == same[1] != content_digest(pa.table({"x": [1.0, float("nan")]}))
    True
    """
    digest = hashlib.sha256(str(table.num_rows).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"\n{name} {column.type}\n".encode())
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if pa.types.is_string(column.type):
            texts = column.fill_null("")
            digest.update(pc.binary_length(texts).to_numpy().tobytes())
            digest.update("".join(texts.to_pylist()).encode())
        elif pa.types.is_null(column.type):
            continue
        else:
            digest.update(column.fill_null(pa.scalar(0).cast(column.type)).to_numpy().tobytes())
    return digest.hexdigest()
