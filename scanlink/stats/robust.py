"""Sandwich standard error of one coefficient of a Poisson regression."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import OptionError

__all__ = ["SandwichKind", "sandwich_se"]

SandwichKind = Literal["HC0", "HC2", "HC3"]
_POWER = {"HC0": 0.0, "HC2": 0.5, "HC3": 1.0}


def sandwich_se(
    counts: ArrayLike,
    fitted: ArrayLike,
    design: ArrayLike,
    covariance: NDArray[np.float64],
    *,
    target: int,
    kind: SandwichKind = "HC3",
) -> float:
    """Heteroscedasticity-robust standard error.

    Parameters
    ----------
    counts
        Raw UMI counts. Shape ``(n_cells,)``.
    fitted
        Expected counts of the fit. Shape ``(n_cells,)``.
    design
        Shape ``(n_cells, n_terms)``.
    covariance
        Inverse Fisher information ``H^-1``; NaN rows for terms left out. Shape ``(n_terms, n_terms)``.
    target
        Column whose standard error is wanted.
    kind
        ``"HC0"`` is what the case bootstrap estimates; ``"HC2"`` and ``"HC3"`` divide each residual by
        ``(1 - h_i)^(1/2)`` and ``1 - h_i``, with ``h_i`` the leverage.

    Returns
    -------
    float
        Standard error, natural logarithm. NaN for HC2 and HC3 where one cell alone determines the coefficient.

    Raises
    ------
    OptionError
        If ``kind`` is none of the three.

    Notes
    -----
    Section 2 of the association notes: ``H^-1 (sum u_i u_i') H^-1`` with ``u_i = (y_i - mu_i) z_i``. HC3: MacKinnon
    and White 1985, J Econometrics 29:305. The leverage of a Poisson fit is ``h_i = mu_i z_i' H^-1 z_i``.

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
    if kind not in _POWER:
        raise OptionError(f"kind {kind!r} is not known; expected one of {', '.join(map(repr, _POWER))}")
    y, mu, z = (np.asarray(a, dtype=np.float64) for a in (counts, fitted, design))
    kept = ~np.isnan(np.diag(covariance))
    # einsum sums in a fixed order, where a BLAS product depends on its number of threads.
    projection = np.einsum("ij,jk->ik", z[:, kept], covariance[np.ix_(kept, kept)])
    position = int(np.count_nonzero(kept[:target]))
    influence = (y - mu) * projection[:, position]
    if _POWER[kind]:
        leverage = mu * np.einsum("ij,ij->i", projection, z[:, kept])
        room = 1.0 - leverage
        alone = room < 1e-6
        # A cell that alone determines a term has no residual to tell its error by; if the term is the wanted one,
        # nothing can be said.
        if (np.abs(projection[alone, position]) > 1e-12).any():
            return float("nan")
        influence = np.where(alone, 0.0, influence / np.where(alone, 1.0, room) ** _POWER[kind])
    return float(np.sqrt(np.sum(influence * influence)))
