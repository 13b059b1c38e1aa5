"""Statuses of pairs of enhancers, in the order of the page."""

from __future__ import annotations

from scanlink.tables import FAILED
from scanlink.tables import STATUSES as SHARED

__all__ = ["STATUSES"]

STATUSES = {
    "ok": SHARED["ok"],
    "too_few_11": "a state of the two enhancers has too few cells",
    "separated": "no count in some state: the effect is without bound",
    **{name: SHARED[name] for name in ("collinear", "not_converged", "too_few_cells", "too_few_clusters", FAILED)},
}
