"""From raw counts to what is tested: covariates, feature filters, gene-peak pairs."""

from __future__ import annotations

from scanlink.pp.genome import cis_pairs

__all__ = ["cis_pairs"]
