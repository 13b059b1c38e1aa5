"""From raw counts to what is tested: covariates, feature filters, gene-peak pairs."""

from __future__ import annotations

from scanlink.pp.build import TssEnrichment, tss_enrichment
from scanlink.pp.features import FeatureStatistics, feature_statistics, filter_features
from scanlink.pp.genome import cis_pairs
from scanlink.pp.hvg import highly_variable_genes
from scanlink.pp.qc import qc
from scanlink.pp.survey import Survey

__all__ = [
    "FeatureStatistics",
    "Survey",
    "TssEnrichment",
    "cis_pairs",
    "feature_statistics",
    "filter_features",
    "highly_variable_genes",
    "qc",
    "tss_enrichment",
]
