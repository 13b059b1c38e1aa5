"""Run options from a YAML file, with the line of whatever is wrong in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from scanlink.errors import InputError, OptionError
from scanlink.io.opening import existing_file
from scanlink.options import IsFile, Options, explain
from scanlink.pipeline.experiment import Run
from scanlink.pipeline.experiments import experiment_with
from scanlink.plain_yaml import parse_yaml, read_yaml

__all__ = ["load", "load_for_command", "load_run", "profile_path", "save", "sections_of", "with_absolute_paths"]


M = TypeVar("M", bound=Options)


def load_run(path: str | os.PathLike[str], *, changes: Iterable[str] = ()) -> Any:
    """Read run.yaml of an experiment: that of which it names an analysis; checked, with absolute paths.

    Paths in it are relative to its folder. ``changes`` replace options of the file, such as ``"scan.seed=1"``; the
    value is read as YAML. An OptionError names line, key and the nearest key that exists.
    """
    folder = Path(path).resolve().parent
    options: Any = load(path, experiment_with(sections_of(path)).options, changes=changes)
    options = with_absolute_paths(options, folder)
    return options.model_copy(update={"cluster": profile_path(options.cluster, folder)})


def load_for_command(path: Path, changes: Iterable[str] | None, cluster: str | None) -> Any:
    """Read run.yaml of an experiment, with what a command changes of it."""
    changes = list(changes or [])
    if cluster is not None:
        # Relative to where the command is given; in run.yaml it is relative to that file. In quotes, because a bare
        # ``none`` or an address would be something else in YAML.
        quoted = profile_path(cluster, Path.cwd()).replace("'", "''")
        changes.append(f"cluster='{quoted}'")
    return load_run(path, changes=changes)


def profile_path(profile: str, folder: Path) -> str:
    """Give the path of a profile or scheduler file from the root, where it is named relative to a folder or to ``~``.

    Names of profiles and addresses stay as they are.
    """
    if profile.endswith((".yaml", ".yml", ".json")) and "://" not in profile:
        return str((folder / os.path.expanduser(profile)).resolve())
    return profile


def sections_of(path: str | os.PathLike[str]) -> list[str]:
    """List the sections that a file of options has."""
    return list(_read(Path(path))[0])


def load(path: str | os.PathLike[str] | None, model: type[M], *, changes: Iterable[str] = (), known: bool = True) -> M:
    """Read any options from YAML, with changes as in :func:`load_run`.

    No file starts from nothing; ``known=False`` passes over top-level keys that ``model`` does not have.
    """
    values: dict[str, Any] = {}
    lines: dict[tuple[str, ...], int] = {}
    name = Path(path).name if path is not None else "options"
    if path is not None:
        values, lines = _read(Path(path))
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise OptionError(f"--set {change!r}: expected key=value, such as scan.seed=1")
        try:
            value = parse_yaml(text, name="the value").value
        except OptionError as error:
            raise OptionError(
                f"--set {change!r}: {error}. Expected such as scan.seed=1 or 'groups.only=[B, T]'"
            ) from error
        _put(values, tuple(key.strip().split(".")), value, change)
    if not known:
        values = {key: value for key, value in values.items() if key in model.model_fields}

    def where(key: tuple[str, ...]) -> str:
        while key and key not in lines:
            key = key[:-1]
        return f"{name}, line {lines[key]}: " if key else f"{name}: "

    try:
        return model(**values)
    except ValidationError as error:
        raise explain(error, model, where=where) from None


def save(options: Run | Options, path: Path) -> None:
    """Write options as YAML, for the run folder."""
    path.write_text(yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        existing_file(path, "a file of options such as run.yaml")
    except InputError as error:
        raise OptionError(str(error)) from error
    content = read_yaml(path, name=path.name)
    values = content.value
    if not isinstance(values, dict):
        raise OptionError(
            f"{path.name}: expected a table of keys such as input, genes, groups, pairs, scan; "
            f"found {'a list' if isinstance(values, list) else repr(values)}"
        )
    return values, content.lines


def _put(values: dict[str, Any], key: tuple[str, ...], value: Any, change: str) -> None:
    for part in key[:-1]:
        inner = values.setdefault(part, {})
        if inner is None:
            # A section that is left out, such as epistasis.
            inner = values[part] = {}
        if isinstance(inner, str) and part in ("input", "genes"):
            inner = values[part] = {"path": inner}
        if not isinstance(inner, dict):
            raise OptionError(f"--set {change!r}: {part!r} is not a section")
        values = inner
    values[key[-1]] = value


def with_absolute_paths(options: M, folder: Path) -> M:
    """Give options whose files, relative to a folder, are named from the root, in all sections."""
    changed: dict[str, Any] = {}
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if isinstance(value, Options):
            changed[name] = with_absolute_paths(value, folder)
        elif value is not None and any(isinstance(mark, IsFile) for mark in field.metadata):
            changed[name] = str((folder / os.path.expanduser(value)).resolve())
    return options.model_copy(update=changed)
