"""Find and read profile files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from scanlink.errors import OptionError, first_few

__all__ = ["find", "read", "shipped"]


def shipped() -> Path:
    """The folder of the profiles that come with the package.

    Examples
    --------
    >>> (shipped() / "slurm.yaml").is_file()
    True
    """
    inside = Path(__file__).parent / "configs"
    # An editable install has none in the package: there it is the repository's folder.
    return inside if inside.is_dir() else Path(__file__).parents[2] / "cluster_configs"


def find(name: str | Path) -> Path | None:
    """The file that a profile's name means.

    Parameters
    ----------
    name
        A path, or a bare name such as ``slurm``, which is looked for as ``cluster_configs/slurm.yaml`` below the
        working directory, then in the user's folder of configuration (``~/.config/scanlink``, or that of
        ``XDG_CONFIG_HOME``), then among the profiles that come with the package.

    Returns
    -------
    Path or None
        None for ``local``, which needs no file, where the user has none of that name.

    Raises
    ------
    OptionError
        If there is no such file: lists the names that are known.

    Examples
    --------
    >>> find("slurm-long").name
    'slurm-long.yaml'
    """
    given = Path(name).expanduser()
    if given.is_file():
        return given
    if given.name == str(name) and not given.suffix:
        folders = [Path("cluster_configs"), _user_folder()]
        for folder in folders + ([] if given.name == "local" else [shipped()]):
            if (folder / f"{name}.yaml").is_file():
                return folder / f"{name}.yaml"
        if given.name == "local":
            return None
    known = sorted(path.stem for path in shipped().glob("*.yaml"))
    raise OptionError(
        f"cluster profile {str(name)!r} is not known: expected 'none', an address such as tcp://host:8786, a scheduler "
        f"file (.json) or a profile (.yaml) that exists, or one of {first_few(known, most=12)}"
    )


def read(path: Path) -> dict[str, Any]:
    """The content of a profile, with ``$NAME`` replaced where the environment has that name, as Dask does.

    Raises
    ------
    OptionError
        If the file cannot be read or is not a table of keys.
    """
    from dask.config import expand_environment_variables

    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OptionError(f"profile {path} is not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise OptionError(f"profile {path}: expected sections such as jobqueue or local; found {content!r}")
    found: dict[str, Any] = expand_environment_variables(content)
    return found


def _user_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "scanlink"
