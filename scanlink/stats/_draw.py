"""Compiled multinomial draws, and permutations, from Philox4x32-10 with the replicate number in the counter.

Of every replicate the words come in rounds. A word of 32 bits gives one draw, or, where there are few cells, each of
its halves does; what would make some cells likelier than others is rejected. The first ``n`` draws that are not count.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scanlink.stats._compile import compiled
from scanlink.stats._moments import LANES
from scanlink.stats._types import Ints

Unsigned = NDArray[np.unsignedinteger]
# The generator's first words and later ones, the cells that they draw, and whether they count.
Buffers = tuple[NDArray[np.uint32], NDArray[np.uint32], Unsigned, NDArray[np.uint8]]

# Multipliers and Weyl constants of Philox4x32 (Salmon et al. 2011, Table 2 and its reference implementation).
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ROUNDS = 10
# Up to so many cells half a word makes a draw: an eighth of the halves are rejected at most.
_NARROW = 8192
# Later rounds make up for what was rejected.
_MORE_BLOCKS = 16


@njit(nogil=True, inline="always")
def _philox(
    c0: np.uint32, c1: np.uint32, c2: np.uint32, c3: np.uint32, k0: np.uint32, k1: np.uint32
) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32]:
    """Compute one block of Philox4x32-10: four counter words and two key words to four random words."""
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
def _words(k0: np.uint32, k1: np.uint32, number: np.uint64, first: int, words: NDArray[np.uint32]) -> None:
    """Fill in words of the generator's blocks from ``first`` on, a column each. Shape ``(4, n_blocks)``."""
    low, high = np.uint32(number & _LOW), np.uint32(number >> _SHIFT)
    for block in range(words.shape[1]):
        w0, w1, w2, w3 = _philox(np.uint32(first + block), np.uint32(0), low, high, k0, k1)
        words[0, block] = w0
        words[1, block] = w1
        words[2, block] = w2
        words[3, block] = w3


@compiled
def _places(words: NDArray[np.uint32], n: int, cells: Unsigned, accepted: NDArray[np.uint8], narrow: bool) -> int:
    """Find which cell each word, or half of one, draws, and whether that counts (Lemire 2019); return how many."""
    if narrow:
        halves = words.reshape(-1).view(np.uint16)
        bound, short = np.uint32(n), np.uint16(n)
        threshold = np.uint16(65536 % n)
        for i in range(halves.size):
            cells[i] = np.uint16((np.uint32(halves[i]) * bound) >> np.uint32(16))
        for i in range(halves.size):
            accepted[i] = np.uint8(np.uint16(halves[i] * short) >= threshold)
        return halves.size
    flat = words.reshape(-1)
    wide = np.uint64(n)
    wide_threshold = (np.uint64(1) << _SHIFT) % wide
    for i in range(flat.size):
        product = np.uint64(flat[i]) * wide
        cells[i] = np.uint32(product >> _SHIFT)
        accepted[i] = (product & _LOW) >= wide_threshold
    return flat.size


@compiled
def _add(row: Unsigned, cells: Unsigned, accepted: NDArray[np.uint8]) -> int:
    """Add draws to a row; return how many counted."""
    count = 0
    for i in range(cells.size):
        row[cells[i]] += accepted[i]
    for i in range(cells.size):
        if accepted[i]:
            count += 1
    return count


@compiled
def _draw_row(
    k0: np.uint32, k1: np.uint32, number: np.uint64, n: int, row: Unsigned, buffers: Buffers, narrow: bool
) -> None:
    """Add ``n`` draws of replicate ``number`` to a row."""
    words, later_words, cells, accepted = buffers
    _words(k0, k1, number, 0, words)
    size = _places(words, n, cells, accepted, narrow)
    block, n_left, position = words.shape[1], n, 0
    while n_left > 0:
        if position == size:
            _words(k0, k1, number, block, later_words)
            size = _places(later_words, n, cells, accepted, narrow)
            block, position = block + _MORE_BLOCKS, 0
        # As many as are wanted can be looked at without counting.
        end = min(position + n_left, size)
        n_left -= _add(row, cells[position:end], accepted[position:end])
        position = end


@compiled
def draw_rows(k0: np.uint32, k1: np.uint32, first: int, n: int, out: Unsigned) -> None:
    """Add ``n`` draws of replicates ``first``, ``first + 1``, ... to the first ``n`` columns of the rows of ``out``."""
    narrow = n <= _NARROW
    per_block = 8 if narrow else 4
    buffer_size = per_block * max((n + per_block - 1) // per_block, _MORE_BLOCKS)
    words = np.empty((4, (n + per_block - 1) // per_block), dtype=np.uint32)
    later_words = np.empty((4, _MORE_BLOCKS), dtype=np.uint32)
    accepted = np.empty(buffer_size, dtype=np.uint8)
    if narrow:
        short = np.empty(buffer_size, dtype=np.uint16)
        for r in range(out.shape[0]):
            _draw_row(k0, k1, np.uint64(first + r), n, out[r], (words, later_words, short, accepted), narrow)
    else:
        long = np.empty(buffer_size, dtype=np.uint32)
        for r in range(out.shape[0]):
            _draw_row(k0, k1, np.uint64(first + r), n, out[r], (words, later_words, long, accepted), narrow)


@compiled
def draw_cells(k0: np.uint32, k1: np.uint32, first: int, n_replicates: int, out: NDArray[np.uint8]) -> None:
    """Draw as :func:`draw_rows` does, a column a replicate.

    Draws are made in rows that stay in the cache, and turned eight by eight. ``out`` has shape
    ``(n_tiles, n_cells, 64)``; columns beyond ``n_replicates`` get zeros.
    """
    n = out.shape[1]
    rows = np.empty((LANES, (n + 7) // 8 * 8), dtype=np.uint8)
    wide = rows.view(np.uint64)
    turned = out.view(np.uint64)
    squares = np.empty((LANES // 8, 8, wide.shape[1]), dtype=np.uint64)
    for tile in range(out.shape[0]):
        rows[:] = 0
        begin = tile * LANES
        draw_rows(k0, k1, first + begin, n, rows[: min(LANES, n_replicates - begin)])
        for k in range(LANES // 8):
            _turn(wide[8 * k : 8 * k + 8], squares[k])
        for i in range(n):
            for k in range(LANES // 8):
                turned[tile, i, k] = squares[k, i % 8, i // 8]


@compiled
def _turn(rows: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Transpose squares of eight by eight bytes, each row of a square one word of a row (Warren 2012, section 7-3)."""
    for half, low, apart in (
        (np.uint64(32), np.uint64(0x00000000FFFFFFFF), 4),
        (np.uint64(16), np.uint64(0x0000FFFF0000FFFF), 2),
        (np.uint64(8), np.uint64(0x00FF00FF00FF00FF), 1),
    ):
        source = rows if apart == 4 else out
        for k in range(8):
            if k & apart:
                continue
            upper, lower = source[k], source[k + apart]
            for word in range(out.shape[1]):
                a, b = upper[word], lower[word]
                out[k, word] = (a & low) | ((b & low) << half)
                out[k + apart, word] = ((a >> half) & low) | (b & ~low)


@compiled
def draw_images(
    k0: np.uint32, k1: np.uint32, first: int, cells: Unsigned, strata: Ints, begins: Ints, out: Unsigned
) -> None:
    """Draw the first cells of permutations ``first``, ``first + 1``, ... of each stratum: a row a permutation.

    ``cells`` are the cells stratum by stratum, from ``strata[s]`` on; of stratum s the row holds the columns from
    ``begins[s]`` on. Swaps from the front (Fisher and Yates; Durstenfeld 1964, Comm ACM 7:420), so that a longer row
    begins with the shorter one; bounded integers without bias (Lemire 2019). The second word of the counter, which is
    0 for bootstrap weights, is the number of the stratum from 1.
    """
    words = np.empty(4, dtype=np.uint32)
    swapped = np.empty(out.shape[1], dtype=np.int64)
    for r in range(out.shape[0]):
        number = np.uint64(first + r)
        low, high = np.uint32(number & _LOW), np.uint32(number >> _SHIFT)
        for s in range(strata.size - 1):
            base, begin, n = strata[s], begins[s], strata[s + 1] - strata[s]
            block, word = 0, 4
            for j in range(begins[s + 1] - begin):
                n_left = np.uint64(n - j)
                while True:
                    if word == 4:
                        w0, w1, w2, w3 = _philox(np.uint32(block), np.uint32(s + 1), low, high, k0, k1)
                        words[0] = w0
                        words[1] = w1
                        words[2] = w2
                        words[3] = w3
                        block, word = block + 1, 0
                    product = np.uint64(words[word]) * n_left
                    word += 1
                    if (product & _LOW) >= n_left or (product & _LOW) >= (np.uint64(1) << _SHIFT) % n_left:
                        break
                partner = base + j + np.int64(product >> _SHIFT)
                cell = cells[partner]
                cells[partner] = cells[base + j]
                cells[base + j] = cell
                out[r, begin + j] = cell
                swapped[begin + j] = partner
            # Back to where it was, so that no permutation depends on the one before.
            for k in range(begins[s + 1] - begin):
                j = begins[s + 1] - begin - 1 - k
                partner = swapped[begin + j]
                cell = cells[partner]
                cells[partner] = cells[base + j]
                cells[base + j] = cell
