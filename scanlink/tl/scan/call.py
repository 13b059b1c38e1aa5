"""Test gene-peak pairs for association, group by group."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scanlink.io.raw_counts import Layer
from scanlink.p_values import PValue
from scanlink.pp.door import Multiome
from scanlink.store.store import Store
from scanlink.tl.call import call, checked_options
from scanlink.tl.scan import SCAN
from scanlink.tl.scan.options import LinksOptions

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["scan"]


def scan(
    mdata: Multiome | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    groupby: str | None = None,
    groups: Sequence[str] | None = None,
    formula: str = "log(nUMI) + percent.mito",
    family: str = "poisson",
    p_value: PValue = "robust",
    ladder: str | Iterable[tuple[int, float | None]] | None = "capstone",
    seed: int = 0,
    theta: str = "held",
    cluster: str | None = None,
    robust: str = "HC3",
    binarize: bool = True,
    min_fraction: float = 0.05,
    min_nonzero: int = 5,
    min_cells: int = 10,
    fdr_method: str = "bh",
    fdr_scope: str = "group",
    device: str | None = None,
    block_genes: int | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Fit a regression of gene counts on peak accessibility for every pair in every group of cells.

    Parameters
    ----------
    mdata
        MuData of genes and peaks, a pair ``(rna, atac)`` of AnnData, or a scan store or its folder.
    pairs
        Columns ``gene`` and ``peak``, and ``distance`` in bp if known, as :func:`scanlink.pp.cis_pairs` gives them.
    groupby
        Column of ``mdata.obs`` with the cell type; None makes all cells one group, ``all``.
    groups
        Which cell types; None takes all.
    formula
        Covariates in R's notation; ``offset(log(nUMI))`` is a known part of the log expected count.
    family
        ``"poisson"``, or ``"negbin"``: negative binomial, theta by maximum likelihood.
    p_value
        Which p-value the false discovery rate is taken on: ``"wald"``, ``"robust"``, ``"bootstrap"`` or ``"tail"``. All
        are computed, the bootstrap where ``ladder`` is not none; ``"bootstrap"`` with ``"scent"`` is SCENT's own.
    ladder
        Replicates of the bootstrap: ``"capstone"`` (100, then 2,500 below .1), ``"scent"`` (100 to 50,000), stages
        ``(replicates, go on below p)``, or ``"none"`` or None to do without, which is faster.
    seed
        Of the bootstrap. Same seed, same numbers, whatever the number of workers.
    theta
        What theta of a negative binomial is in the bootstrap's replicates: ``"held"`` at that of the data, or
        ``"estimated"`` in each, as R's ``boot`` of ``glm.nb`` has it, some 25 times slower.
    cluster
        Column of ``mdata.obs`` with what cells have in common, such as the donor. Errors are then robust to cells of
        one cluster resembling each other, and the bootstrap and its tail draw whole clusters. Of fewer than ten there
        is no bootstrap: ``p_boot`` is missing, and with ``p_value="bootstrap"`` the status is ``too_few_clusters``.
        None takes all cells for independent.
    robust
        Small-sample form of the sandwich error: ``"HC0"``, ``"HC2"``, ``"HC3"``; of clusters, CR0, CR2, CR3.
    binarize
        Accessibility as open or closed; False takes the counts.
    min_fraction
        A pair is tested where gene and peak are both non-zero in more than this share of the group's cells.
    min_nonzero
        And in at least this many cells, and the peak closed in as many: with one or two open cells neither the
        sandwich error nor the bootstrap means anything. It matters in groups of fewer than 100 cells; 1 is the
        rule of SCENT.
    min_cells
        Groups with fewer cells are not tested.
    fdr_method, fdr_scope
        ``"bh"``, ``"by"``, ``"storey"``, within ``"group"``, ``"all"`` or ``"gene"``. ``fdr_all`` is always over all.
    device
        Where the bootstrap's matrix products are computed: a device of PyTorch, such as ``"cuda"``; None takes this
        package's own loops, which one core runs as fast as the rest of a replicate needs. It changes no p-value.
    block_genes
        Genes a task; None cuts by estimated cost. It changes no number.
    layer
        Layer with the raw counts instead of ``X``: a name, or a mapping from ``"rna"`` and ``"atac"`` to one each.
        Where ``X`` holds none and there is a layer ``counts``, that is used, with a warning.
    rna_key, atac_key
        Names of the modalities in ``mdata``; None finds ``rna`` and ``atac``, and names such as ``gex`` and ``peaks``.
    client
        Dask client. None computes small work in this process and more of it on a local cluster, which is closed again.
    out
        Folder for the store and the parts, one that the workers see too. A call that was stopped goes on from there;
        None uses a temporary folder.

    Returns
    -------
    pandas.DataFrame
        A row a group and pair: group, gene, peak, distance (bp), n_cells, frac_gene, frac_peak (share of cells that are
        non-zero), beta (natural log), fold_change (its exponential), se, z, a ``p_*`` for each kind of p-value (p is
        model-based; p_robust, p_boot, p_tail), se_robust, ci_low and ci_high (95 % interval of beta by se_robust, of t
        with ``cluster``), n_boot, p_value, fdr (within the scope), fdr_all (over everything), status, and of a negative
        binomial theta and theta_converged (False where counts vary no more than Poisson counts, so that theta has no
        maximum). ``status`` is ``ok`` for tested pairs, else ``gene_rare``, ``peak_rare``, ``separated`` (the gene is 0
        in all open, or all closed, cells), ``collinear`` (the peak is the same in every cell, or covariates explain
        it), ``too_few_cells``, ``too_few_clusters`` or ``not_converged``, and the estimates are NaN.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if the data or an option cannot be used.
    RunError
        If blocks fail on the workers, or the folder cannot be written or is in use by another call.

    Warnings
    --------
    The model-based ``p`` is too small where counts vary more than Poisson counts do. ``p_boot`` is never below
    2 / n_boot, and it and ``p_tail`` are too small in small groups and for sparse peaks; ``p_robust`` keeps its level
    there (docs/p-values.md). Without ``cluster`` none knows that cells of one donor resemble each other.

    Notes
    -----
    ``y_i ~ Poisson(mu_i), log mu_i = o_i + C_i gamma + x_i beta`` (SCENT: Sakaue et al. 2024, Nat Genet 56:615).
    ``beta`` and ``se`` are those of R's ``glm``, to rounding. ``p_robust`` is that of
    :func:`scanlink.stats.calibrated_p`, with ``cluster`` a t test of ``beta / se_robust``; ``p_tail`` that of
    :func:`scanlink.stats.bootstrap_tail`.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=400, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)
    >>> pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    >>> links = sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value="robust")
    >>> len(links) == len(pairs) * data.mdata.obs["celltype"].nunique()
    True
    """
    arguments = locals()
    links = checked_options(LinksOptions, {"method": fdr_method, "scope": fdr_scope}, prefix="fdr_")
    return call(SCAN, arguments, tables={"pairs": pairs}, sections={"links": links})
