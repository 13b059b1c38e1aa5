"""Which cells are perturbed, and which stand in for them in each permutation of a group of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import InputError
from scanlink.stats._draw import draw_images
from scanlink.stats._types import Floats, Ints

__all__ = ["Images", "Permutations", "Perturbed", "Runs"]

# Permutations that are drawn and kept together.
_TOGETHER = 512


@dataclass(frozen=True, eq=False)
class Perturbed:
    """The cells that a perturbation, or either of two, reaches, and how much.

    Attributes
    ----------
    cells
        0-based, by level and then by number. Shape ``(n_perturbed,)``.
    level
        Row of ``values`` of each of them, rising. Shape ``(n_perturbed,)``.
    values
        The values that occur, of one target or of two; none is 0 in all. Shape ``(n_levels, 1)`` or ``(n_levels, 2)``.
    """

    cells: Ints
    level: Ints
    values: Floats

    @classmethod
    def of(cls, cells: ArrayLike, values: ArrayLike | None = None) -> Perturbed:
        """Take the cells of one target.

        Parameters
        ----------
        cells
            Perturbed cells, 0-based, each once. Shape ``(n_perturbed,)``.
        values
            How much each is perturbed: above 0, up to 1 where it is a share. Shape ``(n_perturbed,)``; all 1 when left
            out. Cells with a 0 are left out.

        Raises
        ------
        InputError
            If shapes differ, a cell comes twice, or a value is negative or not finite.

        Examples
        --------
        >>> Perturbed.of([7, 2, 5], [1.0, 0.5, 1.0]).cells
        array([2, 5, 7])
        """
        chosen = np.asarray(cells, dtype=np.int64)
        value = np.ones(chosen.shape) if values is None else np.asarray(values, dtype=np.float64)
        if chosen.ndim != 1 or value.shape != chosen.shape:
            raise InputError(f"cells have shape {chosen.shape} and values {value.shape}, expected (n_perturbed,) twice")
        if not np.isfinite(value).all() or (value < 0).any():
            raise InputError("values of perturbed cells must be finite and at least 0")
        chosen, value = chosen[value > 0], value[value > 0]
        order = np.argsort(chosen, kind="stable")
        chosen, (distinct, code) = chosen[order], np.unique(value[order], return_inverse=True)
        if (chosen[1:] == chosen[:-1]).any() or (chosen[:1] < 0).any():
            raise InputError("perturbed cells must be numbers from 0, each once")
        return cls._grouped(chosen, code.reshape(-1).astype(np.int64), lambda codes: distinct[codes, None])

    @classmethod
    def pair(cls, first: Perturbed, second: Perturbed) -> Perturbed:
        """Take the cells that either of two targets reaches, with the values of both.

        Examples
        --------
        >>> both = Perturbed.pair(Perturbed.of([1, 2, 3]), Perturbed.of([3, 4]))
        >>> both.values[both.level]
        array([[0., 1.],
               [1., 0.],
               [1., 0.],
               [1., 1.]])
        """
        if first.values.shape[1] != 1 or second.values.shape[1] != 1:
            raise InputError("a pair is made of two single targets")
        # A cell's level in the first and in the second, from 1; 0 where it is not reached.
        n_codes = len(second.values) + 1
        cells = np.concatenate([first.cells, second.cells])
        code = np.concatenate([(first.level + 1) * n_codes, second.level + 1])
        order = np.argsort(cells, kind="stable")
        cells, code = cells[order], code[order]
        in_both = np.flatnonzero(cells[1:] == cells[:-1])
        code[in_both] += code[in_both + 1]
        values = [np.append(0.0, target.values[:, 0]) for target in (first, second)]
        cells, code = np.delete(cells, in_both + 1), np.delete(code, in_both + 1)
        return cls._grouped(
            cells, code, lambda codes: np.column_stack([values[0][codes // n_codes], values[1][codes % n_codes]])
        )

    @classmethod
    def _grouped(cls, cells: Ints, code: Ints, values: Callable[[Ints], Floats]) -> Perturbed:
        """Group cells, which rise, by the codes of their levels."""
        order = np.argsort(code, kind="stable")
        cells, code = cells[order], code[order]
        first = np.diff(code, prepend=-1) != 0
        return cls(cells, np.cumsum(first) - 1, np.ascontiguousarray(values(code[first])))

    @cached_property
    def runs(self) -> Ints:
        """Return first cell and last (half open) of each level, and the level. Shape ``(n_levels, 3)``."""
        bounds = np.searchsorted(self.level, np.arange(len(self.values) + 1))
        return np.column_stack([bounds[:-1], bounds[1:], np.arange(len(self.values))])


class Runs(NamedTuple):
    """Perturbed cells, stratum by stratum and then level by level: a run is what one stratum has of one level."""

    cells: NDArray[np.unsignedinteger]
    # Where each stratum begins in ``cells``: (n_strata + 1,).
    begins: Ints
    # Stratum, first cell and last (half open) counted from the stratum's beginning, level: (n_runs, 4).
    runs: Ints


class Images(NamedTuple):
    """Consecutive permutations, a row each: the cells that take the places of the perturbed ones."""

    cells: NDArray[np.unsignedinteger]
    # First column of each stratum: (n_strata + 1,).
    begins: Ints


class Permutations:
    """The permutations of one group of cells, which all of its genes and targets share.

    Parameters
    ----------
    key
        Key of the generator, from :func:`scanlink.stats.resample_key`. Permutations and bootstrap weights of one key
        have nothing in common.
    n_cells
        Cells of the group.
    strata
        Permute only among cells of one stratum, such as the preparation batch: the stratum of each cell, from 0. Shape
        ``(n_cells,)``. None permutes all cells.
    keep_bytes
        Bytes of permutations that may be kept.

    Raises
    ------
    InputError
        If there is no cell, or strata have another shape or are negative.

    Notes
    -----
    In permutation ``pi`` the j-th perturbed cell of a target (by stratum, level and number) gives its value to cell
    ``pi(j)``, so that only the front of each permutation is needed, and targets read one running sum at different
    lengths. That front is drawn by swaps with a counter-based generator (Philox4x32-10): it depends on the key, its
    own number, the stratum and the number of its cells, and not on how far or together with which others it is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from scanlink.stats import resample_key
    >>> permutations = Permutations(resample_key(0, "K562"), 1000)
    >>> few, more = permutations.block(5, 0, 100), permutations.block(50, 0, 100)
    >>> bool((few.cells[:, :5] == more.cells[:, :5]).all())
    True
    """

    def __init__(
        self, key: int, n_cells: int, *, strata: NDArray[np.integer] | None = None, keep_bytes: int = 2**28
    ) -> None:
        if n_cells < 1:
            raise InputError(f"cannot permute {n_cells} cells")
        stratum = np.zeros(n_cells, dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
        if stratum.shape != (n_cells,) or (stratum < 0).any():
            raise InputError(f"strata have shape {stratum.shape}, expected {n_cells} numbers from 0")
        self.key, self.n_cells, self.strata = key, n_cells, stratum
        self._dtype: type[np.unsignedinteger] = np.uint16 if n_cells <= 2**16 else np.uint32
        self._cells: NDArray[np.unsignedinteger] = np.argsort(stratum, kind="stable").astype(self._dtype)
        self._sizes = np.bincount(stratum)
        self._bounds = _cumulative(self._sizes)
        self._lengths = np.zeros(self._sizes.size, dtype=np.int64)
        self._cache: dict[int, Images] = {}
        self._bytes_left = self._keep_bytes = keep_bytes

    def runs(self, perturbed: Perturbed) -> Runs:
        """Sort the perturbed cells, of one target or of two, by stratum and level.

        Raises InputError if a cell is beyond those of the group.
        """
        if perturbed.cells.size and perturbed.cells.max() >= self.n_cells:
            raise InputError(f"perturbed cell {perturbed.cells.max()} of {self.n_cells} cells, counted from 0")
        cells = perturbed.cells.astype(self._dtype)
        if self._sizes.size == 1:
            runs = perturbed.runs
            return Runs(cells, _cumulative(np.array([cells.size])), np.column_stack([np.zeros(len(runs), int), runs]))
        stratum = self.strata[perturbed.cells]
        order = np.argsort(stratum, kind="stable")
        stratum, level = stratum[order], perturbed.level[order]
        begins = _cumulative(np.bincount(stratum, minlength=self._sizes.size))
        first = np.flatnonzero(np.diff(stratum * len(perturbed.values) + level, prepend=-1))
        last = np.append(first[1:], level.size)[: first.size]
        start = begins[stratum[first]]
        runs = np.column_stack([stratum[first], first - start, last - start, level[first]])
        return Runs(cells[order], begins, runs)

    def block(self, needed: int | Ints, first: int, last: int) -> Images:
        """Draw permutations ``first`` to ``last - 1``, or fewer: up to the end of what is drawn together.

        ``needed`` is the number of cells of each stratum that are needed. Raises InputError if the range is empty or
        reversed, or more cells are needed than there are.
        """
        lengths = np.broadcast_to(np.asarray(needed, dtype=np.int64), self._sizes.shape)
        if not 0 <= first < last or (lengths > self._sizes).any():
            raise InputError(f"cannot draw permutations {first} to {last} of {lengths.max()} cells in {self.n_cells}")
        if (lengths > self._lengths).any():
            # Somewhat more, so that targets of ever more cells do not draw everything anew each.
            longer = np.maximum(self._lengths, np.where(lengths > self._lengths, lengths + lengths // 4, 0))
            self._lengths = np.minimum(longer, self._sizes)
            self._cache, self._bytes_left = {}, self._keep_bytes
        number = first // _TOGETHER
        images = self._cache.get(number)
        # Another thread may have kept a shorter one, or have set other lengths.
        if images is None or (np.diff(images.begins) < lengths).any():
            begins = _cumulative(np.maximum(self._lengths, lengths))
            cells = np.empty((_TOGETHER, begins[-1]), dtype=self._dtype)
            low, high = np.uint32(self.key & 0xFFFFFFFF), np.uint32(self.key >> 32)
            draw_images(low, high, number * _TOGETHER, self._cells.copy(), self._bounds, begins, cells)
            images = Images(cells, begins)
            if cells.nbytes <= self._bytes_left:
                self._bytes_left -= cells.nbytes
                self._cache[number] = images
        begin = number * _TOGETHER
        return Images(images.cells[first - begin : min(last - begin, _TOGETHER)], images.begins)


def _cumulative(sizes: NDArray[np.integer]) -> Ints:
    """Return the cumulative sums of sizes, from 0."""
    return np.append(0, np.cumsum(sizes))
