"""Kendall's rank correlation of expression with peaks that are open or closed, for many peaks of a gene at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from scanlink.errors import InputError
from scanlink.stats._types import Floats

__all__ = ["kendall_tau"]


def kendall_tau(expression: ArrayLike, opened: csr_matrix) -> Floats:
    """Compute tau-b of a gene's expression, 0 or above, with each of several peaks. Shape ``(n_peaks,)``.

    In ``opened``, of shape ``(n_peaks, n_cells)``, values other than 0 are open. NaN where expression or a peak is the
    same in all cells. Raises InputError if shapes do not fit, or expression is negative or not finite.

    With ``n1`` open and ``n0`` closed of ``N`` cells, ``U`` the Mann-Whitney statistic of the open ones and
    ``T = sum t (t - 1) / 2`` over ties of expression,
    ``tau_b = (2 U - n1 n0) / sqrt((N (N - 1) / 2 - T) n1 n0)`` (Kendall 1945, Biometrika 33:239). Midranks less the
    rank of zero are sparse, so that all peaks are one product of a sparse matrix with a vector.

    >>> kendall_tau([0.0, 0.0, 1.0, 2.0], csr_matrix([[0, 0, 1, 1], [1, 1, 1, 1]])).round(3).tolist()
    [0.894, nan]
    """
    y = np.asarray(expression, dtype=np.float64)
    if opened.ndim != 2 or opened.shape[1] != y.size or y.ndim != 1:
        raise InputError(
            f"expression has shape {y.shape} and opened {opened.shape}: expected (n_cells,) and (n_peaks, n_cells)"
        )
    if not np.isfinite(y).all() or (y < 0).any():
        raise InputError("expression is negative or not finite in some cell: expected counts, or what is made of them")
    n = y.size
    expressed = np.flatnonzero(y)
    # Half of what the rank of zero and those of the others have in common cancels in U; what is left is sparse.
    n_zero = n - expressed.size
    rank = np.zeros(n)
    rank[expressed] = n_zero + rankdata(y[expressed]) - (n_zero + 1) / 2
    is_open = csr_matrix((np.ones(opened.nnz), opened.indices, opened.indptr), shape=opened.shape)
    if opened.nnz and (opened.data == 0).any():
        is_open.data = (opened.data != 0).astype(np.float64)
    n_open = np.asarray(is_open.sum(axis=1)).ravel()
    n_closed = n - n_open
    u = is_open @ rank + n_open * (n_zero + 1) / 2 - n_open * (n_open + 1) / 2
    ties = np.unique(y[expressed], return_counts=True)[1].astype(np.float64)
    tied = float((ties * (ties - 1)).sum() + n_zero * (n_zero - 1.0)) / 2
    scale = (n * (n - 1.0) / 2 - tied) * n_open * n_closed
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (2 * u - n_open * n_closed) / np.sqrt(scale), np.nan)
