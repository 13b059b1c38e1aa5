"""Where an HDF5 file keeps its texts, looked at byte by byte: the HDF5 library reads one kind of damage without end.

Texts of any length lie in collections (global heaps): a signature, a size, then objects, each with its index and size.
The library goes from object to object by these sizes; an empty one of size 0, as where a file was overwritten with
zeros, leads nowhere. Numbers, most of a file, are passed over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py

from scanlink.errors import InputError

__all__ = ["check_heaps"]

_SIGNATURE, _HEADER = b"GCOL\x01\0\0\0", 16


def check_heaps(path: Path, datasets: Iterable[h5py.Dataset], what: str) -> None:
    """Check the collections of texts of a file; ``datasets`` are those whose numbers are passed over."""
    numbers = sorted(extent for dataset in datasets for extent in _extents(dataset))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = 0
        for begin, stop in (*numbers, (len(content), len(content))):
            if begin > end:
                _check_between(content, end, begin, path, what)
            end = max(end, stop)


def _extents(dataset: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Give the places in the file where the numbers of a dataset lie, half open."""
    if dataset.dtype.kind not in "biuf" or dataset.shape is None:
        return
    places: list[tuple[int | None, int]] = []
    if dataset.chunks is None:
        places.append((dataset.id.get_offset(), dataset.id.get_storage_size()))
    else:
        dataset.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    # Whether the block before the beginning of the file counts differs between releases: what holds either way.
    block = dataset.file.userblock_size
    yield from ((begin + block, begin + size) for begin, size in places if begin is not None and size > block)


def _check_between(content: mmap.mmap, begin: int, end: int, path: Path, what: str) -> None:
    place = content.find(_SIGNATURE, begin, end)
    while place >= 0:
        stop = min(place + int.from_bytes(content[place + 8 : place + 16], "little"), len(content))
        here = place + 16
        while here + _HEADER <= stop:
            index = int.from_bytes(content[here : here + 2], "little")
            size = int.from_bytes(content[here + 8 : here + 16], "little")
            if not index and not size:
                raise InputError(
                    f"{path}: the file is damaged: its texts at byte {here:,} were overwritten; {what} was expected. "
                    "Copy it again"
                )
            here += _HEADER + -(-size // 8) * 8 if index else size
        place = content.find(_SIGNATURE, max(place + 8, min(here, end)), end)
