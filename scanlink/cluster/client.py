"""Open a Dask client as a profile says, and close what was opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from scanlink.errors import OptionError, RunError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["check", "client"]

# One thread a process for every library that would otherwise start as many as the machine has cores.
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB_MAXIMUM")}


@contextmanager
def client(profile: str | Path = "local", **overrides: Any) -> Iterator[Client | None]:
    """A Dask client for the length of a ``with`` block.

    Parameters
    ----------
    profile
        ``"local"``: worker processes on this machine, one thread each; ``"none"``: no Dask, the caller computes in its
        own process; an address such as ``tcp://10.0.0.1:8786`` or the path of a scheduler file (.json): a scheduler
        that is running already; or a YAML file with a section ``local``, whose keys are those of
        ``distributed.LocalCluster``.
    overrides
        Options of the cluster that replace those of the profile, such as ``n_workers=4``.

    Yields
    ------
    distributed.Client or None
        None for the profile ``"none"``.

    Raises
    ------
    OptionError
        If the profile is not known.
    RunError
        If no scheduler answers at the address.

    Examples
    --------
    >>> with client("none") as nothing:
    ...     nothing is None
    True
    """
    name = str(profile)
    if name == "none":
        yield None
        return
    if overrides and ("://" in name or name.endswith(".json")):
        raise OptionError(f"{', '.join(overrides)} cannot be set: the cluster at {name} is running already")
    with ExitStack() as stack:
        if name == "local":
            yield stack.enter_context(_local({}, overrides))
        elif "://" in name or name.endswith(".json"):
            yield stack.enter_context(_running(name))
        else:
            yield stack.enter_context(_local(_profile(name), overrides))


def check(profile: str | Path) -> None:
    """Refuse a profile that cannot be used, before any work is done; what it starts or reaches is not tried.

    Raises
    ------
    OptionError
        If the profile is not known, or its file cannot be read.

    Examples
    --------
    >>> check("local")
    """
    name = str(profile)
    if name.endswith(".json") and not Path(name).is_file():
        # Dask would wait for it without end.
        raise OptionError(f"scheduler file {name} does not exist: start the scheduler first, or correct the path")
    if name not in ("none", "local") and "://" not in name and not name.endswith(".json"):
        _profile(name)


def _profile(name: str) -> dict[str, Any]:
    if not Path(name).is_file():
        raise OptionError(
            f"cluster profile {name!r} is not known: expected 'local', 'none', an address such as "
            "tcp://host:8786, a scheduler file (.json) or a profile (.yaml) that exists"
        )
    try:
        section = yaml.safe_load(Path(name).read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OptionError(f"profile {name} is not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(section, dict) or set(section) != {"local"} or not isinstance(section["local"] or {}, dict):
        raise OptionError(f"profile {name}: expected one section 'local' with options; found {section!r}")
    return section["local"] or {}


@contextmanager
def _local(options: dict[str, Any], overrides: dict[str, Any]) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    from scanlink.run.local import available_cores

    settings = {
        "n_workers": available_cores(),
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": "127.0.0.1:0",
        "host": "127.0.0.1",
        "silence_logs": logging.CRITICAL,
        **options,
        **overrides,
    }
    environment = {"distributed.nanny.pre-spawn-environ": _ONE_THREAD}
    with _environment_kept(), dask.config.set(environment), ExitStack() as stack:
        with _environment_kept():
            cluster = stack.enter_context(LocalCluster(**settings))
        yield stack.enter_context(Client(cluster))


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Put back what starting workers leaves in this process's environment.

    With another number of threads there, numba would refuse to compile in a process that has used its threads.
    """
    before = {name: os.environ.get(name) for name in (*_ONE_THREAD, "PYTHONHASHSEED")}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _running(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        opened = (
            Client(scheduler_file=address, timeout=30) if address.endswith(".json") else Client(address, timeout=30)
        )
    except (OSError, ValueError) as error:
        raise RunError(
            f"no Dask scheduler answers at {address}: {error}. Check the address, and that this host may reach it"
        ) from error
    with opened:
        yield opened
