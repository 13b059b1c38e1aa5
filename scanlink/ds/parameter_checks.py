"""Checks of what a simulation is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scanlink.errors import OptionError

if TYPE_CHECKING:
    pass


__all__ = ["check_effects", "check_groups"]


def check_effects(spreads: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]) -> None:
    for name, value in spreads.items():
        if not 0 <= value < np.inf:
            raise OptionError(f"{name} is {value!r}, expected a number of at least 0")
    for name, (low, high) in ranges.items():
        if not 0 <= low <= high < np.inf:
            raise OptionError(
                f"{name} is {(low, high)!r}, expected smallest and largest absolute value, such as (0.4, 1.0)"
            )


def check_groups(types: Mapping[str, float], *, n_donors: int, n_batches: int) -> None:
    if not types or "" in types or not all(0 < part < np.inf for part in types.values()):
        raise OptionError(f"celltypes is {dict(types)!r}, expected names with proportions above 0")
    if n_donors < n_batches:
        raise OptionError(f"n_donors={n_donors} is less than n_batches={n_batches}: donors are nested in batches")
