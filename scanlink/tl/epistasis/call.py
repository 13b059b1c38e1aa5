"""Test whether pairs of enhancers act together, group by group."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from pydantic import ValidationError

from scanlink.options import P_COLUMNS, EpistasisOptions, PValue, explain
from scanlink.run import FolderLock, RunStats, check_client, client_for, run_blocks
from scanlink.stats import adjust
from scanlink.store.store import Store
from scanlink.tl.context import context_of
from scanlink.tl.epistasis.block import epistasis_block, result_schema
from scanlink.tl.epistasis.cells import QUANTITY, RERI, quantity_names, state_columns
from scanlink.tl.epistasis.enhancer_pairs import enhancer_columns
from scanlink.tl.epistasis.rows import EpistasisPlan, make_epistasis_plan
from scanlink.tl.stores import store_of

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["collect_epistasis", "compute_epistasis", "epistasis", "epistasis_columns"]

log = logging.getLogger("scanlink")

DOSAGE = (
    "coding 'dosage' counts two open enhancers as 2, so that beta_11 is half of the log fold change: it falls below "
    "beta_10 + beta_01 wherever effects multiply. Use it to reproduce published tables, not to judge synergy"
)


def epistasis(
    mdata: MuData | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    groupby: str | None = None,
    formula: str = "percent.mito + offset(log(nUMI))",
    family: str = "poisson",
    model: str = "joint",
    coding: str = "indicator",
    p_value: PValue = "bootstrap",
    ladder: str | Iterable[tuple[int, float | None]] = "epistasis",
    seed: int = 0,
    cluster: str | None = None,
    robust: str = "HC3",
    min_cells: int = 10,
    fdr_method: str = "bh",
    device: str | None = None,
    block_genes: int | None = None,
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Compare a gene's expression between the states of two enhancers, and test their interaction.

    Parameters
    ----------
    mdata
        MuData with ``rna`` and ``atac`` as :func:`scanlink.io.read` gives it, or a scan store or its folder.
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
        ``"bootstrap"`` or ``"tail"``. The bootstrap is run only when it is chosen.
    ladder
        Replicates of the bootstrap: ``"epistasis"`` (100, then 5,000 below .1), ``"scent"``, ``"capstone"`` or stages
        ``(replicates, go on below p)``. Each coefficient of a pair climbs by its own p-value, on shared replicates.
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
    device, block_genes, client, out
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
    try:
        options = EpistasisOptions(
            formula=formula,
            family=family,
            model=model,
            coding=coding,
            p_value=p_value,
            ladder=ladder,
            seed=seed,
            cluster=cluster,
            robust=robust,
            min_cells=min_cells,
            method=fdr_method,
            device=device,
            block_genes=block_genes,
        )
    except ValidationError as error:
        raise explain(error, EpistasisOptions) from None
    check_client(client)
    if coding == "dosage":
        log.warning(DOSAGE)
    with tempfile.TemporaryDirectory(prefix="scanlink-") as temporary:
        folder = Path(out if out is not None else temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder) as lock:
            store = store_of(mdata, folder)
            plan = make_epistasis_plan(store, pairs, folder / "parts", options=options, groupby=groupby)
            with client_for(client, cost=plan.cost) as workers:
                compute_epistasis(plan, client=workers, problem=lock.problem).raise_failures()
            return collect_epistasis(plan)


def compute_epistasis(
    plan: EpistasisPlan, *, client: Client | None = None, problem: Callable[[], str | None] = lambda: None
) -> RunStats:
    """Compute what is not finished of a plan. Blocks that fail are set aside, and told in what is returned.

    Parameters
    ----------
    plan
        From :func:`scanlink.tl.epistasis_plan.make_epistasis_plan`.
    client
        Dask client; None computes in this process.
    problem
        As in :func:`scanlink.run.run_blocks`.
    """
    stats = run_blocks(epistasis_block, context_of(plan), plan.blocks, plan.parts, client=client, problem=problem)
    log.info(
        "epistasis: %d blocks, %d found finished, %d computed in %.1f s",
        stats.n_blocks,
        stats.n_found,
        stats.n_computed,
        stats.seconds,
    )
    return stats


def epistasis_columns(n_enhancers: int, *, family: str = "poisson") -> list[str]:
    """Columns of the table, in order.

    Examples
    --------
    >>> epistasis_columns(2)[6:11]
    ['n_00', 'n_10', 'n_01', 'n_11', 'umi_00']
    """
    cells, umis = state_columns(n_enhancers)
    estimates = [f"{kind}_{name}" for name in quantity_names(n_enhancers) for kind in QUANTITY]
    theta = ["theta", "theta_converged"] if family == "negbin" else []
    return [
        *("group", "gene", *enhancer_columns(n_enhancers), "distance", "n_cells", *cells, *umis, *estimates, *RERI),
        *("min_interaction", "cook_ratio", *theta, "p_value", "fdr", "fdr_gene", "status"),
    ]


def collect_epistasis(plan: EpistasisPlan, *, set_aside: Collection[int] = ()) -> pd.DataFrame:
    """Put the parts of a finished plan together.

    Parameters
    ----------
    plan
        Whose parts are read.
    set_aside
        Numbers of blocks that failed: their pairs get the status ``failed``.

    Returns
    -------
    pandas.DataFrame
        A row for every pair, in the order of the plan; columns :func:`epistasis_columns`.

    Raises
    ------
    RunError
        If blocks are not finished, or a part is damaged; names the first.
    """
    blocks = plan.finished(set_aside=set_aside)
    columns, k = epistasis_columns(plan.n_enhancers, family=plan.options.family), plan.n_enhancers
    tables = [plan.parts.read(blocks).to_pandas()] if blocks else []
    plan.parts.sweep()
    for block in plan.blocks:
        if block.number in set_aside:
            row = np.arange(block.first, block.last)
            tables.append(pd.DataFrame({"group": block.group, "row": row, "status": "failed"}))
    table = pd.concat(tables, ignore_index=True).sort_values("row", kind="stable").reset_index(drop=True)
    # If every block failed, nothing has brought the columns of numbers.
    table = table.reindex(columns=result_schema(k).names)
    store, groups, row = Store.open(plan.store), plan.groups, table["row"].to_numpy()
    peaks = store.peaks.to_numpy(dtype=object)[plan.enhancers[row]]
    labels = {
        "group": np.array([group.name for group in groups], dtype=object)[table["group"]],
        "gene": store.genes.to_numpy(dtype=object)[plan.gene[row]],
        **{name: peaks[:, j] for j, name in enumerate(enhancer_columns(k))},
        "distance": pd.array(plan.distance[row], dtype="Int64"),
        "n_cells": np.array([group.n_cells for group in groups], dtype=np.int64)[table["group"]],
    }
    whole = [name for name in columns if name.startswith("n_boot_")] + state_columns(k)[0]
    table[whole] = table[whole].fillna(0).astype(np.int64)
    found = pd.concat([pd.DataFrame(labels), table.drop(columns=["group", "row"])], axis=1)
    found["p_value"] = found[f"{P_COLUMNS[plan.options.p_value]}_interaction"]
    found["fdr"], found["fdr_gene"] = (_rates(found, keys, plan.options) for keys in (["group"], ["group", "gene"]))
    return found[columns]


def _rates(table: pd.DataFrame, keys: list[str], options: EpistasisOptions) -> np.ndarray:
    p_values, out = table["p_value"].to_numpy(), np.full(len(table), np.nan)
    for members in table.groupby(keys, sort=False).indices.values():
        out[members] = adjust(p_values[members], method=options.method)
    return out
