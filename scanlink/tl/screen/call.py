"""The scan of a CRISPR screen: does perturbing a target change a gene?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from scanlink.io.raw_counts import Layer
from scanlink.pp.door import Screen
from scanlink.store.store import Store
from scanlink.tables import CONTROLS
from scanlink.tl.call import call
from scanlink.tl.perturbations.screen_store import counts_and_guides
from scanlink.tl.screen import SCREEN

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["screen"]


def screen(
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
    min_perturbed: int = 10,
    min_fraction: float = 0.0,
    min_nonzero: int = 5,
    min_cells: int = 10,
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
    """Test the effect of perturbing each target on each gene, with negative controls beside.

    Parameters
    ----------
    mdata
        MuData of genes and guides, a pair ``(rna, guide)`` of AnnData, or a scan store or its folder.
    pairs
        Columns ``gene`` and ``target``, as :func:`scanlink.pp.screen_pairs` gives them; ``distance`` (bp) and ``kind``
        (``discovery`` or ``positive_control``) if known.
    guides
        A row a guide, named by the index: ``target``, and if known ``efficiency`` (0 to 1) and ``threshold`` (UMIs).
        Left out, it is that of ``mdata``, or of the store.
    groupby, groups
        Column of ``mdata.obs`` with groups of cells that are tested apart, and which of its values; None makes all
        cells one group, ``all``.
    formula
        Covariates in R's notation; ``offset(log(nUMI))`` is a known part of the log expected count.
    family
        ``"negbin"``: theta by maximum likelihood, as ``glm.nb`` of R has it; or ``"poisson"``.
    p_value
        Which p-value the false discovery rate is taken on: ``"wald"`` (that of GLiMMIRS), ``"robust"``,
        ``"bootstrap"``, ``"tail"`` or ``"permutation"``. Permutation is
        run only when chosen, the bootstrap where there is a ``ladder``.
    ladder
        Replicates of the bootstrap, as in :func:`scanlink.tl.scan`: ``"scent"`` or another; ``"none"`` does without.
    permutations
        A number, or stages ``(permutations, go on below p)``, each of which contains the one before: ``"glimmirs"``
        is 100, 1,000 below .1, 10,000 below .01.
    seed
        Of bootstrap, permutation and controls. Same seed, same numbers, whatever the number of workers.
    theta
        Dispersion in the bootstrap: ``"held"`` or ``"estimated"`` in each replicate.
    cluster
        Column of ``mdata.obs`` with what cells have in common, such as the donor: as in :func:`scanlink.tl.scan`.
    robust
        Small-sample form of the sandwich error: ``"HC0"``, ``"HC2"``, ``"HC3"``.
    pseudocount
        Added to all counts of the fits; GLiMMIRS adds 0.01, which is no better (docs/screens.md).
    missing_efficiency
        Of guides that have none; None: the median of the others, 1 if none has. GLiMMIRS: 0, which takes such guides
        for absent.
    min_perturbed
        Least number of cells with the perturbation, and without.
    min_fraction, min_nonzero
        The gene is non-zero in more than this share of the group, and in at least so many cells.
    min_cells
        Groups with fewer cells are not tested.
    controls
        Negative controls that are tested beside: ``non_targeting`` (guides without target, in sets as large as a
        target's), ``shuffled`` (the perturbation given to other cells) and ``mismatched`` (a gene all of whose
        targets lie on other chromosomes).
    n_controls
        Rows of each kind; None: as many as pairs, at least 1,000, if there are so many.
    fdr_method
        ``"bh"``, ``"by"`` or ``"storey"``.
    layer, rna_key, guide_key
        As in :func:`scanlink.pp.screen_qc`.
    block_genes, client, out
        As in :func:`scanlink.tl.scan`.

    Returns
    -------
    pandas.DataFrame
        A row a test, what was asked for before the controls: ``kind``, group, gene, target, distance (bp), n_cells,
        n_perturbed, frac_gene (share of cells with a count of the gene); ``beta`` (natural log, of full perturbation),
        ``se``, ``z``, a ``p_*`` for each kind of p-value (``p`` is model based); ``se_robust``, ``p_robust``,
        ``p_boot``, ``n_boot``, ``p_tail``, ``p_perm``, ``n_perm``; ``theta`` and ``theta_converged``; ``min_effect``,
        the smallest absolute effect with an 80 % chance of p < .05 at this error; ``p_value``, ``fdr`` (within the
        group, over what was asked for). ``status`` is ``ok`` or, with estimates NaN, ``gene_rare``, ``few_perturbed``,
        ``separated`` (the gene is 0 in all cells with or without the perturbation), ``collinear``, ``not_converged``,
        ``too_few_cells``, ``too_few_clusters``, ``failed``.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if the data or an option cannot be used.
    RunError
        If blocks fail on the workers, or the folder cannot be written or is in use by another call.

    Notes
    -----
    Section 4 of the epistasis notes::

        x_i = 1 - prod_g (1 - G_gi eff_g)                   over the guides g of the target
        log mu = o + C gamma + b x,   Var y = mu + mu^2 / theta

    Zhou et al. 2024, Cell Genomics 4:100672. ``p_robust`` is that of :func:`scanlink.stats.calibrated_p` on x (in
    steps of 1/50 where it is a probability), ``p_perm`` that of :func:`scanlink.stats.permutation_p`. docs/screens.md
    has their rejection rates on real controls.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.tl.simulate_screen(n_cells=600, n_genes=4, n_targets=4, seed=1)
    >>> table = sl.tl.screen(data.mdata, data.pairs, controls=["shuffled"], n_controls=10)
    >>> int((table["kind"] == "shuffled").sum())
    10
    """
    arguments = locals()
    return call(SCREEN, arguments, tables={"pairs": pairs}, counts=partial(counts_and_guides, guides=guides))
