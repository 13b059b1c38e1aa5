"""Arrays on disk (.npy) that are written from one end to the other and read by position, never mapped into memory."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayFile", "ArrayWriter", "sync_folder"]

# More than the header of an array of one or two dimensions takes.
_HEAD = 512


class ArrayFile:
    """A ``.npy`` of one dimension, open for reading by position.

    A read takes the bytes that are asked for into memory of the process and nothing else: no page of the file counts as
    its memory, and a file that is cut short or lost is an error (OSError) and not a signal. The place in the file is
    not shared, so that threads, and children after a fork, may read at the same time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        head = io.BytesIO(os.pread(self._handle, _HEAD, 0))
        try:
            version = np.lib.format.read_magic(head)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, self.dtype = read(head)
        except ValueError as error:
            raise OSError(errno.EIO, f"its header is damaged ({error})", str(path)) from error
        self.size = int(shape[0]) if shape else 0
        self._offset = head.tell()

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            os.close(handle)

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Read elements ``first`` to ``last``, half open. Shape ``(last - first,)``, read-only."""
        if not 0 <= first <= last <= self.size:
            raise OSError(errno.EINVAL, f"elements {first} to {last} of {self.size} do not exist", str(self.path))
        size = self.dtype.itemsize
        place, left = self._offset + first * size, (last - first) * size
        pieces = []
        while left:
            piece = os.pread(self._handle, left, place)
            if not piece:
                raise OSError(errno.EIO, f"the file ends {left} bytes early", str(self.path))
            pieces.append(piece)
            place, left = place + len(piece), left - len(piece)
        values: NDArray[Any] = np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), dtype=self.dtype)
        return values


class ArrayWriter:
    """A ``.npy`` of a known shape that is written piece after piece.

    A full disk is an OSError, at the latest when it is closed.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        # The same bytes on every machine.
        self.dtype = dtype.newbyteorder("<")
        self._left = int(np.prod(shape, dtype=np.int64))
        self._digest = hashlib.sha256()
        self._handle = open(path, "wb")  # noqa: SIM115 - closed by close() or abandon()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        head: dict[str, Any] = {"descr": descr, "fortran_order": False, "shape": shape}
        try:
            np.lib.format.write_array_header_1_0(self._handle, head)
        except BaseException:
            self.abandon()
            raise

    def add(self, values: NDArray[Any]) -> None:
        """Append elements, in C order."""
        data = np.ascontiguousarray(values, dtype=self.dtype)
        self._left -= data.size
        raw = data.data.cast("B") if data.size else b""
        self._digest.update(raw)
        self._handle.write(raw)

    def close(self) -> str:
        """Bring all of it to the disk, and give the SHA-256 of the elements."""
        assert self._left == 0, f"{self._left} elements are missing in {self._handle.name}"
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Close a file that will not be completed."""
        with suppress(OSError):
            self._handle.close()


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems do not sync folders, and say so with one of these.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(handle)
