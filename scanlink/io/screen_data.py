"""CRISPR screens as data: every reader of screens ends here, and what leaves here keeps the contract.

Modalities ``rna`` and ``guide`` with the same cells in the same order, raw counts as CSR of ``int32``, unique names,
target, efficiency and coordinates in ``guide.var``, metadata under plain names in ``.obs``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.assays import SCREEN
from scanlink.io.assembly import check_matrices, join, need_features
from scanlink.io.barcodes import refuse_duplicates, text_index
from scanlink.io.disk import DiskCounts
from scanlink.io.feature_types import own_features
from scanlink.io.guide_match import match_guides
from scanlink.io.guides import GUIDE_COLUMNS, NON_TARGETING, find_column, find_columns, guide_table
from scanlink.io.peaks import looks_like_peaks
from scanlink.io.raw_counts import Layer

__all__ = ["assemble_screen", "check_guides", "check_screen"]

log = logging.getLogger("scanlink")


def assemble_screen(
    rna: AnnData,
    guide: AnnData,
    cells: pd.DataFrame | None = None,
    *,
    guides: pd.DataFrame | None = None,
    source: Mapping[str, str] | None = None,
    obs: pd.DataFrame | None = None,
    layer: Layer = None,
) -> MuData:
    """Join the genes and the guides of a screen, and the tables of cells and of guides, into one MuData.

    Parameters
    ----------
    rna, guide
        Raw counts of genes; UMI counts, or calls (0 and 1), of guides. Shapes ``(n_cells_rna, n_genes)`` and
        ``(n_cells_guide, n_guides)``; the cells may differ. Features of another type, where ``.var["feature_types"]``
        says so, are dropped, and a warning is logged.
    cells
        Metadata of cells with barcodes as index; cells that are not in it are dropped.
    guides
        One row a guide: its name (column ``guide`` or the like, or the index), ``target``, and if known ``efficiency``,
        ``chrom``, ``start``, ``end``, under these or their usual names. None: ``guide.var`` has these columns.
    source
        Where each part came from, for the report.
    obs
        Columns that a file holds for both modalities at once; unlike ``cells`` it drops no cell.
    layer
        Layer with raw counts instead of ``X``; see :func:`scanlink.io.read`.

    Returns
    -------
    MuData of the cells that all sides share, in the order of ``rna``. ``guide.var`` has ``target`` (text,
    ``"non-targeting"`` for controls), ``efficiency`` (0 to 1, NaN where not known), ``chrom``, ``start``, ``end`` of
    the target (bp, 0-based half-open; missing where not known), then what else was known; ``uns["scanlink"]["read"]``
    reports what each side lost.

    Raises
    ------
    InputError
        If counts are not raw, names are not unique, no cell is shared, a guide has no target or is not in the table, a
        target is on two chromosomes, an efficiency is not from 0 to 1, or modalities look swapped.
    MissingKeyError
        If no column of targets is found.

    Examples
    --------
    >>> rna, guide = AnnData(np.array([[1], [2]])), AnnData(np.array([[0, 7], [6, 0]]))
    >>> rna.var_names, guide.var_names = ["NOC2L"], ["g1", "g2"]
    >>> table = pd.DataFrame({"guide": ["g1", "g2"], "target": ["enh1", "NTC"], "chrom": ["chr1", None],
    ...                       "start": [10, -9], "end": [20, -9]})
    >>> mdata = assemble_screen(rna, guide, guides=table)
    >>> mdata.shape, mdata["guide"].var["target"].tolist(), mdata["guide"].var["start"].tolist()
    ((2, 3), ['enh1', 'non-targeting'], [10.0, nan])
    """
    rna, guide = own_features(rna, "rna"), own_features(guide, "guide")
    need_features(SCREEN, rna, guide)
    names = text_index(guide.var_names)
    _refuse_swapped(rna.var, guide.var, guides)
    refuse_duplicates(names, "guides of guide")
    table = match_guides(guide.var.set_axis(names, axis=0), guides)

    def describe(part: AnnData) -> None:
        if not part.var_names.astype(str).equals(names):
            raise InputError("guide.raw has other guides than guide: give the counts in a layer, or in X")
        part.var_names, part.var = names, table

    mdata = join(SCREEN, rna, guide, cells, describe=describe, source=source, obs=obs, layer=layer)
    _report_screen(mdata)
    return mdata


def check_screen(mdata: MuData) -> None:
    """Check that the MuData of a screen, perhaps made by hand, is what :func:`assemble_screen` would have made.

    Parameters
    ----------
    mdata
        The data. Counts of genes that lie on disk are not looked at.

    Raises
    ------
    MissingKeyError
        If a modality, or the column of targets, is missing.
    InputError
        If cells differ or are in different order, names are not unique, counts are not raw integers, or the table of
        guides is not as :func:`assemble_screen` makes it.

    Examples
    --------
    >>> check_screen(MuData({}))
    Traceback (most recent call last):
    scanlink.errors.MissingKeyError: the MuData has no modality 'rna'; found: none. ...
    """
    if not isinstance(getattr(mdata, "mod", None), Mapping):
        raise InputError(f"expected a MuData with 'rna' and 'guide', found {type(mdata).__name__}")
    remedy = "Pass both modalities through scanlink.io.assemble_screen(rna, guide)"
    check_matrices(mdata, {"rna": "genes", "guide": "guides"}, remedy=remedy)
    check_guides(mdata.mod["guide"].var)


def check_guides(var: pd.DataFrame) -> None:
    """Check that a table of guides, perhaps made by hand, is as :func:`scanlink.io.guides.guide_table` makes it.

    ``target`` has to be there; what is there of the other columns is checked, too, and ``threshold`` (least UMIs that
    count as present). Guides of one target have the same coordinates.
    """
    if "target" not in var:
        raise MissingKeyError(
            f"guide.var has no column 'target', found {first_few(var.columns, most=8) or 'none'}: pass the data "
            "through scanlink.io.assemble_screen(rna, guide, guides=table)"
        )
    expected = guide_table(var[[name for name in GUIDE_COLUMNS if name in var]], label="guide.var")
    targets = var["target"].astype(str)
    if (renamed := (targets != expected["target"]).to_numpy()).any():
        raise InputError(
            f"guide.var: {first_few(targets[renamed].unique())} looks like a label of controls; expected "
            f"{NON_TARGETING!r}. Rename it in the column target"
        )
    for name in ("start", "end"):
        if name in var:
            numbers = pd.to_numeric(var[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
            different = (numbers != expected[name].to_numpy()) & ~np.isnan(expected[name].to_numpy())
            if different.any():
                raise InputError(
                    "guide.var: guides of one target have different coordinates "
                    f"({first_few(targets[different].unique())}); expected start and end of the target, the same for "
                    "each. Pass the data through scanlink.io.assemble_screen(rna, guide)"
                )
    if "threshold" in var:
        least = pd.to_numeric(var["threshold"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        bad = ~((least >= 1) & (least == np.floor(least)))
        if bad.any():
            raise InputError(
                f"guide.var: the threshold of {int(bad.sum())} guides is no whole number of at least 1 "
                f"({first_few(var.index[bad])}): set it with scanlink.pp.assign_guides"
            )


def _refuse_swapped(rna: pd.DataFrame, guide: pd.DataFrame, table: pd.DataFrame | None) -> None:
    """Refuse modalities that are not what they are called, by their names and tables."""
    shown = f"features of rna are such as {first_few(rna.index[:2])}, of guide such as {first_few(guide.index[:2])}"
    if looks_like_peaks(rna.index):
        raise InputError(f"rna holds peaks, it seems: {shown}. Genes were expected in rna and guides in guide")
    swapped = False
    if isinstance(table, pd.DataFrame):
        columns = find_columns(table, "guide")
        names = pd.Index(table[columns[0]] if columns else table.index).astype(str)
        swapped = bool(rna.index.astype(str).isin(names).any() and not guide.index.astype(str).isin(names).any())
    elif find_column(guide, "target") is None:
        swapped = find_column(rna, "target") is not None
    if swapped:
        raise InputError(f"rna looks swapped with guide: {shown}, and the targets belong to rna. Exchange the two")


def _report_screen(mdata: MuData) -> None:
    rna, guide = mdata["rna"], mdata["guide"]
    targets = guide.var["target"]
    n_controls = int((targets == NON_TARGETING).sum())
    log.info(
        "read %s cells x %s genes and %s guides: %s of %s targets, %s non-targeting",
        *(f"{n:,}" for n in (mdata.n_obs, rna.n_vars, guide.n_vars, guide.n_vars - n_controls)),
        f"{targets[targets != NON_TARGETING].nunique():,}",
        f"{n_controls:,}",
    )
    if not n_controls:
        log.warning("no guide is non-targeting: a screen without controls cannot show that its tests are calibrated")
    if not isinstance(guide.X, DiskCounts):
        unseen = guide.var_names[np.bincount(guide.X.indices, minlength=guide.n_vars) == 0]
        if len(unseen):
            log.warning("%d of %d guides are in no cell: %s", len(unseen), guide.n_vars, first_few(unseen))
    if not isinstance(rna.X, DiskCounts):
        empty = int((np.diff(rna.X.indptr) == 0).sum())
        if empty:
            log.warning("%d of %d cells have no count of any gene: remove them", empty, mdata.n_obs)
