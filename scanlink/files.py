"""Files that are there as a whole or not at all, and arrays that say why they could not be written."""

from __future__ import annotations

import os
import stat
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import RunError

__all__ = ["FULL_DISK", "OF_CELLS", "create_file", "private_folder", "replace_file", "save_array"]

# What to do where a file cannot be written: one of a run, and one that stands alone.
_GO_ON = "Free some space or name another folder; what is finished stays, and the same command goes on from there"
FULL_DISK = "Free some space, or name another file"


# The most that others may do with a file that tells of single cells: the group may read it, if the umask lets it.
OF_CELLS = 0o640


def create_file(path: Path, mode: int) -> Path:
    """Make a new, empty file that is never more open than ``mode``, nor than the umask says; what is written keeps it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oct(create_file(Path(folder, "key.pem"), 0o600).stat().st_mode & 0o777)
    '0o600'
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    return path


def private_folder(parent: Path) -> Path:
    """Make or find this user's own folder below one that others may write, which nobody else may enter.

    Where another user has taken its name, it is a new one with a name that nobody guesses. Raises RunError if it
    cannot be made.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oct(private_folder(Path(folder)).stat().st_mode & 0o777)
    '0o700'
    """
    path = parent / f"scanlink-{os.getuid()}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return Path(tempfile.mkdtemp(prefix=f"{path.name}-", dir=parent))
        path.chmod(0o700)
    except OSError as error:
        raise RunError(
            f"the folder {parent} cannot be written: {error.strerror or error}. Name another for what workers keep: "
            "TMPDIR, local_directory of a profile, or temporary-directory of Dask"
        ) from error
    return path


def replace_file(path: Path, write: Callable[[Path], object], *, advice: str = _GO_ON, mode: int | None = None) -> Path:
    """Have ``write`` make a file under a temporary name beside ``path``, then move it there.

    With ``mode`` it is there already, empty, and no more open than that; without, it is as the umask says.

    An older file of that name is replaced, its folder is made if need be. Where the folder cannot be written or the
    disk is full, an older file is left as it was, and a RunError ends with the advice.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode is not None:
            create_file(temporary, mode)
        write(temporary)
        with open(temporary, "rb") as handle:
            # A full or lost disk shows here at the latest, and not after the file counts as written.
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}. {advice}") from error
    finally:
        # Where the folder is lost, what was wrong in the first place is told, not this.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def save_array(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write an array of any shape, but not of objects, as ``.npy``.

    On a full disk the OSError has a reason: that of ``numpy.save`` has none, as it leaves the writing to C.
    """
    with open(path, "wb") as handle:
        np.save(cast("IO[bytes]", SimpleNamespace(write=handle.write)), array, allow_pickle=False)
