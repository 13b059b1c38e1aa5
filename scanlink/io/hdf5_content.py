"""What an HDF5 file holds, looked at before any of it is read: no way out of the file, nothing beyond memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scanlink.errors import InputError
from scanlink.io.hdf5_heaps import check_heaps
from scanlink.io.sparse_structure import check_lengths, check_pointers

__all__ = ["check_content", "check_values", "encoding_of", "refuse_beyond_memory", "shape_of"]

_COLUMN = re.compile(r"^(mod/[^/]+/)?(raw/)?(obs|var)/")
_MATRICES = re.compile(r"(^|/)(X|layers|raw)(/|$)|^matrix/(data|indices)$")
_INSIDE = "Read it where it was made, and write it anew with all data inside"
# Names of one object: a few in any file, without end where groups are named inside each other.
_MOST_NAMES = 10


def check_content(
    file: h5py.File,
    path: Path,
    what: str,
    *,
    used: tuple[str, ...] = ("",),
    in_pieces: bool = False,
    texts: bool = True,
) -> None:
    """Check a file before it is read: what has a name that begins as ``used`` says, and all else for links only.

    ``in_pieces`` tells that matrices (X, layers, raw) are never in memory as a whole; without ``texts`` those were
    looked at before. Raises InputError where a name leads to another file or in circles, where values are no numbers or
    texts, where the parts of a sparse matrix do not fit together, and where what is read is larger than the memory of
    this computer.
    """
    n_bytes = 0
    # All names are looked at before anything behind one is.
    items = list(_walk(file, path, what))
    if texts:
        check_heaps(path, (item for _, item in items if isinstance(item, h5py.Dataset)), what)
    for name, item in items:
        label = f"{path}: {name}"
        if isinstance(item, h5py.Dataset):
            _refuse_outside(item, label, what)
        if not name.startswith(used):
            continue
        if isinstance(item, h5py.Dataset):
            _refuse_records(item, label, name)
            if item.shape is not None and not (in_pieces and _MATRICES.search(name)):
                n_bytes += item.size * item.dtype.itemsize
                refuse_beyond_memory(n_bytes, f"{label}, with what is read before it,", what)
        elif _is_sparse(item, name):
            _check_sparse_group(item, label)


def _walk(file: h5py.File, path: Path, what: str) -> Iterator[tuple[str, Any]]:
    """Give all datasets and groups with their names; a name that leads out of the file, or in circles, is refused.

    An object may have several names, as where a layer is the matrix of ``raw``.
    """
    whole = h5py.h5o.get_info(file.id)
    waiting: list[tuple[str, Any, frozenset[int]]] = [("", file, frozenset({whole.addr}))]
    n_names, objects = 0, {whole.addr}
    while waiting:
        above, group, around = waiting.pop()
        for key in group:
            name = f"{above}/{key}" if above else str(key)
            link = group.get(key, getlink=True)
            try:
                item = None if isinstance(link, h5py.ExternalLink) else group[key]
            except KeyError:
                item = None
            about = None if item is None else h5py.h5o.get_info(item.id)
            if about is None or about.fileno != whole.fileno:
                target = getattr(link, "filename", None) or getattr(link, "path", "nowhere")
                raise InputError(
                    f"{path}: {name} leads out of the file ({target!r}); {what} that holds its own data was expected. "
                    f"{_INSIDE}"
                )
            n_names += 1
            objects.add(about.addr)
            if about.addr in around or n_names > _MOST_NAMES * len(objects) + 1_000:
                raise InputError(
                    f"{path}: {name} leads to a group that it stands in, or that has very many names; {what} was "
                    f"expected. {_INSIDE}"
                )
            yield name, item
            if isinstance(item, h5py.Group):
                waiting.append((name, item, around | {about.addr}))


def _refuse_outside(item: h5py.Dataset, label: str, what: str) -> None:
    """Refuse values in other files; they may be put together from other datasets of this file."""
    parts = item.virtual_sources() if item.is_virtual else []
    n_there = sum(part.vspace.get_select_npoints() for part in parts if _is_inside(part, item.file))
    if item.external or (item.is_virtual and n_there != item.size):
        raise InputError(
            f"{label} has its values in other files, or nowhere; {what} that holds its own data was expected. {_INSIDE}"
        )


def _is_inside(part: Any, file: h5py.File) -> bool:
    """Tell whether a part of a virtual dataset is a dataset of this file, as large as it is said to be."""
    source = file.get(part.dset_name) if part.file_name == "." else None
    if not isinstance(source, h5py.Dataset) or source.is_virtual:
        return False
    n_values = int(part.vspace.get_select_npoints())
    return n_values <= source.size and part.src_space.get_simple_extent_dims() in ((), source.shape)


def _refuse_records(item: h5py.Dataset, label: str, name: str) -> None:
    """Refuse a column of records; before anndata 0.7 a table was one dataset of them, and is read."""
    if item.dtype.names and _COLUMN.match(name):
        raise InputError(
            f"{label} is a column of records ({', '.join(item.dtype.names)}); one value a row was expected"
        )


def encoding_of(group: Any) -> str:
    """Give what a group of the anndata family says that it is, such as ``"csr_matrix"``; older ones say ``"csr"``."""
    says = group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", ""))
    # R writes texts of a fixed length.
    return says.decode(errors="replace") if isinstance(says, bytes) else str(says)


def shape_of(group: Any, label: str) -> tuple[int, int]:
    """Give the shape of a sparse matrix as the file has it; InputError if it is none."""
    shape: Any = group["shape"] if "shape" in group else group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
    values = np.asarray(shape[()] if isinstance(shape, h5py.Dataset) else shape)
    # Numbers of R are floating.
    are_numbers = values.shape == (2,) and values.dtype.kind in "iuf" and (np.isfinite(values) & (values >= 0)).all()
    if not are_numbers or (values % 1).any():
        raise InputError(f"{label}: the matrix is damaged: its shape is {values.tolist()}; two numbers were expected")
    return int(values[0]), int(values[1])


def _is_sparse(group: h5py.Group, name: str) -> bool:
    """Tell whether a group is a sparse matrix by what it says of itself; only that of 10x does not say it."""
    is_matrix = name == "matrix" or encoding_of(group).startswith(("csr", "csc"))
    return is_matrix and {"data", "indices", "indptr"} <= group.keys()


def _check_sparse_group(group: h5py.Group, label: str) -> None:
    """Check a sparse matrix in a file but for its indices: types, lengths, and where its rows begin and end."""
    for part in ("data", "indices", "indptr"):
        dataset = group[part]
        if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1:
            raise InputError(f"{label}: the matrix is damaged: {part} is no list of numbers. Copy the file again")
        check_values(dataset, f"{label}/{part}", "iu" if part != "data" else "biuf")
    shape = shape_of(group, label)
    is_10x = "shape" in group
    by_column = is_10x or encoding_of(group).startswith("csc")
    n_lines = shape[1 if by_column else 0]
    n_entries = int(group["indices"].size)
    check_lengths(int(group["data"].size), n_entries, label)
    lines = "cell" if is_10x else "column" if by_column else "row"
    if group["indptr"].size == n_lines + 1:
        refuse_beyond_memory(8 * n_lines, f"{label}/indptr", "a matrix")
        check_pointers(group["indptr"][:], n_lines, n_entries, label, lines)
    else:
        check_pointers(
            np.zeros(min(int(group["indptr"].size), 1 << 30), dtype=np.int8), n_lines, n_entries, label, lines
        )


def check_values(dataset: h5py.Dataset, label: str, kinds: str = "biuf") -> None:
    """Refuse values that are texts, records or anything else but numbers."""
    if dataset.dtype.kind not in kinds:
        kind = "texts or objects" if dataset.dtype.kind in "OSU" else str(dataset.dtype)
        raise InputError(f"{label} holds {kind}; {'whole numbers' if kinds == 'iu' else 'numbers'} were expected")


def refuse_beyond_memory(n_bytes: int, label: str, what: str) -> None:
    """Refuse to read what this computer has no memory for, before any of it is taken."""
    import psutil

    total = psutil.virtual_memory().total + psutil.swap_memory().total
    if n_bytes > total:
        raise InputError(
            f"{label} would take {n_bytes / 2**30:,.1f} GiB, and this computer has {total / 2**30:,.1f} GiB; is {what} "
            "damaged? If not, leave the counts on disk (backed=True), or use a computer with more memory"
        )
