"""Opening files: what is wrong with a path, said before a reader stumbles over it."""

from __future__ import annotations

import difflib
import gzip
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, cast

from anndata import OldFormatWarning

from scanlink.errors import InputError, ScanlinkError
from scanlink.io.releases import pulling

__all__ = ["PathLikeStr", "existing_file", "open_text", "quiet", "reading", "refuse_nul", "suffix_of"]

PathLikeStr = str | PathLike[str]


def suffix_of(path: PathLikeStr) -> str:
    """Give the suffix that says the format, in lower case and without the ``.gz`` of compression."""
    name = Path(path).name.lower()
    return Path(name.removesuffix(".gz")).suffix


def existing_file(path: PathLikeStr, what: str) -> Path:
    """Check that a path is a file that can be read and is not empty; InputError says what is wrong.

    ``what`` is what the file should be, in the words of the message, such as ``"a 10x .h5 file"``.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise InputError(f"{file}: this is a folder; {what} was expected")
        if not file.exists():
            raise InputError(f"{file}: no such file; {what} was expected. {_nearest(file)}")
        if not file.is_file():
            raise InputError(f"{file}: this is a pipe or a device; {what} was expected")
        if file.stat().st_size == 0:
            raise InputError(f"{file}: the file is empty; {what} was expected")
        with file.open("rb"):
            pass
    except PermissionError as error:
        raise InputError(
            f"{file}: permission denied; {what} was expected. Ask its owner for the right to read it (chmod +r)"
        ) from error
    return file


def _nearest(file: Path) -> str:
    folder = file.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if folder != file.parent:
        return f"The folder {file.parent} does not exist either: the last one that does is {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    close = difflib.get_close_matches(file.name, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"The folder {folder} holds no file with a similar name"


@contextmanager
def reading(path: PathLikeStr, what: str) -> Iterator[None]:
    """Turn whatever parsers raise over a damaged file into one InputError that names the file; our own errors pass.

    ``what`` is what the file should be, in the words of the message.
    """
    try:
        yield
    except ScanlinkError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if "Not a gzipped" in str(error):
            raise InputError(f"{path}: not a gzip file although it is named .gz; {what} was expected") from error
        raise InputError(
            f"{path}: the file is truncated or was copied incompletely ({error}); {what} was expected. Copy it again"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error}); {what} was expected") from error
    except MemoryError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {_explain_hdf5(path, str(error))}; {what} was expected") from error
    except Exception as error:
        if "Parquet magic bytes" in str(error):
            raise InputError(f"{path}: not a parquet file, or copied incompletely; {what} was expected") from error
        raise InputError(
            f"{path}: cannot be read as {what} ({type(error).__name__}: {error}). Is it of another kind, or damaged?"
        ) from error


def refuse_nul(lines: Iterable[str], path: PathLikeStr) -> None:
    """Refuse lines with NUL, where pandas ends a field and says nothing of what follows."""
    number = next((number for number, line in enumerate(lines, start=1) if "\0" in line), None)
    if number is not None:
        raise InputError(f"{path}: row {number:,} has the character NUL, which no name has. Copy the file again")


def _explain_hdf5(path: PathLikeStr, message: str) -> str:
    size = Path(path).stat().st_size if Path(path).is_file() else 0
    whole = re.search(r"stored_eof = (\d+)", message)
    if whole:
        return (
            f"the file is truncated or was copied incompletely ({size:,} bytes found, {int(whole[1]):,} expected). "
            "Copy it again"
        )
    if "truncated" in message or "unable to read" in message.lower() or "addr overflow" in message:
        return f"the file is truncated or was copied incompletely ({size:,} bytes found; {message}). Copy it again"
    if "file signature not found" in message:
        return f"not an HDF5 file, or its beginning is damaged ({size:,} bytes found)"
    return message


def open_text(path: PathLikeStr) -> IO[str]:
    """Open a text file in UTF-8, compressed with gzip or not; the content decides, not the name.

    A byte order mark, as programs on Windows write it, is passed over.
    """
    with open(path, "rb") as head:
        compressed = head.read(2) == b"\x1f\x8b"
    if compressed:
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8-sig"))
    if str(path).lower().endswith(".gz"):
        raise InputError(f"{path}: not a gzip file although it is named .gz. Unpacked by hand? Then drop the .gz")
    return open(path, encoding="utf-8-sig")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what anndata and mudata say about things that scanlink checks or handles itself.

    Old file layouts are read as they are; names that are not unique are refused later with a better message; and
    columns are lifted to ``.obs`` by scanlink and not by mudata, in 0.3 as in 0.4.
    """
    with pulling(False), warnings.catch_warnings():
        for message, category in (
            ("", OldFormatWarning),
            ("The HDF5 file was not created by muon/mudata", UserWarning),
            ("From 0.4 .update() will not pull", FutureWarning),
            ("Observation names are not unique", UserWarning),
            ("Variable names are not unique", UserWarning),
            ("obs_names are not unique", UserWarning),
            ("var_names are not unique", UserWarning),
            ("var_names is not unique", UserWarning),
            ("obs_names is not unique", UserWarning),
            ("Cannot join columns with the same name", UserWarning),
            ("Moving element from .uns", FutureWarning),
        ):
            warnings.filterwarnings("ignore", message=message.replace(".", r"\."), category=category)
        yield
