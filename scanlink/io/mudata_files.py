"""Files of the anndata family: .h5mu, and .h5ad with one modality or with both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.backed import anndata_on_disk, has_old_layout, multiome_on_disk
from scanlink.io.disk import select
from scanlink.io.multiome_data import assemble
from scanlink.io.obs import index_cells
from scanlink.io.opening import PathLikeStr, existing_file, quiet, reading
from scanlink.io.raw_counts import Layer

__all__ = ["modalities_of", "open_h5mu", "read_h5ad", "read_h5mu", "split_features"]

log = logging.getLogger("scanlink")

# Of a type of features: what they are, the matrix that has them, and how to read it as two files.
_KINDS = {
    "Peaks": ("peaks", "a multiome matrix", "read(rna=, atac=)"),
    "CRISPR Guide Capture": ("guides", "the matrix of a CRISPR screen", "read_screen(rna=, guide=)"),
}


def read_h5mu(
    path: PathLikeStr,
    *,
    cells: pd.DataFrame | None = None,
    barcode: str | None = None,
    rna_key: str = "rna",
    atac_key: str = "atac",
    layer: Layer = None,
    one_based: bool = False,
    backed: bool = False,
) -> MuData:
    """Read a ``.h5mu`` file.

    Parameters
    ----------
    path
        The file.
    cells
        Metadata to add; cells that are not in it are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    rna_key, atac_key
        Names of the modalities in the file. Others are dropped, and a warning is logged.
    layer
        Layer with raw counts instead of ``X``; see :func:`scanlink.io.read`.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.
    backed
        Whether the counts stay on disk; see :func:`scanlink.io.read`.

    Returns
    -------
    MuData that keeps scanlink's contract; see :func:`scanlink.io.assemble`.

    Raises
    ------
    MissingKeyError
        If a modality does not exist; names those that do.
    InputError
        If the file is damaged or its content is not as expected.

    Examples
    --------
    >>> import tempfile, pathlib, scanlink as sl
    >>> import numpy as np
    >>> rna, atac = AnnData(np.array([[1], [2]])), AnnData(np.array([[0], [1]]))
    >>> rna.var_names, atac.var_names = ["NOC2L"], ["chr1:10-20"]
    >>> with tempfile.TemporaryDirectory() as folder, quiet():
    ...     sl.io.assemble(rna, atac).write(pathlib.Path(folder, "x.h5mu"))
    ...     mdata = read_h5mu(pathlib.Path(folder, "x.h5mu"))
    >>> mdata.shape
    (2, 2)
    """
    file = existing_file(path, "a .h5mu file")
    parts, obs = open_h5mu(file, {"rna": rna_key, "atac": atac_key}, backed=backed)
    rna, atac = parts["rna"], parts["atac"]
    if cells is not None:
        cells = index_cells(cells, {"rna": rna.obs_names, "atac": atac.obs_names}, barcode=barcode)
    return assemble(rna, atac, cells, source={"path": str(file)}, obs=obs, layer=layer, one_based=one_based)


def open_h5mu(file: Path, keys: Mapping[str, str], *, backed: bool = False) -> tuple[dict[str, AnnData], pd.DataFrame]:
    """Two modalities of a ``.h5mu`` file as they are, by our names, and its table of cells.

    Parameters
    ----------
    file
        The file.
    keys
        What the modalities are called in the file, by our names, such as ``{"rna": "gene", "atac": "peak"}``.
    backed
        Whether the counts stay on disk.

    Returns
    -------
    tuple
        Modalities, and ``obs``, in which a prefix ``KEY:`` has become one of our names.

    Raises
    ------
    MissingKeyError
        If a modality does not exist; names those that do.
    InputError
        If the file is damaged or of another kind.
    """
    import mudata

    wanted = " and ".join(keys)
    present = modalities_of(file)
    if not present:
        raise InputError(f"{file}: no modalities were found; a .h5mu file with {wanted} was expected")
    missing = [key for key in keys.values() if key not in present]
    if missing:
        raise MissingKeyError(
            f"{file}: no modality {first_few(missing)}; modalities found: {first_few(present)}. "
            f"Pass {' and '.join(f'{name}_key=' for name in keys)} with the names in the file"
        )
    with reading(file, "a .h5mu file"), quiet():
        if backed:
            mod, obs = multiome_on_disk(file, tuple(keys.values()))
        else:
            whole = mudata.read_h5mu(file)
            mod, obs = dict(whole.mod), whole.obs
    others = [key for key in present if key not in keys.values()]
    if others:
        log.warning("%s: modalities other than %s are dropped: %s", file, wanted, first_few(others))
    parts = {}
    for name, key in keys.items():
        found = mod[key]
        assert found is not None
        parts[name] = found
    return parts, _renamed(obs, {f"{key}:": f"{name}:" for name, key in keys.items()})


def modalities_of(file: Path) -> list[str]:
    """Names of the modalities of a ``.h5mu`` file, in their order."""
    import h5py

    with reading(file, "a .h5mu file"), h5py.File(file, "r") as content:
        if "mod" not in content:
            raise InputError(
                f"{file}: a .h5mu file with the group 'mod' was expected, found the groups "
                f"{first_few(sorted(content)) or 'none'}. Is it a .h5ad or a 10x .h5 file? Then give it that suffix"
            )
        return [str(name) for name in content["mod"].attrs.get("mod-order", list(content["mod"]))]


def _renamed(obs: pd.DataFrame, prefixes: dict[str, str]) -> pd.DataFrame:
    names = []
    for name in map(str, obs.columns):
        found = next((old for old in prefixes if name.startswith(old)), None)
        names.append(name if found is None else prefixes[found] + name.removeprefix(found))
    return obs.set_axis(pd.Index(names, dtype=object), axis=1)


def read_h5ad(path: PathLikeStr, *, backed: bool = False) -> AnnData:
    """Read a ``.h5ad`` file as it is, without the warnings of old layouts.

    Parameters
    ----------
    path
        The file.
    backed
        Whether the counts stay on disk; see :func:`scanlink.io.read`.

    Returns
    -------
    The AnnData, one modality or, with ``var["feature_types"]``, several.

    Raises
    ------
    InputError
        If the file is damaged or not a .h5ad file.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     AnnData(np.array([[1.0]])).write_h5ad(pathlib.Path(folder, "x.h5ad"))
    ...     read_h5ad(pathlib.Path(folder, "x.h5ad")).shape
    (1, 1)
    """
    import anndata

    file = existing_file(path, "a .h5ad file")
    with reading(file, "a .h5ad file"), quiet():
        if backed and not has_old_layout(file):
            return anndata_on_disk(file, "a .h5ad file")
        return anndata.read_h5ad(file)


def split_features(adata: AnnData, source: str, *, second: str = "Peaks") -> tuple[AnnData, AnnData]:
    """Tell genes and peaks of one matrix apart by their feature type, as of 10x; or genes and guides.

    Parameters
    ----------
    adata
        Genes and peaks side by side, with ``var["feature_types"]``.
    source
        The file, for messages.
    second
        Type of the features that are no genes: ``"Peaks"`` or ``"CRISPR Guide Capture"``.

    Returns
    -------
    rna
        Features of type ``Gene Expression``.
    atac
        Features of the type ``second``.

    Raises
    ------
    InputError
        If there is no feature type or one of the two has no features; lists the types found with their counts.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> var = pd.DataFrame({"feature_types": ["Gene Expression", "Peaks"]}, index=["NOC2L", "chr1:10-20"])
    >>> [part.var_names.tolist() for part in split_features(AnnData(np.ones((1, 2)), var=var), "x.h5")]
    [['NOC2L'], ['chr1:10-20']]
    """
    what, matrix, pair = _KINDS[second]
    if "feature_types" not in adata.var:
        raise InputError(
            f"{source}: features have no type (column feature_types), so genes and {what} cannot be told apart. "
            f"Expected {matrix}, or two files: {pair}"
        )
    types = adata.var["feature_types"].astype(str)
    found = ", ".join(f"{count:,} {name!r}" for name, count in types.value_counts().items())
    for wanted in ("Gene Expression", second):
        if not (types == wanted).any():
            raise InputError(
                f"{source}: no features of type {wanted!r}; found {found}. {matrix[0].upper()}{matrix[1:]} with "
                f"'Gene Expression' and {second!r} was expected; for two files of one modality each, use {pair}"
            )
    others = set(types) - {"Gene Expression", second}
    if others:
        named = first_few(sorted(others))
        log.warning("%s: features that are neither genes nor %s are dropped: %s", source, what, named)
    with quiet():
        rna, rest = (select(adata, features=(types == name).to_numpy()) for name in ("Gene Expression", second))
    return rna, rest
