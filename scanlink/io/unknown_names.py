"""Why names of genes, peaks or targets may not be where they are looked for, and what they may be called there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import first_few

__all__ = ["lost_names", "why_unknown"]

# A spreadsheet makes dates of MARCH1 and SEPT2, and numbers of RIKEN's 2310009E13.
_MONTHS = {
    "mar": ("MARCHF", "MARCH", "MTARC", "MARC"),
    "sep": ("SEPTIN", "SEPT", "SEP"),
    "dec": ("DELEC", "DEC"),
    "oct": ("OCT",),
    "nov": ("NOV",),
    "apr": ("APR",),
    "feb": ("FEB",),
}
_NUMBER_OF = {name: f"{number:02d}" for name, number in zip(_MONTHS, (3, 9, 12, 10, 11, 4, 2), strict=True)}
_DAY = re.compile(r"(\d{1,2})[-. ]([A-Za-z]{3})[a-z]*|([A-Za-z]{3})[a-z]*[-. ](\d{1,2})|\d{4}-(\d\d)-(\d\d)\b.*")
_LOST_NUMBER = re.compile(r"\d(\.\d+)?E\+\d+")
# Families of genes that renamed for the sake of spreadsheets.
_RENAMED = (("MARCH", "MARCHF"), ("SEPT", "SEPTIN"), ("MARC", "MTARC"), ("DEC", "DELEC"))
_VERSION = re.compile(r"(ENS[A-Z]*\d+)\.\d+(_PAR_Y)?")
_GENOME = re.compile(r"(?:GRC[hm]\d\d|hg\d\d|mm\d+)_+(.+)")
_COPY = re.compile(r"(.+?)(?:[-.]\d+|_dup\d*)")
_CLONE = re.compile(r"[A-Z]{2}\d{6}\.\d+|(?:RP|CT|XX|GS|KB|LL|WI)[A-Z\d]*-\w+\.\d+|LOC\d+|Gm\d+|[\dA-Z]+Rik")


class _Known:
    """Names that are there, found again however they are written."""

    def __init__(self, names: Iterable[object]) -> None:
        self.exact = {str(name) for name in names}
        self.folded = {name.casefold(): name for name in sorted(self.exact, reverse=True)}
        self.plain = {_letters(name): name for name in sorted(self.exact, reverse=True)}
        self.unversioned = {match[1]: name for name in self.exact if (match := _VERSION.fullmatch(name))}


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name).casefold()


def _version(name: str, known: _Known) -> str | None:
    plain = match[1] if (match := _VERSION.fullmatch(name)) else name
    return plain if plain in known.exact else known.unversioned.get(plain)


def _month(name: str, known: _Known) -> str | None:
    if _LOST_NUMBER.fullmatch(name):
        return ""
    parts = _DAY.fullmatch(name)
    if parts is None:
        return None
    of_number = {number: month for month, number in _NUMBER_OF.items()}
    month = (parts[2] or parts[3] or of_number.get(parts[5] or "", "")).casefold()
    if month not in _MONTHS:
        return None
    day = int(parts[1] or parts[4] or parts[6])
    possible = (known.folded.get(f"{stem}{day}".casefold()) for stem in _MONTHS[month])
    return "' or '".join(dict.fromkeys(name for name in possible if name))


def _renamed(name: str, known: _Known) -> str | None:
    for old, new in _RENAMED:
        for ours, theirs in ((old, new), (new, old)):
            if re.fullmatch(rf"{ours}\d+", name, re.IGNORECASE):
                found = known.folded.get(f"{theirs}{name[len(ours) :]}".casefold())
                if found:
                    return found
    return None


def _without(pattern: re.Pattern[str]) -> Callable[[str, _Known], str | None]:
    def find(name: str, known: _Known) -> str | None:
        match = pattern.fullmatch(name)
        return match[1] if match and match[1] in known.exact else None

    return find


def _clone(name: str, known: _Known) -> str | None:
    return "" if _CLONE.fullmatch(name) else None


# What is wrong with a name, in words, and how the name meant is found: None is another kind, "" that none is known.
_KINDS: tuple[tuple[str, Callable[[str, _Known], str | None]], ...] = (
    ("with another version of the identifier", _version),
    ("made dates or numbers by a spreadsheet", _month),
    ("with a genome before the name", _without(_GENOME)),
    ("in other upper and lower case, as of man and mouse", lambda name, known: known.folded.get(name.casefold())),
    ("with other punctuation", lambda name, known: known.plain.get(_letters(name))),
    ("renamed", _renamed),
    ("with a number behind the name, as copies of equal names", _without(_COPY)),
    ("of clones and loci, whose names change with each release", _clone),
)


def why_unknown(absent: Iterable[object], known: Iterable[object]) -> str:
    """Say how many of the names that are absent are of which kind, with the first of each and what is known instead.

    Empty where nothing can be said.

    >>> why_unknown(["1-Mar", "Gapdh", "ENSG00000141510.12"], ["MARCHF1", "GAPDH", "ENSG00000141510"])
    "1 with another version of the identifier ('ENSG00000141510.12' is 'ENSG00000141510' there), 1 made dates or \
numbers by a spreadsheet ('1-Mar' is 'MARCHF1' there), 1 in other upper and lower case, as of man and mouse \
('Gapdh' is 'GAPDH' there)"
    """
    there = _Known(known)
    counts: dict[str, int] = {}
    shown: dict[str, str] = {}
    for name in map(str, absent):
        for kind, find in _KINDS if name not in there.exact else ():
            if (meant := find(name, there)) is not None:
                counts[kind] = counts.get(kind, 0) + 1
                # One for which the name meant is known says more.
                if kind not in shown or (meant and " is " not in shown[kind]):
                    shown[kind] = f"{name!r} is '{meant}' there" if meant else repr(name)
                break
    return ", ".join(f"{counts[kind]:,} {kind} ({shown[kind]})" for kind, _ in _KINDS if kind in counts)


def lost_names(names: pd.Series | pd.Index, lost: NDArray[np.bool_], known: pd.Index) -> str:
    """Say of the names of pairs, of which some are lost: the first, in how many pairs, and why they may be unknown.

    >>> lost_names(pd.Index(["Gapdh", "ACTB"]), np.array([True, False]), pd.Index(["GAPDH", "ACTB"]))
    "('Gapdh'), in 1 of 2 pairs; of the names, 1 in other upper and lower case, as of man and mouse ('Gapdh' is \
'GAPDH' there)"
    """
    absent = pd.unique(pd.Index(names)[lost])
    kinds = why_unknown(absent, known)
    text = f"({first_few(absent)}), in {int(lost.sum()):,} of {len(names):,} pairs"
    return f"{text}; of the names, {kinds}" if kinds else text
