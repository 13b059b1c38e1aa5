"""Covariates of the cells of a screen: depth, mitochondrial fraction, guides."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scanlink.pp.guide_assignment import guide_counts
from scanlink.pp.modalities import get_modality
from scanlink.pp.qc import add_rna, checked_survey, missing_columns, set_columns
from scanlink.pp.survey import MITO_PREFIX, Survey

if TYPE_CHECKING:
    from mudata import MuData

__all__ = ["screen_qc"]

logger = logging.getLogger("scanlink")

# Column of mdata.obs, and the modality that it describes.
_COLUMNS = {"nUMI": "rna", "percent.mito": "rna", "nFeature_RNA": "rna", "guide_count": "guide", "guide_UMI": "guide"}


def screen_qc(
    mdata: MuData, *, mito_prefix: Iterable[str] = MITO_PREFIX, overwrite: bool = False, survey: Survey | None = None
) -> None:
    """Add to ``mdata.obs`` the covariates of a screen that it lacks.

    ``nUMI``, ``nFeature_RNA``, ``percent.mito``: as :func:`scanlink.pp.qc` makes them. ``guide_count``: guides of the
    cell at or above their threshold, those of controls included. ``guide_UMI``: UMIs of all its guides. Call it before
    genes or guides are filtered, or the totals are of what is left; and after :func:`scanlink.pp.assign_guides`.

    Parameters
    ----------
    mdata
        The screen; counts of genes may be backed, they are read piece by piece. Where the guides have no threshold yet,
        it is 5 UMIs, or 1 if they are 0/1 calls.
    mito_prefix
        How the names of mitochondrial genes begin, or their symbols in ``rna.var["symbol"]``. If no gene is
        mitochondrial, ``percent.mito`` is not made, with a warning.
    overwrite
        Replace columns that exist. By default they are checked and stay; where ``guide_count`` or ``guide_UMI`` is not
        what the counts say, that is told.
    survey
        The sums over ``rna``, if there are other uses for them; None makes a pass over the counts.

    Raises
    ------
    InputError
        If an existing column is not numeric, or has missing or negative values, or a matrix does not hold counts.
    MissingKeyError
        If a modality is not there.
    OptionError
        If ``survey`` was made with another ``mito_prefix``.

    Examples
    --------
    >>> import numpy as np
    >>> import scanlink as sl
    >>> from anndata import AnnData
    >>> guide = AnnData(np.array([[7, 1], [6, 9]]))
    >>> guide.var_names, guide.var["target"] = ["g1", "g2"], ["enh1", "non-targeting"]
    >>> mdata = sl.io.assemble_screen(AnnData(np.array([[3, 0], [4, 2]])), guide)
    >>> mdata["rna"].var_names = ["NOC2L", "MT-ND1"]
    >>> screen_qc(mdata)
    >>> {name: mdata.obs[name].round(1).tolist() for name in ("nUMI", "percent.mito", "guide_count", "guide_UMI")}
    {'nUMI': [3, 6], 'percent.mito': [0.0, 33.3], 'guide_count': [1, 2], 'guide_UMI': [8, 15]}
    """
    rna = get_modality(mdata, "rna")
    get_modality(mdata, "guide")
    wanted = list(_COLUMNS) if overwrite else missing_columns(mdata, _COLUMNS)
    sums = checked_survey(survey, mdata, mito_prefix, modalities=("rna",), symbols=True)
    if {"nUMI", "percent.mito", "nFeature_RNA"} & set(wanted):
        add_rna(mdata, rna, sums, wanted)
    called, umis = guide_counts(mdata)
    columns = {"guide_count": called, "guide_UMI": umis}
    set_columns(mdata, columns, wanted)
    for name, values in columns.items():
        other = int((mdata.obs[name].to_numpy(dtype=float) != values).sum())
        if other:
            logger.warning(
                "%s in obs is kept as it is, but by the guides in the data it is another number in %d of %d cells: "
                "made with other thresholds, or of more guides? overwrite=True computes it anew",
                name,
                other,
                mdata.n_obs,
            )
    empty, bare = int((mdata.obs["nUMI"] <= 0).sum()), int((called == 0).sum())
    if empty:
        logger.warning("%d cells have no UMI: log(nUMI) is not finite for them; remove them", empty)
    logger.info(
        "%d of %d cells hold no guide, the others %.1f on average",
        bare,
        mdata.n_obs,
        called.sum() / max(mdata.n_obs - bare, 1),
    )
