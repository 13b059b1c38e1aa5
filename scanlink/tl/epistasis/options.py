"""Options of tests of enhancers that act together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scanlink.options import (
    BlockGenes,
    ClusterColumn,
    Device,
    LadderStages,
    Method,
    Options,
    Robust,
    Seed,
    check_replicates,
)
from scanlink.p_values import PValue

__all__ = ["EpistasisOptions"]


class EpistasisOptions(Options):
    """How pairs of linked enhancers are chosen, and tested for acting together."""

    formula: str = Field("percent.mito + offset(log(nUMI))", description="covariates in the notation of R")
    family: Literal["poisson", "negbin"] = Field("poisson", description="distribution of the counts")
    model: Literal["joint", "separate"] = Field(
        "joint", description="one regression with all states, or one a state as in the paper"
    )
    coding: Literal["indicator", "dosage"] = Field(
        "indicator", description="dosage: 11 as 2, as the paper has it, which halves its effect"
    )
    p_value: PValue = Field("robust", description="the p-value that false discovery rates are taken on")
    ladder: LadderStages = "epistasis"
    seed: Seed = 0
    cluster: ClusterColumn = None
    robust: Robust = "HC3"
    min_cells: int = Field(10, ge=2, description="least number of cells in each state")
    method: Method = "bh"
    alpha: float = Field(0.1, gt=0, le=1, description="false discovery rate below which a pair is said to interact")
    links_fdr: float | None = Field(
        None, gt=0, le=1, description="false discovery rate of the links that are paired; None: links.alpha; 1: all"
    )
    order: int = Field(2, ge=2, le=4, description="enhancers that are tested together")
    min_distance: int | None = Field(None, ge=0, description="least bp between neighbouring enhancers of a pair")
    max_distance: int | None = Field(None, ge=0, description="most bp between the outermost enhancers of a pair")
    device: Device = None
    block_genes: BlockGenes = None

    @model_validator(mode="after")
    def _possible(self) -> EpistasisOptions:
        check_replicates(self.p_value, self.ladder)
        if self.coding == "dosage" and self.model == "joint":
            raise ValueError("coding dosage is that of the separate models: set model to separate")
        if self.model == "separate" and self.p_value == "tail":
            raise ValueError("separate models have no tail for the interaction: choose bootstrap, robust or wald")
        if self.min_distance is not None and self.max_distance is not None and self.min_distance > self.max_distance:
            raise ValueError("min_distance is above max_distance")
        return self
