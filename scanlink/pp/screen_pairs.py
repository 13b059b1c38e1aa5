"""Pairs of genes and targets of a screen that lie near each other, and those of a gene with its own promoter."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scanlink.errors import InputError, first_few
from scanlink.io.genomes import FAR
from scanlink.io.guides import NON_TARGETING
from scanlink.io.unknown_names import why_unknown
from scanlink.pp.annotation import find_loci, say_what_is_found, strip_version, wanted_genes
from scanlink.pp.build import build_said, warn_of_build
from scanlink.pp.column_names import symbol_columns
from scanlink.pp.door import SCREEN_KEYS, Screen, are_described, enter
from scanlink.pp.genome import near, why_none
from scanlink.pp.intervals import check_intervals, check_options, refuse_equal_names
from scanlink.pp.modalities import target_names

__all__ = ["screen_pairs"]

log = logging.getLogger("scanlink")

# Wider than any chromosome.
_ANYWHERE = 1 << 40
# Targets that are called as a gene and have a place, from which on it counts that most of them are far from its TSS.
_FEWEST_NAMED = 3


def screen_pairs(
    mdata: Screen,
    genes: pd.DataFrame,
    *,
    window: int = 1_000_000,
    anchor: Literal["body", "tss"] = "tss",
    overlap: Literal["any", "center"] = "any",
    match: Literal["gene_id", "name"] | None = None,
    only: Iterable[str] | None = None,
    rna_key: str | None = None,
    guide_key: str | None = None,
) -> pd.DataFrame:
    """List the targets near each gene, and the targets that are a gene's own promoter.

    Parameters
    ----------
    mdata
        The screen; ``guide.var`` has ``target`` and, for targets that are to be found by place, ``chrom``, ``start``,
        ``end``. May be backed: no count is read.
    genes
        Annotation of the same genome build, as :func:`scanlink.io.read_genes` returns it.
    window
        Reach on both sides of the anchor, in bp.
    anchor
        ``"tss"``: ``[tss - window, tss + 1 + window)``. ``"body"``: the same around the whole gene.
    overlap
        ``"any"``: one base of the target in the window is enough. ``"center"``: its centre must be inside.
    match, only
        How genes of the data are found in the annotation, and names of those wanted: as in
        :func:`scanlink.pp.cis_pairs`.
    rna_key, guide_key
        As in :func:`scanlink.pp.screen_qc`.

    Returns
    -------
    pandas.DataFrame
        One row per pair, in the order of the genes and then of the targets in the data: ``gene``, ``target``,
        ``distance`` from the TSS to the centre of the target (bp, positive downstream; NA where the target has no
        place or another chromosome), and ``kind``: ``"positive_control"`` where the target is called as the gene (its
        name, symbol or identifier) or covers its TSS, else ``"discovery"``. A target that is called as a gene is paired
        with it wherever it lies. Controls (``"non-targeting"``) are in no pair.

    Raises
    ------
    InputError
        If no pair is found (says whether chromosome names or positions are at fault), coordinates are impossible, a
        target has several places, or names are not unique.
    MissingKeyError, OptionError
        As in :func:`scanlink.pp.cis_pairs`.

    Notes
    -----
    Distances and windows are those of :func:`scanlink.pp.cis_pairs`. A target at one gene's TSS makes ``"discovery"``
    pairs with the other genes around it.

    Examples
    --------
    >>> import scanlink as sl
    >>> from anndata import AnnData
    >>> guide = AnnData(np.array([[7, 0], [0, 9]]))
    >>> guide.var_names, guide.var["target"] = ["g1", "g2"], ["enh1", "NOC2L"]
    >>> guide.var["chrom"], guide.var["start"], guide.var["end"] = "chr1", [50_000, 999], [50_100, 1_020]
    >>> rna = AnnData(np.array([[3], [4]]))
    >>> rna.var_names = ["NOC2L"]
    >>> genes = pd.DataFrame({"chrom": "chr1", "start": [1_000], "end": [9_000], "strand": "+", "gene": "NOC2L"})
    >>> screen_pairs(sl.io.assemble_screen(rna, guide), genes)
        gene target  distance              kind
    0  NOC2L   enh1     49050         discovery
    1  NOC2L  NOC2L         9  positive_control
    """
    check_options(window, anchor, overlap)
    data = enter(mdata, modalities=SCREEN_KEYS, counts=(), rna_key=rna_key, guide_key=guide_key, fits=_fits).data
    rna, guide = data["rna"], data["guide"]
    refuse_equal_names(rna.var_names, "gene", "rna")
    targets = _targets(guide.var)
    placed = targets["chrom"].notna().to_numpy()
    at = np.flatnonzero(placed)
    places = check_intervals(targets[placed], what="guide.var")
    wanted = wanted_genes(rna.var_names, only)
    found = find_loci(rna.var, genes, places, match=match, wanted=wanted)
    loci = found.table
    pairs = near(loci, places, window=window, anchor=anchor, overlap=overlap).assign(kind="discovery")
    # At a single base, the window is the TSS itself.
    covering = near(loci, places, window=0, anchor="tss", overlap="any")
    alike = _called_alike(rna.var, genes, found.matches, targets.index)
    named = np.isin(at, alike["target"])
    by_name = near(loci, places[named], window=_ANYWHERE, anchor="tss", overlap="any")
    for table, positions in ((pairs, at), (covering, at), (by_name, at[named])):
        table["target"] = positions[table["peak"].to_numpy(dtype=np.int64)]
    alike = alike.merge(by_name[["gene", "target", "distance"]], on=["gene", "target"], how="left")
    control = pd.concat([alike, covering[["gene", "target", "distance"]]]).drop_duplicates(["gene", "target"])
    say_what_is_found(found, rna.var, genes, places, what="target", wanted=wanted, n_pairs=len(pairs))
    warn_of_build(places, loci, genes, rna.var, what="target", said=build_said(guide.var, rna.var))
    known = [genes[name].dropna() for name in ("gene", "gene_id") if name in genes]
    _report(alike, pairs, targets, window, names=[*rna.var_names, *pd.concat(known)])
    joined = pd.concat([control.assign(kind="positive_control"), pairs[["gene", "target", "distance", "kind"]]])
    joined = joined.drop_duplicates(["gene", "target"]).sort_values(["gene", "target"], ignore_index=True)
    placeless_or_named = ~placed
    placeless_or_named[alike["target"]] = True
    if joined.empty or (pairs.empty and not placeless_or_named.all()):
        raise InputError(why_none(loci, places, window=window, anchor=anchor, overlap=overlap, what="target"))
    counted = joined["kind"].value_counts()
    log.info(
        "%d pairs of %d genes and %d targets within %d bp of the %s, and %d positive controls",
        counted.get("discovery", 0),
        joined["gene"].nunique(),
        joined["target"].nunique(),
        window,
        "gene body" if anchor == "body" else "TSS",
        counted.get("positive_control", 0),
    )
    return pd.DataFrame(
        {
            "gene": rna.var_names.to_numpy(dtype=object)[joined["gene"]],
            "target": targets.index.to_numpy(dtype=object)[joined["target"]],
            "distance": joined["distance"].astype("Int64").array,
            "kind": joined["kind"].to_numpy(dtype=object),
        }
    )


def _fits(mdata: MuData) -> bool:
    """Tell whether targets and places have our names, and names of genes are unique."""
    return are_described(mdata) and mdata["rna"].var_names.is_unique


def _targets(var: pd.DataFrame) -> pd.DataFrame:
    """Find the place of each target, in the order of the data."""
    table = pd.DataFrame({"target": target_names(var)})
    for name in ("chrom", "start", "end"):
        values = var[name].astype(object) if name in var else pd.Series(None, index=var.index, dtype=object)
        table[name] = values.where(values.notna(), None).to_numpy(dtype=object)
    each = table[table["target"] != NON_TARGETING].drop_duplicates()
    several = each["target"][each["target"].duplicated()].unique()
    if len(several):
        raise InputError(
            f"{len(several)} targets have several places in mdata['guide'].var: {first_few(several)}. Expected the "
            "same chrom, start and end for all guides of one target: pass the data through scanlink.io.assemble_screen"
        )
    if each.empty:
        raise InputError(f"all guides are controls ({NON_TARGETING!r}): there is no target to pair with genes")
    return each.set_index("target")


def _called_alike(var: pd.DataFrame, genes: pd.DataFrame, matches: pd.DataFrame, targets: pd.Index) -> pd.DataFrame:
    """Find genes and the targets that bear their name, symbol or identifier, as positions."""
    of_data, of_locus = np.arange(len(var)), matches["gene"].to_numpy()
    names: list[tuple[np.ndarray, pd.Series | pd.Index]] = [(of_data, var.index)]
    names += [(of_data, var[name]) for name in ("gene_id", *symbol_columns(var)) if name in var]
    names += [(of_locus, genes[name].iloc[matches["locus"]]) for name in ("gene", "gene_id") if name in genes]
    every = pd.concat(
        pd.DataFrame({"gene": gene, "name": strip_version(texts).to_numpy(dtype=object)}) for gene, texts in names
    )
    every = every[(every["name"] != "") & every["gene"].isin(matches["gene"])].drop_duplicates()
    named = pd.DataFrame({"target": np.arange(len(targets)), "name": strip_version(targets).to_numpy(dtype=object)})
    return every.merge(named, on="name", how="inner")[["gene", "target"]].drop_duplicates(ignore_index=True)


def _report(alike: pd.DataFrame, pairs: pd.DataFrame, targets: pd.DataFrame, window: int, *, names: list[str]) -> None:
    placed: NDArray[np.bool_] = targets["chrom"].notna().to_numpy()
    lost = targets.index[~placed & ~np.isin(np.arange(len(targets)), alike["target"])]
    if len(lost):
        kinds = why_unknown(lost, names)
        log.warning(
            "%d targets have no coordinates and no gene's name, and are in no pair: %s%s",
            len(lost),
            first_few(lost),
            f": {kinds}" if kinds else "",
        )
    at = alike[placed[alike["target"]]]
    reach = window
    # Few targets tell no build; but those that are called as genes are promoters, most of them.
    if len(at) >= _FEWEST_NAMED and ((at["distance"].abs() > FAR) | at["distance"].isna()).mean() > 0.5:
        reach = min(window, FAR)
    far = at[~(at["distance"].abs() <= reach).to_numpy()]
    if len(far):
        log.warning(
            "%d targets that are called as a gene are not within %d bp of its TSS, or on another chromosome: %s. Are "
            "coordinates and annotation of the same genome build?",
            len(far),
            reach,
            first_few(targets.index[far["target"]]),
        )
    alone = np.setdiff1d(np.flatnonzero(placed), np.concatenate([pairs["target"], alike["target"]]))
    if len(alone):
        log.info("%d targets have no gene within %d bp: %s", len(alone), window, first_few(targets.index[alone]))
