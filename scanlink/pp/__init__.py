"""From raw counts to what is tested: covariates, feature filters, gene-peak pairs."""

from __future__ import annotations

from scanlink.pp.build import TssEnrichment, tss_enrichment
from scanlink.pp.cell_cycle import cell_cycle
from scanlink.pp.components import components
from scanlink.pp.features import FeatureStatistics, feature_statistics, filter_features
from scanlink.pp.genome import cis_pairs
from scanlink.pp.guide_assignment import assign_guides, guide_calls, perturbation
from scanlink.pp.hvg import highly_variable_genes
from scanlink.pp.kept_cells import filter_cells
from scanlink.pp.qc import qc, screen_qc
from scanlink.pp.screen_pairs import screen_pairs
from scanlink.pp.survey import Survey

__all__ = [
    "FeatureStatistics",
    "Survey",
    "TssEnrichment",
    "assign_guides",
    "cell_cycle",
    "cis_pairs",
    "components",
    "feature_statistics",
    "filter_cells",
    "filter_features",
    "guide_calls",
    "highly_variable_genes",
    "perturbation",
    "qc",
    "screen_pairs",
    "screen_qc",
    "tss_enrichment",
]
