"""Options of the tests of single targets of a screen."""

from __future__ import annotations

from pydantic import Field

from scanlink.tl.perturbations.options import PerturbationOptions

__all__ = ["ScreenOptions"]


class ScreenOptions(PerturbationOptions):
    """How each target-gene pair of a screen is tested."""

    min_perturbed: int = Field(10, ge=2, description="least cells with the perturbation, and without")
