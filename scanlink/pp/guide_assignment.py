"""Which cells hold which guides, and how probable it is that a target is perturbed in a cell."""

from __future__ import annotations

import difflib
import logging
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.chunks import is_backed
from scanlink.io.guides import NON_TARGETING
from scanlink.io.raw_counts import Layer, check_counts
from scanlink.pp.door import SCREEN_KEYS, Entered, Screen, enter
from scanlink.pp.guide_mixture import mixture_thresholds
from scanlink.pp.modalities import target_names
from scanlink.stats.perturbation import perturbation_probability

__all__ = ["assign_guides", "guide_calls", "guide_counts", "perturbation"]

log = logging.getLogger("scanlink")

_THRESHOLD = 5


def assign_guides(
    mdata: Screen,
    method: Literal["threshold", "mixture"] = "threshold",
    *,
    threshold: int = _THRESHOLD,
    layer: Layer = None,
    rna_key: str | None = None,
    guide_key: str | None = None,
) -> None:
    """Choose for each guide the least number of UMIs that counts as present.

    Parameters
    ----------
    mdata
        A screen, with guides. Changed in place: ``threshold`` of their table (``.var``) is set, or replaced.
    method
        ``"threshold"``: the same for all guides. ``"mixture"``: for each guide the least count from which on it rather
        comes from a cell that expresses it than from ambient RNA.
    threshold
        UMIs for ``method="threshold"``, and for ``"mixture"`` where even all guides together show no two components.
    layer, rna_key, guide_key
        As in :func:`scanlink.pp.screen_qc`.

    Raises
    ------
    InputError
        If the guides are no counts, or none was seen in any cell.
    MissingKeyError
        If there is no modality ``guide``.
    OptionError
        If ``method`` is unknown, or ``threshold`` is no whole number of at least 1.

    Notes
    -----
    Guides that are given as calls (nothing but 0 and 1) have a threshold of 1, whatever was asked for.

    The mixture is a Poisson (ambient) and a log-normal (expressed) of a guide's positive counts, after Replogle et al.
    (2022, Cell 185:2559); a count is signal where its posterior probability is above 1/2; see
    :func:`scanlink.stats.umi_mixture.fit_umi_mixture`. Guides with fewer than 50 positive cells, or whose counts do not
    fall into two components, take the threshold of the fit to all guides together. No chance is involved.

    Five UMIs were asked for by Gasperini et al. (2019, Cell 176:377), whose counts have a gap there.

    Examples
    --------
    >>> import scanlink as sl
    >>> from anndata import AnnData
    >>> guide = AnnData(np.array([[7, 0], [1, 9], [0, 5]]))
    >>> guide.var_names, guide.var["target"] = ["g1", "g2"], ["enh1", "enh1"]
    >>> mdata = sl.io.assemble_screen(AnnData(np.ones((3, 1))), guide)
    >>> assign_guides(mdata)
    >>> mdata["guide"].var["threshold"].tolist(), guide_calls(mdata).tolist()
    ([5, 5], [[True, False], [False, True], [False, True]])
    """
    if method not in ("threshold", "mixture"):
        raise OptionError(f"method is {method!r}, expected 'threshold' or 'mixture'")
    if isinstance(threshold, bool) or threshold != int(threshold) or threshold < 1:
        raise OptionError(f"threshold is {threshold!r}, expected a whole number of UMIs, at least 1")
    entered = _guides(mdata, layer=layer, rna_key=rna_key, guide_key=guide_key)
    guide = entered.data["guide"]
    counts = _by_guide(guide)
    if not counts.nnz:
        raise InputError(f"guide has {guide.n_obs} cells and {guide.n_vars} guides, but no count above 0")
    if _are_calls(counts):
        least = np.ones(guide.n_vars, dtype=np.int64)
        if method == "mixture" or threshold > 1:
            choice = "a mixture" if method == "mixture" else f"a threshold of {threshold} UMIs"
            log.warning("guide holds calls (0 and 1) and no UMI counts: the threshold is 1, not %s", choice)
    elif method == "threshold":
        least = np.full(guide.n_vars, int(threshold), dtype=np.int64)
    else:
        least = mixture_thresholds(counts, guide.var_names, int(threshold))
    guide.var["threshold"] = least
    entered.give_back(guide=["threshold"])
    called = _called(counts, least)
    kept = int(called.sum())
    log.info(
        "%s of %s positive counts of guides are at or above the threshold; %.2f guides per cell on average",
        f"{kept:,}",
        f"{counts.nnz:,}",
        kept / max(guide.n_obs, 1),
    )
    absent = guide.var_names[called == 0]
    if len(absent):
        log.warning(
            "%d of %d guides are in no cell at their threshold: %s", len(absent), guide.n_vars, first_few(absent)
        )


def _guides(mdata: Screen, **places: Any) -> Entered:
    """Take in a screen, or guides alone, of which only counts of guides are read."""
    return enter(mdata, modalities=SCREEN_KEYS, optional=("rna",), counts=("guide",), **places)


def guide_calls(
    mdata: Screen, *, layer: Layer = None, rna_key: str | None = None, guide_key: str | None = None
) -> NDArray[np.bool_]:
    """Tell which guides each cell holds: counts at or above the guide's threshold.

    Parameters
    ----------
    mdata
        A screen. Where the table of guides has no ``threshold``, it is 5 UMIs, or 1 if the guides are 0/1 calls.
    layer, rna_key, guide_key
        As in :func:`scanlink.pp.screen_qc`.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells, n_guides)``; the cells that have genes and guides, in the order of the genes' cells.

    Raises
    ------
    InputError
        If the guides are no counts, or a threshold is below 1.
    MissingKeyError
        If there is no modality ``guide``.
    """
    guide = _guides(mdata, layer=layer, rna_key=rna_key, guide_key=guide_key).data["guide"]
    counts = _by_guide(guide)
    calls: NDArray[np.bool_] = counts.toarray() >= _thresholds(guide, counts)
    return calls


def guide_counts(guide: AnnData) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count each cell's guides at or above their threshold, and the UMIs of all. Shape ``(n_cells,)`` both."""
    counts = _by_guide(guide)
    least = _thresholds(guide, counts)
    present = counts.data >= np.repeat(least, np.diff(counts.indptr))
    umis = np.bincount(counts.indices, weights=counts.data, minlength=guide.n_obs)
    return np.bincount(counts.indices[present], minlength=guide.n_obs), umis.astype(np.int64)


def perturbation(
    mdata: Screen,
    target: str,
    *,
    missing_efficiency: float | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    guide_key: str | None = None,
) -> NDArray[np.float64]:
    """Compute the probability that a target is perturbed in each cell.

    Parameters
    ----------
    mdata
        A screen, with ``target`` in the table of guides and, if known, ``efficiency`` (0 to 1) and ``threshold``
        (UMIs; where it is absent, 5, or 1 if the guides are 0/1 calls).
    target
        Its name.
    missing_efficiency
        Efficiency of guides that have none. None: the median of the others with a target, or 1 if none is known.
        GLiMMIRS takes 0.
    layer, rna_key, guide_key
        As in :func:`scanlink.pp.screen_qc`.

    Returns
    -------
    numpy.ndarray
        ``x_i = 1 - prod_g (1 - G_gi eff_g)`` over the guides g of the target. Shape ``(n_cells,)``, 0 to 1; cells as
        in :func:`scanlink.pp.guide_calls`.

    Raises
    ------
    MissingKeyError
        If there is no modality ``guide``, no column ``target``, or no guide of this target; names the nearest ones.
    InputError
        If guides are no counts, or an efficiency or a threshold is impossible.
    OptionError
        If ``missing_efficiency`` is not from 0 to 1.

    Notes
    -----
    Zhou et al. 2024 (Cell Genomics 4:100672), section 4 of the epistasis notes; the kernel is
    :func:`scanlink.stats.perturbation.perturbation_probability`.

    Examples
    --------
    >>> import scanlink as sl
    >>> from anndata import AnnData
    >>> guide = AnnData(np.array([[7, 0], [6, 9], [0, 4]]))
    >>> guide.var_names, guide.var["target"], guide.var["efficiency"] = ["g1", "g2"], ["enh1", "enh1"], [0.5, 0.8]
    >>> mdata = sl.io.assemble_screen(AnnData(np.ones((3, 1))), guide)
    >>> perturbation(mdata, "enh1").tolist()
    [0.5, 0.9, 0.0]
    """
    if missing_efficiency is not None and not 0 <= missing_efficiency <= 1:
        raise OptionError(f"missing_efficiency is {missing_efficiency!r}, expected a number from 0 to 1, or None")
    places = {"layer": layer, "rna_key": rna_key, "guide_key": guide_key}
    guide = _guides(mdata, **places).data["guide"]
    names = target_names(guide.var)
    guides = np.flatnonzero(names == target)
    if not guides.size:
        raise MissingKeyError(_no_target(target, names))
    counts = _by_guide(guide)
    least = _thresholds(guide, counts)
    calls = [counts[:, [g]].toarray().ravel() >= least[g] for g in guides.tolist()]
    return perturbation_probability(calls, _efficiencies(guide, names, missing_efficiency)[guides])


def _by_guide(guide: AnnData) -> sparse.csc_matrix:
    """Bring the counts, checked, into CSC."""
    matrix: Any = guide.X
    if is_backed(matrix):
        matrix = matrix.to_memory()
    check_counts(matrix, cells=guide.obs_names, features=guide.var_names, label="guide")
    counts = sparse.csc_matrix(matrix, dtype=np.int32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _are_calls(counts: sparse.csc_matrix) -> bool:
    return bool(counts.data.max(initial=0) <= 1)


def _called(counts: sparse.csc_matrix, least: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the cells that hold each guide."""
    guide = np.repeat(np.arange(least.size), np.diff(counts.indptr))
    return np.bincount(guide[counts.data >= least[guide]], minlength=least.size)


def _thresholds(guide: AnnData, counts: sparse.csc_matrix) -> NDArray[np.int64]:
    if "threshold" not in guide.var:
        return np.full(guide.n_vars, 1 if _are_calls(counts) else _THRESHOLD, dtype=np.int64)
    least = pd.to_numeric(guide.var["threshold"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~(least >= 1)
    if bad.any():
        raise InputError(
            f"mdata['guide'].var['threshold'] is missing or below 1 for {int(bad.sum())} guides "
            f"({first_few(guide.var_names[bad])}): set it with scanlink.pp.assign_guides"
        )
    return np.ceil(least).astype(np.int64)


def _efficiencies(guide: AnnData, names: NDArray[Any], missing: float | None) -> NDArray[np.float64]:
    """Gather the efficiencies of all guides, with those that are missing filled in."""
    if "efficiency" not in guide.var:
        return np.full(guide.n_vars, 1.0 if missing is None else float(missing))
    efficiency = pd.to_numeric(guide.var["efficiency"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if missing is None:
        measured = efficiency[(names != NON_TARGETING) & ~np.isnan(efficiency)]
        missing = float(np.median(measured)) if measured.size else 1.0
    return np.where(np.isnan(efficiency), missing, efficiency)


def _no_target(target: str, names: NDArray[Any]) -> str:
    targets = sorted(set(names.tolist()) - {NON_TARGETING})
    close = difflib.get_close_matches(str(target), targets, n=3, cutoff=0.6)
    hint = f"did you mean {first_few(close)}?" if close else f"there are {first_few(targets)}"
    return f"no guide has the target {target!r}; {hint}"
