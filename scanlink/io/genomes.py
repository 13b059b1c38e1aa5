"""Which genome build coordinates are of: what a file says, and which chromosomes are long enough for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.io.contigs import plain_name
from scanlink.io.opening import open_text
from scanlink.io.text_tables import is_comment

__all__ = ["FAR", "BuildSigns", "build_in_header", "build_named", "differ", "signs_of_build"]

# From how far on a gene is elsewhere, in bp. 94 % of 23,000 genes are further from where they are in the other build of
# man (hg19, hg38), 96 % in that of the mouse (mm10, mm39).
FAR = 10_000
# Builds of man and mouse, whose data are by far the most, with what others call them. Peaks of another species fit none
# of them, or several, and nothing is concluded.
_NAMES = {
    "hg19": ("hg19", "GRCh37", "hs37d5", "b37"),
    "hg38": ("hg38", "GRCh38"),
    "hs1": ("hs1", "T2T-CHM13", "CHM13"),
    "mm9": ("mm9", "NCBIM37", "MGSCv37"),
    "mm10": ("mm10", "GRCm38"),
    "mm39": ("mm39", "GRCm39"),
}
_BUILD_OF = {other.lower(): name for name, others in _NAMES.items() for other in others}
_NAME = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, _BUILD_OF))})(?!\d)", re.IGNORECASE)
# Share of places that may lie beyond the ends of chromosomes, for they are damaged or reach over the end.
_FEW_WRONG = 0.001
# Chromosomes that all of them have, or that tell man from mouse; contigs differ with where a genome was had from.
_CHROMOSOME = re.compile(r"\d+|X|Y")


@dataclass(frozen=True)
class BuildSigns:
    """What tells the build of some places.

    Attributes
    ----------
    n
        Places on chromosomes with a number, X or Y.
    said
        Build that the file names; None where it names none that is known.
    beyond
        For each build known, how many places begin beyond the end that their chromosome has there, or lie on one that
        it does not have.
    first
        For each build, the first of these places, or "".
    """

    n: int
    said: str | None
    beyond: dict[str, int]
    first: dict[str, str]

    @property
    def build(self) -> str | None:
        """The only build of which the places can be, or else the one that the file names, if they can be of it."""
        if not self.n:
            return self.said
        name, other = sorted(self.beyond, key=self.beyond.__getitem__)[:2]
        # A place or two may be wrong in any file.
        if self._fits(name) and self.beyond[other] > 10 * self.beyond[name]:
            return name
        return self.said if self.said is not None and self._fits(self.said) else None

    def _fits(self, build: str) -> bool:
        return self.beyond[build] <= _FEW_WRONG * self.n

    def described(self, what: str, other: str | None) -> str:
        """Say of which build the places (``what``) are, and what keeps them from being of ``other``."""
        if self.build is None:
            return f"nothing tells the build of the {what}"
        several = what.endswith("s")
        text = f"the {what} {'look' if several else 'looks'} like {names_of(self.build)}"
        if self.said == self.build:
            text += f", as {'their' if several else 'its'} file says"
        if other not in (None, self.build) and self.beyond[other]:
            text += (
                f" ({self.beyond[other]:,} of {self.n:,} lie where {other} has no sequence, the first at "
                f"{self.first[other]})"
            )
        return text


def names_of(build: str) -> str:
    """Give the two usual names of a build.

    >>> names_of("hg38")
    'hg38 (GRCh38)'
    """
    return f"{build} ({_NAMES[build][1]})"


def differ(ours: BuildSigns, theirs: BuildSigns) -> bool:
    """Tell whether both sides have a build, and another one."""
    return None not in (ours.build, theirs.build) and ours.build != theirs.build


def build_named(text: str) -> str | None:
    """Find the build that a text names, in UCSC's words; None where none or several are named.

    >>> build_named("##description: evidence-based annotation of the mouse genome (GRCm39), version M32 (Ensembl 109)")
    'mm39'
    """
    # An annotation that was lifted over names both.
    lifted = re.search(r"mapped to (\S+)", text)
    found = {_BUILD_OF[name.lower()] for name in _NAME.findall(lifted[1] if lifted else text)}
    return found.pop() if len(found) == 1 else None


def build_in_header(file: Path) -> str | None:
    """Find the build that the comments at the beginning of a text file name, as GENCODE, Ensembl and RefSeq do."""
    comments: list[str] = []
    with open_text(file) as text:
        for line in text:
            if not is_comment(line):
                break
            comments.append(line)
    return build_named(" ".join(comments))


def signs_of_build(places: pd.DataFrame, said: str | None = None) -> BuildSigns:
    """Look which builds places (``chrom``, ``start``) can be of; ``said`` is what their file calls its build."""
    codes, names = pd.factorize(places["chrom"].astype(str))
    plain = [plain_name(str(name)) for name in names]
    counted = np.array([bool(_CHROMOSOME.fullmatch(name)) for name in plain], dtype=bool)[codes] & (codes >= 0)
    start = places["start"].to_numpy(dtype=np.int64)
    beyond: dict[str, int] = {}
    first: dict[str, str] = {}
    for build, lengths in _lengths().items():
        ends = np.array([lengths.get(name, 0) for name in plain], dtype=np.int64)[codes]
        outside: NDArray[np.intp] = np.flatnonzero(counted & (start >= ends))
        beyond[build] = len(outside)
        first[build] = f"{names[codes[outside[0]]]}:{start[outside[0]]:,}" if len(outside) else ""
    named = None if said is None else build_named(said)
    return BuildSigns(int(counted.sum()), named if named in beyond else None, beyond, first)


@cache
def _lengths() -> dict[str, dict[str, int]]:
    """Give the lengths of the chromosomes of each build, in bp."""
    import bioframe

    lengths = {build: bioframe.assembly_info(build).chromsizes for build in _NAMES}
    return {build: {plain_name(name): int(n) for name, n in each.items()} for build, each in lengths.items()}
