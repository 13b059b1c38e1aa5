"""Chromosomes under the names of others: chr1 and 1, chrM and MT, chrUn_KI270742v1 and Seurat's chrUn-KI270742v1."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd

from scanlink.errors import first_few

__all__ = ["as_named_by", "plain_name", "say_what_is_alone", "say_what_is_renamed"]

log = logging.getLogger("scanlink")

# Names of UCSC hold the accession that Ensembl and NCBI use: chr1_KI270706v1_random is KI270706.1.
_ACCESSION = re.compile(r"(?:^|_)([A-Z]{2}\d{6})[v.](\d+)(?:_|$)", re.IGNORECASE)
# Share of peaks or genes on contigs that the other side lacks, above which it is worth a warning.
_MUCH = 0.05


def plain_name(name: str) -> str:
    """Give what the names of one contig have in common, whoever wrote them."""
    text = name.replace("-", "_")
    if accession := _ACCESSION.search(text):
        return f"{accession[1]}.{accession[2]}".upper()
    text = re.sub(r"^chr_?", "", text, flags=re.IGNORECASE)
    return "M" if text.upper() in ("M", "MT") else text


def as_named_by(chroms: pd.Series, others: pd.Series) -> pd.Series:
    """Name contigs as the other side names them, where that lacks their own name.

    A name is changed only where a single contig of either side can be meant. The result is as long as ``chroms``.

    >>> as_named_by(pd.Series(["chr1", "chrM", "chrX"]), pd.Series(["1", "MT", "2"])).tolist()
    ['1', 'MT', 'chrX']
    """
    ours, theirs = (pd.Series(pd.unique(names.astype(str)), dtype=object) for names in (chroms, others))
    ours, theirs = ours[~ours.isin(theirs)], theirs[~theirs.isin(ours)]
    mine, known = ours.map(plain_name), theirs.map(plain_name)
    known, mine = (plain[~plain.duplicated(keep=False)] for plain in (known, mine))
    places = dict(zip(known, theirs[known.index], strict=True))
    renamed = {own: places[plain] for own, plain in zip(ours[mine.index], mine, strict=True) if plain in places}
    if not renamed:
        return chroms
    return chroms.astype(object).replace(renamed)


def say_what_is_renamed(before: pd.Series, after: pd.Series) -> None:
    """Log which contigs of the genes :func:`as_named_by` has called otherwise."""
    old, new = (chroms.astype(object).to_numpy() for chroms in (before, after))
    pairs = pd.DataFrame({"old": old, "new": new})[old != new].drop_duplicates()
    if len(pairs):
        log.info(
            "%d chromosomes of the genes have other names than in the data: %s",
            len(pairs),
            first_few(f"{old} is {new}" for old, new in pairs.itertuples(index=False)),
        )


def say_what_is_alone(genes: pd.Series, annotation: pd.Series, places: pd.Series, *, what: str) -> None:
    """Log what lies on contigs that the other side does not have; a warning where it is much or a whole chromosome.

    Contigs of the genes of the data, of a whole annotation, and of the peaks or targets (``what``). Targets are chosen,
    so that no gene is alone for having none on its chromosome.
    """
    sides = [(f"{what}s", places, annotation, "the annotation does not have")]
    if what == "peak":
        sides.append(("genes", genes, places, "no peak is on"))
    for name, ours, theirs, lack in sides:
        alone = ours[~ours.isin(theirs)]
        if not len(alone):
            continue
        # Unplaced contigs have few genes, and women no peaks on Y: that is no news.
        much = len(alone) > _MUCH * len(ours) or alone.astype(str).str.fullmatch(r"(?i:chr)?(?:\d+|X)").any()
        log.log(
            logging.WARNING if much else logging.INFO,
            "%s of %s %s pair with nothing, as %s their chromosomes: %s",
            *(f"{n:,}" for n in (len(alone), len(ours))),
            name,
            lack,
            first_few(np.asarray(pd.unique(alone))),
        )
