"""A sparse matrix as R's ``saveRDS`` writes it, without R: tags, lengths and values, all numbers big-endian."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

_NULL = struct.pack(">i", 254)


def write_rds_matrix(path: Path, matrix: Any, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Write counts as a ``dgCMatrix`` of features x cells."""
    counts = sparse.csc_matrix(matrix)
    slots = {
        "i": _numbers(counts.indices),
        "p": _numbers(counts.indptr),
        "Dim": _numbers(np.array(counts.shape)),
        "Dimnames": struct.pack(">ii", 19, 2) + _texts(rows) + _texts(columns),
        "x": _numbers(counts.data.astype(float)),
        "factors": struct.pack(">ii", 19, 0),
        "class": _texts(["dgCMatrix"], package="Matrix"),
    }
    # An object of S4 is its attributes.
    content = struct.pack(">i", 25 | 0x100 | 0x200 | 0x10000) + _pairs(slots)
    path.write_bytes(gzip.compress(b"X\n" + struct.pack(">iii", 2, 0x40202, 0x20300) + content, mtime=0))


def _pairs(values: dict[str, bytes]) -> bytes:
    tagged = (struct.pack(">ii", 2 | 0x400, 1) + _text(name) + value for name, value in values.items())
    return b"".join(tagged) + _NULL


def _numbers(values: Any) -> bytes:
    kind, dtype = (14, ">f8") if values.dtype.kind == "f" else (13, ">i4")
    return struct.pack(">ii", kind, values.size) + values.astype(dtype).tobytes()


def _texts(values: Sequence[str], *, package: str = "") -> bytes:
    head = struct.pack(">ii", 16 | (0x200 if package else 0), len(values)) + b"".join(map(_text, values))
    return head + (_pairs({"package": _texts([package])}) if package else b"")


def _text(value: str) -> bytes:
    return struct.pack(">ii", 9 | 0x40000, len(value)) + value.encode("ascii")
