"""Names that a profile may use: read from the installed Dask, so that they are those of its version."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.errors import OptionError

__all__ = ["distributed_keys", "local_keys", "queue_keys", "refuse_unknown"]

# dask-jobqueue still takes these names, and warns; each has a new one.
_OLD = {"extra", "env-extra", "job-extra", "header-skip"}
# Tables whose keys are free: names of tasks, of variables, of loggers.
_FREE = {"pre-spawn-environ", "environ", "resources", "default-task-durations", "logging"}


def refuse_unknown(keys: Iterable[object], allowed: Iterable[str], *, where: str) -> None:
    """Refuse a key that does not exist.

    Parameters
    ----------
    keys
        Keys as the user wrote them; hyphens and underscores are the same.
    allowed
        Keys that exist.
    where
        File and section, for the message.

    Raises
    ------
    OptionError
        Names the key and the nearest one that exists.

    Examples
    --------
    >>> refuse_unknown(["memroy"], ["memory", "cores"], where="mine.yaml: jobqueue.slurm")
    Traceback (most recent call last):
    scanlink.errors.OptionError: mine.yaml: jobqueue.slurm has no key 'memroy'; did you mean 'memory'?
    """
    names = {_hyphened(name): name for name in allowed}
    for key in keys:
        if _hyphened(key) not in names:
            close = difflib.get_close_matches(_hyphened(key), names, n=1)
            hint = f"did you mean {names[close[0]]!r}?" if close else f"expected one of {', '.join(sorted(allowed))}"
            raise OptionError(f"{where} has no key {str(key)!r}; {hint}")


@cache
def queue_keys(kind: str) -> frozenset[str]:
    """Read the keys of a section of ``jobqueue`` from Dask's own configuration.

    Raises
    ------
    OptionError
        If dask-jobqueue is not installed.

    Examples
    --------
    >>> sorted(queue_keys("slurm") & {"walltime", "job-mem", "resource-spec"})
    ['job-mem', 'walltime']
    """
    # The file is read without an import, which would take the handler of Ctrl-C and write to ~/.config/dask.
    package = find_spec("dask_jobqueue")
    if package is None or package.origin is None:
        raise OptionError(
            f"a profile for {kind} needs dask-jobqueue, which is not installed: pip install 'scanlink[cluster]'"
        )
    content = yaml.safe_load((Path(package.origin).parent / "jobqueue.yaml").read_text())
    return frozenset(key for key in content["jobqueue"][SCHEDULERS[kind].section] if _hyphened(key) not in _OLD)


@cache
def _distributed() -> dict[str, Any]:
    import distributed

    content: dict[str, Any] = yaml.safe_load((Path(distributed.__file__).parent / "distributed.yaml").read_text())
    return content["distributed"]


def distributed_keys(section: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Flatten the section ``distributed`` to one table of dotted names, for :func:`dask.config.set`.

    Raises
    ------
    OptionError
        If a setting does not exist.

    Examples
    --------
    >>> distributed_keys({"scheduler": {"allowed-failures": 20}}, where="mine.yaml: distributed")
    {'distributed.scheduler.allowed-failures': 20}
    """
    return _flat(section, _distributed(), "distributed", where)


def _flat(section: dict[str, Any], defaults: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    refuse_unknown(section, {*defaults, "logging"} if name == "distributed" else defaults, where=where)
    flat: dict[str, Any] = {}
    for key, value in section.items():
        word = _hyphened(key)
        below = {_hyphened(k): v for k, v in defaults.items()}.get(word)
        if isinstance(below, dict) and word not in _FREE:
            if not isinstance(value, dict):
                raise OptionError(f"{where}.{key}: expected a table of keys; found {value!r}")
            flat |= _flat(value, below, f"{name}.{word}", f"{where}.{key}")
        else:
            flat[f"{name}.{word}"] = value
    return flat


@cache
def local_keys() -> frozenset[str]:
    """List the keywords of ``distributed.LocalCluster``, and those that it hands on to its workers.

    Examples
    --------
    >>> sorted(local_keys() & {"n_workers", "memory_limit", "walltime"})
    ['memory_limit', 'n_workers']
    """
    from distributed import LocalCluster, Nanny, Worker

    names: set[str] = set()
    for owner in (LocalCluster, Nanny, Worker):
        parameters = inspect.signature(owner.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    # What the cluster itself sets, for each worker.
    return frozenset(names - {"self", "scheduler_ip", "scheduler_file", "nanny", "loop", "asynchronous", "start"})


def _hyphened(key: object) -> str:
    return str(key).replace("_", "-")
