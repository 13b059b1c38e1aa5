"""Which rows of a gene annotation belong to which genes of the data."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few

__all__ = ["match_genes", "strip_version"]

log = logging.getLogger("scanlink")


def strip_version(ids: pd.Series | pd.Index) -> pd.Series:
    """Strip Ensembl identifiers of their version; missing ones become "", what else follows, as ``_PAR_Y``, stays."""
    text = pd.Series(ids).astype(object)
    text = text.where(text.notna(), "").astype(str)
    # Only of Ensembl, and of simulated genes: AL021155.5 is a name, and another gene than AL021155.3.
    return text.str.replace(r"^(ENS[A-Z]*\d+|SIMG\d+)\.\d+", r"\1", regex=True)


def match_genes(
    names: pd.Index,
    genes: pd.DataFrame,
    *,
    gene_ids: pd.Series | None = None,
    match: Literal["gene_id", "name"] | None = None,
) -> pd.DataFrame:
    """Find the loci of the genes of the data in an annotation: several where a name or identifier is there repeatedly.

    Gives ``gene`` (position in ``names``) and ``locus`` (position in ``genes``), sorted by both. With ``match=None``
    the identifier is compared for each gene that has one, if the annotation has them too, else the name. If no
    identifier is found at all, names are tried, and then the names of either side as if they were identifiers.
    """
    if match not in (None, "gene_id", "name"):
        raise OptionError(f"match is {match!r}, expected 'gene_id', 'name', or None to have it chosen")
    if "gene" not in genes:
        raise MissingKeyError(
            f"the annotation has no column 'gene', found {first_few(genes.columns, most=10)}: read it with "
            "scanlink.io.read_genes"
        )
    locus_ids = _plain_ids(genes.get("gene_id"), len(genes))
    data_ids = _plain_ids(gene_ids, len(names))
    locus_names = genes["gene"].reset_index(drop=True)
    both = bool((locus_ids != "").any() and (data_ids != "").any())
    if match == "gene_id" and not both:
        side = "annotation" if not (locus_ids != "").any() else "rna.var"
        raise MissingKeyError(f"match='gene_id', but the {side} has no column 'gene_id' with values: use match='name'")
    by_name = pd.Series(names.astype(str))
    matches = _join(by_name, locus_names)[:0]
    if both and match != "name":
        matches = _join(data_ids, locus_ids)
        if match is None and len(matches):
            matches = pd.concat([matches, _join(by_name.where(data_ids == "", ""), locus_names)])
    if match != "gene_id" and matches.empty:
        if both and match is None:
            log.warning("no gene_id of rna.var is in the annotation; genes are matched by name")
        matches = _join(by_name, locus_names)
    if match is None and matches.empty:
        matches = _join(strip_version(names), locus_ids)
    if match is None and matches.empty:
        matches = _join(data_ids, strip_version(locus_names))
    matches = matches.sort_values(["gene", "locus"], ignore_index=True)
    if matches.empty:
        raise InputError(
            f"none of the {len(names)} genes of the data is in the annotation: found {first_few(names, most=3)} in "
            f"the data and {first_few(genes['gene'], most=3)} in the annotation. Expected the same kind of names: "
            "choose the annotation of the right species, or set rna.var['gene_id'] to Ensembl identifiers"
        )
    _report(names, matches)
    return matches


def _plain_ids(ids: pd.Series | None, n: int) -> pd.Series:
    return pd.Series("", index=range(n)) if ids is None else strip_version(ids).reset_index(drop=True)


def _join(keys: pd.Series, loci: pd.Series) -> pd.DataFrame:
    """Find the positions in ``keys`` and in ``loci`` of all equal, non-empty values."""
    left = pd.DataFrame({"key": keys.to_numpy(dtype=object), "gene": np.arange(len(keys))})
    right = pd.DataFrame({"key": loci.to_numpy(dtype=object), "locus": np.arange(len(loci))})
    left, right = left[left["key"] != ""], right[right["key"].notna() & (right["key"] != "")]
    return left.merge(right, on="key", how="inner")[["gene", "locus"]]


def _report(names: pd.Index, matches: pd.DataFrame) -> None:
    n_loci = matches["gene"].value_counts()
    absent = names[~np.isin(np.arange(len(names)), n_loci.index)]
    if len(absent):
        log.warning("%d of %d genes are not in the annotation: %s", len(absent), len(names), first_few(absent))
    several = names[np.sort(n_loci.index[n_loci > 1])]
    if len(several):
        log.info(
            "%d genes have several loci in the annotation, whose pairs are joined: %s", len(several), first_few(several)
        )
