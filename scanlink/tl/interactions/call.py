"""Pairs of targets of a gene in a CRISPR screen: do two perturbations act together?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from scanlink.errors import InputError
from scanlink.io.raw_counts import Layer
from scanlink.pp.door import Screen
from scanlink.store.store import Store
from scanlink.tables import CONTROLS
from scanlink.tl.call import call
from scanlink.tl.interactions import INTERACTIONS
from scanlink.tl.perturbations.screen_store import counts_and_guides

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["screen_interactions"]


def screen_interactions(
    mdata: Screen | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    guides: pd.DataFrame | None = None,
    groupby: str | None = None,
    groups: Sequence[str] | None = None,
    formula: str = "guide_count + percent.mito + offset(log(nUMI))",
    family: str = "negbin",
    p_value: str = "robust",
    ladder: str | Iterable[tuple[int, float | None]] | None = "none",
    permutations: str | int | Iterable[tuple[int, float | None]] = "glimmirs",
    seed: int = 0,
    theta: str = "held",
    cluster: str | None = None,
    robust: str = "HC3",
    pseudocount: float = 0.0,
    missing_efficiency: float | None = None,
    min_both: int = 10,
    min_fraction: float = 0.0,
    min_nonzero: int = 5,
    min_cells: int = 10,
    additive: bool = True,
    controls: Sequence[str] = CONTROLS,
    n_controls: int | None = None,
    fdr_method: str = "bh",
    block_genes: int | None = None,
    layer: Layer = None,
    rna_key: str | None = None,
    guide_key: str | None = None,
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Test the interaction of two perturbations on a gene, with negative controls beside.

    Parameters
    ----------
    mdata, guides
        As in :func:`scanlink.tl.screen`.
    pairs
        Columns ``gene``, ``target_1`` and ``target_2``, as :func:`target_pairs` gives them; ``distance`` if known.
    groupby, groups, formula, family, p_value, ladder, permutations, seed, theta, cluster, robust
        As in :func:`scanlink.tl.screen`. P-values are of the interaction.
    pseudocount, missing_efficiency, min_fraction, min_nonzero, min_cells, controls, n_controls, fdr_method
        As in :func:`scanlink.tl.screen`; a control has two targets.
    min_both
        Least number of cells with both perturbations.
    additive
        Whether effects that add are compared with effects that multiply, at the cost of two more fits a row.
    layer, rna_key, guide_key
        As in :func:`scanlink.pp.screen_qc`.
    block_genes, client, out
        As in :func:`scanlink.tl.scan`.

    Returns
    -------
    pandas.DataFrame
        A row a test, what was asked for before the controls: ``kind``, group, gene, target_1, target_2, distance,
        n_cells; cells ``n_00`` to ``n_11`` with either, neither or both perturbations; ``beta_*``, ``se_*`` and
        ``p_*`` (model based) of ``1``, ``2`` and ``interaction`` (natural log); ``se_robust_interaction``,
        ``p_robust_interaction``, ``p_boot_interaction``, ``n_boot_interaction``, ``p_tail_interaction``,
        ``p_perm_interaction``, ``n_perm_interaction``, ``ci_low_interaction`` and ``ci_high_interaction`` (95 %);
        ``theta`` and ``theta_converged``; ``min_interaction``, the smallest absolute interaction with an 80 % chance
        of p < .05 at this error: without it, "no interaction" says nothing. ``cook_ratio`` is Cook's largest distance
        among cells with both perturbations over its mean there, ``outlier`` whether it is above 5 as Zhou et al. have
        it, ``p_trimmed_interaction`` the model-based p-value without the cell of the largest. ``aic_multiplicative``
        and ``aic_additive`` are of both ways to combine two effects, without interaction, of targets perturbed or not.
        ``p_value``, ``fdr``
        (within the group, over what was asked for), ``status``: ``ok`` or, with estimates NaN, ``too_few_11``,
        ``separated`` (the gene is 0 in some state), and as in :func:`scanlink.tl.screen`.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if the data or an option cannot be used.
    RunError
        If blocks fail on the workers, or the folder cannot be written or is in use by another call.

    Notes
    -----
    ``log mu = o + C gamma + bA xA + bB xB + bAB xA xB``, section 4 of the epistasis notes (Zhou et al. 2024, Cell
    Genomics 4:100672). ``p_robust_interaction`` is that of :func:`scanlink.stats.score_p`; ways to combine effects are
    those of :func:`scanlink.stats.compare_links`.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.tl.simulate_screen(n_cells=3000, n_genes=2, n_targets=4, guides_per_cell=3, seed=1)
    >>> table = sl.tl.screen_interactions(data.mdata, data.target_pairs, controls=[])
    >>> len(table) == len(data.target_pairs)
    True
    """
    arguments = locals()
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs is a {type(pairs).__name__}, expected a table as scanlink.tl.target_pairs gives it")
    counts = partial(counts_and_guides, guides=guides)
    return call(INTERACTIONS, arguments, tables={"target_pairs": pairs}, counts=counts)
