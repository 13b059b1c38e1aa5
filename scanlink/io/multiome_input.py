"""One door for all formats."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scanlink.errors import InputError, OptionError
from scanlink.io.mtx import read_mtx
from scanlink.io.mudata_files import read_h5ad, read_h5mu, split_features
from scanlink.io.multiome_data import assemble
from scanlink.io.named import NamedMatrix, orient
from scanlink.io.obs import index_cells
from scanlink.io.opening import PathLikeStr, existing_file, suffix_of
from scanlink.io.raw_counts import Layer
from scanlink.io.rds import read_rds
from scanlink.io.tenx import read_10x_h5, read_10x_mtx
from scanlink.io.text_tables import read_csv_matrix, read_table

__all__ = ["as_named", "known_barcodes", "read", "read_matrices", "read_matrix"]

_WHOLE = ".h5mu, .h5 (10x), .h5ad (with genes and peaks) or a 10x folder"
_PART = ".rds, .h5ad, .mtx, .csv or .tsv"


def read(
    path: PathLikeStr | None = None,
    *,
    rna: PathLikeStr | None = None,
    atac: PathLikeStr | None = None,
    cells: PathLikeStr | pd.DataFrame | None = None,
    barcode: str | None = None,
    rna_features: PathLikeStr | None = None,
    atac_features: PathLikeStr | None = None,
    barcodes: PathLikeStr | None = None,
    rna_key: str = "rna",
    atac_key: str = "atac",
    layer: Layer = None,
    one_based: bool = False,
    backed: bool = False,
) -> MuData:
    """Read multiome counts from one file or a pair of files, by suffix.

    Parameters
    ----------
    path
        One file or folder with genes and peaks: ``.h5mu``, 10x ``.h5``, 10x folder, ``.h5ad`` with feature types.
    rna, atac
        Instead of ``path``: one file per modality, each ``.rds``, ``.h5ad``, ``.mtx``, ``.csv`` or ``.tsv``.
    cells
        Metadata of cells, as a file (``.rds``, ``.csv``, ``.tsv``, ``.parquet``) or a table. Cells that are not in it
        are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    rna_features, atac_features, barcodes
        Files of names of ``.mtx`` matrices; ``None`` looks beside them.
    rna_key, atac_key
        Names of the modalities in a ``.h5mu`` file.
    layer
        Layer with raw counts instead of ``X`` in ``.h5mu`` and ``.h5ad`` files, ``"raw"`` for ``.raw``; or a mapping,
        such as ``{"rna": "counts"}``.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.
    backed
        Whether the counts of a single file (``.h5mu``, 10x ``.h5``, ``.h5ad``) stay on disk. They are then checked
        when they are read, in pieces: by :func:`scanlink.pp.qc`, :func:`scanlink.pp.filter_features` or when the scan
        store is made. The file must stay where it is.

    Returns
    -------
    MuData with modalities ``rna`` and ``atac``: the same cells in the same order, raw counts, coordinates of peaks in
    ``atac.var``, metadata in ``.obs``, and in ``uns["scanlink"]["read"]`` what each side lost.

    Raises
    ------
    InputError
        If a file is missing, damaged, of unknown suffix, or its content is not as expected.
    OptionError
        If both ``path`` and a pair are given, or neither, or a keyword that the format has no use for.

    Examples
    --------
    >>> read("counts.loom")
    Traceback (most recent call last):
    scanlink.errors.InputError: counts.loom: unknown suffix '.loom'; expected .h5mu, .h5 (10x), ...
    """
    if path is None:
        if rna is None or atac is None:
            raise OptionError(f"read() needs a path ({_WHOLE}), or both rna= and atac= ({_PART})")
        if backed:
            raise OptionError(
                "backed=True works with one file (.h5mu, 10x .h5, .h5ad); a pair of files is read into memory"
            )
        return read_matrices(
            rna=rna,
            atac=atac,
            cells=cells,
            barcode=barcode,
            rna_features=rna_features,
            atac_features=atac_features,
            barcodes=barcodes,
            layer=layer,
            one_based=one_based,
        )
    if rna is not None or atac is not None:
        raise OptionError("read() takes either a path with both modalities, or rna= and atac=, not all of them")
    suffix = suffix_of(path)
    is_folder = Path(path).is_dir()
    if not is_folder and suffix not in (".h5mu", ".h5", ".h5ad"):
        more = f"; a matrix of one modality ({_PART}) goes with another: read(rna=, atac=)" if suffix in _PART else ""
        raise InputError(f"{path}: unknown suffix {suffix!r}; expected {_WHOLE}{more}")
    if backed and is_folder:
        raise OptionError(f"{path}: backed=True works with one file (.h5mu, 10x .h5, .h5ad), not with a folder")
    if layer is not None and (is_folder or suffix == ".h5"):
        raise OptionError(f"{path}: layer= works with .h5mu and .h5ad files only; 10x files have no layers")
    table = _table(cells)
    if is_folder:
        return read_10x_mtx(path, cells=table, barcode=barcode, one_based=one_based)
    if suffix == ".h5":
        return read_10x_h5(path, cells=table, barcode=barcode, one_based=one_based, backed=backed)
    if suffix == ".h5mu":
        return read_h5mu(
            path,
            cells=table,
            barcode=barcode,
            rna_key=rna_key,
            atac_key=atac_key,
            layer=layer,
            one_based=one_based,
            backed=backed,
        )
    genes, peaks = split_features(read_h5ad(path, backed=backed), str(path))
    if table is not None:
        table = index_cells(table, {"rna": genes.obs_names}, barcode=barcode)
    return assemble(genes, peaks, table, source={"path": str(path)}, layer=layer, one_based=one_based)


def read_matrices(
    *,
    rna: PathLikeStr,
    atac: PathLikeStr,
    cells: PathLikeStr | pd.DataFrame | None = None,
    barcode: str | None = None,
    rna_features: PathLikeStr | None = None,
    atac_features: PathLikeStr | None = None,
    barcodes: PathLikeStr | None = None,
    layer: Layer = None,
    one_based: bool = False,
) -> MuData:
    """Read a pair of matrices, one per modality, of any format.

    Parameters
    ----------
    rna, atac
        One file each: ``.rds`` (dgCMatrix), ``.h5ad``, ``.mtx`` with names beside it, ``.csv`` or ``.tsv``; perhaps
        ``.gz``. Which side holds the cells is found from the names.
    cells
        Metadata of cells, as a file or a table. Cells that are not in it are dropped.
    barcode
        Column of barcodes in ``cells``; ``None`` finds it.
    rna_features, atac_features, barcodes
        Files of names of ``.mtx`` matrices; ``None`` looks beside them.
    layer
        Layer with raw counts of ``.h5ad`` files; see :func:`read`.
    one_based
        Whether starts of peaks count from 1; 1 is then subtracted.

    Returns
    -------
    As :func:`read`.

    Raises
    ------
    InputError
        If a file is missing, damaged, of unknown suffix, or its content is not as expected.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rna, atac = (pathlib.Path(folder, name) for name in ("rna.csv", "atac.csv"))
    ...     _ = rna.write_text(",AAAC-1,AAAG-1\\nNOC2L,0,2\\n")
    ...     _ = atac.write_text(",AAAG-1,AAAC-1\\nchr1:10-20,1,0\\n")
    ...     mdata = read_matrices(rna=rna, atac=atac)
    >>> mdata["rna"].X.toarray().tolist(), mdata["atac"].X.toarray().tolist()
    ([[0], [2]], [[0], [1]])
    """
    genes = read_matrix(rna, "rna", rna_features, barcodes)
    peaks = read_matrix(atac, "atac", atac_features, barcodes)
    table = _table(cells)
    rna_cells, atac_cells = orient(as_named(genes, rna), as_named(peaks, atac), known=known_barcodes(table, barcode))
    # An AnnData knows its orientation and has more than a matrix with names; it goes on as it is.
    rna_data = genes if isinstance(genes, AnnData) else rna_cells
    atac_data = peaks if isinstance(peaks, AnnData) else atac_cells
    source = {"rna": str(rna), "atac": str(atac)}
    if table is not None:
        names = {"rna": rna_data.obs_names, "atac": atac_data.obs_names}
        label = "table of cells" if isinstance(cells, pd.DataFrame) else str(cells)
        table = index_cells(table, names, barcode=barcode, label=label)
        source["cells"] = "a table" if isinstance(cells, pd.DataFrame) else str(cells)
    return assemble(rna_data, atac_data, table, source=source, layer=layer, one_based=one_based)


def read_matrix(
    path: PathLikeStr, modality: str, features: PathLikeStr | None, barcodes: PathLikeStr | None
) -> NamedMatrix | AnnData:
    """A matrix of one modality, of any format."""
    suffix = suffix_of(path)
    if suffix == ".h5ad":
        return read_h5ad(path)
    if suffix == ".mtx":
        return read_mtx(path, modality=modality, features=features, barcodes=barcodes)
    if suffix in (".csv", ".tsv", ".txt"):
        return read_csv_matrix(path)
    if suffix == ".rds":
        found = read_rds(path)
        if isinstance(found, pd.DataFrame):
            raise InputError(f"{path}: a matrix was expected for {modality}, found a data.frame of {len(found):,} rows")
        return found
    if Path(path).is_dir():
        existing_file(path, f"a matrix for {modality}")
    raise InputError(f"{path}: unknown suffix {suffix!r} for {modality}; expected {_PART}, perhaps with .gz")


def known_barcodes(table: pd.DataFrame | None, barcode: str | None) -> pd.Index | None:
    """All that may be barcodes in a table of cells."""
    if table is None:
        return None
    candidates = [table.index, *(table[name] for name in ([barcode] if barcode in table else table.columns))]
    return pd.Index(pd.concat([pd.Series(c).astype(str) for c in candidates]).unique())


def as_named(found: NamedMatrix | AnnData, path: PathLikeStr) -> NamedMatrix:
    """The names of a matrix, and where its cells are if that is known."""
    if isinstance(found, NamedMatrix):
        return found
    empty = sparse.csr_matrix(found.shape)
    return NamedMatrix(empty, found.obs_names, found.var_names, source=str(path), cells="rows")


def _table(cells: PathLikeStr | pd.DataFrame | None) -> pd.DataFrame | None:
    return cells if cells is None or isinstance(cells, pd.DataFrame) else read_table(cells)
