"""Result files that are there as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import RunError

__all__ = ["write_whole"]


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Have ``write`` make a file under a temporary name beside ``path``, then move it there.

    Parameters
    ----------
    path
        The file; an older one of that name is replaced, its folder is made if need be.
    write
        Called with the temporary path.

    Returns
    -------
    The path.

    Raises
    ------
    RunError
        If the folder cannot be written or the disk is full; a file of that name, if any, is left as it was.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", lambda temporary: temporary.write_text("all of it")).read_text()
    'all of it'
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, or name another file"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path
