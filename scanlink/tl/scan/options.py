"""Options of a scan, and of what is called a link."""

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
    Theta,
    check_replicates,
)
from scanlink.p_values import PValue

__all__ = ["RATES_OVER", "LinksOptions", "ScanOptions"]

# Columns of links whose values tell apart what rates of a scope are taken over.
RATES_OVER: dict[str, list[str]] = {"group": ["group"], "gene": ["group", "gene"], "all": []}


class ScanOptions(Options):
    """How each pair is tested."""

    formula: str = Field("log(nUMI) + percent.mito", description="covariates in the notation of R")
    family: Literal["poisson", "negbin"] = Field("poisson", description="distribution of the counts")
    p_value: PValue = Field("robust", description="the p-value that false discovery rates are taken on")
    ladder: LadderStages = "capstone"
    seed: Seed = 0
    theta: Theta = "held"
    cluster: ClusterColumn = None
    robust: Robust = "HC3"
    binarize: bool = Field(True, description="accessibility as open or closed; False: as counts")
    min_fraction: float = Field(
        0.05, ge=0, lt=1, description="gene and peak are non-zero in more than this of the group"
    )
    min_nonzero: int = Field(
        5, ge=1, description="and in at least this many cells; the peak is closed in at least this many, too"
    )
    min_cells: int = Field(10, ge=2, description="groups with fewer cells are not tested")
    device: Device = None
    block_genes: BlockGenes = None

    @model_validator(mode="after")
    def _possible(self) -> ScanOptions:
        check_replicates(self.p_value, self.ladder)
        return self


class LinksOptions(Options):
    """Which tested pairs are called links."""

    method: Method = "bh"
    alpha: float = Field(0.1, gt=0, le=1, description="false discovery rate below which a pair is called a link")
    scope: Literal["group", "all", "gene"] = Field(
        "group", description="over what the rate is taken: each group, everything, or each gene of a group"
    )
