"""Whether the effects of two perturbations on one gene multiply or add up: both models, and their AIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError, OptionError
from scanlink.stats._combine import FLOOR, maximise
from scanlink.stats._negbin import count_times
from scanlink.stats._newton import CONVERGED, glm_path
from scanlink.stats._types import Floats
from scanlink.stats.negbin import checked_whole

__all__ = ["CombinedFit", "LinkComparison", "compare_links", "fit_combined"]

Link = Literal["log", "identity"]
Family = Literal["negbin", "poisson"]


@dataclass(frozen=True)
class CombinedFit:
    """A fit of two perturbations' effects on one gene, without interaction.

    Attributes
    ----------
    link
        ``"log"``: effects multiply; ``"identity"``: they add up.
    coef
        Coefficients of the design, natural logarithm. Shape ``(n_terms,)``; NaN for a term that the others explain.
    effects
        ``a`` and ``b``, of full perturbations. With link ``"log"`` log fold changes; with ``"identity"`` fold changes
        less 1, so that -0.4 is a loss of 40 % of the expression. Shape ``(2,)``; NaN as for ``coef``.
    fitted
        Expected counts. Shape ``(n_cells,)``.
    theta
        Inverse dispersion; ``inf`` for Poisson and where counts are not overdispersed. NaN where no cell has a count.
    loglik
        Log likelihood with all constants. NaN where no cell has a count.
    n_parameters
        How many were fitted: coefficients, effects, and theta of a negative binomial fit even where it is ``inf``.
    n_iter
        Newton steps, over all rounds between coefficients and theta.
    converged
        Whether both stopped moving.
    at_bound
        Whether effects that add up leave no expression in some cell, ``1 + a x1 + b x2 = 0``, beyond which they cannot
        go. That cell's count is then 0.
    """

    link: Link
    coef: Floats
    effects: Floats
    fitted: Floats
    theta: float
    loglik: float
    n_parameters: int
    n_iter: int
    converged: bool
    at_bound: bool

    @property
    def aic(self) -> float:
        """Compute Akaike's information criterion, ``2 n_parameters - 2 loglik``: the less, the better."""
        return 2.0 * self.n_parameters - 2.0 * self.loglik


@dataclass(frozen=True)
class LinkComparison:
    """Two perturbations' effects as factors and as summands.

    Attributes
    ----------
    multiplicative, additive
        Both fits, of the same cells and with as many parameters.
    n_both
        Cells with both perturbations. Where ``x`` is 0 or 1 only they tell the models apart.
    """

    multiplicative: CombinedFit
    additive: CombinedFit
    n_both: int

    @property
    def aic_multiplicative(self) -> float:
        """Return the AIC where effects multiply."""
        return self.multiplicative.aic

    @property
    def aic_additive(self) -> float:
        """Return the AIC where effects add up."""
        return self.additive.aic

    @property
    def difference(self) -> float:
        """Return AIC where effects add up less AIC where they multiply: above 0 where counts look multiplicative."""
        return self.additive.aic - self.multiplicative.aic


def fit_combined(
    counts: ArrayLike,
    x1: ArrayLike,
    x2: ArrayLike,
    design: ArrayLike,
    *,
    offset: ArrayLike | None = None,
    link: Link = "log",
    family: Family = "negbin",
) -> CombinedFit:
    """Fit a regression in which two perturbations' effects multiply, or add up, by maximum likelihood.

    Parameters
    ----------
    counts, offset
        As in :func:`fit_poisson`.
    x1, x2
        How far each cell is perturbed at either enhancer, from 0 to 1. Shape ``(n_cells,)``.
    design
        Intercept and covariates, without the perturbations. Shape ``(n_cells, n_terms)``.
    link
        ``"log"``: effects multiply; ``"identity"``: they add up.
    family
        ``"negbin"``, with theta by maximum likelihood, or ``"poisson"``.

    Returns
    -------
    CombinedFit
        The fit. A perturbation that the terms before it explain is left out: NaN.

    Raises
    ------
    InputError
        If shapes differ, or counts are negative, not whole numbers or above a million.
    DesignError
        If the design has more columns than rows, or values that are not finite.
    OptionError
        If ``link`` or ``family`` is not known.

    Notes
    -----
    Multiplicative: ``mu_i = exp(o_i + C_i gamma) exp(a x1_i + b x2_i)``. Additive: ``mu_i = exp(o_i + C_i gamma)
    (1 + a x1_i + b x2_i)``, with all sums above 0. Depth, batch and cell cycle multiply in both: a cell with twice the
    UMIs has twice the counts however the enhancers act, so that a model in which they too add up is wrong about depth
    before it comes to the enhancers. GLiMMIRS (Zhou et al. 2024, Cell Genomics 4:100672) puts the whole model on the
    identity link; its AIC compares how covariates act as well as how enhancers do.

    Coefficients at a given theta and theta at given means, in turn, both by Newton's method. Sums are held
    above 1e-9; where the best ones are lower, the fit lies on that bound. Where the Poisson likelihood falls with the
    first overdispersion, theta is ``inf``, and unlike that of :func:`scanlink.stats.fit_negbin` not some large number.

    Examples
    --------
    >>> import numpy as np
    >>> x1, x2 = np.repeat([0, 1, 0, 1], 3), np.repeat([0, 0, 1, 1], 3)
    >>> counts = [9, 10, 11, 6, 7, 8, 4, 5, 6, 1, 2, 3]  # 10, less 3, less 5, less both
    >>> fit = fit_combined(counts, x1, x2, np.ones((12, 1)), link="identity", family="poisson")
    >>> np.exp(fit.coef).round(4), fit.effects.round(4)
    (array([10.]), array([-0.3, -0.5]))
    """
    if link not in ("log", "identity"):
        raise OptionError(f"link {link!r} is not known; expected 'log' or 'identity'")
    y, terms, o, times = _checked(counts, x1, x2, design, offset, family)
    fit = _fit(y, terms, o, times, family, None)
    return fit if link == "log" else _fit(y, terms, o, times, family, fit)


def compare_links(
    counts: ArrayLike,
    x1: ArrayLike,
    x2: ArrayLike,
    design: ArrayLike,
    *,
    offset: ArrayLike | None = None,
    family: Family = "negbin",
) -> LinkComparison:
    """Fit both models of two perturbations' effects on one gene, for their AIC.

    Parameters
    ----------
    counts, x1, x2, design, offset, family
        As in :func:`fit_combined`.

    Returns
    -------
    LinkComparison
        Both fits. Where no cell has both perturbations, and ``x`` is 0 or 1, they have the same likelihood, and
        nothing is compared.

    Raises
    ------
    InputError, DesignError, OptionError
        As :func:`fit_combined`.

    Warnings
    --------
    Few cells have both perturbations, and a difference of a few units is what chance makes of them. With ``x`` between
    0 and 1 the models also differ in cells with one perturbation, ``exp(a x)`` against ``1 + a x``: what then decides
    may be how an effect grows with efficiency, not how two effects combine.

    Examples
    --------
    >>> import numpy as np
    >>> x1, x2 = np.repeat([0, 1, 0, 1], 3), np.repeat([0, 0, 1, 1], 3)
    >>> counts = [90, 100, 110, 60, 70, 80, 40, 50, 60, 10, 20, 30]
    >>> comparison = compare_links(counts, x1, x2, np.ones((12, 1)))
    >>> comparison.n_both, comparison.difference < 0  # the counts add up
    (3, True)
    """
    y, terms, o, times = _checked(counts, x1, x2, design, offset, family)
    multiplicative = _fit(y, terms, o, times, family, None)
    additive = _fit(y, terms, o, times, family, multiplicative)
    return LinkComparison(multiplicative, additive, int(((terms[-2] != 0) & (terms[-1] != 0)).sum()))


def _fit(
    y: Floats, terms: Floats, o: Floats, times: Floats, family: Family, multiplicative: CombinedFit | None
) -> CombinedFit:
    """Fit the multiplicative model; or the additive one, which starts at the fit of the ``multiplicative`` one."""
    size, alpha, silent = terms.shape[0], 0.0, not y.any()
    aliased, mu = np.zeros(size, dtype=np.bool_), np.empty(y.size)
    if multiplicative is None:
        coef = np.zeros(size)
        data = (y, np.ascontiguousarray(terms.T), o)
        glm_path(data, None, np.ones(y.size), coef, -1, np.empty((size, size)), aliased)
        if not np.isfinite(coef).all() or np.abs(coef).max() > 1e3:
            coef = np.zeros(size)
    else:
        coef = np.nan_to_num(np.concatenate([multiplicative.coef, np.expm1(np.minimum(multiplicative.effects, 10.0))]))
        sums = np.einsum("k,ki->i", coef[-2:], terms[-2:])
        # Losses that multiply may be more than all when they add up.
        coef[-2:] *= min(1.0, 0.95 / max(-sums.min(), 1e-9))
        alpha = 0.0 if silent else 1.0 / multiplicative.theta
    state, steps, alpha, loglik, smallest_sum = maximise(
        y, terms, o, times, family == "negbin" and not silent, multiplicative is not None, alpha, coef, aliased, mu
    )
    n_parameters = int(size - aliased.sum()) + (family == "negbin")
    coef[aliased] = np.nan
    return CombinedFit(
        "log" if multiplicative is None else "identity",
        coef[:-2],
        coef[-2:],
        mu,
        np.nan if silent else (1.0 / alpha if alpha > 0 else np.inf),
        np.nan if silent else float(loglik),
        n_parameters,
        int(steps),
        state == CONVERGED and not silent,
        bool(smallest_sum < 10 * FLOOR),
    )


def _checked(
    counts: ArrayLike, x1: ArrayLike, x2: ArrayLike, design: ArrayLike, offset: ArrayLike | None, family: Family
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return counts, terms with a row each (the perturbations last), offset, and how many cells have each count."""
    if family not in ("negbin", "poisson"):
        raise OptionError(f"family {family!r} is not known; expected 'negbin' or 'poisson'")
    z = np.asarray(design, dtype=np.float64)
    perturbations = [np.asarray(x, dtype=np.float64) for x in (x1, x2)]
    for name, x in zip(("x1", "x2"), perturbations, strict=True):
        if z.ndim != 2 or x.shape != z.shape[:1]:
            raise InputError(
                f"{name} has shape {x.shape} and design {z.shape}, expected (n_cells,), (n_cells, n_terms)"
            )
    y, z, o, _ = checked_whole(counts, np.column_stack([z, *perturbations]), offset, 0.0)
    return y, np.ascontiguousarray(z.T), o, count_times(y, np.ones(y.size), 0.0)
