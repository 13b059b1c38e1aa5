"""Files of the anndata family: .h5mu, and .h5ad with one modality or with both."""

from __future__ import annotations

import logging

import pandas as pd
from anndata import AnnData
from mudata import MuData

from ..errors import InputError, MissingKeyError, first_few
from .align import assemble
from .backed import anndata_on_disk, has_old_layout, multiome_on_disk
from .counts import Layer
from .disk import select
from .files import PathLikeStr, existing_file, quiet, reading
from .obs import index_cells

__all__ = ["read_h5ad", "read_h5mu", "split_features"]

log = logging.getLogger("scanlink")


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
    import h5py
    import mudata

    file = existing_file(path, "a .h5mu file")
    with reading(file, "a .h5mu file"), quiet():
        with h5py.File(file, "r") as content:
            if "mod" not in content:
                raise InputError(
                    f"{file}: a .h5mu file with the group 'mod' was expected, found the groups "
                    f"{first_few(sorted(content)) or 'none'}. Is it a .h5ad or a 10x .h5 file? Then give it that suffix"
                )
        if backed:
            mod, obs = multiome_on_disk(file, (rna_key, atac_key))
        else:
            whole = mudata.read_h5mu(file)
            mod, obs = dict(whole.mod), whole.obs
    if not mod:
        raise InputError(f"{file}: no modalities were found; a .h5mu file with rna and atac was expected")
    missing = [key for key in (rna_key, atac_key) if key not in mod]
    if missing:
        raise MissingKeyError(
            f"{file}: no modality {first_few(missing)}; modalities found: {first_few(mod)}. "
            "Pass rna_key= and atac_key= with the names in the file"
        )
    others = [key for key in mod if key not in (rna_key, atac_key)]
    if others:
        log.warning("%s: modalities other than rna and atac are dropped: %s", file, first_few(others))
    rna, atac = mod[rna_key], mod[atac_key]
    assert rna is not None
    assert atac is not None
    if cells is not None:
        cells = index_cells(cells, {"rna": rna.obs_names, "atac": atac.obs_names}, barcode=barcode)
    prefixes = {f"{rna_key}:": "rna:", f"{atac_key}:": "atac:"}
    obs = _renamed(obs, prefixes)
    return assemble(rna, atac, cells, source={"path": str(file)}, obs=obs, layer=layer, one_based=one_based)


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


def split_features(adata: AnnData, source: str) -> tuple[AnnData, AnnData]:
    """Tell genes and peaks of one matrix apart by their feature type, as of 10x.

    Parameters
    ----------
    adata
        Genes and peaks side by side, with ``var["feature_types"]``.
    source
        The file, for messages.

    Returns
    -------
    rna
        Features of type ``Gene Expression``.
    atac
        Features of type ``Peaks``.

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
    if "feature_types" not in adata.var:
        raise InputError(
            f"{source}: features have no type (column feature_types), so genes and peaks cannot be told apart. "
            "Expected a multiome matrix, or two files: read(rna=, atac=)"
        )
    types = adata.var["feature_types"].astype(str)
    found = ", ".join(f"{count:,} {name!r}" for name, count in types.value_counts().items())
    for wanted in ("Gene Expression", "Peaks"):
        if not (types == wanted).any():
            raise InputError(
                f"{source}: no features of type {wanted!r}; found {found}. A multiome matrix with 'Gene Expression' "
                "and 'Peaks' was expected; for two files of one modality each, use read(rna=, atac=)"
            )
    others = set(types) - {"Gene Expression", "Peaks"}
    if others:
        log.warning("%s: features that are neither genes nor peaks are dropped: %s", source, first_few(sorted(others)))
    with quiet():
        rna, atac = (select(adata, features=(types == name).to_numpy()) for name in ("Gene Expression", "Peaks"))
    return rna, atac
