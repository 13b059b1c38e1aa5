"""Which rows of a gene annotation belong to which genes of the data."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.contigs import as_named_by, say_what_is_alone, say_what_is_renamed
from scanlink.io.unknown_names import why_unknown
from scanlink.pp.intervals import check_intervals

__all__ = ["Loci", "find_loci", "match_genes", "say_what_is_found", "strip_version", "wanted_genes"]

log = logging.getLogger("scanlink")


def strip_version(ids: pd.Series | pd.Index) -> pd.Series:
    """Strip Ensembl identifiers of their version; missing ones become "", what else follows, as ``_PAR_Y``, stays."""
    text = pd.Series(ids).astype(object)
    text = text.where(text.notna(), "").astype(str)
    # Only of Ensembl, and of simulated genes: AL021155.5 is a name, and another gene than AL021155.3.
    return text.str.replace(r"^(ENS[A-Z]*\d+|SIMG\d+)\.\d+", r"\1", regex=True)


@dataclass(frozen=True)
class Loci:
    """The loci of the genes of the data in an annotation."""

    matches: pd.DataFrame  # gene and locus, as positions; see match_genes
    table: pd.DataFrame  # of each match chrom, start, end, strand, and position, that of the gene in the data
    chroms: tuple[pd.Series, pd.Series]  # of the whole annotation, as it has them and as the places have them
    unknown_ids: bool  # whether identifiers are on both sides, and none is on both


def find_loci(
    var: pd.DataFrame,
    genes: pd.DataFrame,
    places: pd.DataFrame,
    *,
    match: Literal["gene_id", "name"] | None = None,
    wanted: NDArray[np.bool_] | None = None,
) -> Loci:
    """Find the loci of the genes of the data, of those ``wanted``, in an annotation; nothing is logged.

    Chromosomes are named as in ``places``, with which the loci are to be paired.
    """
    table = check_intervals(genes, what="the annotation")
    matches, unknown_ids = match_genes(var.index, genes, gene_ids=var.get("gene_id"), match=match)
    if wanted is not None:
        matches = matches[wanted[matches["gene"]]]
    said = table["chrom"]
    table["chrom"] = as_named_by(said, places["chrom"])
    loci = table.iloc[matches["locus"].to_numpy()].assign(position=matches["gene"].to_numpy())
    return Loci(matches, loci.reset_index(drop=True), (said, table["chrom"]), unknown_ids)


def match_genes(
    names: pd.Index,
    genes: pd.DataFrame,
    *,
    gene_ids: pd.Series | None = None,
    match: Literal["gene_id", "name"] | None = None,
) -> tuple[pd.DataFrame, bool]:
    """Find the rows of genes of the data in an annotation: several where a name or identifier is there repeatedly.

    Gives ``gene`` (position in ``names``) and ``locus`` (position in ``genes``), sorted by both. With ``match=None``
    the identifier is compared for each gene that has one, if the annotation has them too, else the name. If no
    identifier is found at all, names are tried, also as if they were identifiers; and then the names of the annotation
    as if they were. Tells as well whether no identifier was found though both sides have them.
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
    unknown_ids = both and match is None and matches.empty
    if match != "gene_id" and matches.empty:
        matches = _join(by_name, locus_names)
        if match is None:
            # Genes without a symbol go by their identifier.
            unnamed = ~np.isin(np.arange(len(names)), matches["gene"])
            matches = pd.concat([matches, _join(strip_version(names).where(unnamed, ""), locus_ids)])
    if match is None and matches.empty:
        matches = _join(data_ids, strip_version(locus_names))
    matches = matches.sort_values(["gene", "locus"], ignore_index=True)
    if matches.empty:
        raise InputError(
            f"none of the {len(names)} genes of the data is in the annotation: found {first_few(names, most=3)} in "
            f"the data and {first_few(genes['gene'], most=3)} in the annotation{_kinds(names, genes)}. Expected the "
            "same kind of names: choose the annotation of the right species, or set rna.var['gene_id'] to Ensembl "
            "identifiers"
        )
    return matches, unknown_ids


def wanted_genes(names: pd.Index, only: Iterable[str] | None) -> NDArray[np.bool_]:
    """Tell which genes of the data are among ``only``, or all."""
    if only is None:
        return np.ones(len(names), dtype=bool)
    wanted = pd.Index([only] if isinstance(only, str) else list(only))
    absent = wanted[~wanted.isin(names)]
    if len(absent):
        kinds = why_unknown(absent, names)
        raise MissingKeyError(
            f"{len(absent)} of {len(wanted)} genes of `only` are not in the data: {first_few(absent)}"
            f"{f': {kinds}' if kinds else ''}"
        )
    return np.asarray(names.isin(wanted))


def say_what_is_found(
    found: Loci,
    var: pd.DataFrame,
    genes: pd.DataFrame,
    places: pd.DataFrame,
    *,
    what: str,
    wanted: NDArray[np.bool_],
    n_pairs: int,
) -> None:
    """Log how the genes of the data were found in an annotation, and what of either side pairs with nothing.

    ``places`` are those of peaks or targets (``what``), ``n_pairs`` the pairs that they make.
    """
    if found.unknown_ids:
        log.warning("no gene_id of rna.var is in the annotation; genes are matched by name")
    several = var.index[np.flatnonzero(np.bincount(found.matches["gene"], minlength=len(var)) > 1)]
    if len(several):
        log.info(
            "%d genes have several loci in the annotation, whose pairs are joined: %s", len(several), first_few(several)
        )
    say_what_is_renamed(*found.chroms)
    say_what_is_alone(found.table["chrom"], found.chroms[1], places["chrom"], what=what)
    _say_what_is_absent(var, genes, found.matches, wanted=wanted, n_pairs=n_pairs)


def _say_what_is_absent(
    var: pd.DataFrame, genes: pd.DataFrame, matches: pd.DataFrame, *, wanted: NDArray[np.bool_], n_pairs: int
) -> None:
    """Log which of the ``wanted`` genes of the data are not in an annotation, why that may be, and what it costs.

    The cost is counted in pairs: as many for each gene as the genes that are there have on average, of ``n_pairs``.
    """
    there = np.isin(np.arange(len(var)), matches["gene"])
    absent = var.index[wanted & ~there]
    if not len(absent):
        return
    cost = n_pairs / max(int((wanted & there).sum()), 1) * len(absent)
    text = f"{_kinds(absent, genes)}. That costs about {cost:,.0f} pairs, at as many a gene as the others have"
    by_name = int(absent.isin(genes["gene"]).sum())
    if by_name:
        text += f"; {by_name:,} have their name there under another gene_id, and match='name' finds them"
    elif "gene_id" not in var:
        text += "; rna.var['gene_id'] with Ensembl identifiers finds genes under any name"
    log.warning(
        "%d of %d genes are not in the annotation: %s%s", len(absent), int(wanted.sum()), first_few(absent), text
    )


def _kinds(absent: pd.Index, genes: pd.DataFrame) -> str:
    """Say why names may not be in an annotation, after a colon, or nothing."""
    known = pd.concat([genes[name].dropna() for name in ("gene", "gene_id") if name in genes])
    kinds = why_unknown(absent, known)
    return f": {kinds}" if kinds else ""


def _plain_ids(ids: pd.Series | None, n: int) -> pd.Series:
    return pd.Series("", index=range(n)) if ids is None else strip_version(ids).reset_index(drop=True)


def _join(keys: pd.Series, loci: pd.Series) -> pd.DataFrame:
    """Find the positions in ``keys`` and in ``loci`` of all equal, non-empty values."""
    left = pd.DataFrame({"key": keys.to_numpy(dtype=object), "gene": np.arange(len(keys))})
    right = pd.DataFrame({"key": loci.to_numpy(dtype=object), "locus": np.arange(len(loci))})
    left, right = left[left["key"] != ""], right[right["key"].notna() & (right["key"] != "")]
    return left.merge(right, on="key", how="inner")[["gene", "locus"]]
