"""Files of the anndata family: .h5mu, and .h5ad with one modality or with both."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd
from anndata import AnnData
from mudata import MuData

from ..errors import InputError, MissingKeyError, first_few
from .align import assemble, name_features, refuse_swapped
from .barcodes import refuse_duplicates
from .counts import Layer
from .files import PathLikeStr, existing_file, quiet, reading
from .obs import index_cells, lift_obs
from .peaks import peak_table

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
        Whether the matrices stay on disk. Their values are then not looked at, and nothing can be taken out: both
        modalities need the same cells in the same order, and ``cells`` and ``layer`` cannot be used.

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
        whole = mudata.read_h5mu(file, backed="r" if backed else None)
    try:
        if not whole.mod:
            raise InputError(f"{file}: no modalities were found; a .h5mu file with rna and atac was expected")
        missing = [key for key in (rna_key, atac_key) if key not in whole.mod]
        if missing:
            raise MissingKeyError(
                f"{file}: no modality {first_few(missing)}; modalities found: {first_few(whole.mod)}. "
                "Pass rna_key= and atac_key= with the names in the file"
            )
        others = [key for key in whole.mod if key not in (rna_key, atac_key)]
        if others:
            log.warning("%s: modalities other than rna and atac are dropped: %s", file, first_few(others))
        if backed:
            if cells is not None or layer is not None:
                raise InputError(f"{file}: backed=True cannot be joined with cells= or layer=; read it into memory")
            return _stay_on_disk(whole, file, rna_key, atac_key, one_based=one_based)
    except BaseException:
        if backed:
            whole.file.close()
        raise
    rna, atac = whole.mod[rna_key], whole.mod[atac_key]
    if cells is not None:
        cells = index_cells(cells, {"rna": rna.obs_names, "atac": atac.obs_names}, barcode=barcode)
    prefixes = {f"{rna_key}:": "rna:", f"{atac_key}:": "atac:"}
    obs = _renamed(whole.obs, prefixes)
    return assemble(rna, atac, cells, source={"path": str(file)}, obs=obs, layer=layer, one_based=one_based)


def _renamed(obs: pd.DataFrame, prefixes: dict[str, str]) -> pd.DataFrame:
    names = []
    for name in map(str, obs.columns):
        found = next((old for old in prefixes if name.startswith(old)), None)
        names.append(name if found is None else prefixes[found] + name.removeprefix(found))
    return obs.set_axis(pd.Index(names, dtype=object), axis=1)


def _stay_on_disk(whole: MuData, file: Any, rna_key: str, atac_key: str, *, one_based: bool) -> MuData:
    rna, atac = whole.mod[rna_key], whole.mod[atac_key]
    refuse_swapped(rna.var, atac.var)
    for label, names in (("barcodes of rna", rna.obs_names), ("barcodes of atac", atac.obs_names)):
        refuse_duplicates(names, label)
    refuse_duplicates(atac.var_names, "peaks of atac")
    if not rna.obs_names.equals(atac.obs_names):
        raise InputError(
            f"{file}: rna ({rna.n_obs:,} cells) and atac ({atac.n_obs:,}) do not have the same cells in the same "
            "order, which backed=True needs. Read the file into memory and write it again: "
            "sl.io.read_h5mu(path).write('aligned.h5mu')"
        )
    with quiet():
        located = peak_table(atac.var, one_based=one_based)
        rest = atac.var.drop(columns=["chrom", "start", "end", "gene_ids", "interval"], errors="ignore")
        atac.var = pd.concat([located.set_axis(atac.var_names, axis=0), rest], axis=1)
        renamed = name_features(rna)
        mdata = MuData({"rna": rna, "atac": atac})
        mdata.file = whole.file
        both = _renamed(whole.obs, {f"{rna_key}:": "rna:", f"{atac_key}:": "atac:"})
        mdata.obs = lift_obs(rna.obs_names, both=both, rna=rna.obs, atac=atac.obs)
        n_cells = rna.n_obs
        mdata.uns["scanlink"] = {
            "read": {
                "n_cells": {"rna": n_cells, "atac": n_cells, "kept": n_cells},
                "lost": {"rna": 0, "atac": 0},
                "n_genes": rna.n_vars,
                "n_peaks": atac.n_vars,
                "n_renamed_genes": len(renamed),
                "renamed_genes": ",".join(renamed),
                "source": {"path": str(file)},
            }
        }
    return mdata


def read_h5ad(path: PathLikeStr) -> AnnData:
    """Read a ``.h5ad`` file as it is, without the warnings of old layouts.

    Parameters
    ----------
    path
        The file.

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
        rna, atac = (adata[:, (types == name).to_numpy()].copy() for name in ("Gene Expression", "Peaks"))
    return rna, atac
