"""Leading components of accessibility and of expression, as covariates of cells where their types are not known."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scanlink.errors import InputError, OptionError, first_few
from scanlink.io.chunks import collect
from scanlink.io.raw_counts import Layer
from scanlink.pp.door import KEYS, Multiome, enter
from scanlink.pp.features import feature_statistics

__all__ = ["component_columns", "components", "leading_components"]

log = logging.getLogger("scanlink")

Floats = NDArray[np.float64]

# Of the randomised decomposition: directions beside those wanted, and power iterations.
_SPARE, _POWERS = 20, 7
# A component this strongly correlated with log depth is depth, which formulas have as log(nUMI).
_DEPTH = 0.75
_SCALE = 1e4


def components(
    mdata: Multiome,
    *,
    n: int = 10,
    modalities: Iterable[str] = ("atac",),
    seed: int = 0,
    overwrite: bool = False,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
) -> dict[str, Floats]:
    """Add the leading components of accessibility or expression to ``mdata.obs``, to be named in formulas.

    Where cell types are mixed and not known, what differs between types moves genes and peaks together, and is called
    links. Components stand for the types: ``log(nUMI) + percent.mito + atac_1 + atac_2 + ...``. They are not as good
    as the types themselves: where a column of types is there, test within them (``groupby=``).

    Parameters
    ----------
    mdata
        The dataset. Counts stay as they are; those on disk are read piece by piece and kept sparse in memory.
    n
        Components of each modality.
    modalities
        ``"atac"``, ``"rna"`` or both: columns ``atac_1`` to ``atac_n``, ``rna_1`` to ``rna_n``.
    seed
        Seed of the randomised decomposition; the same seed gives the same numbers.
    overwrite
        Replace columns that exist.
    layer, rna_key, atac_key
        As in :func:`scanlink.pp.qc`. Only cells of both modalities count.

    Returns
    -------
    dict
        By modality, the share of the variance that each component explains, largest first. Shape ``(n,)``.

    Raises
    ------
    InputError
        If a column exists already, a matrix does not hold raw counts, or has no counts at all.
    MissingKeyError
        If a modality is not there.
    OptionError
        If a modality is none of the two, or ``n`` is not from 1 to what cells and features allow.

    Warnings
    --------
    Components of expression hold the tested gene's own counts: a covariate made from the outcome takes part of the
    effect away. Those of accessibility hold the tested peak, one of thousands, which costs it little; they are
    the default. Call it before features are filtered, so that no single one weighs much.

    Notes
    -----
    Accessibility: open or closed, term frequency times inverse document frequency, log(1 + 10,000 tf idf), not centred
    (latent semantic indexing; Cusanovich et al. 2015, Science 348:910; Stuart et al. 2021, Nat Methods 18:1333). A
    component whose correlation with log depth is beyond .75 either way is left out, and the next ones take its place.
    Expression: log(1 + counts scaled to 10,000 a cell), each gene centred and not scaled. Randomised singular value
    decomposition (Halko, Martinsson and Tropp 2011, SIAM Rev 53:217). Columns have mean 0 and variance 1 over cells,
    and the sign that makes their largest value positive.

    Examples
    --------
    >>> import scanlink as sl
    >>> mdata = sl.ds.simulate(n_cells=200, n_genes=30, n_peaks=120, n_links=8, n_interactions=2).mdata
    >>> share = components(mdata, n=3)
    >>> [name for name in mdata.obs if name.startswith("atac_")]
    ['atac_1', 'atac_2', 'atac_3']
    """
    wanted = [modalities] if isinstance(modalities, str) else list(dict.fromkeys(modalities))
    if not wanted or not set(wanted) <= {"rna", "atac"}:
        raise OptionError(f"modalities are {wanted}, expected 'atac', 'rna' or both")
    names = {modality: component_columns(modality, n) for modality in wanted}
    others = [name for name in KEYS if name not in wanted]
    entered = enter(mdata, optional=others, counts=wanted, layer=layer, rna_key=rna_key, atac_key=atac_key)
    obs = entered.data.obs
    present = [name for modality in wanted for name in names[modality] if name in obs]
    if present and not overwrite:
        raise InputError(f"obs has {first_few(present)} already: give overwrite=True, or use them as they are")
    shares = {}
    for modality in wanted:
        data = entered.data[modality]
        # One direction more of the peaks, because one is depth and is left out.
        most = min(data.n_obs - 1, data.n_vars - 1) - (modality == "atac")
        if not 1 <= n <= most:
            raise OptionError(
                f"n is {n}, expected 1 to {most}: {modality} has {data.n_obs} cells, {data.n_vars} features"
            )
        known = feature_statistics(data.X, what=modality, cells=data.obs_names, features=data.var_names)
        counts = sp.csr_array(collect(data.X, int(known.n_nonzero.sum())))
        depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        if not depth.any():
            raise InputError(f"{modality} has no counts at all: components need some")
        scores, shares[modality] = leading_components(counts, depth, n, modality, seed)
        for k, name in enumerate(names[modality]):
            obs[name] = scores[:, k]
        entered.give_back(names[modality], replace=names[modality])
        log.info(
            "%s: %d components explain %.1f %% of the variance; columns %s of obs",
            modality,
            n,
            100 * shares[modality].sum(),
            first_few(names[modality]),
        )
    return shares


def component_columns(modality: str, n: int) -> list[str]:
    """Name the columns of the first components of a modality."""
    return [f"{modality}_{k + 1}" for k in range(n)]


def leading_components(counts: sp.csr_array, depth: Floats, n: int, modality: str, seed: int) -> tuple[Floats, Floats]:
    """Give the standardised scores of the leading components and the share of the variance of each."""
    scaled = sp.diags_array(1.0 / np.maximum(depth, 1.0))
    if modality == "rna":
        matrix = (scaled @ counts * _SCALE).tocsr()
        centre = None
    else:
        counts = (counts > 0).astype(np.float64)
        depth = np.asarray(counts.sum(axis=1)).ravel()
        seen = np.asarray(counts.sum(axis=0)).ravel()
        rarity = counts.shape[0] / np.maximum(seen, 1.0)
        matrix = (sp.diags_array(1.0 / np.maximum(depth, 1.0)) @ counts @ sp.diags_array(rarity) * _SCALE).tocsr()
        centre = np.zeros(counts.shape[1])
    np.log1p(matrix.data, out=matrix.data)
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    centre = mean if centre is None else centre
    spread = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel() - matrix.shape[0] * mean**2
    left, values = _randomised(matrix, centre, min(n + 2, min(matrix.shape)), seed)
    scores = left * values
    # What a component that is not centred adds to the variance is that about its own mean.
    variances = scores.var(axis=0) * scores.shape[0]
    keep = np.arange(scores.shape[1])
    if modality == "atac":
        along = np.array([abs(np.corrcoef(score, np.log(np.maximum(depth, 1.0)))[0, 1]) for score in scores.T])
        keep = keep[~(along > _DEPTH)]
    keep = keep[np.argsort(-variances[keep], kind="stable")] if modality == "rna" else keep
    keep = keep[:n]
    if keep.size < n:
        raise OptionError(f"only {keep.size} components of {modality} are not depth, {n} were wanted: give a smaller n")
    chosen = scores[:, keep] - scores[:, keep].mean(axis=0)
    chosen /= np.maximum(chosen.std(axis=0), np.finfo(float).tiny)
    largest = np.abs(chosen).argmax(axis=0)
    chosen *= np.sign(chosen[largest, np.arange(n)])
    return chosen, variances[keep] / max(float(spread.sum()), np.finfo(float).tiny)


def _randomised(matrix: sp.csr_array, centre: Floats, n: int, seed: int) -> tuple[Floats, Floats]:
    """Give left singular vectors and values of ``matrix - centre`` by a randomised range and power iterations."""
    size = min(n + _SPARE, *matrix.shape)
    turned = matrix.T.tocsr()
    basis = np.random.default_rng(seed).standard_normal((matrix.shape[1], size))
    for _ in range(_POWERS + 1):
        basis = np.linalg.qr(matrix @ basis - centre @ basis)[0]
        back = turned @ basis - np.outer(centre, basis.sum(axis=0))
        last, basis = basis, np.linalg.qr(back)[0]
    small, values, _ = np.linalg.svd(back.T, full_matrices=False)
    return (last @ small)[:, :n], values[:n]
