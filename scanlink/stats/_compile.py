"""Compilation of the inner loops, and where their machine code is kept between processes.

They all run without the interpreter lock, on one thread, and sum in a fixed order, so that the same input gives the
same bits in any process of one machine.

Compiling them all takes one to two minutes, and every worker of a cluster would do it anew. numba's own cache lies
beside the sources, often on a network file system, where processes that write at once get in each other's way. So the
code is kept below the machine's folder for temporary files, in a folder that only its owner can write, with a name that
changes whenever a source does. ``SCANLINK_JIT_CACHE`` names another folder; empty, it turns this off.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger("scanlink")


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the folder in which machine code is kept; None where it is not."""
    from_environment = os.environ.get("SCANLINK_JIT_CACHE")
    if from_environment == "" or not hasattr(os, "getuid"):
        return None
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    root = Path(from_environment) if from_environment else Path(tempfile.gettempdir()) / f"scanlink-jit-{os.getuid()}"
    folder = root / digest.hexdigest()[:16]
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for path in (root, folder):
            path.mkdir(exist_ok=True, mode=0o700)
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
                raise PermissionError(f"{path} can be written by others")
    except OSError as error:
        log.debug("machine code is not kept: %s", error)
        return None
    return folder


def compiled(function: Function) -> Function:
    """Compile a loop: without the interpreter lock, with floating point as the processor has it."""
    return _with_cache(njit(nogil=True, error_model="numpy")(function))


def compiled_contracted(function: Function) -> Function:
    """Compile with multiplication and addition in one instruction: faster, and sums keep their order."""
    return _with_cache(njit(nogil=True, error_model="numpy", fastmath={"contract"})(function))


def compiled_reassociated(function: Function) -> Function:
    """Compile with sums in whatever order is fastest: one order for one machine, chosen by the compiler."""
    return _with_cache(njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})(function))


def inlined(function: Function) -> Function:
    """Compile as part of whichever loop calls it: for the few lines that each cell runs through.

    It has no machine code of its own to be kept.
    """
    return cast(Function, njit(nogil=True, error_model="numpy", inline="always")(function))


def _with_cache(dispatcher: Any) -> Any:
    """Have the machine code of a compiled function kept in :func:`cache_folder`, where there is one."""
    folder = cache_folder()
    if folder is not None:
        # numba has no public way to say where one function's code is kept; without this one it is not kept.
        try:
            dispatcher._cache = _cache_class(folder)(dispatcher.py_func)
        except Exception as error:
            log.debug("machine code of %s is not kept: %s", dispatcher.py_func.__name__, error)
    return cast(Any, dispatcher)


@lru_cache(maxsize=1)
def _cache_class(folder: Path) -> Any:
    """Return a cache of numba's that keeps all its files in ``folder``."""
    caching: Any = import_module("numba.core.caching")

    class Locator(caching._CacheLocator):
        def __init__(self, py_func: Any) -> None:
            self._line = py_func.__code__.co_firstlineno

        def get_cache_path(self) -> str:
            return str(folder)

        def get_source_stamp(self) -> str:
            return folder.name

        def get_disambiguator(self) -> str:
            return str(self._line)

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return cls(py_func)

    class Implementation(caching.CompileResultCacheImpl):
        _locator_classes = (Locator,)

    class Cache(caching.FunctionCache):
        _impl_class = Implementation

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except Exception as error:
                # Whatever is wrong with what was kept, it can be compiled again.
                log.debug("machine code could not be read: %s", error)
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                super().save_overload(sig, data)
            except Exception as error:
                log.debug("machine code could not be kept: %s", error)

    return Cache
