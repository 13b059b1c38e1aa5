"""What single cells do to a regression: sandwich standard errors of sums of coefficients, and Cook's distance."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import OptionError
from scanlink.stats._strata import predict, quadratic_forms, split_strata
from scanlink.stats._types import Floats

__all__ = ["SandwichKind", "cooks_distance", "sandwich_influence", "sandwich_se"]

SandwichKind = Literal["HC0", "HC2", "HC3"]

# Closer to 1 than this a leverage leaves no residual.
_ROOM = 1e-6
_POWER = {"HC0": 0.0, "HC2": 0.5, "HC3": 1.0}


def sandwich_se(
    counts: ArrayLike,
    fitted: ArrayLike,
    design: ArrayLike,
    covariance: Floats,
    *,
    target: int | ArrayLike,
    kind: SandwichKind = "HC3",
    theta: float | None = None,
    clusters: NDArray[np.integer] | None = None,
) -> float:
    """Compute a standard error that is robust to how counts vary, and to cells of one cluster resembling each other.

    Parameters
    ----------
    counts
        Raw UMI counts. Shape ``(n_cells,)``.
    fitted
        Expected counts of the fit. Shape ``(n_cells,)``.
    design
        Intercept, peak and covariates. Shape ``(n_cells, n_terms)``.
    covariance
        Inverse Fisher information ``H^-1``; NaN rows for terms left out. Shape ``(n_terms, n_terms)``.
    target
        Column whose standard error is wanted; for a sum of coefficients, the factor of each in it, shape
        ``(n_terms,)``.
    kind
        Small-sample form: ``"HC0"`` is what the case bootstrap estimates; ``"HC2"`` and ``"HC3"`` divide each residual
        by ``(1 - h_i)^(1/2)`` and ``1 - h_i``, with ``h_i`` the leverage. With clusters these are CR0, CR2 and CR3.
    theta
        Inverse dispersion of a negative binomial fit; None for a Poisson fit.
    clusters
        Cluster (donor) of each cell, from 0: cells of different clusters are independent, and only they. Shape
        ``(n_cells,)``. None takes all cells for independent.

    Returns
    -------
    float
        Standard error, natural logarithm. NaN for HC2 and HC3 where one cell, or cluster, alone determines the
        coefficient, and where there is but one cluster.

    Raises
    ------
    OptionError
        If ``kind`` is none of the three.

    Notes
    -----
    Section 2 of the association notes: ``H^-1 (sum u_i u_i') H^-1`` with ``u_i = (y_i - mu_i) z_i``. HC3: MacKinnon
    and White 1985, J Econometrics 29:305. The leverage of a Poisson fit is ``h_i = mu_i z_i' H^-1 z_i``. A negative
    binomial fit has ``u_i = (y_i - mu_i) / (1 + mu_i / theta) z_i``, and ``mu_i / (1 + mu_i / theta)`` for ``mu_i`` in
    the leverage. With clusters ``u_g`` is the sum over the cells of a cluster, and for CR2 and CR3 multiplied by
    ``(I - M_g H^-1)^(-1/2)`` and ``(I - M_g H^-1)^-1``, where ``M_g = sum mu_i z_i z_i'`` over these cells (Bell and
    McCaffrey 2002, Survey Methodology 28:169).

    Warnings
    --------
    With fewer than about ten clusters a cluster-robust error is itself too uncertain to go by; compare ``z`` with a t
    distribution with one degree of freedom less than there are clusters.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import fit_poisson
    >>> z = np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1]])
    >>> y = np.array([1, 2, 3, 2, 4, 6])
    >>> fit = fit_poisson(y, z, path="newton")
    >>> round(sandwich_se(y, fit.fitted, z, fit.covariance, target=1, kind="HC0"), 6)  # sqrt(2/36 + 8/144)
    0.333333
    """
    influence = sandwich_influence(
        counts, fitted, design, covariance, target=target, kind=kind, theta=theta, clusters=clusters
    )
    return float(np.sqrt(np.sum(influence * influence)))


def sandwich_influence(
    counts: ArrayLike,
    fitted: ArrayLike,
    design: ArrayLike,
    covariance: Floats,
    *,
    target: int | ArrayLike,
    kind: SandwichKind = "HC3",
    theta: float | None = None,
    clusters: NDArray[np.integer] | None = None,
) -> Floats:
    """Compute what each cell, or cluster, adds to a coefficient; the root of the sum of squares is its error.

    Errors of estimates from overlapping cells follow from the influences' sums: see :func:`scanlink.stats.fit_states`.

    Parameters
    ----------
    counts, fitted, design, covariance, target, kind, theta, clusters
        As in :func:`sandwich_se`.

    Returns
    -------
    numpy.ndarray
        Natural logarithm. Shape ``(n_cells,)``, or ``(n_clusters,)``; NaN where the error is.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import fit_poisson
    >>> y, z = np.array([1, 2, 3]), np.ones((3, 1))
    >>> fit = fit_poisson(y, z, path="newton")
    >>> sandwich_influence(y, fit.fitted, z, fit.covariance, target=0, kind="HC0").round(4)
    array([-0.1667,  0.    ,  0.1667])
    """
    if kind not in _POWER:
        raise OptionError(f"kind {kind!r} is not known; expected one of {', '.join(map(repr, _POWER))}")
    y, mu, z = (np.asarray(a, dtype=np.float64) for a in (counts, fitted, design))
    shrink = 1.0 if theta is None else 1.0 / (1.0 + mu / theta)
    residual, weight = (y - mu) * shrink, mu * shrink
    estimable = ~np.isnan(np.diag(covariance))
    sum_of = (
        np.eye(estimable.size)[target]
        if isinstance(target, (int, np.integer))
        else np.asarray(target, dtype=np.float64)
    )
    z, inverse, sum_of = z[:, estimable], covariance[np.ix_(estimable, estimable)], sum_of[estimable]
    if clusters is not None:
        return _clustered_influence(residual, weight, z, inverse, sum_of, _POWER[kind], np.asarray(clusters))
    along, forms = _projections(z, inverse, sum_of)
    influence = residual * along
    if _POWER[kind]:
        leverage = weight * forms
        room = 1.0 - leverage
        alone = room < _ROOM
        # A cell that alone determines a term has no residual to tell its error by; if the term is the wanted one,
        # nothing can be said.
        if (np.abs(along[alone]) > 1e-12).any():
            return np.full(y.size, np.nan)
        influence = np.where(alone, 0.0, influence / np.where(alone, 1.0, room) ** _POWER[kind])
    return influence


def _projections(design: Floats, inverse: Floats, sum_of: Floats) -> tuple[Floats, Floats]:
    """Compute ``z'H^-1 a`` of the wanted sum of coefficients, a, and ``z'H^-1 z`` of every cell's terms z."""
    rest, strata = split_strata(design)
    if strata is not None:
        rows, along = np.ascontiguousarray(rest.T), np.empty(design.shape[0])
        predict(rows, strata, np.zeros(along.size), np.einsum("jk,k->j", inverse, sum_of), along)
        return along, quadratic_forms(rows, strata, inverse)
    # einsum sums in a fixed order, where a BLAS product depends on its number of threads.
    projection = np.einsum("ij,jk->ik", design, inverse)
    return np.einsum("ij,j->i", projection, sum_of), np.einsum("ij,ij->i", projection, design)


def cooks_distance(
    counts: Floats,
    fitted: Floats,
    design: Floats,
    covariance: Floats,
    *,
    rows: NDArray[np.integer] | None = None,
    theta: float | None = None,
) -> Floats:
    """Compute Cook's distance of cells in a Poisson or negative binomial regression.

    Parameters
    ----------
    counts, fitted, design, covariance, theta
        As in :func:`sandwich_se`.
    rows
        Positions of the cells that are wanted; all when left out. Shape ``(n_rows,)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_rows,)``.

    Notes
    -----
    ``D_i = r_i^2 h_i / (p (1 - h_i)^2)`` with Pearson residuals ``r_i``, leverages ``h_i`` and p terms, as
    ``cooks.distance`` of R has it with dispersion 1 (Cook 1977, Technometrics 19:15).

    Examples
    --------
    Two cells and their mean: leverages 1/2, residuals 1/2.

    >>> cooks_distance(np.array([1.0, 3.0]), np.array([2.0, 2.0]), np.ones((2, 1)), np.array([[0.25]]))
    array([1., 1.])
    """
    estimable = ~np.isnan(np.diag(covariance))
    cells = np.arange(fitted.size) if rows is None else rows
    z, mu = design[cells][:, estimable], fitted[cells]
    shrink = 1.0 if theta is None else 1.0 / (1.0 + mu / theta)
    leverage = mu * shrink * np.einsum("ij,jk,ik->i", z, covariance[np.ix_(estimable, estimable)], z)
    residual = (counts[cells] - mu) ** 2 / mu * shrink
    with np.errstate(divide="ignore", invalid="ignore"):
        distance: Floats = residual * leverage / (np.count_nonzero(estimable) * (1.0 - leverage) ** 2)
    return distance


def _clustered_influence(
    residual: Floats,
    weight: Floats,
    design: Floats,
    inverse: Floats,
    sum_of: Floats,
    power: float,
    clusters: NDArray[np.integer],
) -> Floats:
    """Compute what each cluster of cells adds to a sum of coefficients."""
    n_clusters, p = int(clusters.max()) + 1, design.shape[1]
    if n_clusters < 2:
        return np.full(n_clusters, np.nan)
    score = np.zeros((n_clusters, p))
    np.add.at(score, clusters, residual[:, None] * design)
    if power == 0.0:
        return np.einsum("gj,j->g", score, np.einsum("ij,j->i", inverse, sum_of))
    information = np.zeros((n_clusters, p, p))
    for j in range(p):
        for k in range(p):
            information[:, j, k] = np.bincount(clusters, weight * design[:, j] * design[:, k], minlength=n_clusters)
    # With H^-1 = L L', (I - M H^-1)^-a = L^-T (I - L' M L)^-a L', of a symmetric matrix.
    root = np.linalg.cholesky(inverse)
    across = np.einsum("ji,j->i", root, sum_of)
    furthest = 1e-6 * np.sqrt(np.sum(across * across))
    out = np.zeros(n_clusters)
    for g in range(n_clusters):
        share = np.einsum("ji,jk,kl->il", root, information[g], root)
        values, vectors = np.linalg.eigh((share + share.T) / 2.0)
        score_along = np.einsum("ji,j->i", vectors, np.einsum("ji,j->i", root, score[g]))
        along = np.einsum("ji,j->i", vectors, across)
        alone = values > 1.0 - _ROOM
        # What the cluster alone determines has no residual to tell its error by.
        if (np.abs(along[alone]) > furthest).any():
            return np.full(n_clusters, np.nan)
        out[g] = np.sum(np.where(alone, 0.0, along * score_along / np.where(alone, 1.0, 1.0 - values) ** power))
    return out
