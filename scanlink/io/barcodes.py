"""Which cells all sides share, and why the others are lost."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pandas as pd

from scanlink.errors import InputError, first_few

__all__ = ["BARCODE_COLUMNS", "NUCLEOTIDES", "align_cells", "are_unlike", "refuse_duplicates", "text_index"]

log = logging.getLogger("scanlink")

# What reads like a barcode.
NUCLEOTIDES = "[ACGT]{8,}"
# What columns of barcodes are called, in lower case; the likeliest first. Of the two barcodes that 10x lists for a
# cell, the matrices have that of the RNA, in both modalities.
BARCODE_COLUMNS = (
    *("barcode", "barcodes", "cell", "cells", "cell_id", "cellid", "cell_barcode", "cell_name", "gex_barcode"),
    *("unnamed: 0", "index"),
)
# Least share of the smaller side whose barcodes the other side has.
_LEAST_OF_MATRICES, _LEAST_OF_TABLE = 0.5, 0.25
# Share of them that two lists of barcodes may have in common by chance.
_BY_CHANCE = 0.05

_DIFFERENCES = (
    ("the suffix '-1' (or another number)", r"-\d+$", ""),
    ("a suffix after '_'", r"_[^_]*$", ""),
    ("the suffix after the second '-'", r"^([^-]+-\d+)-.*$", r"\1"),
    ("a prefix up to '#'", r"^[^#]*#", ""),
    ("a prefix up to '_'", r"^.*_", ""),
    ("a prefix up to ':'", r"^.*:", ""),
    ("everything but the nucleotides of the barcode", rf"^.*?({NUCLEOTIDES}).*$", r"\1"),
    ("the case of letters", r"", ""),
)


def refuse_duplicates(names: pd.Index, label: str) -> None:
    """Refuse names that occur twice; ``label`` says what they are, such as ``"barcodes of rna"``."""
    if names.is_unique:
        return
    twice = names[names.duplicated()].unique()
    verb = "occurs" if len(twice) == 1 else "occur"
    raise InputError(
        f"{len(twice):,} of the {label} {verb} more than once: {first_few(twice)}. Unique names were expected; "
        "where samples were joined, put the sample into the name, else drop the copies"
    )


def align_cells(names: Mapping[str, pd.Index]) -> tuple[pd.Index, dict[str, int]]:
    """Find the barcodes that all sides share, in the order of the first, and how many cells each side lost.

    Raises InputError if barcodes of a side are not unique, or if so few cells are on all sides that barcodes coincide
    without being of the same cells; with examples of each, and the difference in writing that would explain it.
    """
    for side, barcodes in names.items():
        refuse_duplicates(barcodes, f"barcodes of {side}")
    kept = next(iter(names.values()))
    for barcodes in list(names.values())[1:]:
        kept = kept[kept.isin(barcodes)]
    lost = {side: len(barcodes) - len(kept) for side, barcodes in names.items()}
    if _too_few(names):
        shown = "; ".join(
            f"{side} has {len(barcodes):,}, such as {first_few(barcodes[:2])}" for side, barcodes in names.items()
        )
        reason = _explain_loss(names)
        if not len(kept):
            raise InputError(
                f"no cell is on all sides ({', '.join(names)}): {shown}. Equal barcodes were expected. "
                + (reason or "Are the files of the same sample?")
            )
        raise InputError(
            f"only {len(kept):,} cells are on all sides ({', '.join(names)}): {shown}. Every side would lose most of "
            "its cells, so barcodes may be equal by chance and belong to different cells. "
            + (
                f"{reason}."
                if reason
                else "Are the files of the same sample, and the ATAC barcodes translated to those of the RNA?"
            )
            + " If these cells are truly the same, take only them on one of the sides"
        )
    for side, barcodes in names.items():
        if lost[side]:
            share = lost[side] / len(barcodes)
            reason = _explain_loss(names) if share > 0.2 else ""
            log.log(
                logging.WARNING if share > 0.2 else logging.INFO,
                "%s lost %s of %s cells (%.1f %%) that are not on all sides. %s",
                side,
                f"{lost[side]:,}",
                f"{len(barcodes):,}",
                100 * share,
                reason,
            )
    return kept, lost


def _too_few(names: Mapping[str, pd.Index]) -> bool:
    """Tell whether every side loses too many cells for the barcodes to be of the same ones.

    A side may be a small part of another (cells of one type, counts of all droplets), but then it keeps nearly all of
    its own. Two matrices of one experiment share at least half of the smaller. A table of cells is often of many
    samples and filtered besides: there a quarter is enough, ten times what two whitelists share by chance.
    """
    cells = names.get("cells")
    kept, *others = (barcodes for side, barcodes in names.items() if side != "cells")
    for barcodes in others:
        least = min(len(kept), len(barcodes)) * _LEAST_OF_MATRICES
        kept = kept[kept.isin(barcodes)]
        if len(kept) == 0 or len(kept) < least:
            return True
    if cells is None:
        return False
    shared = int(kept.isin(cells).sum())
    return shared == 0 or shared < _LEAST_OF_TABLE * min(len(kept), len(cells))


def are_unlike(names: Mapping[str, pd.Index]) -> bool:
    """Tell whether two sides have no more barcodes in common than by chance, also if they were written alike."""
    ours, theirs = names.values()
    by_chance = ours.isin(theirs).sum() < _BY_CHANCE * min(len(ours), len(theirs))
    return bool(by_chance) and not _explain_loss(names)


def _explain_loss(names: Mapping[str, pd.Index]) -> str:
    """Name the difference in writing without which clearly more barcodes would match."""
    sides = list(names)
    for left, right in [(a, b) for i, a in enumerate(sides) for b in sides[i + 1 :]]:
        ours, theirs = names[left], names[right]
        smaller = min(len(ours), len(theirs))
        now = int(ours.isin(theirs).sum())
        if now > 0.8 * smaller:
            continue
        best, explanation = now + 0.2 * smaller, ""
        for words, pattern, replacement in _DIFFERENCES:
            ours_rewritten, theirs_rewritten = (_rewritten(x, pattern, replacement) for x in (ours, theirs))
            for where, a, b in (
                (left, ours_rewritten, theirs),
                (right, ours, theirs_rewritten),
                (f"{left} and {right}", ours_rewritten, theirs_rewritten),
            ):
                match = len(a.unique().intersection(b.unique()))
                if match > best:
                    best = match
                    explanation = (
                        f"{match:,} cells of {left} and {right} would match without {words} in {where} (now {now:,})"
                    )
        if explanation:
            return explanation
    return ""


def _rewritten(names: pd.Index, pattern: str, replacement: str) -> pd.Index:
    if not pattern:
        return pd.Index(pd.Series(names).str.upper())
    return pd.Index(pd.Series(names).str.replace(pattern, replacement, regex=True))


def text_index(names: pd.Index | pd.Series) -> pd.Index:
    """Turn names into plain texts."""
    return pd.Index(names.astype(str).to_numpy(dtype=object), dtype="object")
