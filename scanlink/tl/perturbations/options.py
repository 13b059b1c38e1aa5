"""Options that tests of one target and of two have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scanlink.ladder import Ladder
from scanlink.options import (
    BlockGenes,
    ClusterColumn,
    LadderStages,
    Method,
    Options,
    Robust,
    Seed,
    Theta,
    check_replicates,
)
from scanlink.p_values import ScreenPValue
from scanlink.tables import CONTROLS

__all__ = ["PerturbationOptions"]

Control = Literal["non_targeting", "shuffled", "mismatched"]


def _one_stage(value: Any) -> Any:
    """Take a bare number for a ladder of one stage."""
    return [(value, None)] if isinstance(value, int) and not isinstance(value, bool) else value


class PerturbationOptions(Options):
    """What tests of one target and of two have in common."""

    formula: str = Field(
        "guide_count + percent.mito + offset(log(nUMI))", description="covariates in the notation of R"
    )
    family: Literal["negbin", "poisson"] = Field("negbin", description="distribution of the counts")
    p_value: ScreenPValue = Field("robust", description="the p-value that false discovery rates are taken on")
    ladder: LadderStages = "none"
    permutations: Annotated[LadderStages, BeforeValidator(_one_stage)] = Field(
        "glimmirs", description="permutations: a number, or a ladder of which each stage goes on from the one before"
    )
    seed: Seed = 0
    theta: Theta = "held"
    cluster: ClusterColumn = None
    robust: Robust = "HC3"
    pseudocount: float = Field(0.0, ge=0, lt=1, description="added to all counts of a fit; GLiMMIRS adds 0.01")
    missing_efficiency: float | None = Field(
        None, ge=0, le=1, description="of guides without one; None: median of the others, 1 if none has; GLiMMIRS: 0"
    )
    min_fraction: float = Field(0.0, ge=0, lt=1, description="gene is non-zero in more than this of the group")
    min_nonzero: int = Field(5, ge=1, description="and in at least this many cells")
    min_cells: int = Field(10, ge=2, description="groups with fewer cells are not tested")
    controls: Annotated[tuple[Control, ...], BeforeValidator(lambda value: () if value in (None, False) else value)] = (
        Field(CONTROLS, description="negative controls that are tested beside; an empty list for none")
    )
    n_controls: int | None = Field(
        None, ge=1, description="pairs of each kind of control; None: as many as are asked for, at least 1,000"
    )
    method: Method = "bh"
    alpha: float = Field(0.1, gt=0, le=1, description="false discovery rate below which an effect is called")
    block_genes: BlockGenes = None

    @model_validator(mode="after")
    def _extends(self) -> PerturbationOptions:
        check_replicates(self.p_value, self.ladder)
        sizes = [n for n, _ in Ladder.of(self.permutations).stages]
        if not sizes:
            raise ValueError("permutations: give their number, or a ladder of them; none are drawn unless p_value asks")
        if sizes != sorted(set(sizes)):
            raise ValueError("permutations: each stage goes on from the one before, so that its number must be larger")
        return self
