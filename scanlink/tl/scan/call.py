"""Test gene-peak pairs for association, group by group."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from mudata import MuData
from pydantic import ValidationError

from scanlink.errors import OptionError
from scanlink.options import LinksOptions, PValue, ScanOptions, explain
from scanlink.pp.groups import group_names
from scanlink.run import FolderLock, RunStats, check_client, client_for, run_blocks
from scanlink.store.store import Store
from scanlink.tl.context import context_of
from scanlink.tl.scan.block import scan_block
from scanlink.tl.scan.rows import Plan, make_plan
from scanlink.tl.scan.table import collect
from scanlink.tl.stores import store_of

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["compute", "scan", "store_of"]

log = logging.getLogger("scanlink")


def scan(
    mdata: MuData | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    groupby: str | None = None,
    groups: Sequence[str] | None = None,
    formula: str = "log(nUMI) + percent.mito",
    family: str = "poisson",
    p_value: PValue = "bootstrap",
    ladder: str | Iterable[tuple[int, float | None]] = "scent",
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
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Fit a regression of gene counts on peak accessibility for every pair in every group of cells.

    Parameters
    ----------
    mdata
        MuData with ``rna`` and ``atac`` as :func:`scanlink.io.read` gives it, or a scan store or its folder.
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
        Which p-value the false discovery rate is taken on: ``"wald"``, ``"robust"``, ``"bootstrap"`` or ``"tail"``. The
        bootstrap is run only when it is chosen; the others are always there.
    ladder
        Replicates of the bootstrap: ``"scent"``, ``"capstone"`` or stages ``(replicates, go on below p)``.
    seed
        Of the bootstrap. Same seed, same numbers, whatever the number of workers.
    theta
        What theta of a negative binomial is in the bootstrap's replicates: ``"held"`` at that of the data, or
        ``"estimated"`` in each, as R's ``boot`` of ``glm.nb`` has it, some 25 times slower.
    cluster
        Column of ``mdata.obs`` with what cells have in common, such as the donor. Errors are then robust to cells of
        one cluster resembling each other, and the bootstrap and its tail draw whole clusters. None takes all cells for
        independent.
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
        ``"bh"``, ``"by"``, ``"storey"``, within ``"group"``, ``"all"`` or ``"gene"``.
    device
        Where the bootstrap's matrix products are computed: a device of PyTorch, such as ``"cuda"``; None takes this
        package's own loops, which one core runs as fast as the rest of a replicate needs. It changes no p-value.
    block_genes
        Genes a task; None cuts by estimated cost. It changes no number.
    client
        Dask client. None computes small work in this process and more of it on a local cluster, which is closed again.
    out
        Folder for the store and the parts, one that the workers see too. A call that was stopped goes on from there;
        None uses a temporary folder.

    Returns
    -------
    pandas.DataFrame
        A row a group and pair: group, gene, peak, distance (bp), n_cells, frac_gene, frac_peak (share of cells that
        are non-zero), beta (natural log), se, z, p (model-based), se_robust, p_robust, p_boot, n_boot, p_tail,
        p_value, fdr, status, and of a negative binomial theta and theta_converged (False where counts vary no more
        than Poisson counts, so that theta has no maximum). ``status`` is ``ok`` for tested pairs, else ``gene_rare``,
        ``peak_rare``, ``separated`` (the gene is 0 in all open, or all closed, cells), ``collinear`` (the peak is the
        same in every cell, or covariates explain it), ``too_few_cells``, ``too_few_clusters`` or ``not_converged``, and
        the estimates are NaN.

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
    try:
        options = ScanOptions(
            formula=formula,
            family=family,
            p_value=p_value,
            ladder=ladder,
            seed=seed,
            theta=theta,
            cluster=cluster,
            robust=robust,
            binarize=binarize,
            min_fraction=min_fraction,
            min_nonzero=min_nonzero,
            min_cells=min_cells,
            device=device,
            block_genes=block_genes,
        )
    except ValidationError as error:
        raise explain(error, ScanOptions) from None
    try:
        fdr = LinksOptions(method=fdr_method, scope=fdr_scope)
    except ValidationError as error:
        raise OptionError("\n".join(f"fdr_{line}" for line in str(explain(error, LinksOptions)).splitlines())) from None
    check_client(client)
    chosen = group_names(groups)
    with tempfile.TemporaryDirectory(prefix="scanlink-") as temporary:
        folder = Path(out if out is not None else temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder) as lock:
            store = store_of(mdata, folder)
            plan = make_plan(store, pairs, folder / "parts", options=options, groupby=groupby, groups=chosen)
            with client_for(client, cost=plan.cost) as workers:
                compute(plan, client=workers, problem=lock.problem).raise_failures()
            return collect(plan, fdr)


def compute(
    plan: Plan,
    *,
    client: Client | None = None,
    chunk: tuple[int, int] | None = None,
    problem: Callable[[], str | None] = lambda: None,
) -> RunStats:
    """Compute what is not finished of a plan. Blocks that fail are set aside, and told in what is returned.

    Parameters
    ----------
    plan
        From :func:`scanlink.tl.plan.make_plan`.
    client
        Dask client; None computes in this process.
    chunk
        ``(i, n)``: only the i-th of n slices, counted from 1, for job arrays.
    problem
        As in :func:`scanlink.run.run_blocks`.
    """
    blocks = plan.blocks
    if chunk is not None:
        # Dealt out by turns from the costliest on, so that the slices take about equally long.
        dealt = sorted(blocks, key=lambda block: (-block.cost, block.number))
        blocks = dealt[chunk[0] - 1 :: chunk[1]]
    name = "" if chunk is None or chunk == (1, 1) else f"-{chunk[0]}-of-{chunk[1]}"
    stats = run_blocks(scan_block, context_of(plan), blocks, plan.parts, client=client, problem=problem, name=name)
    log.info(
        "scan: %d blocks, %d found finished, %d computed in %.1f s",
        stats.n_blocks,
        stats.n_found,
        stats.n_computed,
        stats.seconds,
    )
    return stats
