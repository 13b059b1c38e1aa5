"""Bootstrap weights from a counter-based generator: replicate r of a group is the same wherever it is computed."""

from __future__ import annotations

import hashlib

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scanlink.errors import InputError

__all__ = ["case_weights", "resample_key", "weights_from_indices"]

# Multipliers and Weyl constants of Philox4x32 (Salmon et al. 2011, Table 2 and its reference implementation).
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_ROUNDS = 10


def resample_key(seed: int, group: str) -> int:
    """The 64-bit generator key of one group.

    Parameters
    ----------
    seed
        The user's seed, any integer.
    group
        Name of the group of cells.

    Examples
    --------
    >>> resample_key(0, "CD14-Mono") == resample_key(0, "CD14-Mono") != resample_key(1, "CD14-Mono")
    True
    """
    digest = hashlib.sha256(f"scanlink resample {int(seed)} {group}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def case_weights(key: int, first: int, last: int, n_cells: int) -> NDArray[np.uint16]:
    """How often each cell is drawn in bootstrap replicates ``first`` to ``last - 1``.

    Parameters
    ----------
    key
        From :func:`resample_key`.
    first, last
        Range of replicate numbers, half open.
    n_cells
        Cells to draw from, and draws per replicate.

    Returns
    -------
    numpy.ndarray
        Multinomial counts. Shape ``(last - first, n_cells)``; every row sums to ``n_cells``.

    Raises
    ------
    InputError
        If there is no cell, or the range is reversed.

    Notes
    -----
    Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, SC11) with the replicate number in the counter, and unbiased
    bounded integers by rejection (Lemire 2019, ACM Trans Model Comput Simul 29:3). A row depends on nothing but
    ``key``, its own number and ``n_cells``.

    Examples
    --------
    >>> rows = case_weights(resample_key(0, "B"), 0, 5, 100)
    >>> bool((rows[3:4] == case_weights(resample_key(0, "B"), 3, 4, 100)).all())
    True
    >>> rows.sum(axis=1)
    array([100, 100, 100, 100, 100], dtype=uint64)
    """
    if n_cells < 1 or last < first or first < 0:
        raise InputError(f"cannot draw replicates {first} to {last} from {n_cells} cells")
    out = np.zeros((last - first, n_cells), dtype=np.uint16)
    _draw(np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32), first, out)
    return out


def weights_from_indices(indices: NDArray[np.integer], n_cells: int) -> NDArray[np.uint16]:
    """Count how often each replicate drew each cell, from the indices that R's ``boot`` uses.

    Parameters
    ----------
    indices
        0-based cells drawn. Shape ``(n_replicates, n_draws)``.
    n_cells
        Cells to draw from.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_replicates, n_cells)``.

    Raises
    ------
    InputError
        If an index lies outside ``0`` to ``n_cells - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> weights_from_indices(np.array([[0, 0, 2]]), 3)
    array([[2, 0, 1]], dtype=uint16)
    """
    index = np.asarray(indices)
    if index.size and (index.min() < 0 or index.max() >= n_cells):
        raise InputError(f"indices run from {index.min()} to {index.max()}, expected 0 to {n_cells - 1}")
    out = np.zeros((index.shape[0], n_cells), dtype=np.uint16)
    for row, drawn in zip(out, index, strict=True):
        row += np.bincount(drawn, minlength=n_cells).astype(np.uint16)
    return out


@njit(nogil=True, inline="always")
def _philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """One block of Philox4x32-10: four counter words and two key words to four random words."""
    for _ in range(_ROUNDS):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        n0 = np.uint32(np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0)
        n2 = np.uint32(np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1)
        c1 = np.uint32(p1 & _LOW)
        c3 = np.uint32(p0 & _LOW)
        c0 = n0
        c2 = n2
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@njit(nogil=True, error_model="numpy")
def _draw(k0: np.uint32, k1: np.uint32, first: int, out: NDArray[np.uint16]) -> None:
    n_replicates, n = out.shape
    bound = np.uint64(n)
    threshold = (np.uint64(1) << np.uint64(32)) % bound
    for r in range(n_replicates):
        number = np.uint64(first + r)
        low = np.uint32(number & _LOW)
        high = np.uint32(number >> np.uint64(32))
        drawn = 0
        block = np.uint32(0)
        while drawn < n:
            w0, w1, w2, w3 = _philox(block, np.uint32(0), low, high, k0, k1)
            block = np.uint32(block + np.uint32(1))
            for word in (w0, w1, w2, w3):
                product = np.uint64(word) * bound
                if (product & _LOW) >= threshold and drawn < n:
                    out[r, product >> np.uint64(32)] += np.uint16(1)
                    drawn += 1
