"""CRISPR screens from files of any format: genes and guides of the same cells."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.io.assays import SCREEN
from scanlink.io.disk import DiskCounts
from scanlink.io.formats import read_table
from scanlink.io.inputs import open_input
from scanlink.io.opening import PathLikeStr
from scanlink.io.raw_counts import Layer
from scanlink.io.releases import layers_of
from scanlink.io.screen_data import assemble_screen

__all__ = ["read_screen"]


def read_screen(
    path: PathLikeStr | None = None,
    *,
    rna: PathLikeStr | None = None,
    guide: PathLikeStr | None = None,
    cells: PathLikeStr | pd.DataFrame | None = None,
    guides: PathLikeStr | pd.DataFrame | None = None,
    rna_key: str | None = None,
    guide_key: str | None = None,
    layer: Layer = None,
    barcode: str | None = None,
    rna_features: PathLikeStr | None = None,
    guide_features: PathLikeStr | None = None,
    barcodes: PathLikeStr | None = None,
    backed: bool = False,
) -> MuData:
    """Read a single-cell CRISPR screen: counts of genes, and of the guides that each cell holds.

    Parameters
    ----------
    path
        One file or folder with genes and guides: ``.h5mu``; 10x ``.h5`` or folder with features of the type ``CRISPR
        Guide Capture``; ``.rds`` of Seurat; ``.zarr``; ``.h5ad`` and ``.mtx`` with types of features.
    rna, guide
        Instead of ``path``: one file per modality, each ``.rds`` (matrix or Seurat), ``.h5ad``, 10x ``.h5`` or
        folder, ``.mtx``, ``.zarr``, ``.csv`` or ``.tsv``. Features of other types are left out.
    cells
        Metadata of cells, as a file (``.rds``, ``.csv``, ``.tsv``, ``.parquet``) or a table. Cells that are not in it
        are dropped.
    guides
        One row a guide, as a file of the same kinds or a table. Columns, here with some of the other names that are
        known: ``guide`` (guide_id, gRNA, spacer, name), ``target`` (intended_target_name, target_id, grna_target), and
        if known ``efficiency`` (0 to 1), ``chrom``, ``start``, ``end`` of the target (chr, intended_target_chr, ...;
        bp, 0-based half-open; -9 or empty: not known), ``targeting`` (False for controls). Controls are called
        ``non-targeting``, ``NTC``, ``negative_control`` or the like. None: the columns of guides in the file.
    rna_key, guide_key
        Names of the modalities in a ``.h5mu``, ``.zarr`` or Seurat object; None finds them (rna, gene, gex; guide,
        grna, sgrna, crispr).
    layer
        Layer with raw counts instead of ``X`` in ``.h5mu`` and ``.h5ad`` files, ``"raw"`` for ``.raw``; or a mapping,
        such as ``{"rna": "counts"}``.
    barcode
        Column of barcodes in ``cells``; None finds it.
    rna_features, guide_features, barcodes
        Files of names of ``.mtx`` matrices; None looks beside them.
    backed
        Whether the counts of genes of a single file stay on disk; see :func:`scanlink.io.read`. Guides are few and
        always read.

    Returns
    -------
    MuData with modalities ``rna`` and ``guide``, as :func:`scanlink.io.assemble_screen` makes it.

    Raises
    ------
    InputError
        If a file is missing, damaged, of unknown suffix, or its content is not as expected; see
        :func:`scanlink.io.assemble_screen` for what is expected of guides.
    MissingKeyError
        If a modality, or the column of targets, is not found.
    OptionError
        If both ``path`` and a pair are given, or neither, or a keyword that the format has no use for.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rna, guide = (pathlib.Path(folder, name) for name in ("rna.csv", "guide.csv"))
    ...     _ = rna.write_text(",AAAC-1,AAAG-1\\nNOC2L,0,2\\n")
    ...     _ = guide.write_text(",AAAG-1,AAAC-1\\ng1,9,0\\ng2,0,6\\n")
    ...     table = pd.DataFrame({"guide": ["g1", "g2"], "target": ["enh1", "non-targeting"]})
    ...     mdata = read_screen(rna=rna, guide=guide, guides=table)
    >>> mdata["guide"].X.toarray().tolist(), mdata["guide"].var["target"].tolist()
    ([[0, 6], [9, 0]], ['enh1', 'non-targeting'])
    """
    guide_rows = guides if guides is None or isinstance(guides, pd.DataFrame) else read_table(guides)
    whole, table = open_input(
        SCREEN,
        path,
        rna,
        guide,
        cells=cells,
        barcode=barcode,
        names={"rna": rna_features, "guide": guide_features, "barcodes": barcodes},
        keys={"rna": rna_key, "guide": guide_key},
        layer=layer,
        backed=backed,
    )
    if guides is not None:
        whole.source["guides"] = "a table" if isinstance(guides, pd.DataFrame) else str(guides)
    return assemble_screen(
        whole.rna, _in_memory(whole.second), table, guides=guide_rows, source=whole.source, obs=whole.obs, layer=layer
    )


def _in_memory(guide: AnnData) -> AnnData:
    """Bring all counts of the guides into memory."""
    layers = layers_of(guide)
    if not any(isinstance(matrix, DiskCounts) for matrix in (guide.X, *layers.values())):
        return guide
    layers = {name: _loaded(layer) for name, layer in layers.items()}
    raw = None if guide.raw is None else {"X": _loaded(guide.raw.X), "var": guide.raw.var}
    return AnnData(_loaded(guide.X), obs=guide.obs, var=guide.var, layers=layers, raw=raw)


def _loaded(matrix: object) -> object:
    return matrix.to_memory() if isinstance(matrix, DiskCounts) else matrix
