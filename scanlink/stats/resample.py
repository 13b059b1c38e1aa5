"""Bootstrap weights from a counter-based generator: replicate r of a group is the same wherever it is computed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import InputError
from scanlink.stats._draw import draw_cells, draw_rows
from scanlink.stats._moments import LANES

__all__ = ["WeightBlock", "Weights", "case_weights", "resample_key", "weights_from_indices"]


def resample_key(seed: int, group: str) -> int:
    """Make the 64-bit generator key of one group.

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
    """Draw how often each cell comes in bootstrap replicates ``first`` to ``last - 1``.

    Parameters
    ----------
    key
        Key of the generator, from :func:`resample_key`.
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
    bounded integers by rejection (Lemire 2019, ACM Trans Model Comput Simul 29:3), from words of 16 bits for up to
    8,192 cells and of 32 bits beyond. A row depends on nothing but
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
    draw_rows(np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32), first, n_cells, out)
    return out


@dataclass(frozen=True)
class WeightBlock:
    """Weights of some consecutive replicates, cell by cell, as the moment solver takes them.

    Attributes
    ----------
    cells
        How often each cell is drawn. Shape ``(n_tiles, n_cells, 64)``: replicate ``r`` is ``cells[r // 64, :, r %
        64]``; zeros fill the last tile.
    n_replicates
        Number of replicates; further columns are padding.
    """

    cells: NDArray[np.uint8]
    n_replicates: int

    @classmethod
    def of(cls, weights: NDArray[np.integer]) -> WeightBlock:
        """Make a block of weights, how often each replicate drew each cell: ``(n_replicates, n_cells)``.

        Raises InputError if one is above 255, which no bootstrap of any number of cells draws.
        """
        if weights.size and weights.max() > np.iinfo(np.uint8).max:
            raise InputError(f"a cell was drawn {weights.max()} times in one replicate, expected at most 255")
        n_replicates, n_cells = weights.shape
        cells = np.zeros((-(-n_replicates // LANES), n_cells, LANES), dtype=np.uint8)
        for tile, tile_cells in enumerate(cells):
            tile_rows = weights[tile * LANES : (tile + 1) * LANES]
            tile_cells[:, : tile_rows.shape[0]] = tile_rows.T
        return cls(cells, n_replicates)

    def rows(self, replicates: NDArray[np.intp]) -> NDArray[np.uint16]:
        """Return the weights of some replicates, a row each. Shape ``(replicates.size, n_cells)``."""
        return self.cells[replicates // LANES, :, replicates % LANES].astype(np.uint16)


class Weights:
    """The replicates of one group, block by block; the first ones are kept, because every pair needs them.

    Parameters
    ----------
    key
        Key of the generator, from :func:`resample_key`.
    n_cells
        Cells to draw from.
    clusters
        Cluster of each cell (donor), from 0, where whole clusters are drawn instead. Shape ``(n_cells,)``.
    keep_bytes
        Bytes of weights that may be kept.

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
        self._cache: dict[tuple[int, int], WeightBlock] = {}
        self._bytes_left = keep_bytes

    def block(self, first: int, last: int) -> WeightBlock:
        """Draw replicates ``first`` to ``last - 1``, or take them from those that are kept."""
        if (first, last) in self._cache:
            return self._cache[first, last]
        if self.clusters is not None:
            cluster_weights = case_weights(self.key, first, last, int(self.clusters.max()) + 1)
            block = WeightBlock.of(cluster_weights[:, self.clusters])
        else:
            cells = np.empty((-(-(last - first) // LANES), self.n_cells, LANES), dtype=np.uint8)
            draw_cells(np.uint32(self.key & 0xFFFFFFFF), np.uint32(self.key >> 32), first, last - first, cells)
            block = WeightBlock(cells, last - first)
        if block.cells.nbytes <= self._bytes_left:
            self._bytes_left -= block.cells.nbytes
            self._cache[first, last] = block
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
    for row, cells in zip(out, index, strict=True):
        row += np.bincount(cells, minlength=n_cells).astype(np.uint16)
    return out
