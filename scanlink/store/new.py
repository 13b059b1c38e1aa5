"""A folder that becomes a store when it is complete, and leaves nothing when it does not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanlink.errors import InputError, RunError
from scanlink.files import OF_CELLS, create_file
from scanlink.io.releases import is_text
from scanlink.processes import alive, machine
from scanlink.store.columns import FEATURE, ColumnWriter, Modality
from scanlink.store.levels import LevelColumn, level_columns
from scanlink.store.npy import sync_folder
from scanlink.store.store import BARCODE, FORMAT, FORMAT_OF_MODALITIES, MULTIOME, Store

__all__ = ["NewStore", "new_store"]

# After so long without a write its maker is taken for dead where that cannot be asked.
_FORGOTTEN_SECONDS = 86_400.0


@dataclass
class NewStore:
    """A store that is being made."""

    folder: Path  # where its files go
    about: dict[str, Any] = field(default_factory=dict)  # what the manifest says besides sizes and checksums
    digests: dict[str, str] = field(default_factory=dict)  # SHA-256 of the contents of each file, by name
    levels: tuple[LevelColumn, ...] = ()  # columns of cells by whose levels non-zero cells are to be counted

    def tables(self, cells: pd.DataFrame, features: Mapping[Modality, pd.DataFrame]) -> None:
        """Write the table of cells, whose index is the barcode, and that of each modality's features, by name."""
        cells = _plain(cells)
        self.levels = level_columns(cells)
        named = {"cells.parquet": cells.reset_index(names=BARCODE)}
        for modality, table in features.items():
            columns = {name: table[name].to_numpy() for name in table.columns}
            names = table.index.to_numpy(dtype=str).astype(object)
            named[f"{FEATURE[modality]}s.parquet"] = pd.DataFrame({"name": names, **columns})
        for file, table in named.items():
            path = self.folder / file
            table.to_parquet(create_file(path, OF_CELLS) if file == "cells.parquet" else path, index=False)
            self.digests[file] = _digest(table)
        # Where it is not said, it is these two: stores of multiome data stay as they were before there were others.
        self.about |= {} if tuple(features) == MULTIOME else {"modalities": list(features)}
        self.about |= {
            "n_cells": len(cells),
            **{f"n_{FEATURE[modality]}s": len(table) for modality, table in features.items()},
            "levels": [{"column": c.name, "levels": list(c.levels), "n_cells": c.n_cells} for c in self.levels],
        }

    def take_over(self, store: Store) -> None:
        """Take modalities, shape, levels and checksums of another store, some of whose files are used."""
        anew = ("format", "bytes", "digests", "sha256")
        self.about = {key: value for key, value in store.manifest.items() if key not in anew}
        self.digests = dict(store.manifest["digests"])
        self.levels = level_columns(store.cells)

    @contextmanager
    def columns(self, modality: Modality, *, n_features: int, n_entries: int, largest: int) -> Iterator[ColumnWriter]:
        """Open the files of a modality for writing, and note their digests when they are complete."""
        with ColumnWriter(
            self.folder, modality, n_features=n_features, n_entries=n_entries, largest=largest, levels=self.levels
        ) as writer:
            yield writer
        self.digests |= writer.digests

    def seal(self) -> str:
        """Write the manifest, bring everything to the disk, and give the checksum."""
        modalities = self.about.get("modalities", MULTIOME)
        content = "".join(f"{name} {self.digests[name]}\n" for name in _content(modalities))
        checksum = hashlib.sha256(content.encode()).hexdigest()
        manifest = {
            "format": FORMAT_OF_MODALITIES if "modalities" in self.about else FORMAT,
            **self.about,
            "bytes": {file.name: file.stat().st_size for file in sorted(self.folder.iterdir())},
            "digests": self.digests,
            "sha256": checksum,
        }
        (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for file in self.folder.iterdir():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        sync_folder(self.folder)
        return checksum


def _content(modalities: Iterable[Modality]) -> list[str]:
    """List the files that make the checksum of a store, in order; all else is derived from them."""
    counts = [f"{modality}_{part}.npy" for modality in modalities for part in ("values", "cells", "starts")]
    return [*counts, *(f"{FEATURE[modality]}s.parquet" for modality in modalities), "cells.parquet"]


@contextmanager
def new_store(final: Path) -> Iterator[NewStore]:
    """Make a folder to write a store to, which then gets its manifest and its name; sweep what killed makers left.

    Where it cannot be written, or the disk is full, nothing is left of it and a RunError says why.
    """
    work = final.with_name(f".{final.name}.{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        _sweep(final)
        work.mkdir(parents=True)
        made = NewStore(work)
        yield made
        checksum = made.seal()
        if _is_store_of(final, checksum):
            shutil.rmtree(work)
        else:
            _move(work, final, checksum)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise RunError(
            f"the scan store {final} cannot be written: {error.strerror or error}. "
            "Free some space or name another folder; nothing was changed"
        ) from error
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _is_store_of(path: Path, checksum: str) -> bool:
    try:
        return Store.open(path).checksum == checksum
    except (InputError, KeyError, TypeError):
        return False


def _move(work: Path, final: Path, checksum: str) -> None:
    """Replace the store of that name; where another process was faster with the same store, its own is as good."""
    old = work.with_name(f"{work.name}-old")
    with suppress(FileNotFoundError):
        # Renamed and not removed, because a removed folder with open files cannot be replaced on NFS.
        os.replace(final, old)
    try:
        os.replace(work, final)
    except OSError:
        if not _is_store_of(final, checksum):
            raise
        shutil.rmtree(work)
    sync_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sweep(final: Path) -> None:
    """Remove what makers of this store left that were killed."""
    for left in final.parent.glob(f".{final.name}.*-*-*"):
        made_on, pid = left.name.removeprefix(f".{final.name}.").split("-")[:2]
        if made_on == machine() and pid.isdigit():
            dead = not alive(int(pid)) or (int(pid) == os.getpid() and left.name.endswith("-old"))
        else:
            dead = time.time() - _last_write(left) > _FORGOTTEN_SECONDS
        if dead:
            shutil.rmtree(left, ignore_errors=True)


def _last_write(folder: Path) -> float:
    """Find when something in a folder was last written; now, if that cannot be said."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return time.time()


def _digest(table: pd.DataFrame) -> str:
    """Digest the contents, not the parquet file's bytes, which also hold the versions of the writer."""
    digest = hashlib.sha256()
    for name in table.columns:
        column = table[name]
        # With the type, because the text "1" and the number 1 make different models.
        kind = "text" if is_text(column) else str(column.dtype)
        digest.update(f"{len(str(name))} {name} {kind} {len(column)}\n".encode())
        if kind != "text":
            values = column.to_numpy()
            if values.dtype.kind == "f":
                values = np.where(np.isnan(values), np.nan, values)
            digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes())
            continue
        texts = column.to_numpy()
        for first in range(0, len(texts), 1 << 16):
            # With the length, so that no separator is needed; missing is not empty.
            part = (None if pd.isna(text) else text for text in texts[first : first + (1 << 16)])
            digest.update("".join("- " if text is None else f"{len(text)} {text}" for text in part).encode())
    return digest.hexdigest()


def _plain(cells: pd.DataFrame) -> pd.DataFrame:
    """Make columns that parquet can hold; anything but numbers, booleans and texts becomes text."""
    out = pd.DataFrame(index=cells.index.astype(str))
    for name in cells.columns:
        column = cells[name]
        if pd.api.types.is_numeric_dtype(column):
            out[str(name)] = column.to_numpy()
        else:
            codes, values = pd.factorize(column.astype(object) if column.dtype != "category" else column)
            # Equal texts are one object; the last, at position -1, is none.
            texts = np.array([*map(str, values), None], dtype=object)
            out[str(name)] = texts[codes]
    return out
