"""The generator against its published test vectors, and the weights against their distribution."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from scanlink.errors import InputError
from scanlink.stats import Weights, case_weights, resample_key, weights_from_indices
from scanlink.stats._draw import _philox


@njit
def philox(words):
    return _philox(words[0], words[1], words[2], words[3], words[4], words[5])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # Known-answer tests of Random123 for philox4x32-10: counter, key, result.
        ((0, 0, 0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox__gives_the_published_words(words, expected):
    assert tuple(int(word) for word in philox(np.array(words, dtype=np.uint32))) == expected


@pytest.mark.parametrize("n_cells", [1, 7, 300, 3152])
def test_case_weights__draws_as_many_cells_as_there_are(n_cells):
    assert (case_weights(resample_key(0, "a"), 0, 20, n_cells).sum(axis=1) == n_cells).all()


def test_case_weights__rows_do_not_depend_on_the_block():
    key = resample_key(5, "B")
    whole = case_weights(key, 0, 50, 321)
    pieces = [case_weights(key, first, first + 1, 321) for first in range(50)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_case_weights__differ_between_seeds_groups_and_replicates():
    rows = [case_weights(resample_key(seed, group), r, r + 1, 200) for seed in (0, 1) for group in "ab" for r in (0, 1)]
    assert len({row.tobytes() for row in rows}) == 8


def test_case_weights__are_multinomial():
    n, replicates = 50, 40_000
    weights = case_weights(resample_key(2, "x"), 0, replicates, n).astype(float)
    # Mean 1, variance 1 - 1/n, covariance -1/n; the bounds are five standard errors.
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=5 / np.sqrt(replicates))
    covariance = np.cov(weights.T)
    np.testing.assert_allclose(np.diag(covariance), 1 - 1 / n, atol=5 * np.sqrt(3 / replicates))
    off = covariance[~np.eye(n, dtype=bool)]
    np.testing.assert_allclose(off, -1 / n, atol=5.5 / np.sqrt(replicates))


def test_weights_from_indices__counts_draws():
    np.testing.assert_array_equal(weights_from_indices(np.array([[2, 2, 0], [1, 1, 1]]), 3), [[1, 0, 2], [0, 3, 0]])
    with pytest.raises(InputError, match="expected 0 to 2"):
        weights_from_indices(np.array([[3]]), 3)


def plainly(key, number, n):
    """The same draws one by one, in whole numbers: 16 bits each for up to 8,192 cells, what is uneven rejected."""
    low = (1 << 32) - 1
    bits = 16 if n <= 8192 else 32
    each = 128 // bits
    counts, left, first, size = np.zeros(n, dtype=int), n, 0, -(-n // each)
    while left:
        blocks = [(first + b, 0, number & low, number >> 32, key & low, key >> 32) for b in range(size)]
        words = np.array([philox(np.array(block, dtype=np.uint32)) for block in blocks], dtype=np.uint32)
        for word in np.ascontiguousarray(words.T).reshape(-1).view(np.uint16 if bits == 16 else np.uint32):
            product = int(word) * n
            if left and product % (1 << bits) >= (1 << bits) % n:
                counts[product >> bits] += 1
                left -= 1
        first, size = first + size, 16
    return counts


@pytest.mark.parametrize("n_cells", [1, 60, 3152, 8192, 8193])
def test_case_weights__are_those_of_the_plain_definition(n_cells):
    key = resample_key(3, "B")
    rows = case_weights(key, 2**32 + 5, 2**32 + 7, n_cells)
    np.testing.assert_array_equal(rows, [plainly(key, 2**32 + 5 + r, n_cells) for r in range(2)])
    block = Weights(key, n_cells).block(2**32 + 5, 2**32 + 7)
    np.testing.assert_array_equal(block.rows(np.arange(2)), rows)
