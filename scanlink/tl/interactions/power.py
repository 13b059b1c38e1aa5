"""How often a screen would see an interaction of two targets: by simulation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from scanlink.ds.screen_model import Perturbation, ScreenModel, whole_number
from scanlink.errors import InputError, OptionError
from scanlink.run import check_client
from scanlink.stats.detectable import null_se, smallest_effect
from scanlink.stats.interaction import score_p
from scanlink.stats.negbin import fit_negbin

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["PairTest", "power_screen", "run_pairs"]

log = logging.getLogger("scanlink")

# Genes of a task: the cells and guides are drawn anew in each.
_PER_TASK = 25


class PairTest(NamedTuple):
    """One simulated pair of targets, tested: effects are natural logs."""

    gene: int
    guides_per_cell: float
    interaction: float
    n_both: int
    beta: float
    se: float
    p_wald: float
    p_robust: float
    min_interaction: float


def power_screen(
    *,
    guides_per_cell: Sequence[float] = (15.0, 20.0, 30.0, 50.0),
    interaction: Sequence[float] = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
    n_pairs: int = 200,
    n_cells: int = 50_000,
    n_targets: int = 1_000,
    guides_per_target: int = 2,
    efficiencies: tuple[float, float] = (6.0, 3.0),
    efficiency_noise: float | None = None,
    perturbation: Perturbation = "probability",
    baseline: tuple[float, float] = (2.95, 1.55),
    effect: tuple[float, float] = (0.02, 0.16),
    theta: float = 1.5,
    min_both: int = 11,
    alpha: float = 0.05,
    seed: int = 0,
    client: Client | None = None,
) -> pd.DataFrame:
    """Estimate the power to see interactions of two targets, and count rejections where there are none.

    Parameters
    ----------
    guides_per_cell
        Mean numbers of guides in a cell.
    interaction
        Interactions of the two targets (natural log); 0 gives the rate of false positives.
    n_pairs
        Pairs tested in each setting: the first that have enough cells.
    n_cells, n_targets, guides_per_target, efficiencies, efficiency_noise, perturbation, baseline, effect, theta
        Of the screen: see :func:`scanlink.tl.simulate_screen`. There are no guides without target.
    min_both
        Least cells with guides of both targets. The published power is of pairs with more than 10.
    alpha
        P-value up to which an interaction is called.
    seed
        The same seed gives the same numbers, whatever the other settings of the grid.
    client
        Dask client; None computes in this process.

    Returns
    -------
    pandas.DataFrame
        A row a setting: ``guides_per_cell``, ``interaction``, ``n_pairs`` (tested), ``n_both`` (mean number of cells
        with guides of both targets), ``wald`` and ``robust`` (share of the pairs called), ``error_wald`` and
        ``error_robust`` (their Monte-Carlo standard errors), ``n_failed`` (pairs without a p-value, which are not
        called), and ``min_interaction`` (median over pairs of the smallest interaction that a pair had 80 % power
        to see, by its own error).

    Raises
    ------
    OptionError
        If an option is impossible.
    InputError
        If no pair has enough cells, or ``client`` is no client.

    Warnings
    --------
    The simulation is kind to the test. The counts are negative binomial with one theta, expression follows the
    *probability* that a target is perturbed (as published), and the analysis knows the efficiencies. With
    ``perturbation="drawn"`` or an ``efficiency_noise`` it is less so. Pairs with too few cells are left out, and not
    counted as missed, as in the published power: with 15 guides a cell that is nearly half of them.

    Notes
    -----
    ``log mu = b0 + bA xA + bB xB + bAB xA xB + s_score + g2m_score + percent.mito + log(nUMI / 1e6)`` is fitted to
    counts that come from it: ``wald`` is the test of Zhou et al. 2024 (Cell Genomics 4:100672), that of bAB in
    ``MASS::glm.nb``, and ``robust`` the score test of :func:`scanlink.stats.score_p`. The published grid is the
    default; ``benchmarks/screen_power.py`` prints the results beside the published ones.

    Examples
    --------
    >>> table = power_screen(guides_per_cell=[8], interaction=[0, 2], n_pairs=8, n_cells=3000, n_targets=40)
    >>> table[["interaction", "n_pairs", "n_failed"]].values.tolist()
    [[0.0, 8.0, 0.0], [2.0, 8.0, 0.0]]
    >>> bool(table["wald"][1] > table["wald"][0])
    True
    """
    whole_number("n_pairs", n_pairs, 1)
    whole_number("min_both", min_both, 1)
    if not 0 < alpha < 1:
        raise OptionError(f"alpha: expected a number between 0 and 1; found {alpha!r}")
    sizes = [float(size) for size in interaction]
    if not sizes or not np.isfinite(sizes).all() or not len(guides_per_cell):
        raise OptionError("guides_per_cell and interaction: expected lists of numbers, with at least one each")
    check_client(client)
    models = [
        ScreenModel(
            n_cells,
            n_targets,
            guides_per_target,
            0,
            float(mean),
            tuple(efficiencies),
            efficiency_noise,
            perturbation,
            tuple(baseline),
            tuple(effect),
            "multiplicative",
            float(theta),
            seed,
        )
        for mean in guides_per_cell
    ]
    pairs = run_pairs(models, sizes, n_pairs=n_pairs, min_both=min_both, alpha=alpha, client=client)
    groups = pairs.groupby(["guides_per_cell", "interaction"], sort=False)
    return pd.DataFrame([_row(own, alpha) for _, own in groups])


def run_pairs(
    models: Sequence[ScreenModel],
    interactions: Sequence[float],
    *,
    n_pairs: int,
    min_both: int,
    alpha: float = 0.05,
    client: Client | None = None,
) -> pd.DataFrame:
    """Test every simulated pair of screens, one screen a mean number of guides: rows of :class:`PairTest`."""
    tasks = []
    for model in models:
        possible = (k for k in range(model.n_targets // 2) if model.n_both(k) >= min_both)
        chosen = [k for k, _ in zip(possible, range(n_pairs), strict=False)]
        if not chosen:
            raise InputError(
                f"with {model.guides_per_cell:g} guides in a cell, no pair has {min_both} cells with guides of both "
                "targets: give more cells, fewer targets or a smaller min_both"
            )
        if len(chosen) < n_pairs:
            log.warning(
                "with %g guides in a cell %d pairs are tested, not %d: no more of %d have %d cells with guides of both",
                model.guides_per_cell,
                len(chosen),
                n_pairs,
                model.n_targets // 2,
                min_both,
            )
        tasks += [(model, tuple(chosen[k : k + _PER_TASK])) for k in range(0, len(chosen), _PER_TASK)]
    sizes = tuple(interactions)
    if client is None:
        found = [_test(model, genes, sizes, alpha) for model, genes in tasks]
    else:
        found = client.gather([client.submit(_test, *task, sizes, alpha, pure=False) for task in tasks])
    return pd.DataFrame([row for part in found for row in part], columns=PairTest._fields)


def _test(model: ScreenModel, genes: tuple[int, ...], sizes: tuple[float, ...], alpha: float) -> list[PairTest]:
    """Simulate and test some genes with every interaction."""
    cells = model.cells()
    rows = []
    for gene in genes:
        first, second = model.known(gene)
        both = first * second
        # The interaction last, so that what is before it is the model without.
        design = np.column_stack([np.ones(model.n_cells), first, second, cells.covariates, both])
        n_both = model.n_both(gene)
        for size in sizes:
            counts = model.counts(gene, size).astype(np.float64)
            beta = se = p_wald = p_robust = least = np.nan
            fit = fit_negbin(counts, design, offset=cells.offset) if counts.any() else None
            if fit is not None and fit.converged and np.isfinite(fit.coef).all():
                beta, se = float(fit.coef[-1]), float(fit.se[-1])
                p_wald = float(2 * ndtr(-abs(beta / se)))
                with np.errstate(over="ignore"):
                    without = fit.fitted * np.exp(-beta * both)
                theta = fit.theta if np.isfinite(fit.theta) else None
                least = float(smallest_effect(null_se(without, both, design[:, :-1], theta=theta), alpha=alpha))
            if fit is not None:
                p_robust = score_p(counts, both, design[:, :-1], offset=cells.offset)
            rows.append(PairTest(gene, model.guides_per_cell, size, n_both, beta, se, p_wald, p_robust, least))
    return rows


def _row(own: pd.DataFrame, alpha: float) -> dict[str, float]:
    """Count the pairs of one setting that are called, as shares."""
    row = {name: float(own[name].iloc[0]) for name in ("guides_per_cell", "interaction")}
    row |= {"n_pairs": len(own), "n_both": float(own["n_both"].mean())}
    for name in ("wald", "robust"):
        called = float((own[f"p_{name}"] <= alpha).mean())
        row |= {name: called, f"error_{name}": float(np.sqrt(called * (1 - called) / len(own)))}
    failed = own[["p_wald", "p_robust"]].isna().any(axis=1).sum()
    return row | {"n_failed": int(failed), "min_interaction": own["min_interaction"].median()}
