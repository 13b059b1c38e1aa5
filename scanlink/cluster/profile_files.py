"""Find and read profile files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from scanlink.errors import OptionError, first_few

__all__ = ["find_profile", "read_profile", "shipped_profiles"]


def shipped_profiles() -> Path:
    """Find the folder of the profiles that come with the package.

    Examples
    --------
    >>> (shipped_profiles() / "slurm.yaml").is_file()
    True
    """
    inside = Path(__file__).parent / "configs"
    # An editable install has none in the package: there it is the repository's folder.
    return inside if inside.is_dir() else Path(__file__).parents[2] / "cluster_configs"


def find_profile(name: str | Path) -> Path | None:
    """Find the file that a profile's name means.

    Parameters
    ----------
    name
        Path, or a bare name such as ``slurm``, which is looked for as ``cluster_configs/slurm.yaml`` below the
        working directory, then in the user's folder of configuration (``~/.config/scanlink``, or that of
        ``XDG_CONFIG_HOME``), then among the profiles that come with the package.

    Returns
    -------
    Path or None
        None for ``local``, which needs no file, where the user has none of that name.

    Raises
    ------
    OptionError
        If there is no such file: lists the names of those that are shipped.

    Examples
    --------
    >>> find_profile("slurm-long").name
    'slurm-long.yaml'
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.name == str(name) and not path.suffix:
        folders = [Path("cluster_configs"), _user_folder()]
        for folder in folders + ([] if path.name == "local" else [shipped_profiles()]):
            if (folder / f"{name}.yaml").is_file():
                return folder / f"{name}.yaml"
        if path.name == "local":
            return None
    names = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
    raise OptionError(
        f"cluster profile {str(name)!r} is not known: expected 'none', an address such as tcp://host:8786, a scheduler "
        f"file (.json) or a profile (.yaml) that exists, or one of {first_few(names, most=12)}"
    )


def read_profile(path: Path) -> dict[str, Any]:
    """Read a profile, with ``$NAME`` replaced where the environment has that name, as Dask does.

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
    filled_in: dict[str, Any] = expand_environment_variables(content)
    return filled_in


def _user_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "scanlink"
