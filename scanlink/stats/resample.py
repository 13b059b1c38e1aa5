"""Bootstrap weights from a counter-based generator: replicate r of a group is the same wherever it is computed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scanlink.errors import InputError
from scanlink.stats._compile import compiled
from scanlink.stats._moments import LANES

__all__ = ["WeightBlock", "Weights", "case_weights", "resample_key", "weights_from_indices"]

# Multipliers and Weyl constants of Philox4x32 (Salmon et al. 2011, Table 2 and its reference implementation).
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
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


@dataclass(frozen=True)
class WeightBlock:
    """Weights of some consecutive replicates, cell by cell, as the moment solver takes them.

    Attributes
    ----------
    cells
        Shape ``(n_cells, padded)``: a column a replicate, and columns of zeros up to a multiple of ``LANES``.
    n_replicates
        Columns that are replicates.
    """

    cells: NDArray[np.uint8]
    n_replicates: int

    @classmethod
    def of(cls, weights: NDArray[np.integer]) -> WeightBlock:
        """A block of given weights.

        Parameters
        ----------
        weights
            Shape ``(n_replicates, n_cells)``.

        Raises
        ------
        InputError
            If a weight is above 255, which no bootstrap of any number of cells draws.
        """
        if weights.size and weights.max() > np.iinfo(np.uint8).max:
            raise InputError(f"a cell was drawn {weights.max()} times in one replicate, expected at most 255")
        n_replicates, n_cells = weights.shape
        cells = np.zeros((n_cells, -(-n_replicates // LANES) * LANES), dtype=np.uint8)
        cells[:, :n_replicates] = weights.T
        return cls(cells, n_replicates)

    def rows(self, replicates: NDArray[np.intp]) -> NDArray[np.uint16]:
        """Weights of some replicates, a row each. Shape ``(replicates.size, n_cells)``."""
        return np.ascontiguousarray(self.cells[:, replicates].T, dtype=np.uint16)


class Weights:
    """The replicates of one group, block by block; the first ones are kept, because every pair needs them.

    Parameters
    ----------
    key
        From :func:`resample_key`.
    n_cells
        Cells to draw from.
    clusters
        Whole clusters of cells (donors) are drawn instead: the cluster of each cell, from 0. Shape ``(n_cells,)``.
    keep_bytes
        How much may be kept.

    Examples
    --------
    >>> weights = Weights(resample_key(0, "B"), 100)
    >>> bool((weights.block(3, 5).rows(np.array([0])) == case_weights(resample_key(0, "B"), 3, 4, 100)).all())
    True
    """

    def __init__(
        self, key: int, n_cells: int, *, clusters: NDArray[np.integer] | None = None, keep_bytes: int = 2**28
    ) -> None:
        self.key, self.n_cells, self.clusters = key, n_cells, clusters
        self._kept: dict[tuple[int, int], WeightBlock] = {}
        self._room = keep_bytes

    def block(self, first: int, last: int) -> WeightBlock:
        """Replicates ``first`` to ``last - 1``."""
        if (first, last) in self._kept:
            return self._kept[first, last]
        if self.clusters is not None:
            drawn = case_weights(self.key, first, last, int(self.clusters.max()) + 1)
            block = WeightBlock.of(drawn[:, self.clusters])
        else:
            cells = np.zeros((self.n_cells, -(-(last - first) // LANES) * LANES), dtype=np.uint8)
            _draw_cells(np.uint32(self.key & 0xFFFFFFFF), np.uint32(self.key >> 32), first, last - first, cells)
            block = WeightBlock(cells, last - first)
        if block.cells.nbytes <= self._room:
            self._room -= block.cells.nbytes
            self._kept[first, last] = block
        return block


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
        n0 = np.uint32(np.uint32(p1 >> _SHIFT) ^ c1 ^ k0)
        n2 = np.uint32(np.uint32(p0 >> _SHIFT) ^ c3 ^ k1)
        c1 = np.uint32(p1 & _LOW)
        c3 = np.uint32(p0 & _LOW)
        c0 = n0
        c2 = n2
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@compiled
def _words(k0: np.uint32, k1: np.uint32, number: np.uint64, words: NDArray[np.uint32]) -> None:
    """Random words of replicate ``number``: those of the generator's block ``b`` go to column ``b``."""
    low, high = np.uint32(number & _LOW), np.uint32(number >> _SHIFT)
    for block in range(words.shape[1]):
        w0, w1, w2, w3 = _philox(np.uint32(block), np.uint32(0), low, high, k0, k1)
        words[0, block] = w0
        words[1, block] = w1
        words[2, block] = w2
        words[3, block] = w3


@compiled
def _draw_row(words: NDArray[np.uint32], drawn: NDArray[np.uint32], row: NDArray[np.unsignedinteger]) -> bool:
    """Add ``row.size`` draws to ``row``; False, and nothing added, if there were too few words."""
    n = row.size
    bound = np.uint64(n)
    threshold = (np.uint64(1) << _SHIFT) % bound
    rejected = 0
    for j in range(4):
        for block in range(words.shape[1]):
            product = np.uint64(words[j, block]) * bound
            drawn[j, block] = np.uint32(product >> _SHIFT)
            if (product & _LOW) < threshold:
                rejected += 1
    if 4 * words.shape[1] - rejected < n:
        return False
    if rejected == 0:
        # Which words are used matters, but not their order.
        for j in range(4):
            for block in range((n - j + 3) // 4):
                row[drawn[j, block]] += 1
        return True
    left = n
    for block in range(words.shape[1]):
        for j in range(4):
            if left and (np.uint64(words[j, block]) * bound & _LOW) >= threshold:
                row[drawn[j, block]] += 1
                left -= 1
    return True


@compiled
def _draw(k0: np.uint32, k1: np.uint32, first: int, out: NDArray[np.unsignedinteger]) -> None:
    n = out.shape[1]
    # One rejection in millions of words: a few to spare are enough nearly always.
    spare = 2
    words = np.empty((4, (n + 3) // 4 + spare), dtype=np.uint32)
    drawn = np.empty_like(words)
    for r in range(out.shape[0]):
        while True:
            _words(k0, k1, np.uint64(first + r), words)
            if _draw_row(words, drawn, out[r]):
                break
            spare *= 2
            words = np.empty((4, (n + 3) // 4 + spare), dtype=np.uint32)
            drawn = np.empty_like(words)


@compiled
def _draw_cells(k0: np.uint32, k1: np.uint32, first: int, n_replicates: int, out: NDArray[np.uint8]) -> None:
    """The same, a column a replicate: drawn in rows that stay in the cache, and turned in tiles."""
    n, tile = out.shape[0], 64
    rows = np.empty((tile, n), dtype=np.uint8)
    for begin in range(0, n_replicates, tile):
        size = min(tile, n_replicates - begin)
        rows[:size] = 0
        _draw(k0, k1, first + begin, rows[:size])
        for i0 in range(0, n, tile):
            for i in range(i0, min(i0 + tile, n)):
                for r in range(size):
                    out[i, begin + r] = rows[r, i]
