"""Links and enhancer pairs as genome browsers draw them: BEDPE, and the interact format of UCSC."""

from __future__ import annotations

import logging
import re
from typing import Literal

import numpy as np
import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.io.peaks import parse_peaks
from scanlink.io.places import gene_places

__all__ = ["BEDPE_COLUMNS", "INTERACT_AS", "INTERACT_COLUMNS", "bedpe", "ends_of", "interact"]

log = logging.getLogger("scanlink")

BEDPE_COLUMNS = ["chrom1", "start1", "end1", "chrom2", "start2", "end2", "name", "score", "strand1", "strand2"]
# Links of a screen have the target on which the peak is.
_LINK_EXTRAS = ["group", "target", "peak", "distance", "beta", "se", "p_value", "fdr"]
_PAIR_EXTRAS = [
    *("group", "enhancer_1", "enhancer_2", "distance", "n_11", "beta_10", "beta_01", "beta_11"),
    *("beta_interaction", "se_robust_interaction", "p_value", "fdr", "fdr_gene"),
]
# The colour-blind safe pair of Okabe and Ito (2008): raises expression or synergy, lowers it or redundancy.
_UP, _DOWN = "0,114,178", "213,94,0"
# -log10 of a false discovery rate that has the full score.
_DECADES = 10

INTERACT_COLUMNS = [
    *("chrom", "chromStart", "chromEnd", "name", "score", "value", "exp", "color"),
    *("sourceChrom", "sourceStart", "sourceEnd", "sourceName", "sourceStrand"),
    *("targetChrom", "targetStart", "targetEnd", "targetName", "targetStrand"),
]
# Names, types and order are those that UCSC demands; the words are ours.
INTERACT_AS = """\
table interact
"Gene-peak links or enhancer pairs of scanlink"
    (
    string chrom;        "Chromosome of the item"
    uint   chromStart;   "Start of the lower region; on two chromosomes, of this region"
    uint   chromEnd;     "End of the upper region; on two chromosomes, of this region"
    string name;         "Peak/gene/group, or gene/group of an enhancer pair"
    uint   score;        "0-1000: -100 log10 of the false discovery rate"
    double value;        "Effect, natural log: of the link, or interaction of the pair"
    string exp;          "Group of cells"
    string color;        "r,g,b: blue above 0, orange below"
    string sourceChrom;  "Chromosome of the peak, or of the first enhancer"
    uint   sourceStart;  "Its start"
    uint   sourceEnd;    "Its end"
    string sourceName;   "Its name"
    string sourceStrand; "Always ."
    string targetChrom;  "Chromosome of the gene, or of the second enhancer"
    uint   targetStart;  "Start of its TSS or body, or of the enhancer"
    uint   targetEnd;    "End of its TSS or body, or of the enhancer"
    string targetName;   "Its name"
    string targetStrand; "Strand of the gene; . for enhancers"
    )
"""


def ends_of(
    table: pd.DataFrame, *, genes: pd.DataFrame | None, anchor: Literal["tss", "body"], one_based: bool
) -> pd.DataFrame:
    """Find both intervals of every row of links (``peak``) or of enhancer pairs (``enhancer_1``, ``enhancer_2``).

    Links are best given all, and the other arguments are those of :func:`scanlink.io.export`. The result has the index
    of ``table`` and the columns ``chrom1``, ``start1``, ``end1``, ``chrom2``, ``start2``, ``end2`` (0-based half-open,
    bp) and ``strand2``; ``chrom2`` is missing where a gene has no place. Raises InputError if a peak is no interval.
    """
    first, second = ("peak", None) if "peak" in table else ("enhancer_1", "enhancer_2")
    ends = _intervals(table[first], one_based=one_based).set_axis(["chrom1", "start1", "end1"], axis=1)
    if second is not None:
        other = _intervals(table[second], one_based=one_based).set_axis(["chrom2", "start2", "end2"], axis=1)
        return pd.concat([ends, other], axis=1).assign(strand2=".")
    places = gene_places(table, ends.set_axis(["chrom", "start", "end"], axis=1), genes=genes)
    body = anchor == "body"
    return ends.assign(
        chrom2=places["chrom"],
        start2=places["start" if body else "tss"],
        end2=places["end"] if body else places["tss"] + 1,
        strand2=places["strand"],
    )


def _intervals(names: pd.Series, *, one_based: bool) -> pd.DataFrame:
    if names.isna().any():
        raise InputError(
            f"{names.isna().sum():,} of {len(names):,} rows have no {names.name}: give it, or drop the rows"
        )
    codes, unique = pd.factorize(names.astype(str))
    try:
        return parse_peaks(unique, one_based=one_based).iloc[codes].set_axis(names.index, axis=0)
    except InputError as error:
        raise InputError(f"column {names.name!r}: {error}") from error


def placed(table: pd.DataFrame, ends: pd.DataFrame) -> pd.Series:
    """Tell which rows have both ends; log how many do not, and why."""
    has_place = ends["chrom2"].notna()
    if len(table) and not has_place.all():
        lost = table.loc[~has_place, "gene"].unique()
        text = (
            f"{(~has_place).sum():,} of {len(table):,} links are left out, as the place of their gene is not known: "
            f"{len(lost)} genes are not in the annotation ({first_few(lost)}). Give genes=, an annotation that has them"
        )
        if not has_place.any():
            raise InputError(text)
        log.warning("%s", text)
    return has_place


def score(fdr: pd.Series) -> pd.Series:
    """Turn false discovery rates into whole numbers from 0 to 1000: -100 log10 of them; missing ones are 0.

    >>> score(pd.Series([0.1, 1e-5, 0.0, float("nan")])).tolist()
    [100, 500, 1000, 0]
    """
    values = fdr.to_numpy(dtype=float)
    with np.errstate(divide="ignore"):
        decades = np.clip(-np.log10(values), 0, _DECADES)
    scores = np.rint(np.nan_to_num(decades, nan=0.0) * 1000 / _DECADES)
    return pd.Series(scores.astype(np.int64), index=fdr.index)


def bedpe(table: pd.DataFrame, ends: pd.DataFrame) -> pd.DataFrame:
    """Make rows of BEDPE, in the order of the genome: ``BEDPE_COLUMNS``, then columns of the table by their names."""
    extras = _LINK_EXTRAS if "peak" in table else _PAIR_EXTRAS
    rows = ends.assign(name=table["gene"].astype(str), score=score(table["fdr"]), strand1=".")[BEDPE_COLUMNS]
    rows = rows.join(table[[name for name in extras if name in table]])
    return rows.sort_values(["chrom1", "start1", "end1", "chrom2", "start2", "name"], kind="stable")


def interact(table: pd.DataFrame, ends: pd.DataFrame) -> pd.DataFrame:
    """Make rows of UCSC's interact format (``INTERACT_COLUMNS``), sorted as ``bedToBigBed`` wants it.

    A row whose ends are on two chromosomes is there twice, once on each, as the format has it.
    """
    links = "peak" in table
    value = table["beta" if links else "beta_interaction"].astype(float)
    gene, group = table["gene"].map(_word), table["group"].map(_word)
    source = table["peak" if links else "enhancer_1"].map(_word)
    target = gene if links else table["enhancer_2"].map(_word)
    rows = pd.DataFrame(
        {
            "chrom": ends["chrom1"],
            "chromStart": ends[["start1", "start2"]].min(axis=1),
            "chromEnd": ends[["end1", "end2"]].max(axis=1),
            "name": (source + "/" + gene + "/" + group) if links else (gene + "/" + group),
            "score": score(table["fdr"]),
            "value": value,
            "exp": group,
            "color": np.where(value < 0, _DOWN, _UP),
            **{f"source{part}": ends[f"{part.lower()}1"] for part in ("Chrom", "Start", "End")},
            "sourceName": source,
            "sourceStrand": ".",
            **{f"target{part}": ends[f"{part.lower()}2"] for part in ("Chrom", "Start", "End")},
            "targetName": target,
            "targetStrand": ends["strand2"],
        }
    )
    apart = rows["sourceChrom"] != rows["targetChrom"]
    if apart.any():
        first, second = rows[apart].copy(), rows[apart].copy()
        for part, side in ((first, "source"), (second, "target")):
            part[["chrom", "chromStart", "chromEnd"]] = part[[f"{side}Chrom", f"{side}Start", f"{side}End"]].to_numpy()
        rows = pd.concat([rows[~apart], first, second])
    # By bytes, as sort does with LC_COLLATE=C; Python sorts strings by code point, which is the same order in UTF-8.
    return rows.sort_values(["chrom", "chromStart", "chromEnd", "name"], kind="stable")[INTERACT_COLUMNS]


def _word(text: object) -> str:
    """Join words: a custom track may be split at any blank, and an empty field would shift the others."""
    return re.sub(r"\s+", "_", str(text).strip()) or "."
