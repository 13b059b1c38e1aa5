"""What a worker keeps open between blocks: plans, their stores, and the cells of the latest groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from scanlink.store.store import Store
from scanlink.tl.cell_plan import CellPlan

__all__ = ["opener"]

AnyPlan = TypeVar("AnyPlan", bound=CellPlan)
AnyCells = TypeVar("AnyCells")


def opener(cells: Callable[[Store, AnyPlan, int], AnyCells]) -> Callable[[AnyPlan, int], tuple[AnyPlan, AnyCells]]:
    """Make the function by which a kind of task finds its plan and the cells of a group.

    Parameters
    ----------
    cells
        Makes the cells of a group of a store, a plan and the index of the group.

    Returns
    -------
    callable
        Called with a plan as it arrived and the index of a group; the latest stay open between blocks.
    """

    # By plan and not by path of the store: another plan may find other counts under the same path.
    @lru_cache(maxsize=4)
    def opened(plan: AnyPlan) -> tuple[AnyPlan, Store]:
        return plan, plan.open_store()

    @lru_cache(maxsize=2)
    def group(plan: AnyPlan, number: int) -> AnyCells:
        kept, store = opened(plan)
        return cells(store, kept, number)

    return lambda plan, number: (opened(plan)[0], group(plan, number))
