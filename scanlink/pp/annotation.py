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
    """Strip Ensembl identifiers of their version; whatever else follows, such as ``_PAR_Y``, stays.

    Parameters
    ----------
    ids
        Identifiers; missing ones become the empty string.

    Returns
    -------
    The identifiers as text, with the index of ``ids`` if it is a Series.

    Examples
    --------
    >>> strip_version(pd.Series(["ENSG00000182378.15_PAR_Y", "ENSG00000141510.19", None])).tolist()
    ['ENSG00000182378_PAR_Y', 'ENSG00000141510', '']
    """
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
    """Find the loci of the genes of the data in an annotation.

    A gene has several loci if its name, or its identifier, occurs several times there.

    Parameters
    ----------
    names
        Names of the genes in the data, unique. Shape ``(n_genes,)``.
    genes
        The annotation, one row per locus, with columns ``gene`` and, if there are any, ``gene_id``.
    gene_ids
        Identifiers of the genes in the data, in the order of ``names``. Shape ``(n_genes,)``.
    match
        What to compare. None: the identifier, for each gene that has one, if the annotation has them too, else the
        name. If no identifier is found at all, names are tried, and then the names as if they were identifiers.

    Returns
    -------
    pandas.DataFrame
        Columns ``gene`` (position in ``names``) and ``locus`` (position in ``genes``), sorted by both.

    Raises
    ------
    InputError
        If no gene is found.
    MissingKeyError
        If ``match="gene_id"`` and one side has no identifiers.
    OptionError
        If ``match`` is something else.

    Examples
    --------
    >>> annotation = pd.DataFrame({"gene": ["A", "B", "A"], "gene_id": ["", "", ""]})
    >>> match_genes(pd.Index(["A", "C"]), annotation)
       gene  locus
    0     0      0
    1     0      2
    """
    if match not in (None, "gene_id", "name"):
        raise OptionError(f"match is {match!r}, expected 'gene_id', 'name', or None to have it chosen")
    if "gene" not in genes:
        raise MissingKeyError(
            f"the annotation has no column 'gene', found {first_few(genes.columns, most=10)}: read it with "
            "scanlink.io.read_genes"
        )
    locus_ids = strip_version(genes["gene_id"]) if "gene_id" in genes else pd.Series("", index=genes.index)
    data_ids = strip_version(gene_ids) if gene_ids is not None else pd.Series("", index=range(len(names)))
    locus_ids, data_ids = locus_ids.reset_index(drop=True), data_ids.reset_index(drop=True)
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
    matches = matches.sort_values(["gene", "locus"], ignore_index=True)

    if matches.empty:
        raise InputError(
            f"none of the {len(names)} genes of the data is in the annotation: found {first_few(names, most=3)} in "
            "the data and "
            f"{first_few(genes['gene'], most=3)} in the annotation. Expected the same kind of names: choose the "
            "annotation of "
            "the right species, or set rna.var['gene_id'] to Ensembl identifiers"
        )
    _report(names, matches)
    return matches


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
