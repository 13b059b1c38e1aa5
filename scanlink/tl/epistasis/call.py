"""Test whether pairs of enhancers act together, group by group."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from scanlink.io.raw_counts import Layer
from scanlink.p_values import PValue
from scanlink.pp.door import Multiome
from scanlink.store.store import Store
from scanlink.tl.call import call
from scanlink.tl.epistasis import EPISTASIS
from scanlink.tl.epistasis.rows import DOSAGE

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["epistasis"]

log = logging.getLogger("scanlink")


def epistasis(
    mdata: Multiome | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    groupby: str | None = None,
    formula: str = "percent.mito + offset(log(nUMI))",
    family: str = "poisson",
    model: str = "joint",
    coding: str = "indicator",
    p_value: PValue = "robust",
    ladder: str | Iterable[tuple[int, float | None]] | None = "epistasis",
    seed: int = 0,
    cluster: str | None = None,
    robust: str = "HC3",
    min_cells: int = 10,
    fdr_method: str = "bh",
    device: str | None = None,
    block_genes: int | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Compare a gene's expression between the states of two enhancers, and test their interaction.

    Parameters
    ----------
    mdata
        MuData of genes and peaks, a pair ``(rna, atac)`` of AnnData, or a scan store or its folder.
    pairs
        Columns ``group``, ``gene``, ``enhancer_1``, ``enhancer_2`` as :func:`scanlink.tl.enhancer_pairs` gives them;
        with ``enhancer_3`` (and ``enhancer_4``), sets of more enhancers are tested.
    groupby
        Column of ``mdata.obs`` with the groups; None makes all cells one group, ``all``.
    formula
        Covariates in R's notation; ``offset(log(nUMI))`` is a known part of the log expected count.
    family
        ``"poisson"``, or ``"negbin"``: negative binomial, theta by maximum likelihood, held in the bootstrap.
    model
        ``"joint"``: one regression on indicators of the states 10, 01 and 11. ``"separate"``: three, each on the cells
        of one state and of 00, as the epistasis scripts had it that this replaces.
    coding
        ``"indicator"``: 0 or 1. ``"dosage"``, for separate models only: 11 counts as 2, which halves ``beta_11``. It
        reproduces published tables, and nothing else speaks for it.
    p_value
        Which p-value of the interaction the false discovery rate is taken on: ``"wald"``, ``"robust"``,
        ``"bootstrap"`` or ``"tail"``. All are computed, the bootstrap where ``ladder`` is not none.
    ladder
        Replicates of the bootstrap: ``"epistasis"`` (100, then 5,000 below .1), ``"scent"``, ``"capstone"``, stages
        ``(replicates, go on below p)``, or ``"none"`` or None to do without. Each coefficient of a pair climbs by its
        own p-value, on shared replicates.
    seed
        Of the bootstrap. Same seed, same numbers, whatever the number of workers.
    cluster
        Column of ``mdata.obs`` with what cells have in common, such as the donor: as in :func:`scanlink.tl.scan`.
    robust
        Small-sample form of the sandwich error: ``"HC0"``, ``"HC2"``, ``"HC3"``.
    min_cells
        Least number of cells in each state.
    fdr_method
        ``"bh"``, ``"by"`` or ``"storey"``.
    device, block_genes, layer, rna_key, atac_key, client, out
        As in :func:`scanlink.tl.scan`.

    Returns
    -------
    pandas.DataFrame
        A row a pair: group, gene, enhancer_1, enhancer_2, distance (bp), n_cells; cells ``n_00`` to ``n_11`` and counts
        of the gene ``umi_00`` to ``umi_11`` in each state; and for each of ``10``, ``01``, ``11`` (against 00) and
        ``interaction``: ``beta_*`` (natural log), ``se_*`` and ``p_*`` (model based), ``se_robust_*``, ``p_robust_*``,
        ``p_boot_*``, ``n_boot_*``, ``p_tail_*``, ``ci_low_*`` and ``ci_high_*`` (95 %, of the robust error; of the
        model's where ``p_value`` is wald). Then ``reri`` (additive scale), ``min_interaction`` (the smallest absolute
        interaction with an 80 % chance of p < .05 at this error), ``cook_ratio``, ``theta`` and ``theta_converged`` of
        a negative binomial, ``p_value``, ``fdr`` (within the group), ``fdr_gene`` (within the gene). ``status`` is
        ``ok`` or, with estimates NaN, ``too_few_11`` (some state has fewer than ``min_cells`` cells), ``separated``
        (the gene is 0 in some state), ``collinear``, ``not_converged``, ``too_few_cells``, ``too_few_clusters``,
        ``failed``.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if the data or an option cannot be used.
    RunError
        If blocks fail on the workers, or the folder cannot be written or is in use by another call.

    Warnings
    --------
    The model-based ``p_interaction``, which is the test of Zhou et al. 2024 when the family is negative binomial,
    rejects far too often with Poisson errors where counts vary more than that (docs/epistasis.md). "No interaction"
    means little where ``min_interaction`` is large. ``cook_ratio`` grows with the number of cells and is above 5 for
    most pairs without any fault: compare it between pairs of like numbers of cells.

    Notes
    -----
    Section 3 of the epistasis notes::

        log mu = o + C gamma + b10 [10] + b01 [01] + b11 [11]
        interaction = b11 - b10 - b01             0: effects multiply; above: synergy; below: redundancy
        RERI = exp(b11) - exp(b10) - exp(b01) + 1    0: effects add

    Estimates and errors are those of R's ``glm``; the interaction is its coefficient of ``x1:x2``. ``p_robust`` is that
    of :func:`scanlink.stats.interaction_p` for the interaction, and of :func:`scanlink.stats.calibrated_p` on the cells
    of the two states for a contrast. Zhou et al. 2024, Cell Genomics 4:100672; RERI: Rothman 1976, Am J Epidemiol
    103:506.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=600, n_genes=6, n_peaks=24, n_links=8, n_interactions=2, seed=1)
    >>> pairs = sl.tl.enhancer_pairs(data.links.assign(group="all", fdr=0.0))
    >>> table = sl.tl.epistasis(data.mdata, pairs, p_value="robust")
    >>> len(table) == len(pairs)
    True
    """
    arguments = locals()
    if coding == "dosage":
        log.warning(DOSAGE)
    return call(EPISTASIS, arguments, tables={"enhancer_pairs": pairs})
