"""Find and read profile files, and refuse keys that are not those of the installed Dask."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.errors import OptionError, first_few
from scanlink.plain_yaml import read_yaml

__all__ = [
    "distributed_keys",
    "find_profile",
    "keywords_of",
    "local_keys",
    "queue_keys",
    "read_profile",
    "refuse_unknown",
    "table_of",
]

# dask-jobqueue still takes these names, and warns; each has a new one.
_OLD = {"extra", "env-extra", "job-extra", "header-skip"}
# Tables whose keys are free: names of tasks, of variables, of loggers.
_FREE = {"pre-spawn-environ", "environ", "resources", "default-task-durations", "logging"}


def shipped_profiles() -> Path:
    """Find the folder of the profiles that come with the package."""
    inside = Path(__file__).parent / "configs"
    # An editable install has none in the package: there it is the repository's folder.
    return inside if inside.is_dir() else Path(__file__).parents[2] / "cluster_configs"


def find_profile(name: str | Path) -> Path | None:
    """Find the file that a profile's name means; None for ``local``, which needs no file, where the user has none.

    The name is a path, or a bare name such as ``slurm``, which is looked for as ``cluster_configs/slurm.yaml`` below
    the working directory, then in the user's folder of configuration (``~/.config/scanlink``, or that of
    ``XDG_CONFIG_HOME``), then among the profiles that come with the package. Raises OptionError, with the names of
    these, if there is no such file.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.name == str(name) and not path.suffix:
        user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "scanlink"
        folders = [Path("cluster_configs"), user]
        for folder in folders + ([] if path.name == "local" else [shipped_profiles()]):
            if (folder / f"{name}.yaml").is_file():
                return folder / f"{name}.yaml"
        if path.name == "local":
            return None
    names = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
    raise OptionError(
        f"cluster profile {str(name)!r} is not known: expected 'none', an address such as tls://host:8786, a scheduler "
        f"file (.json) or a profile (.yaml) that exists, or one of {first_few(names, most=12)}"
    )


def read_profile(path: Path) -> dict[str, Any]:
    """Read a profile, with ``$NAME`` replaced where the environment has that name, as Dask does.

    Raises OptionError if the file cannot be read or is not a table of keys.
    """
    from dask.config import expand_environment_variables

    content = read_yaml(path, name=f"profile {path}").value
    if not isinstance(content, dict):
        raise OptionError(f"profile {path}: expected sections such as jobqueue or local; found {content!r}")
    filled_in: dict[str, Any] = expand_environment_variables(content)
    return filled_in


def refuse_unknown(keys: Iterable[object], allowed: Iterable[str], *, where: str) -> None:
    """Refuse a key that does not exist; hyphens and underscores are the same.

    Raises OptionError, which begins with ``where``, and names the key and the nearest one that exists.
    """
    names = {_hyphened(name): name for name in allowed}
    for key in keys:
        if _hyphened(key) not in names:
            close = difflib.get_close_matches(_hyphened(key), names, n=1)
            hint = f"did you mean {names[close[0]]!r}?" if close else f"expected one of {', '.join(sorted(allowed))}"
            raise OptionError(f"{where} has no key {str(key)!r}; {hint}")


def table_of(value: Any, where: str) -> dict[str, Any]:
    """Take a table of keys, where there is one; raises OptionError for anything else."""
    if value is not None and not isinstance(value, dict):
        raise OptionError(f"{where}: expected a table of keys; found {value!r}")
    return value or {}


def keywords_of(table: dict[str, Any]) -> dict[str, Any]:
    """Write keys as the keywords of a Python call."""
    return {str(key).replace("-", "_"): value for key, value in table.items()}


@cache
def queue_keys(kind: str) -> frozenset[str]:
    """Read the keys of a section of ``jobqueue`` from Dask's own configuration; OptionError if it is not installed."""
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

    Raises OptionError if a setting does not exist.

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
    """List the keywords of ``distributed.LocalCluster``, and those that it hands on to its workers."""
    from distributed import LocalCluster, Nanny, Worker

    names: set[str] = set()
    for owner in (LocalCluster, Nanny, Worker):
        parameters = inspect.signature(owner.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    # What the cluster itself sets, for each worker, or scanlink for the cluster.
    ours = {"self", "scheduler_ip", "scheduler_file", "nanny", "loop", "asynchronous", "start", "security"}
    return frozenset(names - ours)


def _hyphened(key: object) -> str:
    return str(key).replace("_", "-")
