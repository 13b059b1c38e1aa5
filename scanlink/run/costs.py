"""How long blocks will take: the plan's estimates, corrected by what the finished ones took."""

from __future__ import annotations

from collections import defaultdict

from scanlink.run.blocks import Block

__all__ = ["CostModel"]

# Seconds of estimated cost that a group needs before its own ratio counts as much as that of all groups.
_WEIGHT = 30.0


class CostModel:
    """Ratio of measured to estimated seconds, by group, drawn towards that of all groups.

    ``seconds = cost * (took_g + w r) / (cost_g + w)`` with ``r = took / cost`` over all groups: groups differ in how
    well they are estimated, and a group of which little is known yet is taken to be like the others.

    Examples
    --------
    >>> model, block = CostModel(), Block(0, 0, 0, 10, 2.0)
    >>> model.observe(block, 4.0)
    >>> model.seconds(Block(1, 1, 0, 10, 3.0))
    6.0
    """

    def __init__(self) -> None:
        self._cost: dict[int, float] = defaultdict(float)
        self._took: dict[int, float] = defaultdict(float)

    def observe(self, block: Block, seconds: float) -> None:
        """Take note that a block took so many seconds."""
        self._cost[block.group] += block.cost
        self._took[block.group] += seconds

    def seconds(self, block: Block) -> float:
        """Estimate the seconds that a block will take."""
        return block.cost * self.ratio(block.group)

    def mean(self) -> float:
        """Return measured over estimated seconds of all blocks that are finished."""
        cost, took = sum(self._cost.values()), sum(self._took.values())
        return took / cost if cost > 0 and took > 0 else 1.0

    def ratio(self, group: int) -> float:
        """Return measured over estimated seconds of a group's blocks, drawn towards that of all."""
        return (self._took[group] + _WEIGHT * self.mean()) / (self._cost[group] + _WEIGHT)
