"""One door for CRISPR screens: genes and guides of the same cells."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, OptionError, first_few
from scanlink.io.disk import DiskCounts
from scanlink.io.mudata_files import modalities_of, open_h5mu, read_h5ad, split_features
from scanlink.io.multiome_input import as_named, known_barcodes, read_matrix
from scanlink.io.named import orient
from scanlink.io.obs import index_cells
from scanlink.io.opening import PathLikeStr, existing_file, suffix_of
from scanlink.io.raw_counts import Layer
from scanlink.io.screen_data import assemble_screen
from scanlink.io.tenx import open_10x_h5, open_10x_mtx
from scanlink.io.text_tables import read_table

__all__ = ["read_screen"]

_GUIDE_TYPE = "CRISPR Guide Capture"
_WHOLE = ".h5mu, .h5 (10x), .h5ad (with genes and guides) or a 10x folder"
_PART = ".rds, .h5ad, .mtx, .csv or .tsv"
# What the modalities are called in files, in lower case and without separators.
_KEYS = {
    "rna": ("rna", "gene", "genes", "gex", "geneexpression", "mrna", "expression"),
    "guide": (
        *("guide", "guides", "grna", "grnas", "sgrna", "sgrnas", "crispr", "crisprguidecapture", "guidecapture"),
        *("guideumi", "guideumis", "gdo", "perturbation", "perturbations"),
    ),
}


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
        Guide Capture``; ``.h5ad`` with feature types.
    rna, guide
        Instead of ``path``: one file per modality, each ``.rds``, ``.h5ad``, ``.mtx``, ``.csv`` or ``.tsv``.
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
        Names of the modalities in a ``.h5mu`` file; None finds them (rna, gene, gex; guide, grna, sgrna, crispr).
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
    table, known = _table(cells), _table(guides)
    if path is not None and (rna is not None or guide is not None):
        raise OptionError("read_screen() takes either a path with both modalities, or rna= and guide=, not all of them")
    obs = None
    if path is not None:
        genes, found, obs = _from_one(path, rna_key=rna_key, guide_key=guide_key, layer=layer, backed=backed)
        source = {"path": str(path)}
    elif rna is None or guide is None:
        raise OptionError(f"read_screen() needs a path ({_WHOLE}), or both rna= and guide= ({_PART})")
    elif backed:
        raise OptionError("backed=True works with one file (.h5mu, 10x .h5, .h5ad); a pair is read into memory")
    elif rna_key is not None or guide_key is not None:
        raise OptionError("rna_key= and guide_key= are names in one .h5mu file; rna= and guide= are files of their own")
    else:
        first = read_matrix(rna, "rna", rna_features, barcodes)
        second = read_matrix(guide, "guide", guide_features, barcodes)
        sides = orient(
            as_named(first, rna), as_named(second, guide), known=known_barcodes(table, barcode), second="guide"
        )
        # An AnnData knows its orientation and has more than a matrix with names; it goes on as it is.
        genes, found = (a if isinstance(a, AnnData) else b for a, b in zip((first, second), sides, strict=True))
        source = {"rna": str(rna), "guide": str(guide)}
    if table is not None:
        names = {"rna": genes.obs_names, "guide": found.obs_names}
        label = "table of cells" if isinstance(cells, pd.DataFrame) else str(cells)
        table = index_cells(table, names, barcode=barcode, label=label)
    for name, given in (("cells", cells), ("guides", guides)):
        if given is not None:
            source[name] = "a table" if isinstance(given, pd.DataFrame) else str(given)
    return assemble_screen(genes, found, table, guides=known, source=source, obs=obs, layer=layer)


def _from_one(
    path: PathLikeStr, *, rna_key: str | None, guide_key: str | None, layer: Layer, backed: bool
) -> tuple[AnnData, AnnData, pd.DataFrame | None]:
    """Genes, guides and table of cells of one file or folder."""
    suffix, is_folder = suffix_of(path), Path(path).is_dir()
    if not is_folder and suffix not in (".h5mu", ".h5", ".h5ad"):
        more = f"; a matrix of one modality ({_PART}) goes with another: read_screen(rna=, guide=)"
        raise InputError(
            f"{path}: unknown suffix {suffix!r}; expected {_WHOLE}{more if suffix and suffix in _PART else ''}"
        )
    if backed and is_folder:
        raise OptionError(f"{path}: backed=True works with one file (.h5mu, 10x .h5, .h5ad), not with a folder")
    if layer is not None and (is_folder or suffix == ".h5"):
        raise OptionError(f"{path}: layer= works with .h5mu and .h5ad files only; 10x files have no layers")
    if suffix != ".h5mu" and (rna_key is not None or guide_key is not None):
        raise OptionError(f"{path}: rna_key= and guide_key= work with .h5mu files only; others have types of features")
    if suffix == ".h5mu":
        file = existing_file(path, "a .h5mu file")
        parts, obs = open_h5mu(file, _keys(file, {"rna": rna_key, "guide": guide_key}), backed=backed)
        return parts["rna"], _in_memory(parts["guide"]), obs
    if is_folder:
        adata = open_10x_mtx(path)[1]
    elif suffix == ".h5":
        adata = open_10x_h5(existing_file(path, "a 10x .h5 file"), backed=backed)
    else:
        adata = read_h5ad(path, backed=backed)
    genes, guides = split_features(adata, str(path), second=_GUIDE_TYPE)
    # What 10x says of its capture sequences; the interval of genes is of the reference that was used there.
    genes.var = genes.var.drop(columns=["feature_types", "interval", "pattern", "read", "sequence"], errors="ignore")
    guides.var = guides.var.drop(columns=["feature_types", "genome", "interval", "pattern", "read"], errors="ignore")
    return genes, _in_memory(guides), None


def _keys(file: Path, given: dict[str, str | None]) -> dict[str, str]:
    """What rna and guide are called in a file."""
    present = modalities_of(file)
    plain = {name: re.sub(r"[^a-z]+", "", name.lower()) for name in present}
    found = {}
    for modality, key in given.items():
        if key is not None:
            found[modality] = key
            continue
        likely = [name for name in present if plain[name] in _KEYS[modality] and name not in given.values()]
        # Where a file has several, the one that is called as we call it.
        exact = [name for name in likely if name == modality]
        if len(likely) > 1 and not exact:
            raise OptionError(
                f"{file}: several modalities may be {modality}: {first_few(likely)}. Pass {modality}_key= with one"
            )
        found[modality] = (exact or likely or [modality])[0]
    return found


def _in_memory(guide: AnnData) -> AnnData:
    """The guides with all their counts in memory."""
    layers = {name: _loaded(layer) for name, layer in guide.layers.items()}
    raw = None if guide.raw is None else {"X": _loaded(guide.raw.X), "var": guide.raw.var}
    on_disk = any(isinstance(matrix, DiskCounts) for matrix in (guide.X, *guide.layers.values()))
    return AnnData(_loaded(guide.X), obs=guide.obs, var=guide.var, layers=layers, raw=raw) if on_disk else guide


def _loaded(matrix: object) -> object:
    return matrix.to_memory() if isinstance(matrix, DiskCounts) else matrix


def _table(given: PathLikeStr | pd.DataFrame | None) -> pd.DataFrame | None:
    return given if given is None or isinstance(given, pd.DataFrame) else read_table(given)
