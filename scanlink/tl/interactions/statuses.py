"""Statuses of pairs of targets, in the order of the page."""

from __future__ import annotations

from scanlink.tables import FAILED
from scanlink.tables import STATUSES as SHARED

__all__ = ["STATUSES"]

STATUSES = {
    "ok": SHARED["ok"],
    "gene_rare": "the gene is non-zero in too few cells of the group",
    "too_few_11": "too few cells have both perturbations",
    "separated": "no count of the gene in cells with or without a perturbation: the effect is without bound",
    **{name: SHARED[name] for name in ("collinear", "not_converged", "too_few_cells", "too_few_clusters", FAILED)},
}
