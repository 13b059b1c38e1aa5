"""What travels to a worker besides a block, and what it opens there: a plan, its store, and the cells of a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from scanlink.store.store import Store
from scanlink.tl.plan import PlanFiles

__all__ = ["ScanContext", "context_of", "opener"]

AnyPlan = TypeVar("AnyPlan", bound=PlanFiles)
AnyCells = TypeVar("AnyCells")


@dataclass(frozen=True)
class ScanContext:
    """Where the data and the plan are."""

    store: str
    plan: str


def context_of(plan: PlanFiles) -> ScanContext:
    """What travels to a worker; absolute, because workers may have another working folder."""
    return ScanContext(str(plan.store.resolve()), str(plan.folder.resolve()))


def opener(
    plans: type[AnyPlan], cells: Callable[[Store, AnyPlan, int], AnyCells]
) -> Callable[[ScanContext, int], tuple[AnyPlan, AnyCells]]:
    """How a kind of task finds its plan and the cells of a group; the latest stay open between blocks.

    Parameters
    ----------
    plans
        Class of the plan.
    cells
        Makes the cells of a group of store, plan and number.
    """

    # By plan and not by path: another plan may find other counts under the same path.
    @lru_cache(maxsize=4)
    def opened(context: ScanContext) -> tuple[AnyPlan, Store]:
        plan: Any = plans(Path(context.plan), Path(context.store))
        return plan, plan.open_store()

    @lru_cache(maxsize=2)
    def group(context: ScanContext, number: int) -> AnyCells:
        plan, store = opened(context)
        return cells(store, plan, number)

    return lambda context, number: (opened(context)[0], group(context, number))
