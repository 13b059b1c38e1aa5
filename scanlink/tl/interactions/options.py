"""Options of the tests of two targets together."""

from __future__ import annotations

from pydantic import Field

from scanlink.tl.perturbations.options import PerturbationOptions

__all__ = ["InteractionOptions"]


class InteractionOptions(PerturbationOptions):
    """How pairs of targets of a gene are tested for acting together."""

    min_both: int = Field(10, ge=1, description="least cells with both perturbations")
    additive: bool = Field(True, description="whether effects that add are compared with effects that multiply")
    max_distance: int | None = Field(None, ge=0, description="most bp between two targets; None: any")
