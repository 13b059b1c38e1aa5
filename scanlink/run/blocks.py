"""Blocks: what one task computes, cut so that tasks take about equally long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block", "cut"]


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of one group's list of items: what one task computes."""

    number: int  # Position in the plan, from 0; names the part that the block leaves.
    group: int  # From 0.
    first: int  # Rows of the list, half open.
    last: int
    cost: float  # Estimated seconds; only their order and sums matter.


def cut(
    owners: NDArray[np.integer],
    costs: Iterable[NDArray[np.float64]],  # Gone through twice.
    *,
    target: float | None = None,
    owners_per_block: int | None = None,
) -> list[Block]:
    """Cut every group's items into blocks of whole owners (genes), numbered in order of group and row.

    ``owners`` has the owner of each item, shape ``(n_items,)``; the items of an owner stand together. ``costs`` has the
    estimated seconds of each item, one array of that shape a group. ``target`` is the seconds that a block may take,
    unless a single owner takes longer. None: 10, or less where that would make fewer than about 100 blocks; the number
    of workers has no part in it, so that any number finds the same blocks. ``owners_per_block`` takes the place of a
    target.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = cut(np.array([0, 0, 1, 2]), [np.array([4.0, 4.0, 4.0, 1.0])], target=10.0)
    >>> [(block.first, block.last, block.cost) for block in blocks]
    [(0, 2, 8.0), (2, 4, 5.0)]
    """
    n = owners.size
    edges = np.concatenate([[0], np.flatnonzero(np.diff(owners)) + 1, [n]]) if n else np.array([0])
    blocks: list[Block] = []
    if target is None:
        target = min(10.0, max(0.2, sum(float(cost.sum()) for cost in costs) / 100))
    for group, cost in enumerate(costs):
        total = np.concatenate([[0.0], np.cumsum(cost)])
        begin = 0
        while begin < edges.size - 1:
            if owners_per_block is not None:
                end = min(begin + owners_per_block, edges.size - 1)
            else:
                # As many owners as fit, at least one.
                room = total[edges[begin]] + target
                end = max(begin + 1, int(np.searchsorted(total[edges], room, side="right")) - 1)
            first, last = int(edges[begin]), int(edges[end])
            blocks.append(Block(len(blocks), group, first, last, float(total[last] - total[first])))
            begin = end
    return blocks
