"""Tables of results in ``.uns`` of AnnData and MuData, in a form that their files keep."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from anndata import AnnData
from anndata.io import write_elem
from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.files import FULL_DISK, replace_file
from scanlink.io.formats import keeps_tables
from scanlink.io.opening import PathLikeStr, existing_file, quiet, suffix_of
from scanlink.io.releases import is_text

__all__ = ["add_tables", "copy_with_tables", "get_tables"]


def add_tables(data: MuData | AnnData, tables: Mapping[str, pd.DataFrame], *, key: str = "scanlink") -> None:
    """Put tables of results into ``data.uns[key]``, so that ``.h5mu`` and ``.h5ad`` files keep them.

    Parameters
    ----------
    data
        MuData or AnnData; changed in place. Other tables under ``key`` stay.
    tables
        Tables by name, such as ``{"links": links, "epistasis": epi}``. Texts become categories, of which missing
        ones stay missing: neither file format can hold a column of texts with gaps.
    key
        Where in ``.uns``.

    Raises
    ------
    InputError
        If a column holds something else than numbers, truth values or texts.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> data = anndata.AnnData(np.ones((2, 1), dtype="float32"))
    >>> add_tables(data, {"links": pd.DataFrame({"gene": ["A", None], "beta": [0.5, float("nan")]})})
    >>> get_tables(data)["links"]
       gene  beta
    0     A   0.5
    1  None   NaN
    """
    kept = data.uns.get(key, {})
    if not isinstance(kept, Mapping):
        raise InputError(f".uns[{key!r}] holds a {type(kept).__name__} and no tables: give another key=")
    data.uns[key] = {**kept, **{name: _for_file(table, name) for name, table in tables.items()}}


def get_tables(data: MuData | AnnData, *, key: str = "scanlink") -> dict[str, pd.DataFrame]:
    """Take the tables of results out of ``data.uns[key]``, with texts as texts again.

    Parameters
    ----------
    data
        MuData or AnnData, as :func:`add_tables` left it or as read from a file.
    key
        Where in ``.uns``.

    Returns
    -------
    Tables by name.

    Raises
    ------
    MissingKeyError
        If there are none.
    """
    if key not in data.uns:
        raise MissingKeyError(f".uns has no {key!r}; found {first_few(data.uns) or 'nothing'}")
    return {name: _for_people(table) for name, table in data.uns[key].items() if isinstance(table, pd.DataFrame)}


def copy_with_tables(
    source: PathLikeStr, path: PathLikeStr, tables: Mapping[str, pd.DataFrame], *, key: str = "scanlink"
) -> Path:
    """Copy a ``.h5mu`` or ``.h5ad`` file and put tables into the copy's ``.uns``, without reading its matrices.

    ``path`` may be ``source`` itself, which is then replaced when the copy is complete. Tables and key are as in
    :func:`add_tables`. Raises InputError if ``source`` is no such file or the suffixes differ, RunError if the copy
    cannot be written.
    """
    file, target = existing_file(source, "a .h5mu or .h5ad file"), Path(path)
    if not keeps_tables(file) or suffix_of(file) != suffix_of(target):
        raise InputError(
            f"{file.name} to {target.name}: a .h5mu file is copied to a .h5mu file, a .h5ad file to a .h5ad file. Data "
            "in other files: read them with sl.io.read, then sl.io.add_tables and .write"
        )
    plain = {name: _for_file(table, name) for name, table in tables.items()}

    def write(temporary: Path) -> None:
        shutil.copyfile(file, temporary)
        with quiet(), h5py.File(temporary, "r+") as handle:
            if "uns" not in handle:
                write_elem(handle, "uns", {})
            if key not in handle["uns"]:
                write_elem(handle["uns"], key, {})
            for name, table in plain.items():
                write_elem(handle["uns"][key], name, table)

    return replace_file(target, write, advice=FULL_DISK)


def _for_file(table: pd.DataFrame, name: str) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for column in table:
        values = table[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(object)
        if is_text(values):
            odd = [value for value in values.dropna().unique() if not isinstance(value, str)]
            if odd:
                raise InputError(
                    f"table {name!r}, column {column!r}: {len(odd)} values are neither text nor numbers "
                    f"({first_few(odd)}): make them one or the other"
                )
            texts = values.astype(object).where(values.notna(), None)
            levels = pd.Index(sorted(texts.dropna().unique()), dtype=object)
            values = pd.Series(pd.Categorical(texts, categories=levels))
        columns[str(column)] = values.array
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def _for_people(table: pd.DataFrame) -> pd.DataFrame:
    plain = table.reset_index(drop=True)
    for column in plain:
        if isinstance(plain[column].dtype, pd.CategoricalDtype):
            texts = plain[column].astype(object)
            plain[column] = texts.where(texts.notna(), None)
    return plain
